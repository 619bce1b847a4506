//! What can be known of the traffic that a rule looks at.

mod nothing;

use std::borrow::Cow;
use std::net::IpAddr;

pub use nothing::NoFacts;

/// One thing that an expression can ask. The name is the one that operators write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[allow(missing_docs, reason = "each variant is the name that operators write; see `Fact::name`")]
pub enum Fact {
    Method,
    Host,
    Port,
    Path,
    RawPath,
    Target,
    Query,
    Scheme,
    HttpVersion,
    Source,
    SourcePort,
    Listener,
    LocalPort,
    ServerName,
    Alpn,
    TlsVersion,
    TlsCipher,
    TlsAlpn,
    TlsClientVerified,
    TlsClientSubject,
    TlsClientIssuer,
    TlsClientSerial,
    TlsClientFingerprint,
    TlsClientNames,
    ProxyAuthority,
    ProxyAlpn,
    ProxyUniqueId,
    Hour,
    Minute,
    DayOfWeek,
    Day,
    Month,
    Year,
    Unix,
    ResponseStatus,
    RecordProtocol,
    RecordRoute,
    RecordUpstream,
    RecordEndpoint,
    RecordUpstreamStatus,
    RecordFault,
    RecordAttempts,
    RecordBytesReceived,
    RecordBytesSent,
    RecordDurationMs,
    RecordRequestId,
    RecordTraceId,
}

impl Fact {
    /// Every fact.
    pub const ALL: [Fact; 47] = [
        Fact::Method,
        Fact::Host,
        Fact::Port,
        Fact::Path,
        Fact::RawPath,
        Fact::Target,
        Fact::Query,
        Fact::Scheme,
        Fact::HttpVersion,
        Fact::Source,
        Fact::SourcePort,
        Fact::Listener,
        Fact::LocalPort,
        Fact::ServerName,
        Fact::Alpn,
        Fact::TlsVersion,
        Fact::TlsCipher,
        Fact::TlsAlpn,
        Fact::TlsClientVerified,
        Fact::TlsClientSubject,
        Fact::TlsClientIssuer,
        Fact::TlsClientSerial,
        Fact::TlsClientFingerprint,
        Fact::TlsClientNames,
        Fact::ProxyAuthority,
        Fact::ProxyAlpn,
        Fact::ProxyUniqueId,
        Fact::Hour,
        Fact::Minute,
        Fact::DayOfWeek,
        Fact::Day,
        Fact::Month,
        Fact::Year,
        Fact::Unix,
        Fact::ResponseStatus,
        Fact::RecordProtocol,
        Fact::RecordRoute,
        Fact::RecordUpstream,
        Fact::RecordEndpoint,
        Fact::RecordUpstreamStatus,
        Fact::RecordFault,
        Fact::RecordAttempts,
        Fact::RecordBytesReceived,
        Fact::RecordBytesSent,
        Fact::RecordDurationMs,
        Fact::RecordRequestId,
        Fact::RecordTraceId,
    ];

