//! TLS as a stream transformer: bytes in, bytes out, and what is known of the other end.
//!
//! [`TlsContexts`] holds what a plan needs, shared by all workers, so that a session begun on one worker is resumed on
//! another. [`Acceptor`] ends TLS of clients, [`Connector`] begins TLS to servers; both give a
//! [`Stream`](narrows_runtime::Stream) that nobody above can tell from a socket, with [`TlsFacts`].
//!
//! Invariant: no other room names rustls.

mod acceptor;
mod certificate_facts;
mod connector;
mod contexts;
mod facts;
mod fault;
mod handshake;
mod material;
mod self_signed;
mod session;
mod stream;

pub use acceptor::{Acceptor, Refused};
pub use certificate_facts::{CertificateFacts, CertificateUse};
pub use connector::{Connector, Purpose};
pub use contexts::{Reloading, TlsContexts};
pub use facts::{ClientCertificate, TlsFacts};
pub use fault::{CertificateFault, TlsFault};
pub use material::{Problem, ProblemKind};
