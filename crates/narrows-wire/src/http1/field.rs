//! One line of a field section, and the field names that we act on.

use super::{
    bytes::{is_blank, is_named, is_token_byte, run_end},
    error::HeadError,
    head::Span,
};

/// One field line, as spans into the bytes of its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// The name as it was sent.
    pub name: Span,
    /// The value without the whitespace around it.
    pub value: Span,
    /// Just after the CRLF: the whole line is `name.start..line_end`.
    pub line_end: u32,
    /// The name, where it is one that we know.
    pub known: FieldName,
    /// The field ends here although its name does not say so: Connection names it (RFC 9110 section 7.6.1), or it
    /// frames a body that the message cannot have (RFC 9112 section 6.3). To be dropped when forwarding.
    pub listed: bool,
}

impl Field {
    /// Whether the field concerns this connection only and is not forwarded (RFC 9110 section 7.6.1).
    pub fn is_hop_by_hop(&self) -> bool {
        self.listed || self.known.is_hop_by_hop()
    }

    /// Reads the field line `start..content_end`, whose CRLF follows and whose bytes have none that is forbidden
    /// in values.
    #[inline]
    pub(super) fn parse(bytes: &[u8], start: usize, content_end: usize) -> Result<Field, HeadError> {
        let line = &bytes[..content_end];
        let name_end = run_end(line, start, is_token_byte);
        if line.get(name_end) != Some(&b':') || name_end == start {
            return Err(name_fault(&line[start..], name_end - start));
        }
        let (mut value_start, mut value_end) = (name_end + 1, content_end);
        while value_start < value_end && is_blank(line[value_start]) {
            value_start += 1;
        }
        while value_end > value_start && is_blank(line[value_end - 1]) {
            value_end -= 1;
        }
        Ok(Field {
            name: Span::new(start, name_end),
            value: Span::new(value_start, value_end),
            line_end: content_end as u32 + 2,
            known: FieldName::recognise(&line[start..name_end]),
            listed: false,
        })
    }

    /// What is wrong with a field line that stops at a byte which is forbidden in values.
    #[cold]
    pub(super) fn fault(line: &[u8], forbidden: u8) -> HeadError {
        let name_end = run_end(line, 0, is_token_byte);
        match (line.get(name_end), forbidden) {
            (None, b'\n') => HeadError::BareLineFeed,
            (None, b'\r') => HeadError::BareCarriageReturn,
            (Some(b':'), _) if name_end > 0 => match forbidden {
                b'\n' => HeadError::BareLineFeed,
                b'\r' => HeadError::BareCarriageReturn,
                _ => HeadError::InvalidFieldValue,
            },
            _ => name_fault(line, name_end),
        }
    }
}

/// What is wrong with a field line whose run of token bytes is not a name with a colon behind it.
#[cold]
fn name_fault(line: &[u8], name_end: usize) -> HeadError {
    match line.get(name_end) {
        Some(b':') => HeadError::EmptyFieldName,
        Some(b' ' | b'\t') if name_end == 0 => HeadError::ObsoleteFolding,
        Some(b' ' | b'\t') => HeadError::WhitespaceBeforeColon,
        _ => HeadError::InvalidFieldName,
    }
}

/// Declares each known field name once: as a variant, and as the text that it is recognised by.
macro_rules! field_names {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// A field name that something in the proxy looks at; all others are `Other` and keep their bytes only.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        #[non_exhaustive]
        #[expect(missing_docs, reason = "each variant is the field of that name")]
        pub enum FieldName {
            #[default]
            Other,
            $($variant,)+
        }

        const NAMES: &[(&str, FieldName)] = &[("", FieldName::Other), $(($text, FieldName::$variant)),+];
    };
}

