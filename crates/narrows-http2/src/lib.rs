//! HTTP/2 as messages in HTTP/1.1 syntax.
//!
//! A stream of an HTTP/2 connection carries one request and its answer. Here it becomes a
//! [`Stream`](narrows_runtime::Stream) that speaks HTTP/1.1: head, counted or chunked body, trailers. [`Server`] shows the
//! requests of a client that way, [`Client`] takes requests for a server that way. So there is one exchange above, whatever is spoken on
//! either side of it, and one strict parser that every head has to pass.
//!
//! Flow control is the stream's own: nothing is read from the peer before the exchange reads it, and a write waits until the peer has room.
//!
//! Invariant: no other room names the h2 library.

mod client;
mod head;
mod incoming;
mod outgoing;
mod pinging;
mod server;
mod transport;

pub use client::{Client, ClientLimits};
pub use server::{Server, ServerLimits};
pub use transport::Failure;
