//! Where traffic goes.

use crate::{
    AdaptiveConcurrency, AgentCheck, Balancing, Breaker, ClientTls, EndpointLimits, HealthCheck, Origin,
    PassiveCheck, ProxyProtocolVersion, RetryPolicy, Stickiness, UpstreamLimits, defaults,
};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Index into [`Plan::upstreams`](crate::Plan::upstreams).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UpstreamId(pub u32);

/// A named group of endpoints that can each take the same traffic.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Upstream {
    /// Stable name.
    pub name: Box<str>,
    /// Where it was written.
    pub origin: Origin,
    /// As they are written; names are looked up while the process runs. Empty only with `endpoint_file`.
    pub endpoints: Vec<Endpoint>,
    /// A watched file with further endpoints.
    pub endpoint_file: Option<PathBuf>,
    /// Who is asked for names.
    pub resolver: Resolver,
    /// How an endpoint is chosen.
    pub balancing: Balancing,
    /// How clients are kept at their endpoint.
    pub stickiness: Option<Box<Stickiness>>,
    /// How connections are kept.
    pub pool: PoolLimits,
    /// When a request is sent again, where its route says nothing.
    pub retry: RetryPolicy,
    /// How endpoints are asked whether they are well.
    pub health: Option<Box<HealthCheck>>,
    /// How endpoints are asked how much they can take.
    pub agent: Option<Box<AgentCheck>>,
    /// How endpoints are judged by their traffic.
    pub passive: Option<PassiveCheck>,
    /// An endpoint that came back takes this long to get its whole share. Without effect on hash methods.
    pub slow_start: Option<Duration>,
    /// How much is given at one time.
    pub limits: UpstreamLimits,
    /// What stops requests to an upstream that fails.
    pub breaker: Option<Breaker>,
    /// What finds out how much the upstream can take.
    pub concurrency: Option<AdaptiveConcurrency>,
    /// What happens to flows and sessions whose endpoint goes down.
    pub when_down: WhenDown,
    /// What is spoken to the endpoints of a layer-7 upstream.
    pub protocol: UpstreamProtocol,
    /// Encryption; `None` is plain.
    pub tls: Option<Box<ClientTls>>,
    /// Whether gRPC-Web is translated to gRPC on the way there.
    pub grpc_web: bool,
    /// The PROXY protocol header that each connection, or each datagram, begins with.
    pub proxy_protocol: Option<ProxyProtocolVersion>,
}

impl Upstream {
    /// An upstream without endpoints in which everything is the default.
    pub fn new(name: &str, origin: Origin) -> Self {
        Upstream {
            name: name.into(),
            origin,
            endpoints: Vec::new(),
            endpoint_file: None,
            resolver: Resolver::default(),
            balancing: Balancing::default(),
            stickiness: None,
            pool: PoolLimits::default(),
            retry: RetryPolicy::default(),
            health: None,
            agent: None,
            passive: Some(PassiveCheck::default()),
            slow_start: None,
            limits: UpstreamLimits::default(),
            breaker: None,
            concurrency: None,
            when_down: WhenDown::default(),
            protocol: UpstreamProtocol::default(),
            tls: None,
            grpc_web: false,
            proxy_protocol: None,
        }
    }
}

impl Upstream {
    /// Whether what serves it would serve the other as well: they differ in nothing but where endpoints are found, how these are checked, and how many failures
    /// take one out.
    pub fn is_served_like(&self, other: &Upstream) -> bool {
        // Named one by one, so that a further field has to be thought of.
        let Upstream {
            name,
            balancing,
            stickiness,
            pool,
            retry,
            passive,
            slow_start,
            limits,
            breaker,
            concurrency,
            when_down,
            protocol,
            tls,
            grpc_web,
            proxy_protocol,
            origin: _,
            endpoints: _,
            endpoint_file: _,
            resolver: _,
            health: _,
            agent: _,
        } = self;
        let judged = |passive: &PassiveCheck| {
            (passive.success_rate.is_some(), passive.latency.is_some(), passive.statuses.clone())
        };
        *name == other.name
            && *balancing == other.balancing
            && *stickiness == other.stickiness
            && *pool == other.pool
            && *retry == other.retry
            && passive.as_ref().map(judged) == other.passive.as_ref().map(judged)
            && *slow_start == other.slow_start
            && *limits == other.limits
            && *breaker == other.breaker
            && *concurrency == other.concurrency
            && *when_down == other.when_down
            && *protocol == other.protocol
            && *tls == other.tls
            && *grpc_web == other.grpc_web
            && *proxy_protocol == other.proxy_protocol
    }
}

