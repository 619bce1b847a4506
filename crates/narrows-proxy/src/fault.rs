//! Everything that can go wrong with a request or a flow, and what each means, in one table.

mod advice;
mod catalogue;
#[cfg(test)]
mod tests;

pub use advice::Advice;
pub use catalogue::Cause;

use narrows_http2::Failure;
use narrows_tls::{CertificateFault, TlsFault};
use narrows_upstream::{ConnectFailure, Shed, ShedCause, Unavailable};
use narrows_wire::http1::{BodyError, HeadError};
use narrows_wire::proxy_protocol::InvalidHeader;
use narrows_wire::target::TargetError;

/// A failure that the proxy noticed. `Copy`, so that it can be kept, logged and answered without a thought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The request head breaks HTTP.
    RequestHead(HeadError),
    /// The request's path cannot be normalised.
    RequestTarget(TargetError),
    /// The request head did not arrive in time.
    RequestHeadTimedOut,
    /// The request body breaks its framing.
    RequestBody(BodyError),
    /// The request body is larger than allowed.
    RequestBodyTooLarge,
    /// The request body paused for too long.
    RequestBodyTimedOut,
    /// The request body arrives below the lowest rate.
    RequestBodyTooSlow,
    /// The client went away before the answer was over.
    ClientGone,
    /// The client does not take the answer.
    ClientTooSlow,
    /// CONNECT: this is no forward proxy.
    TunnelRefused,
    /// No route takes the request.
    NoRoute,
    /// The whole exchange took too long.
    RequestTimedOut,
    /// No endpoint of the upstream is available.
    NoEndpoint,
    /// The upstream is spared the request.
    Shed(Shed),
    /// The endpoint of a flow, tunnel or session went down, and the upstream wants an end then.
    EndpointDown,
    /// The endpoint that the client sticks to is not available, and no other may serve it.
    StickyEndpointDown,
    /// No endpoint could be reached.
    Connect(ConnectFailure),
    /// The upstream closed before it answered.
    ResponseMissing,
    /// The response head breaks HTTP.
    ResponseHead(HeadError),
    /// The response head did not arrive in time.
    ResponseHeadTimedOut,
    /// The answer to the last try did not begin in time.
    TryTimedOut,
    /// The response body breaks its framing.
    ResponseBody(BodyError),
    /// The response body ended too early.
    ResponseIncomplete,
    /// The response body paused for too long.
    ResponseTimedOut,
    /// A tunnel or flow on which nothing moved.
    IdleTimedOut,
    /// The TLS client hello did not arrive in time.
    PeekTimedOut,
    /// The first bytes are TLS, but no client hello that a server could accept.
    ClientHello,
    /// The other end of a tunnel or flow was reset.
    FlowReset,
    /// The client's TLS handshake failed.
    Handshake(TlsFault),
    /// The client speaks TLS where plain HTTP is spoken.
    TlsOnPlainPort,
    /// The client's HTTP/2 connection ended before its time.
    Http2(Failure),
    /// The connection did not begin with the PROXY protocol header that the listener requires.
    ProxyProtocolMissing,
    /// The PROXY protocol header cannot be understood.
    ProxyProtocolInvalid(InvalidHeader),
    /// The listener requires a PROXY protocol header, and the peer is not one that may send it.
    ProxyProtocolUntrusted,
    /// All sessions of a UDP listener are taken.
    SessionLimit,
    /// A datagram that should begin a QUIC connection and does not.
    QuicInitial,
    /// A datagram that the way to its destination does not take.
    DatagramTooLarge,
}

/// Who is to blame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The client.
    Downstream,
    /// The endpoint.
    Upstream,
    /// The proxy or its configuration.
    Proxy,
}

/// What a fault means; a row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meaning {
    /// Who is to blame.
    pub side: Side,
    /// Status of the answer, if one can still be given.
    pub status: u16,
    /// Stable name in logs and metrics.
    pub code: &'static str,
    /// Error type in `Proxy-Status` (RFC 9209 section 2.3).
    pub proxy_status: &'static str,
    /// What happened, for people.
    pub sentence: &'static str,
}

impl From<Unavailable> for Fault {
    fn from(why: Unavailable) -> Self {
        match why {
            Unavailable::Sticky => Fault::StickyEndpointDown,
            Unavailable::Tried | Unavailable::Full | Unavailable::Down => Fault::NoEndpoint,
        }
    }
}

