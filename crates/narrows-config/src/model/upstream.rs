//! Upstreams as they are written.

use super::endpoint::Endpoints;
use super::health::{AgentCheck, HealthCheck};
use super::limits::{AdaptiveConcurrency, Breaker, UpstreamLimits};
use super::passive::PassiveCheck;
use super::retries::Retries;
use super::stickiness::Stickiness;
use super::time;
use super::tls::{UpstreamProtocol, UpstreamTls};
use crate::shape::{
    Duration, Flag, Number, OPTIONAL, OneOrMany, OrOff, OrTable, Percent, Switch, TextOr, choice, otherwise,
    table,
};
use crate::tree::Text;
use narrows_plan::defaults;

table! {
    /// A group of servers that can each take the same traffic, see [upstreams.md](upstreams.md). It needs `endpoints`, `endpoint_file`, or both.
    Upstream {
        /// The servers: `address:port`, `name:port` (looked up again when its TTL is over), `unix:/path`, or a table that says
        /// more.
        endpoints: Endpoints = OPTIONAL,
        /// A file with further endpoints: a list like `endpoints`, in YAML or JSON. It is watched.
        endpoint_file: Text = OPTIONAL,
        /// Who is asked for names, and how the answers are used.
        resolver: Resolver = otherwise("the system's servers"),
        /// How a server is chosen: `round-robin` takes each in turn, `least-request` the one with the fewest running requests,
        /// `least-connections` the one with the fewest open connections, `random` one by chance, `peak-ewma` the one with the
        /// shortest expected time, all in proportion to the weights. `hash`, `consistent-hash`, `ketama` and `maglev` take always the
        /// same one for the same `hash_key`; with all but `hash` few keys move when servers come or go.
        balance: Balance = "round-robin",
        /// What the hash methods hash: a template.
        hash_key: Text = otherwise("the client's address"),
        /// For hash methods: a server with more than this share of the average load passes what comes to the next one.
        hash_bound: OrOff<Percent<100, 1000>> = "off",
        /// A server counts for this much of itself when it is asked whether a tier can carry everything; what it cannot goes to
        /// the next tier. `off`: a tier is left when nothing in it is available.
        overflow: OrOff<Percent<100, 1000>> = "off",
        /// When less than this share of a tier is healthy, health is not believed and all of it is used. While it is off, every
        /// request gets 503 when the checks of all servers fail.
        panic: OrOff<Percent<1, 100>> = "off",
        /// Whether servers in the zone of this process (`settings.zone`) go before others.
        prefer_zone: Flag = "false",
        /// How clients are kept at the server that had them first: `cookie`, `source` (the client's address), or a table.
        stickiness: TextOr<Stickiness> = otherwise("they are not"),
        /// How servers are asked whether they are well: a path (`/healthz`), one of `tcp`, `tls`, `grpc`, `postgresql`, `mysql`,
        /// `redis`, `smtp` and `ldap`, or a table.
        health: TextOr<HealthCheck> = otherwise("they are not asked"),
        /// An agent beside each server that says how much it can take.
        agent: AgentCheck = otherwise("there is none"),
        /// How servers are judged by their traffic.
        passive: Switch<PassiveCheck> = "on",
        /// A server that came back takes this long to get its whole share. Not for hash methods.
        slow_start: OrOff<Duration> = "off",
        /// When a request is sent again: a number of further attempts (`off` is 0), or a table.
        retries: OrTable<OrOff<Number<0, 100>>, Retries> = defaults::RETRIES.to_string(),
        /// How much is given at one time.
        limits: UpstreamLimits = otherwise("no limits"),
        /// Stops requests to an upstream that fails: `on`, or a table.
        breaker: Switch<Breaker> = "off",
        /// Finds out how much the upstream can take: `on`, or a table.
        adaptive_concurrency: Switch<AdaptiveConcurrency> = "off",
        /// What happens to running TCP flows, tunnels and UDP sessions when their server goes down: they go on as long as it
        /// lets them (`keep`), or end (`close`; a UDP session moves to another server).
        when_down: WhenDown = "keep",
        /// How connections are kept.
        connections: Connections = OPTIONAL,
        /// What is spoken to the servers of a layer-7 upstream: `http1`, `http2` (by ALPN with `tls`, by prior knowledge without), or `auto`: what
        /// the server chooses by ALPN.
        protocol: UpstreamProtocol = "http1",
        /// Encryption: `true`, or a table. Certificates are verified unless the table says otherwise.
        tls: TextOr<UpstreamTls> = otherwise("plain"),
        /// Whether gRPC-Web, which browsers speak, is translated to gRPC for these servers.
        grpc_web: Flag = "false",
        /// The PROXY protocol header that each connection begins with: `v1` is a line of text, `v2` binary with more
        /// facts and a checksum. It says the client's address and the one that the client connected to, so a connection
        /// serves one request and is not kept. udp: `v2`, in front of each datagram. See proxy-protocol.md.
        proxy_protocol: ProxyProtocolVersion = otherwise("none is sent"),
    }
}

