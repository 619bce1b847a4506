//! The PROXY protocol, versions 1 and 2 (HAProxy's `proxy-protocol.txt`): a header in front of everything else, in which a
//! proxy tells who its client is.
//!
//! Strict where two readers could see two clients: the signature, every length and every number must be right, and a
//! checksum that is there must fit. What a header says is believed by the caller's choice; here it is only read.

mod checksum;
mod tlv;
mod version1;
mod version2;

use std::net::SocketAddr;
use thiserror::Error;

pub use tlv::{Ssl, Tlvs, kind, write_ssl};
pub use version1::write_v1;
pub use version2::write_v2;

/// The longest header that is read or written. The protocol allows 64 KiB in version 2; what real senders say, client
/// certificates included, takes a fraction of this.
pub const LONGEST: usize = 16 * 1024;
/// The longest header without TLVs: that of two Unix sockets. What readers should begin with.
pub const USUAL: usize = 16 + 216;

/// More bytes than this are needed only where a signature was seen: less may still become another protocol.
pub const SIGNATURE: usize = version2::SIGNATURE.len();

/// What the first bytes of a connection or a datagram are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek<'a> {
    /// A header so far. Nothing can be said before there are `needed` bytes, and a header is at least that long: a
    /// reader may wait for that many, however the bytes are cut into segments.
    Partial {
        /// Bytes from the beginning, more than there are.
        needed: usize,
    },
    /// No header: whatever else is spoken.
    Absent,
    /// A whole header.
    Header(Header<'a>),
    /// The signature of a header, but no header that can be understood.
    Invalid(InvalidHeader),
}

/// A header that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its length: what follows belongs to the client.
    pub length: usize,
    /// Who speaks to whom.
    pub addresses: Addresses<'a>,
    /// What else was said.
    pub tlvs: Tlvs<'a>,
}

/// Who speaks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Addresses<'a> {
    /// Nobody is told: the sender speaks for itself (`LOCAL`, a health check for instance) or does not know (`UNKNOWN`).
    Unknown,
    /// IPv4 or IPv6, both ends of the same kind.
    Internet {
        /// What carries the bytes.
        transport: Transport,
        /// The client.
        source: SocketAddr,
        /// The address that the client spoke to.
        destination: SocketAddr,
    },
    /// Unix sockets, by path without the zeros that fill it.
    Unix {
        /// What carries the bytes.
        transport: Transport,
        /// The client.
        source: &'a [u8],
        /// The socket that the client spoke to.
        destination: &'a [u8],
    },
}

/// What carries the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP or a Unix stream socket.
    Stream,
    /// UDP or a Unix datagram socket.
    Datagram,
}

/// What is wrong with a header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum InvalidHeader {
    /// Version 1: longer than 107 bytes. Version 2: longer than [`LONGEST`].
    #[error("the header is too long")]
    TooLong,
    /// Version 1: the line does not have the form that the protocol asks for.
    #[error("the line is malformed")]
    Line,
    /// Version 1: an address is malformed or of another family than the line says.
    #[error("an address is malformed")]
    Address,
    /// Version 1: a port is no number from 0 to 65535, or begins with a zero.
    #[error("a port is malformed")]
    Port,
    /// Version 2: another version behind the signature of version 2. In front of a datagram: version 1, which has none for them.
    #[error("the version is unknown")]
    Version,
    /// Version 2: neither LOCAL nor PROXY.
    #[error("the command is unknown")]
    Command,
    /// Version 2: a family or transport that does not exist.
    #[error("the address family or the transport is unknown")]
    Family,
    /// Version 2: shorter than the addresses of its family.
    #[error("the header is too short for its addresses")]
    TooShort,
    /// Version 2: the lengths of the TLVs do not add up, or one has a length that its type cannot have.
    #[error("the TLVs are malformed")]
    Tlv,
    /// Version 2: the checksum is repeated or wrong.
    #[error("the checksum is wrong")]
    Checksum,
}

impl Addresses<'_> {
    /// What carries the bytes; `None` where nobody is told.
    pub fn transport(&self) -> Option<Transport> {
        match self {
            Addresses::Unknown => None,
            Addresses::Internet { transport, .. } | Addresses::Unix { transport, .. } => Some(*transport),
        }
    }
}

/// Looks for a header at the start of `bytes`, the first bytes of a connection or a whole datagram.
///
/// `bytes` never needs to be longer than [`LONGEST`] to get another answer than `Partial`.
pub fn peek(bytes: &[u8]) -> Peek<'_> {
    let begins_as = |signature: &[u8]| {
        let length = signature.len().min(bytes.len());
        bytes[..length] == signature[..length]
    };
    let read = if begins_as(version2::SIGNATURE) {
        version2::read(bytes)
    } else if begins_as(version1::SIGNATURE) {
        version1::read(bytes)
    } else {
        return Peek::Absent;
    };
    match read {
        Ok(Step::Header(header)) => Peek::Header(header),
        Ok(Step::Partial(needed)) => Peek::Partial { needed },
        Err(error) => Peek::Invalid(error),
    }
}

/// Reads the header in front of a datagram, of which `bytes` is the whole; `None` where there is none.
///
/// # Errors
/// What begins as a header and is none for a datagram: version 1, a header for a stream, one that is not whole.
pub fn read_datagram(bytes: &[u8]) -> Result<Option<Header<'_>>, InvalidHeader> {
    if bytes.starts_with(version1::SIGNATURE) {
        return Err(InvalidHeader::Version);
    }
    if !bytes.starts_with(version2::SIGNATURE) {
        return Ok(None);
    }
    match version2::read(bytes)? {
        Step::Header(header) if header.addresses.transport() == Some(Transport::Stream) => {
            Err(InvalidHeader::Family)
        }
        Step::Header(header) => Ok(Some(header)),
        // The rest of a datagram never comes.
        Step::Partial(_) => Err(InvalidHeader::TooShort),
    }
}

/// How far a reader of one version came.
enum Step<'a> {
    Partial(usize),
    Header(Header<'a>),
}

#[cfg(test)]
mod tests;