impl Fault {
    /// Seconds after which a request that was not served for want of room is worth another try.
    pub fn retry_after(self) -> Option<u32> {
        match self {
            Fault::Shed(shed) => Some(shed.retry_after),
            _ => None,
        }
    }

    /// Whether it speaks against the upstream.
    pub fn is_upstream(self) -> bool {
        self.meaning().side == Side::Upstream
    }

    /// The table.
    pub fn meaning(self) -> Meaning {
        use Side::{Downstream, Proxy, Upstream};
        let (side, status, code, proxy_status, sentence) = match self {
            Fault::RequestHead(error) => (
                Downstream,
                error.status(),
                error.token(),
                "http_request_error",
                "The request is not valid HTTP.",
            ),
            Fault::RequestTarget(_) => (
                Downstream,
                400,
                "invalid-path",
                "http_request_error",
                "The path of the request is not valid.",
            ),
            Fault::RequestHeadTimedOut => (
                Downstream,
                408,
                "request-head-timed-out",
                "http_request_error",
                "The request head did not arrive in time.",
            ),
            Fault::RequestBody(error) => {
                (Downstream, 400, error.token(), "http_request_error", "The request body is not valid HTTP.")
            }
            Fault::RequestBodyTooLarge => (
                Downstream,
                413,
                "request-body-too-large",
                "http_request_denied",
                "The request body is larger than this server allows.",
            ),
            Fault::RequestBodyTimedOut => (
                Downstream,
                408,
                "request-body-timed-out",
                "http_request_error",
                "The request body did not arrive in time.",
            ),
            Fault::RequestBodyTooSlow => (
                Downstream,
                408,
                "request-body-too-slow",
                "http_request_error",
                "The request body arrives too slowly.",
            ),
            Fault::ClientGone => {
                (Downstream, 499, "client-gone", "http_request_error", "The client went away.")
            }
            Fault::ClientTooSlow => (
                Downstream,
                408,
                "client-too-slow",
                "connection_write_timeout",
                "The client does not take the answer.",
            ),
            Fault::TunnelRefused => (
                Downstream,
                405,
                "tunnel-refused",
                "http_request_denied",
                "This server does not open tunnels.",
            ),
            Fault::NoRoute => {
                (Proxy, 404, "no-route", "destination_not_found", "Nothing is configured for this request.")
            }
            Fault::RequestTimedOut => {
                (Proxy, 504, "request-timed-out", "http_response_timeout", "The request took too long.")
            }
            Fault::NoEndpoint => {
                (Upstream, 503, "no-endpoint", "destination_unavailable", "No server behind is available.")
            }
            Fault::Shed(Shed { cause, .. }) => return shed(cause),
            Fault::EndpointDown => (
                Upstream,
                503,
                "endpoint-down",
                "connection_terminated",
                "The server behind is not available any more.",
            ),
            Fault::Connect(ConnectFailure::Full) => (
                Proxy,
                503,
                "connection-limit",
                "connection_limit_reached",
                "The server behind has as many connections as it may.",
            ),
            Fault::StickyEndpointDown => (
                Upstream,
                503,
                "sticky-endpoint-down",
                "destination_unavailable",
                "The server behind that this client belongs to is not available.",
            ),
            Fault::Connect(ConnectFailure::Refused) => (
                Upstream,
                502,
                "connect-refused",
                "connection_refused",
                "The server behind refused the connection.",
            ),
            Fault::Connect(ConnectFailure::TimedOut) => (
                Upstream,
                504,
                "connect-timed-out",
                "connection_timeout",
                "The server behind did not accept a connection in time.",
            ),
            Fault::Connect(ConnectFailure::Unreachable) => (
                Upstream,
                502,
                "unreachable",
                "destination_ip_unroutable",
                "The server behind cannot be reached.",
            ),
            Fault::Connect(ConnectFailure::Exhausted) => (
                Proxy,
                503,
                "resources-exhausted",
                "connection_limit_reached",
                "This server has no connection left.",
            ),
            Fault::Connect(ConnectFailure::Tls(TlsFault::Certificate(error))) => {
                return upstream_certificate(error);
            }
            Fault::Connect(ConnectFailure::Tls(_)) => (
                Upstream,
                502,
                "upstream-tls-failed",
                "tls_protocol_error",
                "The server behind did not agree on encryption.",
            ),
            Fault::Connect(ConnectFailure::Http2) => (
                Upstream,
                502,
                "upstream-http2-failed",
                "http_protocol_error",
                "The server behind does not speak HTTP/2.",
            ),
            Fault::Handshake(error) => return handshake(error),
            Fault::TlsOnPlainPort => (
                Downstream,
                400,
                "tls-on-plain-port",
                "tls_protocol_error",
                "This port speaks plain HTTP; the client spoke TLS.",
            ),
            Fault::Http2(Failure::Flood(_)) => (
                Downstream,
                400,
                "http2-flood",
                "http_request_denied",
                "The client sent more HTTP/2 frames without content than is allowed.",
            ),
            Fault::Http2(Failure::TimedOut) => (
                Downstream,
                408,
                "http2-preface-timed-out",
                "http_request_error",
                "HTTP/2 did not begin in time.",
            ),
            Fault::Http2(Failure::Gone) => {
                (Downstream, 499, "client-gone", "http_request_error", "The client went away.")
            }
            Fault::Http2(Failure::Protocol) => {
                (Downstream, 400, "http2-protocol-error", "http_request_error", "The client broke HTTP/2.")
            }
            Fault::ResponseMissing => (
                Upstream,
                502,
                "response-missing",
                "connection_terminated",
                "The server behind closed the connection before it answered.",
            ),
            Fault::ResponseHead(HeadError::HeadTooLarge | HeadError::TooManyFields) => (
                Upstream,
                502,
                "response-head-too-large",
                "http_response_header_section_size",
                "The server behind sent a head that is too large.",
            ),
            Fault::ResponseHead(_) => (
                Upstream,
                502,
                "response-head-invalid",
                "http_protocol_error",
                "The server behind did not answer in valid HTTP.",
            ),
            Fault::ResponseHeadTimedOut => (
                Upstream,
                504,
                "response-head-timed-out",
                "http_response_timeout",
                "The server behind did not answer in time.",
            ),
            Fault::TryTimedOut => (
                Upstream,
                504,
                "try-timed-out",
                "http_response_timeout",
                "The server behind did not answer in time.",
            ),
            Fault::ResponseBody(_) => (
                Upstream,
                502,
                "response-body-invalid",
                "http_protocol_error",
                "The server behind sent a body that is not valid HTTP.",
            ),
            Fault::ResponseIncomplete => (
                Upstream,
                502,
                "response-incomplete",
                "http_response_incomplete",
                "The server behind ended its answer too early.",
            ),
            Fault::ResponseTimedOut => (
                Upstream,
                504,
                "response-timed-out",
                "connection_read_timeout",
                "The server behind paused for too long in its answer.",
            ),
            Fault::IdleTimedOut => {
                (Proxy, 504, "idle-timed-out", "connection_read_timeout", "Nothing moved for too long.")
            }
            Fault::PeekTimedOut => (
                Downstream,
                408,
                "client-hello-timed-out",
                "http_request_error",
                "The TLS client hello did not arrive in time.",
            ),
            Fault::ClientHello => (
                Downstream,
                400,
                "client-hello-invalid",
                "http_request_error",
                "The TLS client hello is not valid.",
            ),
            Fault::FlowReset => {
                (Upstream, 502, "connection-reset", "connection_terminated", "A connection was reset.")
            }
            Fault::SessionLimit => {
                (Proxy, 503, "session-limit", "connection_limit_reached", "This server has no session left.")
            }
            Fault::QuicInitial => (
                Downstream,
                400,
                "quic-initial-invalid",
                "http_request_error",
                "The first datagram begins no QUIC connection.",
            ),
            Fault::DatagramTooLarge => (
                Proxy,
                502,
                "datagram-too-large",
                "proxy_internal_error",
                "A datagram is larger than the way to its destination takes.",
            ),
            Fault::ProxyProtocolMissing => (
                Downstream,
                400,
                "proxy-protocol-missing",
                "http_request_denied",
                "The connection did not begin with a PROXY protocol header.",
            ),
            Fault::ProxyProtocolInvalid(_) => (
                Downstream,
                400,
                "proxy-protocol-invalid",
                "http_request_error",
                "The PROXY protocol header is not valid.",
            ),
            Fault::ProxyProtocolUntrusted => (
                Downstream,
                403,
                "proxy-protocol-untrusted",
                "http_request_denied",
                "This address may not connect here.",
            ),
        };
        Meaning { side, status, code, proxy_status, sentence }
    }
}

