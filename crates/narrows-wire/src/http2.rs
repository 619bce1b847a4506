//! How much trouble the frames of an HTTP/2 connection make (RFC 9113 section 10.5).
//!
//! Frames that carry no message cost the receiver work and the sender nothing. [`FrameMeter`] follows the headers of
//! the frames as they arrive and tells when a sender has spent its allowance of them.

use thiserror::Error;

/// The connection preface of a client (RFC 9113 section 3.4).
pub const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const FRAME_HEADER: usize = 9;
/// What a sender may spend at once; a reset costs 2.
const ALLOWANCE: u32 = 1000;
/// What it regains in a second.
const REGAINED: u32 = 200;
/// Bytes sent to it that give it one more: who takes answers, opens windows and measures the way (a PING for each answer). The
/// answer to a PING itself (17 bytes) does not pay for it.
const BYTES_PER_UNIT: usize = 32;

/// The sender floods us with frames of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[error("too many {kind} frames")]
pub struct Flood {
    /// The kind of the frame that was too much.
    pub kind: &'static str,
}

/// Follows the frames of one direction of a connection. However the bytes are cut makes no difference.
#[derive(Debug, Clone)]
pub struct FrameMeter {
    header: [u8; FRAME_HEADER],
    filled: usize,
    skip: u32,
    units: u32,
    sent: usize,
    last_second: u64,
}

impl FrameMeter {
    /// Starts on the first byte from a client, whose preface comes first.
    pub fn after_preface() -> Self {
        FrameMeter {
            header: [0; FRAME_HEADER],
            filled: 0,
            skip: PREFACE.len() as u32,
            units: ALLOWANCE,
            sent: 0,
            last_second: 0,
        }
    }

    /// Notes bytes that went to the sender of the frames.
    pub fn note_sent(&mut self, bytes: usize) {
        self.sent += bytes;
        let gained = self.sent / BYTES_PER_UNIT;
        self.sent %= BYTES_PER_UNIT;
        self.gain(u32::try_from(gained).unwrap_or(ALLOWANCE));
    }

    /// Goes over received bytes. `seconds` tells a clock that never goes back, and is asked only when the allowance is spent.
    ///
    /// # Errors
    /// The allowance is spent; the connection should end.
    pub fn scan(&mut self, mut bytes: &[u8], seconds: impl Fn() -> u64) -> Result<(), Flood> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let step = bytes.len().min(self.skip as usize);
                self.skip -= step as u32;
                bytes = &bytes[step..];
                continue;
            }
            let step = bytes.len().min(FRAME_HEADER - self.filled);
            self.header[self.filled..self.filled + step].copy_from_slice(&bytes[..step]);
            self.filled += step;
            bytes = &bytes[step..];
            if self.filled == FRAME_HEADER {
                self.filled = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                self.skip = u32::from_be_bytes([0, a, b, c]);
                self.spend(kind, flags, &seconds)?;
            }
        }
        Ok(())
    }

    fn spend(&mut self, kind: u8, flags: u8, seconds: &impl Fn() -> u64) -> Result<(), Flood> {
        const END_STREAM: u8 = 1;
        let (cost, kind) = match kind {
            // DATA that carries nothing and ends nothing.
            0 if self.skip == 0 && flags & END_STREAM == 0 => (4, "empty DATA"),
            0 | 1 => return Ok(()),
            2 => (1, "PRIORITY"),
            3 => (2, "RST_STREAM"),
            4 => (10, "SETTINGS"),
            6 => (2, "PING"),
            8 => (1, "WINDOW_UPDATE"),
            9 => (10, "CONTINUATION"),
            _ => (1, "unknown"),
        };
        if self.units < cost {
            let now = seconds();
            let passed = u32::try_from(now.saturating_sub(self.last_second)).unwrap_or(ALLOWANCE);
            self.last_second = now;
            self.gain(passed.saturating_mul(REGAINED));
        }
        self.units = self.units.checked_sub(cost).ok_or(Flood { kind })?;
        Ok(())
    }

    fn gain(&mut self, units: u32) {
        self.units = self.units.saturating_add(units).min(ALLOWANCE);
    }
}

#[cfg(test)]
mod tests;
