//! The type-length-value vectors of version 2 (section 2.2).

use super::InvalidHeader;

/// The types that the protocol names. 0xE0 to 0xEF are for anybody's own use.
pub mod kind {
    /// The application protocol, as in ALPN.
    pub const ALPN: u8 = 0x01;
    /// The host that the client asked for, the TLS server name for instance.
    pub const AUTHORITY: u8 = 0x02;
    /// CRC32c over the whole header.
    pub const CRC32C: u8 = 0x03;
    /// Filling, to be ignored.
    pub const NOOP: u8 = 0x04;
    /// The connection's identity, up to 128 bytes.
    pub const UNIQUE_ID: u8 = 0x05;
    /// What is known of the client's TLS; holds TLVs of its own.
    pub const SSL: u8 = 0x20;
    /// In [`SSL`]: the TLS version.
    pub const SSL_VERSION: u8 = 0x21;
    /// In [`SSL`]: the common name in the client's certificate.
    pub const SSL_COMMON_NAME: u8 = 0x22;
    /// In [`SSL`]: the cipher.
    pub const SSL_CIPHER: u8 = 0x23;
    /// In [`SSL`]: the algorithm that signed the certificate.
    pub const SSL_SIGNATURE_ALGORITHM: u8 = 0x24;
    /// In [`SSL`]: the algorithm of the certificate's key.
    pub const SSL_KEY_ALGORITHM: u8 = 0x25;
    /// The name of the network namespace.
    pub const NETNS: u8 = 0x30;
}

/// The longest identity of a connection (section 2.2.5).
const UNIQUE_ID_BYTES: usize = 128;
/// Client flags and verification result, in front of the TLVs in [`kind::SSL`].
const SSL_BYTES: usize = 5;

/// TLVs whose lengths were checked, in the order of the header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tlvs<'a>(&'a [u8]);

impl<'a> Tlvs<'a> {
    /// Takes TLVs that stand one behind the other, and checks them.
    ///
    /// # Errors
    /// [`InvalidHeader::Tlv`] when the lengths do not add up or one has a length that its type cannot have.
    pub fn new(bytes: &'a [u8]) -> Result<Self, InvalidHeader> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let (kind, value, after) = split(rest).ok_or(InvalidHeader::Tlv)?;
            let fits = match kind {
                kind::CRC32C => value.len() == 4,
                kind::UNIQUE_ID => value.len() <= UNIQUE_ID_BYTES,
                kind::SSL => value.get(SSL_BYTES..).is_some_and(|inner| Tlvs::new_inner(inner).is_some()),
                _ => true,
            };
            if !fits {
                return Err(InvalidHeader::Tlv);
            }
            rest = after;
        }
        Ok(Tlvs(bytes))
    }

    /// TLVs inside one, of which only the lengths mean something.
    fn new_inner(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            (_, _, rest) = split(rest)?;
        }
        Some(Tlvs(bytes))
    }

    /// The bytes as they stood in the header.
    pub fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Type and value of each, in order.
    pub fn iter(self) -> impl Iterator<Item = (u8, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let (kind, value, after) = split(rest)?;
            rest = after;
            Some((kind, value))
        })
    }

    /// The value of the first of this type. The types that stand inside [`kind::SSL`] are found there.
    pub fn get(self, wanted: u8) -> Option<&'a [u8]> {
        let first = |tlvs: Tlvs<'a>| tlvs.iter().find(|(kind, _)| *kind == wanted).map(|(_, value)| value);
        match wanted {
            0x21..=0x2F => first(self).or_else(|| first(self.ssl()?.tlvs)),
            _ => first(self),
        }
    }

    /// What is known of the client's TLS.
    pub fn ssl(self) -> Option<Ssl<'a>> {
        let value = self.get(kind::SSL)?;
        let (&[client, a, b, c, d], inner) = value.split_first_chunk::<SSL_BYTES>()?;
        Some(Ssl { client, verify: u32::from_be_bytes([a, b, c, d]), tlvs: Tlvs(inner) })
    }
}

/// What is known of the client's TLS (section 2.2.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ssl<'a> {
    /// Bits: 1 the client came over TLS, 2 it gave a certificate on this connection, 4 at least once in the session.
    pub client: u8,
    /// 0 when the certificate was there and verified.
    pub verify: u32,
    /// Version, common name, cipher and so on.
    pub tlvs: Tlvs<'a>,
}

/// Appends the value of [`kind::SSL`].
pub fn write_ssl(client: u8, verify: u32, tlvs: &[(u8, &[u8])], out: &mut Vec<u8>) {
    out.push(client);
    out.extend_from_slice(&verify.to_be_bytes());
    tlvs.iter().for_each(|(kind, value)| write(*kind, value, out));
}

/// Appends a TLV; a value that is longer than a length can say is left out.
pub(super) fn write(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    if let Ok(length) = u16::try_from(value.len()) {
        out.push(kind);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(value);
    }
}

/// Type and value of the first TLV, and what follows it.
fn split(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk()?;
    let (value, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    Some((kind, value, after))
}
