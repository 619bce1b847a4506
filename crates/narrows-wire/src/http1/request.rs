//! The head of a request (RFC 9112 section 3).

use super::{
    bytes::{is_target_byte, is_token_byte, run_end},
    error::HeadError,
    field::{Field, FieldName},
    head::{BodyFraming, HeadLimits, Method, Progress, Span, Version},
    section::{FieldFacts, Phase, Resume, Side, parse_fields},
};
use crate::target::{is_valid_authority, split_host_port};

/// The longest method that is registered has 17 bytes.
const METHOD_BYTES: usize = 32;
/// How many empty lines may stand before a request line (RFC 9112 section 2.2).
const EMPTY_LINES: u8 = 2;

/// The head of a request. Reuse one for many requests: it keeps its memory.
///
/// All spans and positions count from the first byte that was given to [`parse_request`].
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    /// The method, where it is one that we know.
    pub method: Method,
    /// The method as it was sent.
    pub method_span: Span,
    /// The whole request target as it was sent.
    pub target: Span,
    /// Which of the four forms the target has.
    pub target_form: TargetForm,
    /// Path and query of the target. In absolute form it may be empty or start with `?`: then the path is `/`.
    /// Empty in authority form; `*` in asterisk form.
    pub path_and_query: Span,
    /// The authority that the request is for, without user information: of the target in absolute and authority
    /// form, else of Host (RFC 9112 section 3.2.2). Empty only in HTTP/1.0 without Host. Where it is the target's,
    /// the Host field may say something else and must be rewritten before it is forwarded.
    pub host: Span,
    /// The version.
    pub version: Version,
    /// All field lines in their order.
    pub fields: Vec<Field>,
    /// How the body ends; never `UntilClose`.
    pub framing: BodyFraming,
    /// Whether the client wants to send another request on this connection (RFC 9112 section 9.3).
    pub keep_alive: bool,
    /// Whether the client asks to switch protocols: HTTP/1.1 with an Upgrade field that Connection names
    /// (RFC 9110 section 7.8).
    pub upgrade: bool,
    /// Whether the client waits for 100 (Continue) before it sends its body (RFC 9110 section 10.1.1).
    pub expects_continue: bool,
    /// Bytes of the head, with the empty lines before it and the one that ends it: here the body starts.
    pub length: usize,
    /// Where the request line starts: 0, or after the empty lines before it.
    pub start: u32,
    /// Where the first field line starts: after the request line.
    pub fields_start: u32,
    empty_lines: u8,
    facts: FieldFacts,
    resume: Resume,
}

/// The form of a request target (RFC 9112 section 3.2).
#[derive(Debug, Copy, Clone, PartialEq, Eq, Hash, Default)]
pub enum TargetForm {
    /// `/path?query`
    #[default]
    Origin,
    /// `http://host/path?query`
    Absolute,
    /// `host:port`, for CONNECT
    Authority,
    /// `*`, for OPTIONS
    Asterisk,
}

impl RequestHead {
    /// Forgets the request but keeps the memory, ready for the next one.
    pub fn clear(&mut self) {
        let mut fields = std::mem::take(&mut self.fields);
        fields.clear();
        *self = RequestHead { fields, ..RequestHead::default() };
    }

    /// The first field of a name that we know.
    pub fn field(&self, known: FieldName) -> Option<&Field> {
        self.fields.iter().find(|field| field.known == known)
    }
}