    /// The name in expressions, `request.method` for instance.
    pub fn name(self) -> &'static str {
        match self {
            Fact::Method => "request.method",
            Fact::Host => "request.host",
            Fact::Port => "request.port",
            Fact::Path => "request.path",
            Fact::RawPath => "request.raw_path",
            Fact::Target => "request.target",
            Fact::Query => "request.query",
            Fact::Scheme => "request.scheme",
            Fact::HttpVersion => "request.version",
            Fact::Source => "connection.source",
            Fact::SourcePort => "connection.source_port",
            Fact::Listener => "connection.listener",
            Fact::LocalPort => "connection.port",
            Fact::ServerName => "connection.sni",
            Fact::Alpn => "connection.alpn",
            Fact::TlsVersion => "tls.version",
            Fact::TlsCipher => "tls.cipher",
            Fact::TlsAlpn => "tls.alpn",
            Fact::TlsClientVerified => "tls.client.verified",
            Fact::TlsClientSubject => "tls.client.subject",
            Fact::TlsClientIssuer => "tls.client.issuer",
            Fact::TlsClientSerial => "tls.client.serial",
            Fact::TlsClientFingerprint => "tls.client.fingerprint",
            Fact::TlsClientNames => "tls.client.names",
            Fact::ProxyAuthority => "proxy_protocol.authority",
            Fact::ProxyAlpn => "proxy_protocol.alpn",
            Fact::ProxyUniqueId => "proxy_protocol.unique_id",
            Fact::Hour => "time.hour",
            Fact::Minute => "time.minute",
            Fact::DayOfWeek => "time.day_of_week",
            Fact::Day => "time.day",
            Fact::Month => "time.month",
            Fact::Year => "time.year",
            Fact::Unix => "time.unix",
            Fact::ResponseStatus => "response.status",
            Fact::RecordProtocol => "record.protocol",
            Fact::RecordRoute => "record.route",
            Fact::RecordUpstream => "record.upstream",
            Fact::RecordEndpoint => "record.endpoint",
            Fact::RecordUpstreamStatus => "record.upstream_status",
            Fact::RecordFault => "record.fault",
            Fact::RecordAttempts => "record.attempts",
            Fact::RecordBytesReceived => "record.bytes_received",
            Fact::RecordBytesSent => "record.bytes_sent",
            Fact::RecordDurationMs => "record.duration_ms",
            Fact::RecordRequestId => "record.request_id",
            Fact::RecordTraceId => "record.trace_id",
        }
    }

    /// What the fact's value is.
    pub fn value_type(self) -> crate::Type {
        use crate::Type;
        match self {
            Fact::Alpn | Fact::TlsClientNames => Type::TextList,
            Fact::TlsClientVerified => Type::Bool,
            Fact::Port
            | Fact::SourcePort
            | Fact::LocalPort
            | Fact::Hour
            | Fact::Minute
            | Fact::DayOfWeek
            | Fact::Day
            | Fact::Month
            | Fact::Year
            | Fact::Unix
            | Fact::ResponseStatus
            | Fact::RecordUpstreamStatus
            | Fact::RecordAttempts
            | Fact::RecordBytesReceived
            | Fact::RecordBytesSent
            | Fact::RecordDurationMs => Type::Int,
            _ => Type::Text,
        }
    }
}

/// Answers what expressions and templates ask. One implementation for live requests, one for TCP flows, one for `explain`.
///
/// Every answer is total: what does not exist is empty, zero or `None`.
pub trait Facts {
    /// A fact of type text.
    fn text(&self, fact: Fact) -> Cow<'_, str>;
    /// A fact of type int.
    fn number(&self, fact: Fact) -> i64;
    /// The client's address, after trusted proxies were believed.
    fn source(&self) -> IpAddr;
    /// All values of a request header, joined by `, `; `name` is lower case.
    fn header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// A request cookie.
    fn cookie(&self, name: &str) -> Option<Cow<'_, str>>;
    /// A decoded query parameter; the first one of that name.
    fn parameter(&self, name: &str) -> Option<Cow<'_, str>>;
    /// All values of a response header, joined by `, `; `name` is lower case.
    fn response_header(&self, name: &str) -> Option<Cow<'_, str>>;
    /// The value of a cookie that the response sets; the last one where it sets it more than once, as a browser keeps it.
    fn response_cookie(&self, name: &str) -> Option<Cow<'_, str>>;
    /// What a group of the route's path pattern captured.
    fn capture(&self, group: usize) -> Option<&str>;
    /// A fact of type list of texts.
    fn texts(&self, fact: Fact) -> &[String];
    /// A fact of type bool.
    fn flag(&self, fact: Fact) -> bool;
    /// The TLV of that type in the PROXY protocol header: text, hexadecimal digits where it is not UTF-8.
    fn proxy_tlv(&self, kind: u8) -> Option<Cow<'_, str>>;
}

#[cfg(test)]
pub(crate) mod known;
