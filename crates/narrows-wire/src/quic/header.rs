//! The part of a packet's header that no version changes (RFC 8999).

use super::Reader;
use std::fmt;

/// The longest connection id of versions 1 and 2 (RFC 9000 section 17.2), bytes.
pub const CONNECTION_ID_BYTES: usize = 20;

/// A connection id of at most [`CONNECTION_ID_BYTES`] bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ConnectionId {
    length: u8,
    bytes: [u8; CONNECTION_ID_BYTES],
}

impl ConnectionId {
    /// The id of these bytes; `None` when there are none or too many of them to tell connections apart.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() || bytes.len() > CONNECTION_ID_BYTES {
            return None;
        }
        let mut id = ConnectionId { length: bytes.len() as u8, bytes: [0; CONNECTION_ID_BYTES] };
        id.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(id)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

/// The header of a datagram's first packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Header<'a> {
    /// With both connection ids (RFC 8999 section 5.1): packets of a handshake.
    Long(LongHeader<'a>),
    /// With the destination's connection id, whose length only the destination knows (RFC 8999 section 5.2).
    Short(ShortHeader<'a>),
}

/// A long header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LongHeader<'a> {
    /// The first byte; all bits but the highest depend on the version.
    pub first: u8,
    /// The version; 0 is a version negotiation.
    pub version: u32,
    /// The id that the receiver chose, or in a client's first packets one that the client made up.
    pub destination: &'a [u8],
    /// The id that the sender chose for itself.
    pub source: &'a [u8],
    /// What follows, to the end of the datagram.
    pub rest: &'a [u8],
}

/// A short header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ShortHeader<'a> {
    after_first: &'a [u8],
}

impl<'a> Header<'a> {
    /// Reads the header; `None` when the datagram is too short to be QUIC.
    pub fn read(datagram: &'a [u8]) -> Option<Self> {
        let mut reader = Reader { rest: datagram };
        let first = reader.byte()?;
        if first & 0x80 == 0 {
            return Some(Header::Short(ShortHeader { after_first: reader.rest }));
        }
        let version = u32::from_be_bytes(reader.take(4)?.try_into().ok()?);
        let destination = reader.vector8()?;
        let source = reader.vector8()?;
        Some(Header::Long(LongHeader { first, version, destination, source, rest: reader.rest }))
    }
}

impl ShortHeader<'_> {
    /// The destination's id if it is `length` bytes long; `None` when the packet is too short for that.
    pub fn destination(&self, length: usize) -> Option<ConnectionId> {
        ConnectionId::new(self.after_first.get(..length)?)
    }
}
