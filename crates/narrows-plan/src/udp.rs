//! Datagrams: listeners of UDP, and of QUIC that passes through.

use crate::{RouteTable, TcpRoute, UpstreamId, defaults};
use serde::Serialize;
use std::time::Duration;

/// Datagrams on a listener. A session is what comes from one address and port of a client, and what is answered.
#[derive(Debug, Default, PartialEq)]
pub struct UdpListener {
    /// Which route takes a session. Host patterns are compared with the server name of QUIC's client hello.
    pub table: RouteTable,
    /// Where each route leads; the table's rule indices.
    pub routes: Vec<TcpRoute>,
    /// Where sessions go that no route takes; `None` drops their datagrams.
    pub fallback: Option<UpstreamId>,
    /// Whether the datagrams are QUIC: a connection stays with its endpoint when the client's address changes.
    pub quic: bool,
    /// Whether a route asks for the server name or the application protocol, so that QUIC's client hello is awaited.
    pub peeks: bool,
    /// How many sessions, and when one is over.
    pub sessions: SessionLimits,
    /// Deadlines.
    pub timeouts: UdpTimeouts,
}

/// How many sessions there may be, and when one is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SessionLimits {
    /// Sessions at one time, all workers together.
    pub limit: usize,
    /// Answers to each datagram after which nothing more is awaited; `None` ends a session only when it is idle.
    pub answers: Option<u32>,
}

impl Default for SessionLimits {
    fn default() -> Self {
        SessionLimits { limit: defaults::UDP_SESSIONS, answers: None }
    }
}

/// Deadlines of datagrams; `None` waits for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct UdpTimeouts {
    /// A session on which nothing moves.
    pub idle: Option<Duration>,
    /// To receive QUIC's client hello.
    pub peek: Option<Duration>,
}

impl Default for UdpTimeouts {
    fn default() -> Self {
        UdpTimeouts { idle: Some(defaults::UDP_IDLE), peek: Some(defaults::PEEK) }
    }
}
