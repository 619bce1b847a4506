//! A request as rules see it: who asks, for which host, on which path.

use crate::tracing::Correlation;
use crate::{Fault, client};
use narrows_observe::Calendar;
use narrows_plan::{Fact, Facts, HttpListener, Pattern};
use narrows_tls::{ClientCertificate, TlsFacts};
use narrows_wire::http1::{Field, FieldName, RequestHead, ResponseHead, TargetForm, cookie, set_cookie};
use narrows_wire::proxy_protocol::{Tlvs, kind};
use narrows_wire::target::{self, Normalized, PathRules};
use std::borrow::Cow;
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// The version as records and rules name it.
pub(crate) const HTTP2: &str = "HTTP/2";

/// What is known of the connection that a request came on.
#[derive(Debug, Clone, Copy)]
pub struct ConnectionFacts<'a> {
    /// Address of the other end of the connection.
    pub peer: IpAddr,
    /// Its port.
    pub peer_port: u16,
    /// Name of the listener.
    pub listener: &'a str,
    /// Port of the listener; 0 for a Unix socket.
    pub local_port: u16,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// Whether the request came on a stream of HTTP/2.
    pub is_http2: bool,
    /// What the TLS handshake told; `None` without TLS.
    pub tls: Option<&'a TlsFacts>,
    /// What the PROXY protocol header said besides addresses.
    pub tlvs: Tlvs<'a>,
    /// Seconds since 1970.
    pub unix: u64,
}

/// Memory for what is computed from a head; reused from request to request.
#[derive(Debug, Default)]
pub struct RequestMemory {
    host: String,
    path: String,
}

/// A request that was read and understood. It borrows the head's bytes.
#[derive(Debug)]
pub struct Request<'a> {
    /// The bytes of the head.
    pub bytes: &'a [u8],
    /// The head.
    pub head: &'a RequestHead,
    /// Host in lower case without port; empty when HTTP/1.0 sent none.
    pub host: &'a str,
    /// The authority's port, or the scheme's.
    pub port: u16,
    /// The path, normalised for matching.
    pub path: &'a str,
    /// The path as it was sent.
    pub raw_path: &'a [u8],
    /// The query without its question mark.
    pub query: Option<&'a [u8]>,
    /// The client, after trusted proxies were believed.
    pub client: IpAddr,
    /// Whether the other end of the connection is a trusted proxy.
    pub peer_is_trusted: bool,
    /// The connection.
    pub connection: ConnectionFacts<'a>,
    /// What the groups of the route's path pattern captured.
    pub captures: Vec<Option<Range<usize>>>,
    /// The names by which others know it, where it has any.
    pub(crate) correlation: Option<Rc<Correlation>>,
}

