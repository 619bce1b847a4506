//! What a QUIC datagram shows to everybody, and the client hello inside of opened Initial packets.
//!
//! [`Header`] reads only what holds for every version (RFC 8999): connection ids. [`initials`] walks over the Initial packets of
//! versions 1 and 2 (RFC 9000, RFC 9369); whoever has their keys takes the protection off with [`InitialPacket::unmask`], and
//! [`HelloStream`] puts the client hello together from the frames inside.

mod header;
mod hello;
mod initial;

pub use header::{CONNECTION_ID_BYTES, ConnectionId, Header, LongHeader, ShortHeader};
pub use hello::{HelloStream, InvalidInitial};
pub use initial::{InitialPacket, SAMPLE_BYTES, Unmasked, Version, initials};

/// Takes QUIC's fields apart.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    /// A variable-length integer (RFC 9000 section 16).
    fn number(&mut self) -> Option<u64> {
        let first = self.byte()?;
        let more = self.take((1 << (first >> 6)) - 1)?;
        Some(more.iter().fold(u64::from(first & 0x3f), |number, byte| number << 8 | u64::from(*byte)))
    }

    /// Bytes behind their length in one byte.
    fn vector8(&mut self) -> Option<&'a [u8]> {
        let length = self.byte()?;
        self.take(usize::from(length))
    }

    /// Bytes behind their length as a variable-length integer.
    fn vector(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.take(usize::try_from(length).ok()?)
    }
}

#[cfg(test)]
mod tests;
