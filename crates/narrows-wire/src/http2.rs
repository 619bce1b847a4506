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
/// The most that it may have earned.
const EARNED: u32 = 1 << 20;
/// What it regains in a second.
const REGAINED: u32 = 200;
/// Bytes sent to it that give it one more: who takes answers, opens windows. The answer to a PING itself (17 bytes) does not pay for it.
const BYTES_PER_UNIT: usize = 32;
/// What a frame of an answer gives it besides, however small: two windows to open, and the PING with which gRPC's libraries find out
/// how far away we are.
const UNITS_PER_FRAME: u32 = 4;

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
    received: Walk,
    answered: Walk,
    units: u32,
    /// What it may spend for what it got: it may answer a burst of ours late.
    earned: u32,
    sent: usize,
    last_second: u64,
}

impl FrameMeter {
    /// Starts on the first byte from a client, whose preface comes first.
    pub fn after_preface() -> Self {
        FrameMeter {
            received: Walk { skip: PREFACE.len() as u32, ..Walk::default() },
            answered: Walk::default(),
            units: ALLOWANCE,
            earned: 0,
            sent: 0,
            last_second: 0,
        }
    }

    /// Notes bytes that went to the sender of the frames.
    pub fn note_sent(&mut self, mut bytes: &[u8]) {
        self.sent += bytes.len();
        while let Some((_, kind, _)) = self.answered.next(&mut bytes) {
            if kind <= 1 {
                self.earn(UNITS_PER_FRAME);
            }
        }
        let gained = self.sent / BYTES_PER_UNIT;
        self.sent %= BYTES_PER_UNIT;
        self.earn(u32::try_from(gained).unwrap_or(ALLOWANCE));
    }

    /// Goes over received bytes. `seconds` tells a clock that never goes back, and is asked only when the allowance is spent.
    ///
    /// # Errors
    /// The allowance is spent; the connection should end.
    pub fn scan(&mut self, mut bytes: &[u8], seconds: impl Fn() -> u64) -> Result<(), Flood> {
        while let Some((length, kind, flags)) = self.received.next(&mut bytes) {
            self.spend(length, kind, flags, &seconds)?;
        }
        Ok(())
    }

    fn spend(&mut self, length: u32, kind: u8, flags: u8, seconds: &impl Fn() -> u64) -> Result<(), Flood> {
        const END_STREAM: u8 = 1;
        let (cost, kind) = match kind {
            // DATA that carries nothing and ends nothing.
            0 if length == 0 && flags & END_STREAM == 0 => (4, "empty DATA"),
            0 | 1 => return Ok(()),
            2 => (1, "PRIORITY"),
            3 => (2, "RST_STREAM"),
            4 => (10, "SETTINGS"),
            6 => (2, "PING"),
            8 => (1, "WINDOW_UPDATE"),
            9 => (10, "CONTINUATION"),
            _ => (1, "unknown"),
        };
        if self.earned >= cost {
            self.earned -= cost;
            return Ok(());
        }
        if self.units < cost {
            let now = seconds();
            let passed = u32::try_from(now.saturating_sub(self.last_second)).unwrap_or(ALLOWANCE);
            self.last_second = now;
            self.gain(passed.saturating_mul(REGAINED));
        }
        self.units = self.units.checked_sub(cost).ok_or(Flood { kind })?;
        Ok(())
    }

    fn earn(&mut self, units: u32) {
        self.earned = self.earned.saturating_add(units).min(EARNED);
    }

    fn gain(&mut self, units: u32) {
        self.units = self.units.saturating_add(units).min(ALLOWANCE);
    }
}

/// Finds the headers of frames in bytes that come in pieces.
#[derive(Debug, Clone, Default)]
struct Walk {
    header: [u8; FRAME_HEADER],
    filled: usize,
    skip: u32,
}

impl Walk {
    /// Length, kind and flags of the next frame that begins in `bytes`, of which the rest stays; `None` when they are used up.
    fn next(&mut self, bytes: &mut &[u8]) -> Option<(u32, u8, u8)> {
        while !bytes.is_empty() {
            if self.skip > 0 {
                let step = bytes.len().min(self.skip as usize);
                self.skip -= step as u32;
                *bytes = &bytes[step..];
                continue;
            }
            let step = bytes.len().min(FRAME_HEADER - self.filled);
            self.header[self.filled..self.filled + step].copy_from_slice(&bytes[..step]);
            self.filled += step;
            *bytes = &bytes[step..];
            if self.filled == FRAME_HEADER {
                self.filled = 0;
                let [a, b, c, kind, flags, ..] = self.header;
                self.skip = u32::from_be_bytes([0, a, b, c]);
                return Some((self.skip, kind, flags));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests;
