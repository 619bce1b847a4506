//! What request and response heads have in common: their vocabulary, and the field section with what it says about
//! the connection and the body.

use std::ops::Range;

use super::{
    bytes::{is_token, trim_blanks, value_run_end},
    error::HeadError,
    field::{Field, FieldName},
    list::{list_members, list_members_or_empty},
};
use crate::target::is_valid_authority;

/// A range of the message's bytes; positions are 32 bits, a head is never longer.
#[derive(Debug, Copy, Clone, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Just after the last byte.
    pub end: u32,
}

impl Span {
    pub(super) fn new(start: usize, end: usize) -> Span {
        Span { start: start as u32, end: end as u32 }
    }

    /// The bytes that the span stands for; empty when it lies outside of `bytes`.
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.range()).unwrap_or_default()
    }

    /// The span as a range of indices.
    pub fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }

    /// Whether it spans no bytes.
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// How many bytes it spans.
    pub fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }
}

/// A request method (RFC 9110 section 9).
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Default)]
#[expect(missing_docs, reason = "each variant is the method of that name")]
pub enum Method {
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Connect,
    Options,
    Trace,
    Patch,
    /// Any other token.
    Other,
}

impl Method {
    /// The method of this name; methods are case-sensitive (RFC 9110 section 9.1).
    pub fn recognise(name: &[u8]) -> Method {
        match name {
            b"GET" => Self::Get,
            b"HEAD" => Self::Head,
            b"POST" => Self::Post,
            b"PUT" => Self::Put,
            b"DELETE" => Self::Delete,
            b"CONNECT" => Self::Connect,
            b"OPTIONS" => Self::Options,
            b"TRACE" => Self::Trace,
            b"PATCH" => Self::Patch,
            _ => Self::Other,
        }
    }

    /// Whether repeating the request has the effect of sending it once (RFC 9110 section 9.2.2).
    pub fn is_idempotent(self) -> bool {
        self.is_safe() || matches!(self, Self::Put | Self::Delete)
    }

    /// Whether the request only reads (RFC 9110 section 9.2.1).
    pub fn is_safe(self) -> bool {
        matches!(self, Self::Get | Self::Head | Self::Options | Self::Trace)
    }

    /// The name; empty for `Other`, whose name is in the head's bytes only.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
            Self::Connect => "CONNECT",
            Self::Options => "OPTIONS",
            Self::Trace => "TRACE",
            Self::Patch => "PATCH",
            Self::Other => "",
        }
    }
}

/// The version of a message; the only two that we take.
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Default)]
pub enum Version {
    /// HTTP/1.0 (RFC 1945).
    Http10,
    /// HTTP/1.1 (RFC 9112).
    #[default]
    Http11,
}

impl Version {
    /// As it stands in a start line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
        }
    }
}

/// How far a head may grow.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the whole head, with the empty lines before it and the one that ends it.
    pub head_bytes: usize,
    /// Field lines.
    pub fields: usize,
    /// Bytes of the request target.
    pub target_bytes: usize,
}

impl Default for HeadLimits {
    /// 32 KiB, 100 fields, 8 KiB of target.
    fn default() -> Self {
        HeadLimits { head_bytes: 32 * 1024, fields: 100, target_bytes: 8 * 1024 }
    }
}

/// How far the parse of a head came.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub enum Progress {
    /// The head is complete; its length says where the body starts.
    Complete,
    /// All is well so far; call again with the same bytes and more behind them.
    Partial,
}

/// How the end of a body is found (RFC 9112 section 6.3).
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Default)]
pub enum BodyFraming {
    /// There is no body.
    #[default]
    None,
    /// This many bytes, possibly 0.
    Length(u64),
    /// Chunks, then trailers.
    Chunked,
    /// Everything until the connection closes (responses only).
    UntilClose,
}

/// Where the parse of a head stands between two calls.
#[derive(Debug, Copy, Clone, Default)]
pub(super) struct Resume {
    pub(super) phase: Phase,
    /// First byte of the part that is being read.
    pub(super) start: usize,
    /// Up to here, nothing needs to be looked at again.
    pub(super) scanned: usize,
}

#[derive(Debug, Copy, Clone, PartialEq, Eq, Default)]
pub(super) enum Phase {
    #[default]
    Start,
    Method,
    Target,
    Version,
    Reason,
    Fields,
    /// Completed or failed: the next call starts over.
    Ended,
}

/// What the field section says about the connection and the body.
#[derive(Debug, Clone, Default)]
pub(super) struct FieldFacts {
    pub(super) host: Option<Span>,
    pub(super) content_length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) close: bool,
    pub(super) keep_alive: bool,
    pub(super) upgrade_option: bool,
    pub(super) upgrade_field: bool,
    pub(super) expects_continue: bool,
    options: usize,
    names_fields: bool,
}

/// The kind of message whose fields are read.
#[derive(Debug, Copy, Clone, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// More connection options than this are an attempt to make us compare each with each field.
const CONNECTION_OPTIONS: usize = 32;

