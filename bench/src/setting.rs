//! What a proxy is set up for: the configuration of a group of workloads, and the doors that it opens.

use crate::subject::Kind;

/// A group of workloads that share a configuration of each subject (a folder in `configs/`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Setting {
    /// HTTP/1.1 and TCP in the clear.
    Plain,
    /// HTTP/1.1 and HTTP/2 over TLS, to HTTP/1.1 upstreams.
    Tls,
    /// HTTP/2 over TLS, to HTTP/2 upstreams in the clear; gRPC.
    Http2,
    /// UDP.
    Udp,
}

/// One of a proxy's listeners.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    Http,
    TcpEcho,
    TcpBulk,
    Https,
    /// Datagrams of sessions that stay.
    UdpEcho,
    /// Sessions of one datagram and one answer.
    UdpSessions,
}

impl Setting {
    /// The listeners that every configuration of this setting has.
    pub(crate) fn doors(self) -> &'static [Door] {
        match self {
            Self::Plain => &[Door::Http, Door::TcpEcho, Door::TcpBulk],
            Self::Tls | Self::Http2 => &[Door::Https],
            Self::Udp => &[Door::UdpEcho, Door::UdpSessions],
        }
    }

    /// The configuration of `kind` before its placeholders are filled, and the name of its file; nothing for a subject
    /// that can do none of the setting's workloads.
    pub(crate) fn template(self, kind: Kind) -> Option<(&'static str, &'static str)> {
        let text = match (self, kind) {
            (Self::Plain, Kind::Narrows) => include_str!("../configs/plain/narrows.yaml"),
            (Self::Plain, Kind::Nginx) => include_str!("../configs/plain/nginx.conf"),
            (Self::Plain, Kind::Haproxy) => include_str!("../configs/plain/haproxy.cfg"),
            (Self::Plain, Kind::Envoy) => include_str!("../configs/plain/envoy.yaml"),
            (Self::Tls, Kind::Narrows) => include_str!("../configs/tls/narrows.yaml"),
            (Self::Tls, Kind::Nginx) => include_str!("../configs/tls/nginx.conf"),
            (Self::Tls, Kind::Haproxy) => include_str!("../configs/tls/haproxy.cfg"),
            (Self::Tls, Kind::Envoy) => include_str!("../configs/tls/envoy.yaml"),
            (Self::Http2, Kind::Narrows) => include_str!("../configs/http2/narrows.yaml"),
            (Self::Http2, Kind::Nginx) => include_str!("../configs/http2/nginx.conf"),
            (Self::Http2, Kind::Haproxy) => include_str!("../configs/http2/haproxy.cfg"),
            (Self::Http2, Kind::Envoy) => include_str!("../configs/http2/envoy.yaml"),
            (Self::Udp, Kind::Narrows) => include_str!("../configs/udp/narrows.yaml"),
            (Self::Udp, Kind::Nginx) => include_str!("../configs/udp/nginx.conf"),
            (Self::Udp, Kind::Haproxy) => return None,
            (Self::Udp, Kind::Envoy) => include_str!("../configs/udp/envoy.yaml"),
        };
        Some((kind.config_name(), text))
    }
}

impl Door {
    /// What stands for the port in a configuration (`HTTP` for `@HTTP@`).
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Http => "HTTP",
            Self::TcpEcho => "TCP_ECHO",
            Self::TcpBulk => "TCP_BULK",
            Self::Https => "HTTPS",
            Self::UdpEcho => "UDP_DOOR",
            Self::UdpSessions => "UDP_SESSIONS_DOOR",
        }
    }

    pub(crate) fn is_udp(self) -> bool {
        matches!(self, Self::UdpEcho | Self::UdpSessions)
    }
}
