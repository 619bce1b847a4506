//! The keys of a client's Initial packets (RFC 9001 section 5.2, RFC 9369 section 3.3).

use aws_lc_rs::aead::quic::{AES_128, HeaderProtectionKey};
use aws_lc_rs::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use narrows_wire::quic::{InitialPacket, Version};

const SALT_V1: [u8; 20] = [
    0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc,
    0xbb, 0x7f, 0x0a,
];
const SALT_V2: [u8; 20] = [
    0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9,
    0xbd, 0x2e, 0xd9,
];

/// The key material, as both ends make it from the destination of the client's first packet.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Material {
    pub(crate) key: [u8; 16],
    pub(crate) iv: [u8; NONCE_LEN],
    pub(crate) header: [u8; 16],
}

impl Material {
    /// `None` only when the cryptographic library fails.
    pub(crate) fn of_client(version: Version, destination: &[u8]) -> Option<Self> {
        let (salt, labels) = match version {
            Version::V1 => (&SALT_V1, ["quic key", "quic iv", "quic hp"]),
            Version::V2 => (&SALT_V2, ["quicv2 key", "quicv2 iv", "quicv2 hp"]),
        };
        let initial = Salt::new(HKDF_SHA256, salt).extract(destination);
        let client = Prk::new_less_safe(HKDF_SHA256, &expand::<32>(&initial, "client in")?);
        let [key, iv, header] = labels;
        Some(Material {
            key: expand(&client, key)?,
            iv: expand(&client, iv)?,
            header: expand(&client, header)?,
        })
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label with an empty context (RFC 8446 section 7.1).
fn expand<const LENGTH: usize>(secret: &Prk, label: &str) -> Option<[u8; LENGTH]> {
    let mut out = [0; LENGTH];
    let lengths = [0, LENGTH as u8, label.len() as u8 + 6];
    let info = [&lengths[..], b"tls13 ", label.as_bytes(), &[0]];
    secret.expand(&info, Length(LENGTH)).and_then(|made| made.fill(&mut out)).ok()?;
    Some(out)
}

/// Opens the Initial packets of a client.
pub(crate) struct InitialKeys {
    key: LessSafeKey,
    iv: [u8; NONCE_LEN],
    header: HeaderProtectionKey,
}

impl InitialKeys {
    /// The keys that the destination of a client's first packet makes.
    pub(crate) fn of_client(version: Version, destination: &[u8]) -> Option<Self> {
        let material = Material::of_client(version, destination)?;
        Some(InitialKeys {
            key: LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &material.key).ok()?),
            iv: material.iv,
            header: HeaderProtectionKey::new(&AES_128, &material.header).ok()?,
        })
    }

    /// The frames inside of a packet, which is opened in `memory`; `None` when it is not sealed with these keys.
    pub(crate) fn open<'m>(&self, packet: &InitialPacket<'_>, memory: &'m mut Vec<u8>) -> Option<&'m [u8]> {
        let mask = self.header.new_mask(packet.sample()?).ok()?;
        let unmasked = packet.unmask(mask, memory)?;
        let mut nonce = self.iv;
        // The number is sent in as few bytes as its distance needs; a client's first packets have small numbers whole.
        let number = unmasked.number.to_be_bytes();
        nonce[NONCE_LEN - 4..].iter_mut().zip(number).for_each(|(byte, number)| *byte ^= number);
        let (header, sealed) = memory.split_at_mut_checked(unmasked.header_bytes)?;
        let nonce = Nonce::assume_unique_for_key(nonce);
        self.key.open_in_place(nonce, Aad::from(&*header), sealed).ok().map(|frames| &*frames)
    }
}

impl std::fmt::Debug for InitialKeys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("InitialKeys")
    }
}
