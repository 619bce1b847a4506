//! Which bytes behind a head belong to its body (RFC 9112 sections 6 and 7), without copying them.

use std::ops::Range;

use thiserror::Error;

use super::{
    bytes::{is_blank, is_forbidden_in_value, is_token_byte, value_run_end},
    field::FieldName,
    head::BodyFraming,
};

/// More extension bytes in one chunk are refused.
const EXTENSION_BYTES: u32 = 4 * 1024;
/// Extension bytes may exceed the payload by this much in the whole body; a stream of one-byte chunks with long
/// extensions would cost thousands of times what it carries.
const EXCESS_BYTES: u64 = 16 * 1024;
const TRAILER_BYTES: u32 = 16 * 1024;
const TRAILER_FIELDS: u8 = 100;
/// 16 digits fill 64 bits.
const SIZE_DIGITS: u8 = 16;

/// Follows the framing of one body.
///
/// A relay calls [`scan`](Self::scan) on what it received and forwards the wire bytes as they are. A relay that
/// frames the body anew calls [`advance`](Self::advance) and takes the payload ranges. How the bytes are cut makes
/// no difference.
#[derive(Debug, Clone)]
pub struct BodyReader {
    state: State,
    /// Of a `Length` body, or of the present chunk.
    remaining: u64,
    digits: u8,
    extension_bytes: u32,
    excess: u64,
    trailer_bytes: u32,
    trailer_fields: u8,
    name: [u8; NAME_BYTES],
    name_length: u8,
}

/// Longer than each name that is forbidden in trailers.
const NAME_BYTES: usize = 32;

/// What one call of [`BodyReader::advance`] went over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Bytes that belong to the body, framing included; 0 only when nothing was given or the body is done.
    pub consumed: usize,
    /// The payload among them; it may be empty.
    pub data: Range<usize>,
    /// The part of the trailer section among them, with the empty line that ends it; empty without one.
    pub trailers: Range<usize>,
    /// Whether the body is complete.
    pub done: bool,
}

/// Why a body cannot be read on. The sender is to blame, and the connection cannot be used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum BodyError {
    /// The chunk size is no hexadecimal number, or is followed by garbage (RFC 9112 section 7.1).
    #[error("the chunk size is malformed")]
    InvalidChunkSize,
    /// The chunk size has more than 16 digits (RFC 9112 section 7.1).
    #[error("the chunk size is too large")]
    ChunkSizeOverflow,
    /// A chunk extension that does not follow its grammar (RFC 9112 section 7.1.1).
    #[error("a chunk extension is malformed")]
    InvalidChunkExtension,
    /// Chunk extensions of more than 4 KiB in a chunk, or 16 KiB more than payload in the body
    /// (RFC 9112 section 7.1.1).
    #[error("the chunk extensions are too long")]
    ChunkExtensionsTooLong,
    /// The data of a chunk is not followed by CRLF (RFC 9112 section 7.1).
    #[error("the data of a chunk is not followed by CRLF")]
    MissingChunkEnd,
    /// A line ends in LF without CR (RFC 9112 section 2.2).
    #[error("a line ends in a bare LF")]
    BareLineFeed,
    /// A CR without LF (RFC 9112 section 2.2).
    #[error("a bare CR")]
    BareCarriageReturn,
    /// A trailer field line that would be refused in a head too (RFC 9112 section 7.1.2).
    #[error("a trailer field is malformed")]
    InvalidTrailer,
    /// A trailer field that frames, routes or authenticates (RFC 9110 section 6.5.1).
    #[error("a field that is forbidden in trailers")]
    ForbiddenTrailer,
    /// Trailers of more than 16 KiB or 100 fields.
    #[error("the trailers are too large")]
    TrailersTooLarge,
    /// The connection ended before the body (RFC 9112 section 8).
    #[error("the connection ended before the body")]
    Incomplete,
}