impl<'a> Request<'a> {
    /// Understands a head that was read completely: host, normalised path, client address.
    ///
    /// # Errors
    /// A path without a normal form, and CONNECT, which only a forward proxy serves.
    pub fn admit(
        bytes: &'a [u8],
        head: &'a RequestHead,
        listener: &HttpListener,
        connection: ConnectionFacts<'a>,
        memory: &'a mut RequestMemory,
    ) -> Result<Self, Fault> {
        if head.target_form == TargetForm::Authority {
            return Err(Fault::TunnelRefused);
        }
        let RequestMemory { host: host_memory, path: path_memory } = memory;
        let default_port = if connection.scheme == "https" { 443 } else { 80 };
        let (host, port) = target::split_host_port(head.host.of(bytes)).unwrap_or(("", None));
        // A host may end in the dot of the root (RFC 1034 section 3.1); rules are written without it.
        let host = host.strip_suffix('.').unwrap_or(host);
        let host = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            host_memory.clear();
            host_memory.push_str(host);
            host_memory.make_ascii_lowercase();
            host_memory.as_str()
        } else {
            host
        };
        let (raw_path, query) = target::split_query(head.path_and_query.of(bytes));
        let raw_path = if raw_path.is_empty() { b"/" } else { raw_path };
        let rules = PathRules {
            decode: listener.path_matching.decode,
            merge_slashes: listener.path_matching.merge_slashes,
        };
        let path = if head.target_form == TargetForm::Asterisk {
            "*"
        } else {
            match target::normalize(raw_path, rules, path_memory)? {
                Normalized::Unchanged => std::str::from_utf8(raw_path).unwrap_or("/"),
                Normalized::Rewritten => path_memory.as_str(),
            }
        };
        let (client, peer_is_trusted) =
            client::address(connection.peer, bytes, head, &listener.trusted_proxies);
        Ok(Request {
            bytes,
            head,
            host,
            port: port.unwrap_or(default_port),
            path,
            raw_path,
            query,
            client,
            peer_is_trusted,
            connection,
            captures: Vec::new(),
            correlation: None,
        })
    }

    /// The version, as records and rules name it.
    pub fn version(&self) -> &'static str {
        if self.connection.is_http2 { HTTP2 } else { self.head.version.as_str() }
    }

    /// Whether it is a call of gRPC, or of gRPC-Web.
    pub fn is_grpc(&self) -> bool {
        self.value(FieldName::ContentType).starts_with(b"application/grpc")
    }

    /// How long a call of gRPC may take, as its client says (`grpc-timeout`: up to eight digits and a unit).
    pub fn grpc_timeout(&self) -> Option<Duration> {
        let (unit, digits) = self.value(FieldName::GrpcTimeout).split_last()?;
        if digits.len() > 8 || !self.is_grpc() {
            return None;
        }
        let number: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
        match unit {
            b'H' => Some(Duration::from_secs(number * 3600)),
            b'M' => Some(Duration::from_secs(number * 60)),
            b'S' => Some(Duration::from_secs(number)),
            b'm' => Some(Duration::from_millis(number)),
            b'u' => Some(Duration::from_micros(number)),
            b'n' => Some(Duration::from_nanos(number)),
            _ => None,
        }
    }

    /// Remembers what the route's pattern captures in the path.
    pub fn capture(&mut self, pattern: &Pattern) {
        self.captures = pattern.captures(self.path);
    }

    /// The value of the first field of that name.
    pub fn value(&self, known: FieldName) -> &'a [u8] {
        self.head.field(known).map_or(&[], |field| field.value.of(self.bytes))
    }

    /// The facts of this request, and of its response once that is there.
    pub fn facts<'b>(&'b self, response: Option<Response<'b>>) -> RequestFacts<'b> {
        RequestFacts { request: self, response }
    }
}

/// A response as expressions see it.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// Status.
    pub status: u16,
    /// The head's bytes; empty for an answer that the proxy makes.
    pub bytes: &'a [u8],
    /// The head, where an upstream sent it.
    pub head: Option<&'a ResponseHead>,
}

/// Answers expressions from a request and, once there, its response.
#[derive(Debug)]
pub struct RequestFacts<'a> {
    request: &'a Request<'a>,
    response: Option<Response<'a>>,
}

impl Facts for RequestFacts<'_> {
    fn text(&self, fact: Fact) -> Cow<'_, str> {
        let request = self.request;
        match fact {
            Fact::Method => String::from_utf8_lossy(request.head.method_span.of(request.bytes)),
            Fact::Host => request.host.into(),
            Fact::Path => request.path.into(),
            Fact::RawPath => String::from_utf8_lossy(request.raw_path),
            Fact::Target => String::from_utf8_lossy(request.head.path_and_query.of(request.bytes)),
            Fact::Query => String::from_utf8_lossy(request.query.unwrap_or_default()),
            Fact::Scheme => request.connection.scheme.into(),
            Fact::HttpVersion => request.version().into(),
            Fact::Source => request.client.to_string().into(),
            Fact::Listener => request.connection.listener.into(),
            _ => {
                let told = tls_text(fact, request.connection.tls);
                if told.is_empty() { proxy_fact(fact, request.connection.tlvs) } else { told }
            }
        }
    }

    fn number(&self, fact: Fact) -> i64 {
        let request = self.request;
        match fact {
            Fact::Port => request.port.into(),
            Fact::SourcePort => request.connection.peer_port.into(),
            Fact::LocalPort => request.connection.local_port.into(),
            Fact::ResponseStatus => self.response.map_or(0, |response| response.status.into()),
            _ => time_fact(fact, request.connection.unix),
        }
    }

    fn source(&self) -> IpAddr {
        self.request.client
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        joined(&self.request.head.fields, self.request.bytes, name)
    }

    fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        let Request { head, bytes, .. } = self.request;
        let cookies = head.fields.iter().filter(|field| field.known == FieldName::Cookie);
        cookies
            .filter_map(|field| cookie(field.value.of(bytes), name))
            .next()
            .map(|value| String::from_utf8_lossy(value))
    }

    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        target::query_parameter(self.request.query?, name)
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, str>> {
        let response = self.response?;
        joined(&response.head?.fields, response.bytes, name)
    }

    fn response_cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        set_by(self.response?, name)
    }

    fn capture(&self, group: usize) -> Option<&str> {
        let range = self.request.captures.get(group)?.clone()?;
        self.request.path.get(range)
    }

    fn proxy_tlv(&self, kind: u8) -> Option<Cow<'_, str>> {
        tlv_text(self.request.connection.tlvs, kind)
    }

    fn texts(&self, fact: Fact) -> &[String] {
        tls_texts(fact, self.request.connection.tls)
    }

    fn flag(&self, fact: Fact) -> bool {
        tls_flag(fact, self.request.connection.tls)
    }
}

