//! What is listened on, and under which limits.

use crate::{
    CertificateHeaders, Network, Origin, ProxyProtocol, Route, RouteTable, ServerTls, Template, UdpListener,
    UpstreamId, defaults,
};
use serde::Serialize;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// A named group of sockets that treat their connections alike.
#[derive(Debug, PartialEq)]
pub struct Listener {
    /// Stable name.
    pub name: Box<str>,
    /// Where it was written.
    pub origin: Origin,
    /// At least one.
    pub binds: Vec<(Bind, Origin)>,
    /// Encryption; `None` is plain.
    pub tls: Option<Box<ServerTls>>,
    /// The PROXY protocol header in front of everything else; `None` takes every byte as the client's.
    pub proxy_protocol: Option<ProxyProtocol>,
    /// What is spoken.
    pub protocol: Protocol,
}

/// What a listener speaks.
#[derive(Debug, PartialEq)]
pub enum Protocol {
    /// Layer 7.
    Http(Box<HttpListener>),
    /// Layer 4.
    Tcp(Box<TcpListener>),
    /// Datagrams.
    Udp(Box<UdpListener>),
}

impl Protocol {
    /// The name that operators write.
    pub fn name(&self) -> &'static str {
        match self {
            Protocol::Http(_) => "http",
            Protocol::Tcp(_) => "tcp",
            Protocol::Udp(listener) if listener.quic => "quic",
            Protocol::Udp(_) => "udp",
        }
    }
}

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Bind {
    /// IP address and port; port 0 takes a free one. `[::]` takes IPv4 too.
    Socket(SocketAddr),
    /// A Unix stream socket.
    Unix(PathBuf),
}

impl fmt::Display for Bind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bind::Socket(address) => address.fmt(formatter),
            Bind::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Layer 7 on a listener.
#[derive(Debug, Default, PartialEq)]
pub struct HttpListener {
    /// Which route takes a request.
    pub table: RouteTable,
    /// What each route does; the table's rule indices.
    pub routes: Vec<Route>,
    /// What happens when no route matches; `None` answers 404.
    pub fallback: Option<Box<Route>>,
    /// Whose word on the client's address is believed.
    pub trusted_proxies: TrustedProxies,
    /// Which headers tell the upstream about the client.
    pub forwarded: Forwarded,
    /// Pseudonym for `Via`; `None` sends none.
    pub via: Option<Box<str>>,
    /// What becomes of the upstream's `Server` field.
    pub server: ServerPolicy,
    /// How the path is normalised for matching.
    pub path_matching: PathMatching,
    /// Which form of the path goes upstream.
    pub forward_path: ForwardPath,
    /// Sizes.
    pub limits: HttpLimits,
    /// Deadlines.
    pub timeouts: HttpTimeouts,
    /// Pages for errors that no route has its own for.
    pub error_pages: ErrorPages,
    /// HTTP/2; `None` speaks HTTP/1.1 only.
    pub http2: Option<Http2Limits>,
    /// Whether every request is answered with its address under https, before any route.
    pub https_redirect: bool,
    /// For how long browsers shall use https only (RFC 6797), told on answers over TLS; `None` tells nothing.
    pub hsts: Option<Duration>,
    /// What tells the upstream about the client's certificate.
    pub certificate_headers: CertificateHeaders,
}

/// What a client may take up with HTTP/2.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Http2Limits {
    /// Requests that run at once on a connection.
    pub streams: u32,
    /// Bytes of one request body that are on their way and not taken yet.
    pub window: u32,
    /// The same for all bodies of a connection together.
    pub connection_window: u32,
    /// How often the other end of a quiet connection is asked whether it is there; `None` never asks.
    pub ping: Option<Duration>,
}

impl Http2Limits {
    /// A window of the connection that leaves each of `streams` its own, so that bodies that nobody takes hold no other back.
    pub fn for_all(streams: u32, window: u32) -> u32 {
        streams.saturating_mul(window).min(i32::MAX as u32)
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Http2Limits {
            streams: defaults::HTTP2_STREAMS,
            window: defaults::HTTP2_WINDOW,
            connection_window: Http2Limits::for_all(defaults::HTTP2_STREAMS, defaults::HTTP2_WINDOW),
            ping: None,
        }
    }
}

/// Whose `Forwarded` and `X-Forwarded-*` fields are believed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct TrustedProxies {
    /// Addresses of the proxies; empty believes nobody.
    pub sources: Vec<Network>,
    /// Most hops that are walked from the nearest; `None` walks as far as `sources` allow.
    pub hops: Option<u32>,
}

/// Which headers tell the upstream about the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Forwarded {
    /// `X-Forwarded-For`, `-Proto` and `-Host`.
    pub x_forwarded: bool,
    /// `Forwarded` (RFC 7239).
    pub forwarded: bool,
}

impl Default for Forwarded {
    fn default() -> Self {
        Forwarded { x_forwarded: true, forwarded: false }
    }
}

/// What becomes of the upstream's `Server` field.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerPolicy {
    /// Passed as it came.
    #[default]
    Pass,
    /// Removed.
    Hide,
    /// Replaced, and added where the upstream sent none.
    Replace(Box<str>),
}

/// How a path is normalised before it is compared. Dot segments are always removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PathMatching {
    /// Percent-encoded bytes are decoded, `%2F` excepted.
    pub decode: bool,
    /// `//` counts as `/`.
    pub merge_slashes: bool,
}