field_names! {
    Host = "host",
    Connection = "connection",
    ContentLength = "content-length",
    TransferEncoding = "transfer-encoding",
    KeepAlive = "keep-alive",
    ProxyConnection = "proxy-connection",
    Te = "te",
    Trailer = "trailer",
    Upgrade = "upgrade",
    Expect = "expect",
    Date = "date",
    Server = "server",
    Via = "via",
    Forwarded = "forwarded",
    XForwardedFor = "x-forwarded-for",
    XForwardedProto = "x-forwarded-proto",
    XForwardedHost = "x-forwarded-host",
    XRealIp = "x-real-ip",
    Accept = "accept",
    Cookie = "cookie",
    UserAgent = "user-agent",
    Referer = "referer",
    ContentType = "content-type",
    ContentEncoding = "content-encoding",
    ContentRange = "content-range",
    Location = "location",
    SetCookie = "set-cookie",
    CacheControl = "cache-control",
    WwwAuthenticate = "www-authenticate",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyAuthenticationInfo = "proxy-authentication-info",
    Authorization = "authorization",
    AcceptEncoding = "accept-encoding",
    AcceptLanguage = "accept-language",
    Range = "range",
    Origin = "origin",
    Http2Settings = "http2-settings",
    MaxForwards = "max-forwards",
    ClientCert = "client-cert",
    ClientCertChain = "client-cert-chain",
    XForwardedClientCert = "x-forwarded-client-cert",
    StrictTransportSecurity = "strict-transport-security",
    GrpcTimeout = "grpc-timeout",
    Age = "age",
    Vary = "vary",
    Etag = "etag",
    LastModified = "last-modified",
    IfNoneMatch = "if-none-match",
    IfModifiedSince = "if-modified-since",
    RetryAfter = "retry-after",
    XRequestId = "x-request-id",
    Traceparent = "traceparent",
    ProxyStatus = "proxy-status",
    NarrowsExplain = "narrows-explain",
}

/// For each hash, the one position in `NAMES` that can match; 0 for none.
const CANDIDATES: [u8; 256] = candidates();

const fn candidates() -> [u8; 256] {
    let mut table = [0; 256];
    let mut position = 1;
    while position < NAMES.len() {
        let slot = hash(NAMES[position].0.as_bytes());
        assert!(table[slot] == 0, "two field names share a hash: choose other factors in `hash`");
        table[slot] = position as u8;
        position += 1;
    }
    table
}

/// The same for each case of a name, and different for each two names in `NAMES`.
const fn hash(name: &[u8]) -> usize {
    let [first, .., last] = name else { return 0 };
    (name.len() + 3 * (*first | 0x20) as usize + 160 * (*last | 0x20) as usize) % 256
}

impl FieldName {
    /// The field of this name, compared without case.
    #[inline]
    pub fn recognise(name: &[u8]) -> FieldName {
        let (text, known) = NAMES[usize::from(CANDIDATES[hash(name)])];
        if is_named(name, text.as_bytes()) { known } else { Self::Other }
    }

    /// The name in lower case; empty for `Other`.
    pub fn as_str(self) -> &'static str {
        NAMES[self as usize].0
    }

    /// Whether a field of this name concerns one connection only (RFC 9110 section 7.6.1). So does the one that asks this proxy for an
    /// explanation: nobody behind it shall see what grants one.
    pub fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
                | Self::Http2Settings
                | Self::NarrowsExplain
        )
    }

    /// Whether a field of this name may not stand in a trailer section, because it frames, routes, authenticates
    /// or describes the message (RFC 9110 section 6.5.1).
    pub fn is_forbidden_in_trailers(self) -> bool {
        self.is_hop_by_hop()
            || matches!(
                self,
                Self::ContentLength
                    | Self::Host
                    | Self::Trailer
                    | Self::Expect
                    | Self::MaxForwards
                    | Self::Range
                    | Self::Cookie
                    | Self::SetCookie
                    | Self::Authorization
                    | Self::WwwAuthenticate
                    | Self::ProxyAuthenticate
                    | Self::ProxyAuthorization
                    | Self::ProxyAuthenticationInfo
                    | Self::CacheControl
                    | Self::Age
                    | Self::Date
                    | Self::Location
                    | Self::RetryAfter
                    | Self::Vary
                    | Self::ContentEncoding
                    | Self::ContentType
                    | Self::ContentRange
                    | Self::Forwarded
                    | Self::XForwardedFor
                    | Self::XForwardedProto
                    | Self::XForwardedHost
                    | Self::XRealIp
            )
    }
}

#[cfg(test)]
mod tests;