/// The value of a cookie that a response sets, see [`Facts::response_cookie`].
pub(crate) fn set_by<'a>(Response { bytes, head, .. }: Response<'a>, name: &str) -> Option<Cow<'a, str>> {
    let fields = head?.fields.iter().rev().filter(|field| field.known == FieldName::SetCookie);
    let mut set = fields.filter_map(|field| set_cookie(field.value.of(bytes)));
    set.find(|set| set.name == name.as_bytes()).map(|set| String::from_utf8_lossy(set.value))
}

/// A text that a TLS handshake told; empty for any other.
pub(crate) fn tls_text(fact: Fact, tls: Option<&TlsFacts>) -> Cow<'_, str> {
    let Some(tls) = tls else { return Cow::default() };
    let client =
        |text: fn(&ClientCertificate) -> &String| tls.client.as_ref().map_or("", |client| text(client));
    Cow::Borrowed(match fact {
        Fact::ServerName => &tls.server_name,
        Fact::TlsVersion => tls.version,
        Fact::TlsCipher => tls.cipher,
        Fact::TlsAlpn => &tls.protocol,
        Fact::TlsClientSubject => client(|client| &client.subject),
        Fact::TlsClientIssuer => client(|client| &client.issuer),
        Fact::TlsClientSerial => client(|client| &client.serial),
        Fact::TlsClientFingerprint => client(|client| &client.fingerprint),
        _ => "",
    })
}

/// A list that a TLS handshake told; empty for any other.
pub(crate) fn tls_texts(fact: Fact, tls: Option<&TlsFacts>) -> &[String] {
    match (fact, tls) {
        (Fact::TlsClientNames, Some(TlsFacts { client: Some(client), .. })) => &client.names,
        (Fact::Alpn, Some(tls)) if !tls.protocol.is_empty() => std::slice::from_ref(&tls.protocol),
        _ => &[],
    }
}

/// A yes or no that a TLS handshake told; no for any other.
pub(crate) fn tls_flag(fact: Fact, tls: Option<&TlsFacts>) -> bool {
    fact == Fact::TlsClientVerified && tls.is_some_and(|tls| tls.client.is_some())
}

/// A fact of the PROXY protocol header; empty for any other.
pub(crate) fn proxy_fact(fact: Fact, tlvs: Tlvs<'_>) -> Cow<'_, str> {
    let kind = match fact {
        Fact::ProxyAuthority => kind::AUTHORITY,
        Fact::ProxyAlpn => kind::ALPN,
        Fact::ProxyUniqueId => kind::UNIQUE_ID,
        _ => return Cow::default(),
    };
    tlv_text(tlvs, kind).unwrap_or_default()
}

/// A TLV as text; hexadecimal digits where it is not UTF-8.
pub(crate) fn tlv_text(tlvs: Tlvs<'_>, kind: u8) -> Option<Cow<'_, str>> {
    let value = tlvs.get(kind)?;
    let digits = || value.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    Some(std::str::from_utf8(value).map_or_else(|_| digits().into(), Cow::Borrowed))
}

/// A fact of time in UTC; 0 for any other.
pub(crate) fn time_fact(fact: Fact, unix: u64) -> i64 {
    let time = Calendar::from_unix(unix);
    match fact {
        Fact::Hour => time.hour.into(),
        Fact::Minute => time.minute.into(),
        Fact::DayOfWeek => time.day_of_week.into(),
        Fact::Day => time.day.into(),
        Fact::Month => time.month.into(),
        Fact::Year => time.year,
        Fact::Unix => i64::try_from(unix).unwrap_or(i64::MAX),
        _ => 0,
    }
}

/// All values of a field joined by `, ` (RFC 9110 section 5.3).
pub(crate) fn joined<'a>(fields: &[Field], bytes: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    let mut values = fields
        .iter()
        .filter(|field| field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes()))
        .map(|field| String::from_utf8_lossy(field.value.of(bytes)));
    let first = values.next()?;
    Some(values.fold(first, |all, next| Cow::Owned(format!("{all}, {next}"))))
}
