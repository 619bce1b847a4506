//! The field section of a head, with what it says about the connection and the body.

use super::{
    bytes::{is_token, trim_blanks, value_run_end},
    error::HeadError,
    field::{Field, FieldName},
    head::{Span, Version},
    list::{list_members, list_members_or_empty},
};
use crate::target::is_valid_authority;

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