impl BodyError {
    /// A stable name for logs and metrics.
    pub fn token(self) -> &'static str {
        match self {
            Self::InvalidChunkSize => "invalid-chunk-size",
            Self::ChunkSizeOverflow => "chunk-size-overflow",
            Self::InvalidChunkExtension => "invalid-chunk-extension",
            Self::ChunkExtensionsTooLong => "chunk-extensions-too-long",
            Self::MissingChunkEnd => "missing-chunk-end",
            Self::BareLineFeed => "bare-line-feed",
            Self::BareCarriageReturn => "bare-carriage-return",
            Self::InvalidTrailer => "invalid-trailer",
            Self::ForbiddenTrailer => "forbidden-trailer",
            Self::TrailersTooLarge => "trailers-too-large",
            Self::Incomplete => "incomplete-body",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length,
    UntilClose,
    Size,
    Extension(Extension),
    SizeLineFeed,
    Chunk,
    ChunkReturn,
    ChunkLineFeed,
    Trailer(Trailer),
    Done,
    Failed(BodyError),
}

/// Where in `*( BWS ";" BWS name [ BWS "=" BWS value ] )` (RFC 9112 section 7.1.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Extension {
    BeforeSemicolon,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Value,
    Quoted,
    Escaped,
    AfterQuoted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trailer {
    LineStart,
    Name,
    Value,
    LineFeed,
    LastLineFeed,
}

impl BodyReader {
    /// Starts on the first byte behind the head.
    pub fn new(framing: BodyFraming) -> BodyReader {
        let (state, remaining) = match framing {
            BodyFraming::None | BodyFraming::Length(0) => (State::Done, 0),
            BodyFraming::Length(length) => (State::Length, length),
            BodyFraming::Chunked => (State::Size, 0),
            BodyFraming::UntilClose => (State::UntilClose, 0),
        };
        BodyReader {
            state,
            remaining,
            digits: 0,
            extension_bytes: 0,
            excess: 0,
            trailer_bytes: 0,
            trailer_fields: 0,
            name: [0; NAME_BYTES],
            name_length: 0,
        }
    }

    /// Goes over framing and then over at most one piece of payload. Call again with the bytes behind `consumed`.
    /// An error is final.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<Step, BodyError> {
        let mut position = 0;
        let mut payload = 0;
        let mut trailers = None;
        while position < bytes.len() && payload == 0 {
            if trailers.is_none() && self.is_in_trailers() {
                trailers = Some(position);
            }
            match self.state {
                State::Done => break,
                State::Failed(error) => return Err(error),
                State::UntilClose => payload = bytes.len() - position,
                State::Length | State::Chunk => {
                    payload = usize::try_from(self.remaining)
                        .map_or(bytes.len() - position, |remaining| remaining.min(bytes.len() - position));
                    self.remaining -= payload as u64;
                    if self.remaining == 0 {
                        let ended = self.state == State::Length;
                        self.state = if ended { State::Done } else { State::ChunkReturn };
                    }
                }
                State::Trailer(Trailer::Value) => position += self.skip_trailer_value(&bytes[position..])?,
                state => {
                    self.state = match self.after(state, bytes[position]) {
                        Ok(next) => next,
                        Err(error) => return Err(self.fail(error)),
                    };
                    position += 1;
                }
            }
        }
        let data = position..position + payload;
        let trailers = trailers.unwrap_or(position)..position;
        Ok(Step { consumed: data.end, data, trailers, done: self.is_done() })
    }

    /// Goes over as much as belongs to the body: the wire bytes, and how many of them are payload.
    pub fn scan(&mut self, bytes: &[u8]) -> Result<(usize, usize), BodyError> {
        let (mut wire, mut payload) = (0, 0);
        while wire < bytes.len() && !self.is_done() {
            let step = self.advance(&bytes[wire..])?;
            wire += step.consumed;
            payload += step.data.len();
        }
        Ok((wire, payload))
    }

    /// Whether the body is complete; never, when only the end of the connection ends it.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the last chunk is over and what comes is the trailer section: a relay that frames the body anew
    /// passes these wire bytes on, or ends the body itself.
    pub fn is_in_trailers(&self) -> bool {
        matches!(self.state, State::Trailer(_))
    }

