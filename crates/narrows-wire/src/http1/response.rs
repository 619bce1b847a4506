//! The head of a response (RFC 9112 section 4).

use super::{
    bytes::value_run_end,
    error::HeadError,
    field::{Field, FieldName},
    head::{BodyFraming, HeadLimits, Method, Progress, Span, Version},
    section::{FieldFacts, Phase, Resume, Side, parse_fields},
};

/// The head of a response. Reuse one for many responses: it keeps its memory.
///
/// All spans and positions count from the first byte that was given to [`parse_response`].
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    /// The status, 100 to 999.
    pub status: u16,
    /// The version.
    pub version: Version,
    /// The reason phrase, often empty.
    pub reason: Span,
    /// All field lines in their order.
    pub fields: Vec<Field>,
    /// How the body ends.
    pub framing: BodyFraming,
    /// Whether the connection may carry another response (RFC 9112 section 9.3). Never where the body ends with
    /// the connection, nor where a response that has no body announces one: what follows could be either.
    pub keep_alive: bool,
    /// Whether the server switches protocols: 101 in HTTP/1.1 (RFC 9110 section 15.2.2).
    pub upgrade: bool,
    /// Bytes of the head with the empty line that ends it: here the body starts.
    pub length: usize,
    /// Where the first field line starts: after the status line.
    pub fields_start: u32,
    facts: FieldFacts,
    resume: Resume,
}

impl ResponseHead {
    /// Forgets the response but keeps the memory, ready for the next one.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = ResponseHead { fields, ..ResponseHead::default() };
    }

    /// The first field of a name that we know.
    pub fn field(&self, known: FieldName) -> Option<&Field> {
        self.fields.iter().find(|field| field.known == known)
    }
}

/// Reads the head of the response to a request of `request_method` from the start of `bytes`.
///
/// Calls go on and start over as with [`super::parse_request`]. A missing space after the status is tolerated when
/// there is no reason phrase; `limits.target_bytes` means nothing here.
pub fn parse_response(
    bytes: &[u8],
    request_method: Method,
    limits: &HeadLimits,
    head: &mut ResponseHead,
) -> Result<Progress, HeadError> {
    if head.resume.phase == Phase::Ended || head.resume.scanned > bytes.len() {
        head.clear();
    }
    let limit = limits.head_bytes.min(u32::MAX as usize / 2);
    let visible = &bytes[..bytes.len().min(limit)];
    let outcome = head.read_on(visible, request_method, limits);
    match outcome {
        Ok(Progress::Partial) if bytes.len() < limit => return outcome,
        _ => head.resume.phase = Phase::Ended,
    }
    match outcome {
        Ok(Progress::Partial) => Err(HeadError::HeadTooLarge),
        _ => outcome,
    }
}

impl ResponseHead {
    fn read_on(
        &mut self,
        bytes: &[u8],
        request_method: Method,
        limits: &HeadLimits,
    ) -> Result<Progress, HeadError> {
        if self.resume.phase != Phase::Fields && !self.read_status_line(bytes)? {
            return Ok(Progress::Partial);
        }
        let end = parse_fields(
            bytes,
            Side::Response,
            self.version,
            limits.fields,
            &mut self.resume,
            &mut self.fields,
            &mut self.facts,
        )?;
        let Some(end) = end else { return Ok(Progress::Partial) };
        self.length = end;
        self.conclude(request_method);
        Ok(Progress::Complete)
    }

    /// Goes on with the status line; whether it is complete.
    fn read_status_line(&mut self, bytes: &[u8]) -> Result<bool, HeadError> {
        if self.resume.phase == Phase::Start {
            if !self.read_status(bytes)? {
                return Ok(false);
            }
            self.resume = Resume { phase: Phase::Reason, start: 12, scanned: 12 };
        }
        let end = value_run_end(bytes, self.resume.scanned);
        self.resume.scanned = end;
        match &bytes[end..] {
            [b'\r', b'\n', ..] => {}
            [] | [b'\r'] => return Ok(false),
            [b'\r', ..] => return Err(HeadError::BareCarriageReturn),
            [b'\n', ..] => return Err(HeadError::BareLineFeed),
            _ => return Err(HeadError::InvalidStatusLine),
        }
        self.reason = Span::new(end.min(13), end);
        self.fields_start = end as u32 + 2;
        self.resume = Resume { phase: Phase::Fields, start: end + 2, scanned: end + 2 };
        Ok(true)
    }

    /// Reads `HTTP/1.1 200` and looks at the byte behind; whether all of it was there.
    fn read_status(&mut self, bytes: &[u8]) -> Result<bool, HeadError> {
        let Some(version) = Version::parse(bytes)? else { return Ok(false) };
        let mut status = 0;
        for (position, &byte) in bytes.iter().enumerate().take(13).skip(8) {
            match (position, byte) {
                (8, b' ') | (12, b' ' | b'\r' | b'\n') => {}
                (9, b'1'..=b'9') | (10 | 11, b'0'..=b'9') => status = status * 10 + u16::from(byte - b'0'),
                _ => return Err(HeadError::InvalidStatusLine),
            }
        }
        self.version = version;
        self.status = status;
        Ok(bytes.len() > 12)
    }

    /// Decides what follows the head (RFC 9112 section 6.3).
    fn conclude(&mut self, request_method: Method) {
        let facts = &self.facts;
        let announced = match facts.content_length {
            _ if facts.chunked => BodyFraming::Chunked,
            Some(length) => BodyFraming::Length(length),
            None => BodyFraming::UntilClose,
        };
        let bodyless_status = matches!(self.status, 100..=199 | 204);
        let tunnel = request_method == Method::Connect && matches!(self.status, 200..=299);
        let bodyless = bodyless_status || tunnel || request_method == Method::Head || self.status == 304;
        self.framing = if bodyless { BodyFraming::None } else { announced };
        self.keep_alive = facts.persists(self.version) && self.framing != BodyFraming::UntilClose;
        self.upgrade = self.status == 101 && self.version == Version::Http11;
        if bodyless_status || tunnel {
            let contradicts =
                matches!(announced, BodyFraming::Chunked) || matches!(announced, BodyFraming::Length(1..));
            self.keep_alive &= !contradicts;
            for field in &mut self.fields {
                field.listed |= matches!(field.known, FieldName::ContentLength | FieldName::TransferEncoding);
            }
        }
    }
}

#[cfg(test)]
mod tests;
