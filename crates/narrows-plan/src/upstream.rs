//! Where traffic goes.

use crate::{ClientTls, Origin, ProxyProtocolVersion, defaults};
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Index into [`Plan::upstreams`](crate::Plan::upstreams).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub u32);

/// A named group of endpoints that can each take the same traffic.
#[derive(Debug, Clone)]
pub struct Upstream {
    /// Stable name.
    pub name: Box<str>,
    /// Where it was written.
    pub origin: Origin,
    /// At least one.
    pub endpoints: Vec<Endpoint>,
    /// How an endpoint is chosen.
    pub balance: Balance,
    /// How connections are kept.
    pub pool: PoolLimits,
    /// Further attempts after the first failed.
    pub retries: u32,
    /// What is spoken to the endpoints of a layer-7 upstream.
    pub protocol: UpstreamProtocol,
    /// Encryption; `None` is plain.
    pub tls: Option<Box<ClientTls>>,
    /// Whether gRPC-Web is translated to gRPC on the way there.
    pub grpc_web: bool,
    /// The PROXY protocol header that each connection, or each datagram, begins with.
    pub proxy_protocol: Option<ProxyProtocolVersion>,
}

/// What is spoken to the endpoints of a layer-7 upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2, by prior knowledge or by ALPN.
    Http2,
    /// What the endpoint chooses by ALPN.
    Negotiated,
}

impl UpstreamProtocol {
    /// The name that operators write.
    pub fn name(self) -> &'static str {
        match self {
            UpstreamProtocol::Http1 => "http1",
            UpstreamProtocol::Http2 => "http2",
            UpstreamProtocol::Negotiated => "auto",
        }
    }
}

/// One server.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// Its name where it was written with one; it stays when the address is looked up.
    pub name: Option<Box<str>>,
    /// Share of the traffic relative to the others; at least 1.
    pub weight: u32,
    /// Where it was written.
    pub origin: Origin,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// IP address and port.
    Socket(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A host name and a port, looked up once when the process starts.
    Name(Box<str>, u16),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Socket(address) => address.fmt(formatter),
            Address::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Address::Name(host, port) => write!(formatter, "{host}:{port}"),
        }
    }
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Balance {
    /// Each in turn, in proportion to the weights, spread smoothly.
    RoundRobin,
    /// The one with the fewest running requests in proportion to its weight.
    LeastRequest,
    /// The one that the client's address points to, in proportion to the weights.
    SourceHash,
    /// The same, and few clients move when endpoints are added or removed.
    ConsistentHash,
}

impl Balance {
    /// The name that operators write.
    pub fn name(self) -> &'static str {
        match self {
            Balance::RoundRobin => "round-robin",
            Balance::LeastRequest => "least-request",
            Balance::SourceHash => "source-hash",
            Balance::ConsistentHash => "consistent-hash",
        }
    }
}

/// How upstream connections are kept, per worker and endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolLimits {
    /// Idle connections kept; 0 closes each connection after its request.
    pub idle: usize,
    /// How long one stays idle.
    pub idle_timeout: Option<Duration>,
    /// Requests on one connection; `None` is unlimited.
    pub requests: Option<u32>,
    /// Age after which a connection takes no further request.
    pub age: Option<Duration>,
}

impl Default for PoolLimits {
    fn default() -> Self {
        PoolLimits {
            idle: defaults::POOL_IDLE,
            idle_timeout: Some(defaults::POOL_IDLE_TIMEOUT),
            requests: None,
            age: None,
        }
    }
}
