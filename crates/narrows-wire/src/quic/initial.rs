//! Initial packets of versions 1 (RFC 9000 section 17.2.2) and 2 (RFC 9369 section 3.2).

use super::{CONNECTION_ID_BYTES, Header, Reader};

/// Bytes of ciphertext that the mask of the header is made from (RFC 9001 section 5.4.2).
pub const SAMPLE_BYTES: usize = 16;

/// A version whose Initial packets are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// RFC 9000.
    V1,
    /// RFC 9369.
    V2,
}

/// What the type bits of a long header say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Initial,
    ZeroRtt,
    Handshake,
    Retry,
}

impl Version {
    /// The version of a number.
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            1 => Some(Version::V1),
            0x6b33_43cf => Some(Version::V2),
            _ => None,
        }
    }

    fn kind(self, first: u8) -> Kind {
        // Version 2 counts the types from another one (RFC 9369 section 3.2).
        let kinds = match self {
            Version::V1 => [Kind::Initial, Kind::ZeroRtt, Kind::Handshake, Kind::Retry],
            Version::V2 => [Kind::Retry, Kind::Initial, Kind::ZeroRtt, Kind::Handshake],
        };
        kinds[usize::from(first >> 4 & 3)]
    }
}

/// An Initial packet under its protection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitialPacket<'a> {
    /// Its version.
    pub version: Version,
    /// The destination's connection id; that of the client's first packet makes the keys.
    pub destination: &'a [u8],
    /// The token, from a Retry or an earlier connection.
    pub token: &'a [u8],
    packet: &'a [u8],
    number_at: usize,
}

/// A packet whose header is no longer masked; it lies in the memory that was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmasked {
    /// The packet number.
    pub number: u32,
    /// Where the header ends, which is authenticated, and the ciphertext begins.
    pub header_bytes: usize,
}

impl<'a> InitialPacket<'a> {
    /// The ciphertext that the mask is made from.
    pub fn sample(&self) -> Option<&'a [u8]> {
        // The number counts as four bytes long, whatever it is.
        self.packet.get(self.number_at + 4..self.number_at + 4 + SAMPLE_BYTES)
    }

    /// Copies the packet into `memory` and takes the mask off its header (RFC 9001 section 5.4.1). `None` when it is too
    /// short for its header.
    pub fn unmask(&self, mask: [u8; 5], memory: &mut Vec<u8>) -> Option<Unmasked> {
        memory.clear();
        memory.extend_from_slice(self.packet);
        let first = memory.first_mut()?;
        *first ^= mask[0] & 0x0f;
        let length = usize::from(*first & 3) + 1;
        let number = memory.get_mut(self.number_at..self.number_at + length)?;
        number.iter_mut().zip(&mask[1..]).for_each(|(byte, mask)| *byte ^= mask);
        let number = number.iter().fold(0, |number, byte| number << 8 | u32::from(*byte));
        Some(Unmasked { number, header_bytes: self.number_at + length })
    }
}

/// The Initial packets of a datagram, which may hold several packets (RFC 9000 section 12.2). Ends at the first packet
/// whose length is unknown or wrong.
pub fn initials(datagram: &[u8]) -> impl Iterator<Item = InitialPacket<'_>> {
    let mut rest = datagram;
    std::iter::from_fn(move || {
        loop {
            let (initial, length) = long_packet(rest)?;
            rest = &rest[length..];
            if initial.is_some() {
                return initial;
            }
        }
    })
}

/// A long packet with a length at the start of `bytes`: what it is and how many bytes it takes, at least one.
fn long_packet(bytes: &[u8]) -> Option<(Option<InitialPacket<'_>>, usize)> {
    let Header::Long(header) = Header::read(bytes)? else { return None };
    let version = Version::from_number(header.version)?;
    if header.destination.len() > CONNECTION_ID_BYTES || header.source.len() > CONNECTION_ID_BYTES {
        return None;
    }
    let kind = version.kind(header.first);
    let mut reader = Reader { rest: header.rest };
    let token = match kind {
        Kind::Initial => reader.vector()?,
        Kind::ZeroRtt | Kind::Handshake => &[],
        Kind::Retry => return None,
    };
    let length = usize::try_from(reader.number()?).ok()?;
    let number_at = bytes.len() - reader.rest.len();
    reader.take(length)?;
    let end = bytes.len() - reader.rest.len();
    let packet = &bytes[..end];
    let initial = InitialPacket { version, destination: header.destination, token, packet, number_at };
    Some(((kind == Kind::Initial).then_some(initial), end))
}
