//! The workloads by name.

use anyhow::bail;
use serde::{Deserialize, Serialize};

use crate::service::{BULK_REQUEST, ECHO_SIZE, LARGE, Request, SMALL, Service};
use crate::setting::{Door, Setting};
use crate::subject::Kind;

/// One kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Workload {
    #[serde(rename = "w1-64")]
    Small64,
    #[serde(rename = "w1-8")]
    Small8,
    #[serde(rename = "w2")]
    Large,
    #[serde(rename = "w3")]
    NewConnections,
    #[serde(rename = "w4-pingpong")]
    TcpPingPong,
    #[serde(rename = "w4-bulk")]
    TcpBulk,
    #[serde(rename = "w5")]
    Idle,
    #[serde(rename = "w6-keepalive")]
    TlsKeepAlive,
    #[serde(rename = "w6-ecdsa")]
    TlsEcdsa,
    #[serde(rename = "w6-rsa")]
    TlsRsa,
    #[serde(rename = "w6-resumed")]
    TlsResumed,
    #[serde(rename = "w6-1mib")]
    TlsLarge,
    #[serde(rename = "w7-h2-1")]
    Http2One,
    #[serde(rename = "w7-h2-100")]
    Http2Hundred,
    #[serde(rename = "w7-h2-h2-100")]
    Http2ToHttp2,
    #[serde(rename = "w7-grpc")]
    Grpc,
    #[serde(rename = "w8-udp-64")]
    Udp64,
    #[serde(rename = "w8-udp-1200")]
    Udp1200,
    #[serde(rename = "w8-udp-sessions")]
    UdpSessions,
}

/// Who makes a workload's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Driver {
    /// `load.rs`: a closed loop on TCP or TLS connections.
    Streams,
    /// `idle.rs`.
    Idle,
    /// `h2load.rs`: the program of nghttp2.
    H2load,
    /// `grpc.rs`: calls on the streams of HTTP/2 connections.
    Grpc,
    /// `udp.rs`: a closed loop of datagrams.
    Datagrams,
}

/// The kind of key in the proxy's certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    EcdsaP256,
    Rsa2048,
}

/// How the end of an answer is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// A head with a Content-Length before the body.
    Http,
    /// The body alone.
    Raw,
}

/// A request and the body that answers it.
pub(crate) struct Exchange {
    /// The host that is asked; empty without HTTP.
    pub(crate) host: &'static str,
    pub(crate) request: Vec<u8>,
    pub(crate) body: Vec<u8>,
    pub(crate) framing: Framing,
}