/// A request that an upstream is spared.
fn shed(cause: ShedCause) -> Meaning {
    let (code, proxy_status, sentence) = match cause {
        ShedCause::QueueFull => (
            "queue-full",
            "connection_limit_reached",
            "All servers behind are busy, and too many wait for them.",
        ),
        ShedCause::QueueTimedOut => (
            "queue-timed-out",
            "connection_limit_reached",
            "All servers behind were busy for as long as a request may wait.",
        ),
        ShedCause::BreakerOpen => (
            "breaker-open",
            "destination_unavailable",
            "Too many requests to the servers behind have failed; they get none for a while.",
        ),
        ShedCause::Overloaded => (
            "upstream-overloaded",
            "connection_limit_reached",
            "The servers behind run as many requests as they can.",
        ),
    };
    Meaning { side: Side::Proxy, status: 503, code, proxy_status, sentence }
}

/// A client's handshake that failed.
fn handshake(error: TlsFault) -> Meaning {
    use CertificateFault as Certificate;
    let (status, code, sentence) = match error {
        TlsFault::TimedOut => (408, "handshake-timed-out", "The TLS handshake did not end in time."),
        TlsFault::Gone => (499, "handshake-abandoned", "The client went away during the TLS handshake."),
        TlsFault::NotTls { http: true } => {
            (400, "plain-http-on-tls-port", "This port speaks HTTPS; the request came in plain HTTP.")
        }
        TlsFault::NotTls { http: false } => (400, "not-tls", "This port speaks TLS; the client does not."),
        TlsFault::Incompatible => {
            (400, "handshake-incompatible", "The client and this server know no version or cipher in common.")
        }
        TlsFault::Certificate(Certificate::Missing) => {
            (400, "client-certificate-missing", "The client showed no certificate.")
        }
        TlsFault::Certificate(Certificate::Expired) => {
            (400, "client-certificate-expired", "The client's certificate is not valid now.")
        }
        TlsFault::Certificate(Certificate::UnknownIssuer) => {
            (400, "client-certificate-untrusted", "Nobody who is trusted signed the client's certificate.")
        }
        TlsFault::Certificate(Certificate::Revoked) => {
            (400, "client-certificate-revoked", "The client's certificate was revoked.")
        }
        TlsFault::Certificate(Certificate::WrongName | Certificate::Invalid) => {
            (400, "client-certificate-invalid", "The client's certificate is not valid.")
        }
        TlsFault::Alert => (400, "handshake-refused", "The client refused the TLS handshake."),
        TlsFault::Invalid => (400, "handshake-invalid", "The client broke the TLS handshake."),
    };
    Meaning { side: Side::Downstream, status, code, proxy_status: "tls_protocol_error", sentence }
}

