//! One line of a field section, and the field names that we act on.

use super::{
    bytes::{has_forbidden_in_value, is_blank, is_token_byte, run_end},
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

    /// Reads one field line without its CRLF, `start` bytes into the message.
    #[inline]
    pub(super) fn parse(bytes: &[u8], start: usize, content_end: usize) -> Result<Field, HeadError> {
        let line = bytes.get(..content_end).unwrap_or_default();
        let name_end = run_end(line, start, is_token_byte);
        match line.get(name_end) {
            Some(b':') if name_end > start => {}
            Some(b':') => return Err(HeadError::EmptyFieldName),
            Some(b' ' | b'\t') if name_end == start => return Err(HeadError::ObsoleteFolding),
            Some(b' ' | b'\t') => return Err(HeadError::WhitespaceBeforeColon),
            Some(b'\r') => return Err(HeadError::BareCarriageReturn),
            _ => return Err(HeadError::InvalidFieldName),
        }
        let (mut value_start, mut value_end) = (name_end + 1, content_end);
        while value_start < value_end && is_blank(line[value_start]) {
            value_start += 1;
        }
        while value_end > value_start && is_blank(line[value_end - 1]) {
            value_end -= 1;
        }
        let value = &line[value_start..value_end];
        if has_forbidden_in_value(value) {
            return Err(match memchr::memchr(b'\r', value) {
                Some(_) => HeadError::BareCarriageReturn,
                None => HeadError::InvalidFieldValue,
            });
        }
        Ok(Field {
            name: Span::new(start, name_end),
            value: Span::new(value_start, value_end),
            line_end: content_end as u32 + 2,
            known: FieldName::recognise(&line[start..name_end]),
            listed: false,
        })
    }
}

/// A field name that something in the proxy looks at; all others are `Other` and keep their bytes only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each variant is the field of that name")]
pub enum FieldName {
    #[default]
    Other,
    Host,
    Connection,
    ContentLength,
    TransferEncoding,
    KeepAlive,
    ProxyConnection,
    Te,
    Trailer,
    Upgrade,
    Expect,
    Date,
    Server,
    Via,
    Forwarded,
    XForwardedFor,
    XForwardedProto,
    XForwardedHost,
    XRealIp,
    Accept,
    Cookie,
    UserAgent,
    Referer,
    ContentType,
    ContentEncoding,
    ContentRange,
    Location,
    SetCookie,
    CacheControl,
    WwwAuthenticate,
    ProxyAuthenticate,
    ProxyAuthorization,
    ProxyAuthenticationInfo,
    Authorization,
    AcceptEncoding,
    AcceptLanguage,
    Range,
    Origin,
    Http2Settings,
    MaxForwards,
    Age,
    Vary,
    Etag,
    LastModified,
    IfNoneMatch,
    IfModifiedSince,
    RetryAfter,
    XRequestId,
    Traceparent,
    ProxyStatus,
}

impl FieldName {
    /// The field of this name, compared without case.
    #[inline]
    pub fn recognise(name: &[u8]) -> FieldName {
        let candidates: &[(&[u8], FieldName)] = match name.len() {
            2 => &[(b"te", Self::Te)],
            3 => &[(b"via", Self::Via), (b"age", Self::Age)],
            4 => {
                &[(b"host", Self::Host), (b"date", Self::Date), (b"vary", Self::Vary), (b"etag", Self::Etag)]
            }
            5 => &[(b"range", Self::Range)],
            6 => &[
                (b"expect", Self::Expect),
                (b"server", Self::Server),
                (b"accept", Self::Accept),
                (b"cookie", Self::Cookie),
                (b"origin", Self::Origin),
            ],
            7 => &[(b"trailer", Self::Trailer), (b"upgrade", Self::Upgrade), (b"referer", Self::Referer)],
            8 => &[(b"location", Self::Location)],
            9 => &[(b"forwarded", Self::Forwarded), (b"x-real-ip", Self::XRealIp)],
            10 => &[
                (b"connection", Self::Connection),
                (b"keep-alive", Self::KeepAlive),
                (b"user-agent", Self::UserAgent),
                (b"set-cookie", Self::SetCookie),
            ],
            11 => &[(b"retry-after", Self::RetryAfter), (b"traceparent", Self::Traceparent)],
            12 => &[
                (b"content-type", Self::ContentType),
                (b"max-forwards", Self::MaxForwards),
                (b"x-request-id", Self::XRequestId),
                (b"proxy-status", Self::ProxyStatus),
            ],
            13 => &[
                (b"content-range", Self::ContentRange),
                (b"cache-control", Self::CacheControl),
                (b"authorization", Self::Authorization),
                (b"last-modified", Self::LastModified),
                (b"if-none-match", Self::IfNoneMatch),
            ],
            14 => &[(b"content-length", Self::ContentLength), (b"http2-settings", Self::Http2Settings)],
            15 => &[
                (b"x-forwarded-for", Self::XForwardedFor),
                (b"accept-encoding", Self::AcceptEncoding),
                (b"accept-language", Self::AcceptLanguage),
            ],
            16 => &[
                (b"proxy-connection", Self::ProxyConnection),
                (b"x-forwarded-host", Self::XForwardedHost),
                (b"content-encoding", Self::ContentEncoding),
                (b"www-authenticate", Self::WwwAuthenticate),
            ],
            17 => &[
                (b"transfer-encoding", Self::TransferEncoding),
                (b"x-forwarded-proto", Self::XForwardedProto),
                (b"if-modified-since", Self::IfModifiedSince),
            ],
            18 => &[(b"proxy-authenticate", Self::ProxyAuthenticate)],
            19 => &[(b"proxy-authorization", Self::ProxyAuthorization)],
            25 => &[(b"proxy-authentication-info", Self::ProxyAuthenticationInfo)],
            _ => &[],
        };
        for (candidate, known) in candidates {
            if name.eq_ignore_ascii_case(candidate) {
                return *known;
            }
        }
        Self::Other
    }

    /// Whether a field of this name concerns one connection only (RFC 9110 section 7.6.1).
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
