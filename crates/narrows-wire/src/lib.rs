//! Sans-I/O parsers for bytes from strangers: HTTP/1.1 heads and bodies, request targets, the TLS client hello, PROXY protocol,
//! QUIC headers.
//!
//! * [`http1`] reads message heads and body framing, strictly after RFC 9112.
//! * [`target`] normalises paths for matching and takes authorities and queries apart.
//! * [`client_hello`] reads server name and ALPN from a TLS client hello without terminating TLS.
//! * [`proxy_protocol`] reads and writes the header in which a proxy tells who its client is.
//! * [`trace_context`] reads and writes the trace that a request belongs to (W3C Trace Context, B3).
//! * [`quic`] reads what a QUIC datagram shows to everybody, and the client hello of opened Initial packets.
//!
//! Invariant: nothing here does I/O, knows a clock, or panics on what it is given.
//! Invariant: how the bytes were cut into reads never changes the outcome (split invariance, a property test and
//! a fuzz target for each parser).

pub mod client_hello;
pub mod grpc_web;
pub mod http1;
pub mod http2;
pub mod proxy_protocol;
pub mod quic;
pub mod target;
pub mod trace_context;