    /// Payload bytes that are still to come, where the framing says so.
    pub fn remaining_length(&self) -> Option<u64> {
        match self.state {
            State::Length => Some(self.remaining),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// What it means that the connection ends here.
    pub fn finish_at_close(&self) -> Result<(), BodyError> {
        match self.state {
            State::Done | State::UntilClose => Ok(()),
            State::Failed(error) => Err(error),
            _ => Err(BodyError::Incomplete),
        }
    }

    #[cold]
    fn fail(&mut self, error: BodyError) -> BodyError {
        self.state = State::Failed(error);
        error
    }

    /// The state behind one byte of chunked framing.
    fn after(&mut self, state: State, byte: u8) -> Result<State, BodyError> {
        match state {
            State::Size => self.after_size(byte),
            State::Extension(place) => {
                if byte != b'\r' {
                    self.count_extension()?;
                }
                after_extension(place, byte)
            }
            State::SizeLineFeed => match (byte, self.remaining) {
                (b'\n', 0) => Ok(State::Trailer(Trailer::LineStart)),
                (b'\n', size) => {
                    self.excess = self.excess.saturating_sub(size);
                    Ok(State::Chunk)
                }
                _ => Err(BodyError::BareCarriageReturn),
            },
            State::ChunkReturn if byte == b'\r' => Ok(State::ChunkLineFeed),
            State::ChunkLineFeed if byte == b'\n' => {
                (self.digits, self.extension_bytes) = (0, 0);
                Ok(State::Size)
            }
            State::ChunkReturn | State::ChunkLineFeed => Err(BodyError::MissingChunkEnd),
            State::Trailer(place) => self.after_trailer(place, byte),
            State::Length | State::UntilClose | State::Chunk | State::Done | State::Failed(_) => Ok(state),
        }
    }

    fn after_size(&mut self, byte: u8) -> Result<State, BodyError> {
        if let Some(digit) = char::from(byte).to_digit(16) {
            if self.digits == SIZE_DIGITS {
                return Err(BodyError::ChunkSizeOverflow);
            }
            self.digits += 1;
            self.remaining = self.remaining << 4 | u64::from(digit);
            return Ok(State::Size);
        }
        match byte {
            _ if self.digits == 0 => Err(BodyError::InvalidChunkSize),
            b'\r' => Ok(State::SizeLineFeed),
            b'\n' => Err(BodyError::BareLineFeed),
            b';' => Ok(State::Extension(Extension::BeforeName)),
            b' ' | b'\t' => Ok(State::Extension(Extension::BeforeSemicolon)),
            _ => Err(BodyError::InvalidChunkSize),
        }
    }

    fn count_extension(&mut self) -> Result<(), BodyError> {
        self.extension_bytes += 1;
        self.excess += 1;
        if self.extension_bytes > EXTENSION_BYTES || self.excess > EXCESS_BYTES {
            return Err(BodyError::ChunkExtensionsTooLong);
        }
        Ok(())
    }

    fn after_trailer(&mut self, place: Trailer, byte: u8) -> Result<State, BodyError> {
        self.count_trailer(1)?;
        let next = match (place, byte) {
            (Trailer::LineStart, b'\r') => Trailer::LastLineFeed,
            (Trailer::LineStart | Trailer::Name, b'\n') => return Err(BodyError::BareLineFeed),
            (Trailer::LineStart, _) if is_token_byte(byte) => {
                if self.trailer_fields == TRAILER_FIELDS {
                    return Err(BodyError::TrailersTooLarge);
                }
                self.trailer_fields += 1;
                self.name_length = 0;
                self.push_name(byte);
                Trailer::Name
            }
            (Trailer::Name, b':') => {
                let name = &self.name[..usize::from(self.name_length)];
                if FieldName::recognise(name).is_forbidden_in_trailers() {
                    return Err(BodyError::ForbiddenTrailer);
                }
                Trailer::Value
            }
            (Trailer::Name, _) if is_token_byte(byte) => {
                self.push_name(byte);
                Trailer::Name
            }
            (Trailer::LineFeed, b'\n') => Trailer::LineStart,
            (Trailer::LastLineFeed, b'\n') => return Ok(State::Done),
            (Trailer::LineFeed | Trailer::LastLineFeed, _) => return Err(BodyError::BareCarriageReturn),
            _ => return Err(BodyError::InvalidTrailer),
        };
        Ok(State::Trailer(next))
    }

    /// A name that is too long for the buffer fills it, and then is none that we know.
    fn push_name(&mut self, byte: u8) {
        if let Some(slot) = self.name.get_mut(usize::from(self.name_length)) {
            *slot = byte;
            self.name_length += 1;
        }
    }

    /// Goes to the end of a trailer's value, however much of it is there.
    fn skip_trailer_value(&mut self, bytes: &[u8]) -> Result<usize, BodyError> {
        let allowed = TRAILER_BYTES.saturating_sub(self.trailer_bytes) as usize;
        let visible = &bytes[..bytes.len().min(allowed)];
        let end = Some(value_run_end(visible, 0)).filter(|&end| end < visible.len());
        let length = end.map_or(bytes.len(), |end| end + 1);
        if let Err(error) = self.count_trailer(length) {
            return Err(self.fail(error));
        }
        if let Some(end) = end {
            self.state = match bytes[end] {
                b'\r' => State::Trailer(Trailer::LineFeed),
                b'\n' => return Err(self.fail(BodyError::BareLineFeed)),
                _ => return Err(self.fail(BodyError::InvalidTrailer)),
            };
        }
        Ok(length)
    }

    fn count_trailer(&mut self, length: usize) -> Result<(), BodyError> {
        let total = u64::from(self.trailer_bytes) + length as u64;
        if total > u64::from(TRAILER_BYTES) {
            return Err(BodyError::TrailersTooLarge);
        }
        self.trailer_bytes = total as u32;
        Ok(())
    }
}

fn after_extension(place: Extension, byte: u8) -> Result<State, BodyError> {
    use Extension::{
        AfterName, AfterQuoted, BeforeName, BeforeSemicolon, BeforeValue, Escaped, Name, Quoted, Value,
    };
    let next = match (place, byte) {
        (_, b'\n') => return Err(BodyError::BareLineFeed),
        (Name | Value | AfterQuoted, b'\r') => return Ok(State::SizeLineFeed),
        (BeforeSemicolon | Name | AfterName | Value | AfterQuoted, b';') => BeforeName,
        (Name | AfterName, b'=') => BeforeValue,
        (BeforeValue, b'"') => Quoted,
        (Quoted, b'"') => AfterQuoted,
        (Quoted, b'\\') => Escaped,
        (Quoted | Escaped, _) if !is_forbidden_in_value(byte) => Quoted,
        (BeforeName | Name, _) if is_token_byte(byte) => Name,
        (BeforeValue | Value, _) if is_token_byte(byte) => Value,
        (BeforeSemicolon | BeforeName | AfterName | BeforeValue, _) if is_blank(byte) => place,
        (Name, _) if is_blank(byte) => AfterName,
        (Value | AfterQuoted, _) if is_blank(byte) => BeforeSemicolon,
        _ => return Err(BodyError::InvalidChunkExtension),
    };
    Ok(State::Extension(next))
}

/// Writes the line that starts a chunk of `length` bytes; how much of `out` it fills.
///
/// A chunk of 0 bytes ends the body: never write one for an empty piece of payload.
pub fn chunk_header(length: usize, out: &mut [u8; 18]) -> usize {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digits = (length.max(1).ilog2() / 4 + 1) as usize;
    for (position, slot) in out.iter_mut().take(digits).enumerate() {
        *slot = DIGITS[length >> (4 * (digits - 1 - position)) & 15];
    }
    out[digits] = b'\r';
    out[digits + 1] = b'\n';
    digits + 2
}

#[cfg(test)]
mod tests;
