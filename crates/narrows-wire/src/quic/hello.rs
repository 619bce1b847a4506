//! The client hello out of the frames of opened Initial packets.

use super::Reader;
use crate::client_hello::{Peek, peek_message};
use thiserror::Error;

/// How far into the stream bytes are kept: the longest client hello that is read, and its header.
const STREAM_BYTES: usize = 16 * 1024 + 4;

/// What is wrong with the inside of an Initial packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum InvalidInitial {
    /// A frame that is malformed or must not stand in an Initial packet (RFC 9000 section 12.4).
    #[error("a malformed frame in an Initial packet")]
    Frame,
    /// The same part of the stream was sent twice with different bytes: the server might see another name.
    #[error("the parts of the client hello contradict each other")]
    Contradiction,
    /// More than a client hello can be.
    #[error("the client hello is too long")]
    TooLong,
}

/// The beginning of the client's handshake stream, put together from CRYPTO frames in any order.
#[derive(Debug, Default)]
pub struct HelloStream {
    bytes: Vec<u8>,
    known: Vec<bool>,
    /// How many bytes from the start are there without a gap.
    ready: usize,
}

impl HelloStream {
    /// Takes the frames of an opened Initial packet.
    ///
    /// # Errors
    /// When no server could accept them.
    pub fn add(&mut self, frames: &[u8]) -> Result<(), InvalidInitial> {
        let mut reader = Reader { rest: frames };
        while let Some(kind) = reader.byte() {
            match kind {
                // PADDING, PING
                0 | 1 => Some(()),
                // ACK, with counts of congestion marks or without
                2 | 3 => skip_ack(&mut reader, kind == 3),
                6 => {
                    let offset = reader.number().ok_or(InvalidInitial::Frame)?;
                    let bytes = reader.vector().ok_or(InvalidInitial::Frame)?;
                    self.place(offset, bytes)?;
                    Some(())
                }
                // CONNECTION_CLOSE
                0x1c => skip_close(&mut reader),
                _ => None,
            }
            .ok_or(InvalidInitial::Frame)?;
        }
        while self.known.get(self.ready) == Some(&true) {
            self.ready += 1;
        }
        Ok(())
    }

    fn place(&mut self, offset: u64, bytes: &[u8]) -> Result<(), InvalidInitial> {
        let start = usize::try_from(offset).map_err(|_| InvalidInitial::TooLong)?;
        let end = start.checked_add(bytes.len()).filter(|end| *end <= STREAM_BYTES);
        let end = end.ok_or(InvalidInitial::TooLong)?;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
            self.known.resize(end, false);
        }
        let places = self.bytes[start..end].iter_mut().zip(&mut self.known[start..end]);
        for ((place, known), byte) in places.zip(bytes) {
            if std::mem::replace(known, true) && *place != *byte {
                return Err(InvalidInitial::Contradiction);
            }
            *place = *byte;
        }
        Ok(())
    }

    /// What the stream says so far.
    pub fn peek(&self) -> Peek {
        peek_message(&self.bytes[..self.ready])
    }
}

fn skip_ack(reader: &mut Reader<'_>, with_marks: bool) -> Option<()> {
    let (_largest, _delay) = (reader.number()?, reader.number()?);
    let ranges = reader.number()?;
    // Each range takes at least two bytes, so that a lie about their number ends with the packet.
    reader.number()?;
    for _ in 0..ranges {
        let (_gap, _length) = (reader.number()?, reader.number()?);
    }
    for _ in 0..if with_marks { 3 } else { 0 } {
        reader.number()?;
    }
    Some(())
}

fn skip_close(reader: &mut Reader<'_>) -> Option<()> {
    let (_error, _frame) = (reader.number()?, reader.number()?);
    reader.vector().map(drop)
}