impl Default for PathMatching {
    fn default() -> Self {
        PathMatching { decode: true, merge_slashes: true }
    }
}

/// Which form of the path goes upstream when no rewrite says otherwise.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ForwardPath {
    /// The bytes that the client sent.
    #[default]
    AsReceived,
    /// The normalised path, percent-encoded again.
    Normalized,
}

/// Sizes that a stranger may make grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HttpLimits {
    /// Bytes of a request or response head.
    pub head_bytes: usize,
    /// Fields of a head.
    pub header_fields: usize,
    /// Bytes of a request target.
    pub uri_bytes: usize,
    /// Bytes of a request body; `None` is unlimited.
    pub body_bytes: Option<u64>,
    /// Lowest average rate of a request body, bytes per second; `None` asks for none.
    pub minimum_body_rate: Option<u64>,
    /// Requests on one downstream connection; `None` is unlimited.
    pub requests_per_connection: Option<u32>,
}

impl Default for HttpLimits {
    fn default() -> Self {
        HttpLimits {
            head_bytes: defaults::HEAD_BYTES,
            header_fields: defaults::HEADER_FIELDS,
            uri_bytes: defaults::URI_BYTES,
            body_bytes: Some(defaults::BODY_BYTES),
            minimum_body_rate: Some(defaults::MINIMUM_BODY_RATE),
            requests_per_connection: None,
        }
    }
}

/// Deadlines of layer 7; `None` waits for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct HttpTimeouts {
    /// From the first byte of a request head to its last.
    pub head: Option<Duration>,
    /// Between two reads of a request body.
    pub body_idle: Option<Duration>,
    /// Between two requests on a connection.
    pub keep_alive: Option<Duration>,
    /// To connect to an endpoint.
    pub connect: Option<Duration>,
    /// From the end of a request to the response head.
    pub response_head: Option<Duration>,
    /// Between two reads of a response body.
    pub response_idle: Option<Duration>,
    /// Between two writes that the client accepts.
    pub write_idle: Option<Duration>,
    /// From the request head to the last byte of the answer.
    pub request: Option<Duration>,
    /// A tunnel on which nothing moves.
    pub tunnel_idle: Option<Duration>,
}

impl Default for HttpTimeouts {
    fn default() -> Self {
        HttpTimeouts {
            head: Some(defaults::HEAD_TIMEOUT),
            body_idle: Some(defaults::BODY_IDLE),
            keep_alive: Some(defaults::KEEP_ALIVE),
            connect: Some(defaults::CONNECT),
            response_head: Some(defaults::RESPONSE_HEAD),
            response_idle: Some(defaults::RESPONSE_IDLE),
            write_idle: Some(defaults::WRITE_IDLE),
            request: None,
            tunnel_idle: Some(defaults::TUNNEL_IDLE),
        }
    }
}

/// Pages for errors that the proxy makes; the first that fits is used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ErrorPages {
    /// Status and page, most specific first.
    pub pages: Vec<(StatusPattern, Arc<ErrorPage>)>,
}

impl ErrorPages {
    /// The page for `status`.
    pub fn find(&self, status: u16) -> Option<&ErrorPage> {
        self.pages.iter().find(|(pattern, _)| pattern.covers(status)).map(|(_, page)| &**page)
    }
}

/// Which statuses a page is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusPattern {
    /// One status.
    Exact(u16),
    /// All of a class: 4 is 400 to 499.
    Class(u16),
}

impl StatusPattern {
    /// Whether `status` is meant.
    pub fn covers(self, status: u16) -> bool {
        match self {
            StatusPattern::Exact(exact) => exact == status,
            StatusPattern::Class(class) => class == status / 100,
        }
    }
}

/// A page for an error.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ErrorPage {
    /// The body.
    pub body: Template,
    /// Its type.
    pub content_type: Box<str>,
}

/// Layer 4 on a listener.
#[derive(Debug, Default, PartialEq)]
pub struct TcpListener {
    /// Which route takes a connection. Host patterns are compared with the TLS server name.
    pub table: RouteTable,
    /// Where each route leads; the table's rule indices.
    pub routes: Vec<TcpRoute>,
    /// Where connections go that no route takes; `None` closes them.
    pub fallback: Option<UpstreamId>,
    /// Whether a route asks for the server name or the application protocol, so that the client hello is awaited.
    pub peeks: bool,
    /// Deadlines.
    pub timeouts: TcpTimeouts,
}

/// One route of a TCP or UDP listener.
#[derive(Debug, Clone, PartialEq)]
pub struct TcpRoute {
    /// Stable name.
    pub name: Box<str>,
    /// Where it was written.
    pub origin: Origin,
    /// Where its connections go.
    pub upstream: UpstreamId,
}

/// Deadlines of layer 4; `None` waits for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct TcpTimeouts {
    /// To connect to an endpoint.
    pub connect: Option<Duration>,
    /// A flow on which nothing moves.
    pub idle: Option<Duration>,
    /// To receive the client hello.
    pub peek: Option<Duration>,
}

impl Default for TcpTimeouts {
    fn default() -> Self {
        TcpTimeouts {
            connect: Some(defaults::CONNECT),
            idle: Some(defaults::TCP_IDLE),
            peek: Some(defaults::PEEK),
        }
    }
}