impl Endpoint {
    /// An endpoint in which everything but its place is the default.
    pub fn new(address: Address, origin: Origin) -> Self {
        Endpoint {
            address,
            weight: 1,
            priority: 0,
            zone: None,
            labels: Box::default(),
            state: AdminState::default(),
            limits: EndpointLimits::default(),
            origin,
        }
    }
}

/// What is spoken to the endpoints of a layer-7 upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
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

/// One server, or the servers of one name.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Endpoint {
    /// Where it is.
    pub address: Address,
    /// Share of the traffic relative to the others; 0 gets only what sticks to it. For a service, in proportion to the weights of its records.
    pub weight: u32,
    /// Endpoints of priority 0 go first; 1 is a backup of them, and so on. For a service, added to the priorities of its records, which are
    /// counted from 0 in their order.
    pub priority: u32,
    /// Where it stands; see [`Balancing::prefers_zone`].
    pub zone: Option<Box<str>>,
    /// What routes may ask for, by name, in order.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// What it is meant to do.
    pub state: AdminState,
    /// What it is given at most, over all workers.
    pub limits: EndpointLimits,
    /// Where it was written.
    pub origin: Origin,
}

/// What an endpoint is meant to do, whatever its health.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminState {
    /// To serve.
    #[default]
    Ready,
    /// To serve what sticks to it or runs there, and nothing new.
    Drain,
    /// To serve nothing new; it is not checked.
    Maintenance,
}

impl AdminState {
    /// The name that operators write.
    pub fn name(self) -> &'static str {
        match self {
            AdminState::Ready => "ready",
            AdminState::Drain => "drain",
            AdminState::Maintenance => "maintenance",
        }
    }
}

/// What happens to flows and sessions whose endpoint goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhenDown {
    /// They go on, as long as the endpoint lets them.
    #[default]
    Keep,
    /// They end (TCP flows, tunnels), or move to another endpoint with the next datagram (UDP).
    Close,
}

/// Who is asked for names, and how the answers are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolver {
    /// DNS servers; empty: what the system is configured with.
    pub servers: Box<[SocketAddr]>,
    /// A question without an answer is repeated, or asked elsewhere, after this time.
    pub timeout: Duration,
    /// A name is not looked up more often than this, whatever its TTL.
    pub minimum_ttl: Duration,
    /// A name is looked up at least this often.
    pub maximum_ttl: Duration,
    /// After a failure, or after an empty answer that does not say how long it holds, the next look-up. The last good answer is kept meanwhile.
    pub retry: Duration,
    /// Which addresses are asked for.
    pub family: AddressFamily,
    /// Whether every address of a name is an endpoint, or only the first.
    pub every_address: bool,
}

impl Default for Resolver {
    fn default() -> Self {
        Resolver {
            servers: Box::default(),
            timeout: defaults::DNS_TIMEOUT,
            minimum_ttl: defaults::DNS_MINIMUM_TTL,
            maximum_ttl: defaults::DNS_MAXIMUM_TTL,
            retry: defaults::DNS_RETRY,
            family: AddressFamily::default(),
            every_address: true,
        }
    }
}

/// Which addresses a name is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AddressFamily {
    /// IPv4, and IPv6 when there is none.
    #[default]
    PreferIpv4,
    /// IPv6, and IPv4 when there is none.
    PreferIpv6,
    /// Only IPv4.
    Ipv4,
    /// Only IPv6.
    Ipv6,
    /// Both.
    All,
}

/// Where an endpoint is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// IP address and port.
    Socket(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
    /// A host name and a port.
    Name(Box<str>, u16),
    /// A service (DNS SRV, RFC 2782), `_http._tcp.app.internal`.
    Service(Box<str>),
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Socket(address) => address.fmt(formatter),
            Address::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Address::Name(host, port) => write!(formatter, "{host}:{port}"),
            Address::Service(name) => write!(formatter, "srv:{name}"),
        }
    }
}

/// How upstream connections are kept, per worker and endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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