impl Workload {
    pub(crate) const ALL: [Self; 19] = [
        Self::Small64,
        Self::Small8,
        Self::Large,
        Self::NewConnections,
        Self::TcpPingPong,
        Self::TcpBulk,
        Self::Idle,
        Self::TlsKeepAlive,
        Self::TlsEcdsa,
        Self::TlsRsa,
        Self::TlsResumed,
        Self::TlsLarge,
        Self::Http2One,
        Self::Http2Hundred,
        Self::Http2ToHttp2,
        Self::Grpc,
        Self::Udp64,
        Self::Udp1200,
        Self::UdpSessions,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Small64 => "w1-64",
            Self::Small8 => "w1-8",
            Self::Large => "w2",
            Self::NewConnections => "w3",
            Self::TcpPingPong => "w4-pingpong",
            Self::TcpBulk => "w4-bulk",
            Self::Idle => "w5",
            Self::TlsKeepAlive => "w6-keepalive",
            Self::TlsEcdsa => "w6-ecdsa",
            Self::TlsRsa => "w6-rsa",
            Self::TlsResumed => "w6-resumed",
            Self::TlsLarge => "w6-1mib",
            Self::Http2One => "w7-h2-1",
            Self::Http2Hundred => "w7-h2-100",
            Self::Http2ToHttp2 => "w7-h2-h2-100",
            Self::Grpc => "w7-grpc",
            Self::Udp64 => "w8-udp-64",
            Self::Udp1200 => "w8-udp-1200",
            Self::UdpSessions => "w8-udp-sessions",
        }
    }

    pub(crate) fn describe(self) -> &'static str {
        match self {
            Self::Small64 => "1 KiB, keep-alive, 64 connections",
            Self::Small8 => "1 KiB, keep-alive, 8 connections",
            Self::Large => "1 MiB, keep-alive, 16 connections",
            Self::NewConnections => "1 KiB, new connection each, 64 at once",
            Self::TcpPingPong => "TCP, 64 B there and back, 64 connections",
            Self::TcpBulk => "TCP, 1 MiB units down, 8 connections",
            Self::Idle => "10,000 idle keep-alive connections",
            Self::TlsKeepAlive => "TLS 1.3, 1 KiB, keep-alive, 64 connections",
            Self::TlsEcdsa => "TLS 1.3, full handshake each, ECDSA P-256, 64 at once",
            Self::TlsRsa => "TLS 1.3, full handshake each, RSA 2048, 64 at once",
            Self::TlsResumed => "TLS 1.3, resumed handshake each, 64 at once",
            Self::TlsLarge => "TLS 1.3, 1 MiB, keep-alive, 16 connections",
            Self::Http2One => "HTTP/2, 1 KiB, 64 connections of 1 stream",
            Self::Http2Hundred => "HTTP/2, 1 KiB, 4 connections of 100 streams",
            Self::Http2ToHttp2 => "HTTP/2 to HTTP/2, 1 KiB, 4 connections of 100 streams",
            Self::Grpc => "gRPC unary, 4 connections of 100 streams",
            Self::Udp64 => "UDP, 64 B there and back, 64 sessions",
            Self::Udp1200 => "UDP, 1200 B there and back, 64 sessions",
            Self::UdpSessions => "UDP, a new session for 64 B there and back, 64 at once",
        }
    }

    /// The workloads that a name stands for: one, or all whose name begins with it (`w1`).
    pub(crate) fn named(name: &str) -> anyhow::Result<Vec<Self>> {
        if let Some(exact) = Self::ALL.into_iter().find(|workload| workload.name() == name) {
            return Ok(vec![exact]);
        }
        let group = format!("{name}-");
        let found: Vec<Self> =
            Self::ALL.into_iter().filter(|workload| workload.name().starts_with(&group)).collect();
        if found.is_empty() {
            bail!("no workload `{name}`; there are {}", Self::ALL.map(Self::name).join(", "));
        }
        Ok(found)
    }

    pub(crate) fn driver(self) -> Driver {
        match self {
            Self::Idle => Driver::Idle,
            Self::Http2One | Self::Http2Hundred | Self::Http2ToHttp2 => Driver::H2load,
            Self::Grpc => Driver::Grpc,
            Self::Udp64 | Self::Udp1200 | Self::UdpSessions => Driver::Datagrams,
            _ => Driver::Streams,
        }
    }

    pub(crate) fn setting(self) -> Setting {
        match self {
            Self::Small64 | Self::Small8 | Self::Large | Self::NewConnections => Setting::Plain,
            Self::TcpPingPong | Self::TcpBulk | Self::Idle => Setting::Plain,
            Self::TlsKeepAlive | Self::TlsEcdsa | Self::TlsRsa | Self::TlsResumed | Self::TlsLarge => {
                Setting::Tls
            }
            Self::Http2One | Self::Http2Hundred => Setting::Tls,
            Self::Http2ToHttp2 | Self::Grpc => Setting::Http2,
            Self::Udp64 | Self::Udp1200 | Self::UdpSessions => Setting::Udp,
        }
    }

    pub(crate) fn door(self) -> Door {
        match self {
            Self::TcpPingPong => Door::TcpEcho,
            Self::TcpBulk => Door::TcpBulk,
            Self::Udp64 | Self::Udp1200 => Door::UdpEcho,
            Self::UdpSessions => Door::UdpSessions,
            _ if self.setting() == Setting::Plain => Door::Http,
            _ => Door::Https,
        }
    }

    pub(crate) fn connections(self) -> usize {
        match self {
            Self::Small8 | Self::TcpBulk => 8,
            Self::Large | Self::TlsLarge => 16,
            Self::Http2Hundred | Self::Http2ToHttp2 | Self::Grpc => 4,
            Self::Idle => 10_000,
            _ => 64,
        }
    }

    /// How many HTTP/2 streams are open at once on each connection.
    pub(crate) fn streams(self) -> usize {
        match self {
            Self::Http2Hundred | Self::Http2ToHttp2 | Self::Grpc => 100,
            _ => 1,
        }
    }

    /// The bytes of a datagram.
    pub(crate) fn datagram(self) -> usize {
        if self == Self::Udp1200 { 1200 } else { 64 }
    }

    pub(crate) fn key(self) -> Key {
        if self == Self::TlsRsa { Key::Rsa2048 } else { Key::EcdsaP256 }
    }

    /// Whether each exchange writes a line where the access log is on (TCP flows live as long as the run).
    pub(crate) fn logs_each_exchange(self) -> bool {
        self != Self::Idle && matches!(self.door(), Door::Http | Door::Https)
    }

    /// Whether the workload is repeated with the access log on. What a line costs shows in few workloads.
    pub(crate) fn repeats_with_log(self) -> bool {
        self.logs_each_exchange()
            && (self.setting() == Setting::Plain || matches!(self, Self::TlsKeepAlive | Self::Http2Hundred))
    }

    /// Whether each exchange has a connection (a UDP session) of its own.
    pub(crate) fn closes(self) -> bool {
        matches!(
            self,
            Self::NewConnections | Self::TlsEcdsa | Self::TlsRsa | Self::TlsResumed | Self::UdpSessions
        )
    }

    /// Why `kind` has no part in this workload.
    pub(crate) fn impossible_for(self, kind: Kind) -> Option<&'static str> {
        match (self, kind) {
            (Self::Http2ToHttp2, Kind::Nginx) => Some("nginx 1.22 speaks HTTP/2 to upstreams for gRPC only"),
            _ if self.setting().template(kind).is_none() => Some("HAProxy 2.6 does not forward UDP"),
            _ => None,
        }
    }

    /// What the connections of the load ask in turn.
    pub(crate) fn exchanges(self) -> Vec<Exchange> {
        match self {
            Self::TcpPingPong => {
                let body = Service::Echo.body(ECHO_SIZE);
                vec![Exchange { host: "", request: body.clone(), body, framing: Framing::Raw }]
            }
            Self::TcpBulk => {
                let body = Service::Bulk.body(LARGE);
                vec![Exchange { host: "", request: BULK_REQUEST.to_vec(), body, framing: Framing::Raw }]
            }
            _ => {
                let large = matches!(self, Self::Large | Self::TlsLarge);
                let request =
                    Request { large, secure: self.setting() != Setting::Plain, close: self.closes() };
                let exchange = |service: Service| Exchange {
                    host: service.host(),
                    request: service.request(request),
                    body: service.body(if large { LARGE } else { SMALL }),
                    framing: Framing::Http,
                };
                Service::HTTP.into_iter().map(exchange).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests;
