//! The configuration as it is written: every table and every key, declared once.

mod endpoint;
mod keys;
mod listener;
mod route;
mod tls;

use crate::shape::{
    Duration, Flag, Map, Number, OPTIONAL, OrOff, REQUIRED, TextOr, choice, otherwise, table,
};
use crate::tree::Text;
use narrows_plan::defaults;

pub(crate) use endpoint::{AdminState, Endpoint, Endpoints};
pub(crate) use keys::{Name, StatusKey, is_token};
pub(crate) use listener::{
    ErrorPage, ForwardPath, ForwardedKind, Listener, ListenerTimeouts, Protocol, ProxyProtocolMode,
};
pub(crate) use route::{HeaderEdits, Matcher, PathTable, Rewrite, Route, Share};
pub(crate) use tls::{
    Certificate, CertificateHeader, ClientCertificates, ClientMode, Profile, UpstreamProtocol, UpstreamTls,
};

/// A duration as operators write it.
pub(crate) fn time(duration: std::time::Duration) -> String {
    match duration.as_millis() {
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

/// A size as operators write it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        bytes if bytes % (1 << 30) == 0 => format!("{}GiB", bytes >> 30),
        bytes if bytes % (1 << 20) == 0 => format!("{}MiB", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{}KiB", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

table! {
    /// The whole configuration. Several files may be given: their tables are united.
    Configuration {
        /// What holds for the whole process.
        settings: Settings = OPTIONAL,
        /// What is listened on, by name.
        listeners: Map<Name, Listener> = OPTIONAL,
        /// Where traffic goes, by name.
        upstreams: Map<Name, Upstream> = OPTIONAL,
    }
}

table! {
    /// What holds for the whole process.
    Settings {
        /// Workers; each serves connections on its own.
        workers: Number<1, 1024> = otherwise("the number of cores"),
        /// How long a graceful stop waits for running work.
        drain: Duration = time(defaults::DRAIN),
        /// Where a line for each request and connection goes: `off`, `stdout`, `stderr` or the path of a file.
        access_log: Text = "off",
        /// How such a line looks: `text` is the combined format with more fields, `json` an object a line.
        log_format: LogFormat = "text",
    }
}

choice! {
    /// How an access record is written.
    LogFormat {
        /// The combined format with more fields.
        Text = "text",
        /// One object a line.
        Json = "json",
    }
}

table! {
    /// A group of servers that can each take the same traffic.
    Upstream {
        /// The servers: `address:port`, `name:port` (looked up once when the process starts), `unix:/path`, or a table
        /// with a weight.
        endpoints: Endpoints = REQUIRED,
        /// How a server is chosen: `round-robin` takes each in turn in proportion to the weights, `least-request` the
        /// one with the fewest running requests in proportion to its weight, `hash` and `consistent-hash` always the
        /// same one for the same client address; with `consistent-hash` few clients move when servers are added or removed.
        balance: Balance = "round-robin",
        /// How connections are kept.
        connections: Connections = OPTIONAL,
        /// Further attempts after the first failed. A failed connect is repeated for any request; a reused connection
        /// that died before the first byte of the answer only for requests that may be repeated.
        retries: Number<0, 100> = defaults::RETRIES.to_string(),
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
        /// The client's address points to one.
        Hash = "hash",
        /// The same, and few clients move when servers change.
        ConsistentHash = "consistent-hash",
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
