//! The peers of the end-to-end tests: the real `narrows` binary, and who talks to it from both sides.
//!
//! * [`Setup`] writes a configuration and starts [`Narrows`]; it tells the ports and ends with the test.
//! * [`Connection`] is one raw connection, of a client or of a backend, with deadlines on every read.
//! * [`Http2`] is one side of an HTTP/2 connection, frame by frame; [`TlsClient`] and [`TlsServer`] put a
//!   connection into TLS.
//! * [`Backend`] accepts connections and plays a script on each; it records what it received.
//! * [`DatagramClient`] and [`DatagramServer`] are the same for UDP.
//! * [`servers`] starts real programs: nginx, nghttpd, PostgreSQL, MariaDB, Redis, OpenSSL, Knot DNS, gRPC, a WebSocket echo, aioquic.
//!
//! Everything here blocks, and panics with a reason when the other side does not behave: a panic is how a
//! test fails. Nothing sleeps for a fixed time: waiting is [`until`], with a deadline.

pub mod backend;
pub mod connection;
pub mod datagrams;
pub mod deadline;
pub mod folder;
pub mod gated;
pub mod health;
pub mod http2;
pub mod message;
pub mod narrows;
pub mod program;
pub mod proxy_header;
pub mod servers;
pub mod setup;
pub mod tls;
mod transport;

pub use backend::Backend;
pub use connection::{Connection, End};
pub use datagrams::{DatagramClient, DatagramServer};
pub use deadline::{DEADLINE, until};
pub use folder::Folder;
pub use gated::Gated;
pub use http2::{Frame, Http2};
pub use message::Message;
pub use narrows::Narrows;
pub use program::{output_of, tool};
pub use setup::Setup;
pub use tls::{TlsClient, TlsServer};