/// Reads field lines as far as they are complete; gives the length of the head when its last line was there.
pub(super) fn parse_fields(
    bytes: &[u8],
    side: Side,
    version: Version,
    limit: usize,
    resume: &mut Resume,
    fields: &mut Vec<Field>,
    facts: &mut FieldFacts,
) -> Result<Option<usize>, HeadError> {
    loop {
        let start = resume.start;
        let content_end = value_run_end(bytes, resume.scanned);
        resume.scanned = content_end;
        match bytes.get(content_end..).unwrap_or_default() {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(None),
            [forbidden, ..] => return Err(Field::fault(&bytes[start..content_end], *forbidden)),
        }
        let line_end = content_end + 2;
        if content_end == start {
            mark_listed(bytes, fields, facts)?;
            return Ok(Some(line_end));
        }
        if fields.len() >= limit {
            return Err(HeadError::TooManyFields);
        }
        let field = Field::parse(bytes, start, content_end)?;
        if field.known != FieldName::Other {
            facts.note(field.known, field.value, bytes, side, version)?;
        }
        fields.push(field);
        (resume.start, resume.scanned) = (line_end, line_end);
    }
}

impl FieldFacts {
    #[inline]
    fn note(
        &mut self,
        known: FieldName,
        span: Span,
        bytes: &[u8],
        side: Side,
        version: Version,
    ) -> Result<(), HeadError> {
        let value = span.of(bytes);
        match known {
            FieldName::Host if side == Side::Request => {
                if self.host.replace(span).is_some() {
                    return Err(HeadError::RepeatedHost);
                }
                if !is_valid_authority(value) {
                    return Err(HeadError::InvalidHost);
                }
            }
            FieldName::ContentLength => {
                if self.chunked {
                    return Err(HeadError::LengthAndTransferEncoding);
                }
                let length = parse_length(value).ok_or(HeadError::InvalidContentLength)?;
                if self.content_length.replace(length).is_some() {
                    return Err(HeadError::RepeatedContentLength);
                }
            }
            FieldName::TransferEncoding => self.note_transfer_encoding(value, version)?,
            FieldName::Connection => self.note_connection(value)?,
            FieldName::Upgrade => self.upgrade_field = true,
            FieldName::Expect => self.expects_continue |= value.eq_ignore_ascii_case(b"100-continue"),
            _ => {}
        }
        Ok(())
    }

    fn note_transfer_encoding(&mut self, value: &[u8], version: Version) -> Result<(), HeadError> {
        if version == Version::Http10 {
            return Err(HeadError::TransferEncodingInHttp10);
        }
        if self.content_length.is_some() {
            return Err(HeadError::LengthAndTransferEncoding);
        }
        for member in list_members_or_empty(value) {
            let name_end = memchr::memchr(b';', member).unwrap_or(member.len());
            let name = trim_blanks(&member[..name_end]);
            if !is_token(name) {
                return Err(HeadError::InvalidTransferEncoding);
            }
            let chunked = name.eq_ignore_ascii_case(b"chunked");
            if self.chunked || (chunked && name.len() != member.len()) {
                return Err(HeadError::ChunkedNotLast);
            }
            if !chunked {
                return Err(HeadError::UnsupportedTransferCoding);
            }
            self.chunked = true;
        }
        Ok(())
    }

    fn note_connection(&mut self, value: &[u8]) -> Result<(), HeadError> {
        for option in list_members(value) {
            self.options += 1;
            if self.options > CONNECTION_OPTIONS || !is_token(option) {
                return Err(HeadError::InvalidConnection);
            }
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_option = true;
            } else if matches!(FieldName::recognise(option), FieldName::Host | FieldName::ContentLength) {
                return Err(HeadError::InvalidConnection);
            } else {
                self.names_fields = true;
            }
        }
        Ok(())
    }

    /// Whether the connection may carry another message afterwards (RFC 9112 section 9.3).
    pub(super) fn persists(&self, version: Version) -> bool {
        !self.close && (version == Version::Http11 || self.keep_alive)
    }
}

/// A decimal number of 64 bits: digits only, so neither sign nor list nor space (RFC 9110 section 8.6).
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() {
        return None;
    }
    value.iter().try_fold(0u64, |length, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    })
}

/// Marks the fields that Connection names. Only now, because a Connection field may follow what it names.
fn mark_listed(bytes: &[u8], fields: &mut [Field], facts: &FieldFacts) -> Result<(), HeadError> {
    if !facts.names_fields {
        return Ok(());
    }
    for position in 0..fields.len() {
        let Field { known: FieldName::Connection, value, .. } = fields[position] else { continue };
        for option in list_members(value.of(bytes)) {
            for field in fields.iter_mut() {
                field.listed |= field.name.of(bytes).eq_ignore_ascii_case(option);
            }
        }
    }
    Ok(())
}