/// The certificate of a server that is not accepted.
fn upstream_certificate(error: CertificateFault) -> Meaning {
    let (code, sentence) = match error {
        CertificateFault::Missing => {
            ("upstream-certificate-missing", "The server behind showed no certificate.")
        }
        CertificateFault::Expired => {
            ("upstream-certificate-expired", "The certificate of the server behind is not valid now.")
        }
        CertificateFault::UnknownIssuer => (
            "upstream-certificate-untrusted",
            "Nobody who is trusted signed the certificate of the server behind.",
        ),
        CertificateFault::WrongName => {
            ("upstream-certificate-wrong-name", "The certificate of the server behind is for another name.")
        }
        CertificateFault::Revoked => {
            ("upstream-certificate-revoked", "The certificate of the server behind was revoked.")
        }
        CertificateFault::Invalid => {
            ("upstream-certificate-invalid", "The certificate of the server behind is not valid.")
        }
    };
    Meaning { side: Side::Upstream, status: 502, code, proxy_status: "tls_certificate_error", sentence }
}

impl From<HeadError> for Fault {
    fn from(error: HeadError) -> Self {
        Fault::RequestHead(error)
    }
}

impl From<TargetError> for Fault {
    fn from(error: TargetError) -> Self {
        Fault::RequestTarget(error)
    }
}