/// Reads the head of a request from the start of `bytes`.
///
/// After `Partial`, call again with the same bytes and more behind them: the parse goes on where it stopped. After
/// `Complete` or an error, the next call starts over. An error is final, and it is the same however the bytes were
/// cut. Reads nothing behind the head.
pub fn parse_request(
    bytes: &[u8],
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<Progress, HeadError> {
    if head.resume.phase == Phase::Ended || head.resume.scanned > bytes.len() {
        head.clear();
    }
    let limit = limits.head_bytes.min(u32::MAX as usize / 2);
    let visible = &bytes[..bytes.len().min(limit)];
    let outcome = head.read_on(visible, limits);
    match outcome {
        Ok(Progress::Partial) if bytes.len() < limit => return outcome,
        _ => head.resume.phase = Phase::Ended,
    }
    match outcome {
        Ok(Progress::Partial) => Err(HeadError::HeadTooLarge),
        _ => outcome,
    }
}

impl RequestHead {
    fn read_on(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<Progress, HeadError> {
        if self.resume.phase != Phase::Fields && !self.read_request_line(bytes, limits)? {
            return Ok(Progress::Partial);
        }
        let end = parse_fields(
            bytes,
            Side::Request,
            self.version,
            limits.fields,
            &mut self.resume,
            &mut self.fields,
            &mut self.facts,
        )?;
        let Some(end) = end else { return Ok(Progress::Partial) };
        self.length = end;
        self.conclude(bytes)?;
        Ok(Progress::Complete)
    }

    /// Goes on with the request line; whether it is complete.
    fn read_request_line(&mut self, bytes: &[u8], limits: &HeadLimits) -> Result<bool, HeadError> {
        loop {
            let Resume { phase, start, scanned } = self.resume;
            match phase {
                Phase::Start => match bytes.get(start..).unwrap_or_default() {
                    [] => return Ok(false),
                    [b'\r'] if self.empty_lines < EMPTY_LINES => return Ok(false),
                    [b'\r', b'\n', ..] if self.empty_lines < EMPTY_LINES => {
                        self.empty_lines += 1;
                        self.resume.start = start + 2;
                    }
                    [b'\r', ..] if self.empty_lines >= EMPTY_LINES => {
                        return Err(HeadError::InvalidRequestLine);
                    }
                    [b'\r', ..] => return Err(HeadError::BareCarriageReturn),
                    [b'\n', ..] => return Err(HeadError::BareLineFeed),
                    _ => {
                        self.start = start as u32;
                        self.resume = Resume { phase: Phase::Method, start, scanned: start };
                    }
                },
                Phase::Method => {
                    let limit = start + METHOD_BYTES + 1;
                    let end = run_end(&bytes[..bytes.len().min(limit)], scanned, is_token_byte);
                    self.resume.scanned = end;
                    if end == limit {
                        return Err(HeadError::MethodTooLong);
                    }
                    match bytes.get(end) {
                        None => return Ok(false),
                        Some(b' ') if end > start => {}
                        Some(b'\r' | b'\n') => return Err(HeadError::InvalidRequestLine),
                        Some(_) => return Err(HeadError::InvalidMethod),
                    }
                    self.method = Method::recognise(&bytes[start..end]);
                    self.method_span = Span::new(start, end);
                    self.resume = Resume { phase: Phase::Target, start: end + 1, scanned: end + 1 };
                }
                Phase::Target => {
                    let limit = start.saturating_add(limits.target_bytes).saturating_add(1);
                    let end = run_end(&bytes[..bytes.len().min(limit)], scanned, is_target_byte);
                    self.resume.scanned = end;
                    if end == limit {
                        return Err(HeadError::TargetTooLong);
                    }
                    match bytes.get(end) {
                        None => return Ok(false),
                        Some(b' ') if end > start => {}
                        Some(b'\r' | b'\n') => return Err(HeadError::InvalidRequestLine),
                        Some(_) => return Err(HeadError::InvalidTarget),
                    }
                    self.target = Span::new(start, end);
                    self.resume = Resume { phase: Phase::Version, start: end + 1, scanned: end + 1 };
                }
                _ => {
                    let Some(version) = Version::parse(bytes.get(start..).unwrap_or_default())? else {
                        return Ok(false);
                    };
                    match bytes.get(start + 8..).unwrap_or_default() {
                        [b'\r', b'\n', ..] => {}
                        [] | [b'\r'] => return Ok(false),
                        [b'\r', ..] => return Err(HeadError::BareCarriageReturn),
                        [b'\n', ..] => return Err(HeadError::BareLineFeed),
                        _ => return Err(HeadError::InvalidVersion),
                    }
                    self.version = version;
                    self.fields_start = start as u32 + 10;
                    self.resume = Resume { phase: Phase::Fields, start: start + 10, scanned: start + 10 };
                    self.read_target_form(bytes)?;
                    return Ok(true);
                }
            }
        }
    }

    /// Decides the form of the target, which depends on the method (RFC 9112 section 3.2).
    fn read_target_form(&mut self, bytes: &[u8]) -> Result<(), HeadError> {
        let target = self.target.of(bytes);
        if self.method == Method::Connect {
            let authority =
                std::str::from_utf8(target).ok().and_then(|text| split_host_port(text.as_bytes()));
            return match authority {
                Some((_, Some(_))) => {
                    self.target_form = TargetForm::Authority;
                    self.host = self.target;
                    Ok(())
                }
                _ => Err(HeadError::TargetDoesNotFitMethod),
            };
        }
        match target {
            [b'/', ..] => {
                self.target_form = TargetForm::Origin;
                self.path_and_query = self.target;
                Ok(())
            }
            b"*" if self.method == Method::Options => {
                self.target_form = TargetForm::Asterisk;
                self.path_and_query = self.target;
                Ok(())
            }
            b"*" => Err(HeadError::TargetDoesNotFitMethod),
            _ => self.read_absolute_form(target),
        }
    }

    fn read_absolute_form(&mut self, target: &[u8]) -> Result<(), HeadError> {
        let scheme = [&b"http://"[..], b"https://"].into_iter().find(|scheme| {
            target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme))
        });
        let Some(scheme) = scheme else {
            return Err(match split_host_port(target) {
                Some((_, Some(_))) => HeadError::TargetDoesNotFitMethod,
                _ => HeadError::InvalidTarget,
            });
        };
        let rest = &target[scheme.len()..];
        let authority_end = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
        let authority = &rest[..authority_end];
        if memchr::memchr(b'@', authority).is_some() {
            return Err(HeadError::UserInformation);
        }
        if !is_valid_authority(authority) {
            return Err(HeadError::InvalidHost);
        }
        let start = self.target.start as usize + scheme.len();
        self.target_form = TargetForm::Absolute;
        self.host = Span::new(start, start + authority_end);
        self.path_and_query = Span::new(start + authority_end, self.target.end as usize);
        Ok(())
    }

    /// What only the whole head can tell.
    fn conclude(&mut self, bytes: &[u8]) -> Result<(), HeadError> {
        let facts = &self.facts;
        match facts.host {
            Some(host) if self.host.is_empty() => self.host = host,
            None if self.version == Version::Http11 => return Err(HeadError::MissingHost),
            _ => {}
        }
        self.framing = match facts.content_length {
            _ if facts.chunked => BodyFraming::Chunked,
            Some(length) => BodyFraming::Length(length),
            None => BodyFraming::None,
        };
        let bodyless = matches!(self.framing, BodyFraming::None | BodyFraming::Length(0));
        if self.method == Method::Connect && !bodyless {
            return Err(HeadError::ConnectWithBody);
        }
        debug_assert!(self.length <= bytes.len());
        self.keep_alive = facts.persists(self.version);
        let http11 = self.version == Version::Http11;
        self.upgrade = http11 && facts.upgrade_option && facts.upgrade_field;
        self.expects_continue = http11 && facts.expects_continue;
        Ok(())
    }
}

impl Version {
    /// The version at the start of `bytes`; `None` while it may still become one.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Version>, HeadError> {
        match bytes {
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'1', ..] => return Ok(Some(Version::Http11)),
            [b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0', ..] => return Ok(Some(Version::Http10)),
            _ => {}
        }
        for (position, &byte) in bytes.iter().take(8).enumerate() {
            let fits = match position {
                5 | 7 => byte.is_ascii_digit(),
                6 => byte == b'.',
                _ => byte == b"HTTP/"[position],
            };
            if !fits {
                return Err(HeadError::InvalidVersion);
            }
        }
        if bytes.len() < 8 { Ok(None) } else { Err(HeadError::UnsupportedVersion) }
    }
}

#[cfg(test)]
mod tests;