choice! {
    /// The form of a PROXY protocol header.
    ProxyProtocolVersion {
        /// A line of text.
        V1 = "v1",
        /// Binary.
        V2 = "v2",
    }
}

choice! {
    /// How an endpoint is chosen.
    Balance {
        /// Each in turn.
        RoundRobin = "round-robin",
        /// The fewest running requests.
        LeastRequest = "least-request",
        /// The fewest open connections.
        LeastConnections = "least-connections",
        /// By chance.
        Random = "random",
        /// The shortest expected time.
        PeakEwma = "peak-ewma",
        /// The key points to one.
        Hash = "hash",
        /// The same, and few keys move when servers change.
        ConsistentHash = "consistent-hash",
        /// The same on NGINX's ring.
        Ketama = "ketama",
        /// The same by a table.
        Maglev = "maglev",
    }
}

choice! {
    /// What happens to what runs at a server that goes down.
    WhenDown {
        /// It goes on.
        Keep = "keep",
        /// It ends.
        Close = "close",
    }
}

table! {
    /// Who is asked for names, and how the answers are used.
    Resolver {
        /// DNS servers, `address` or `address:port`.
        servers: OneOrMany<Text> = otherwise("the system's"),
        /// A question without an answer is repeated, or asked elsewhere, after this time.
        timeout: Duration = time(defaults::DNS_TIMEOUT),
        /// A name is not looked up more often than this, whatever its TTL.
        minimum_ttl: Duration = time(defaults::DNS_MINIMUM_TTL),
        /// A name is looked up at least this often.
        maximum_ttl: Duration = time(defaults::DNS_MAXIMUM_TTL),
        /// The next look-up after a failure or an empty answer; the last good answer is kept meanwhile.
        retry: Duration = time(defaults::DNS_RETRY),
        /// Which addresses are asked for: `prefer-ipv4` takes IPv6 only when there is no IPv4, `all` takes both.
        family: AddressFamily = "prefer-ipv4",
        /// Whether every address of a name is an endpoint, or the first one alone.
        addresses: Addresses = "all",
    }
}

choice! {
    /// Which addresses a name is asked for.
    AddressFamily {
        /// IPv4, and IPv6 when there is none.
        PreferIpv4 = "prefer-ipv4",
        /// IPv6, and IPv4 when there is none.
        PreferIpv6 = "prefer-ipv6",
        /// Only IPv4.
        Ipv4 = "ipv4",
        /// Only IPv6.
        Ipv6 = "ipv6",
        /// Both.
        All = "all",
    }
}

choice! {
    /// Which addresses of a name are endpoints.
    Addresses {
        /// Every one.
        All = "all",
        /// The first.
        First = "first",
    }
}

table! {
    /// How upstream connections are kept, for each worker and endpoint.
    Connections {
        /// Idle connections kept; 0 closes each connection after its request.
        idle: Number<0, 1_000_000> = defaults::POOL_IDLE.to_string(),
        /// How long one stays idle.
        idle_timeout: OrOff<Duration> = time(defaults::POOL_IDLE_TIMEOUT),
        /// Requests on one connection; 0 is unlimited.
        requests: Number<0, 4_294_967_295> = "0",
        /// Age after which a connection takes no further request.
        age: OrOff<Duration> = "off",
    }
}
