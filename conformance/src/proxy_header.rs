//! PROXY protocol headers as the tests see them: written and read independently of the proxy's own code.

use std::net::{IpAddr, SocketAddr};

use crate::connection::Connection;

/// What every header of version 2 begins with.
pub const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A header of version 2 from its parts.
pub fn binary(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = u16::try_from(content.len()).expect("a header has at most 64 KiB").to_be_bytes();
    [SIGNATURE, &[command, family], &length, content].concat()
}

/// A PROXY header of version 2 with these TLVs, without a checksum. `transport` is 1 for streams, 2 for datagrams.
pub fn proxy(transport: u8, source: &str, destination: &str, tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    let ends = [source, destination].map(|end| end.parse::<SocketAddr>().expect("an address"));
    let mut content = Vec::new();
    for end in ends {
        match end.ip() {
            IpAddr::V4(address) => content.extend(address.octets()),
            IpAddr::V6(address) => content.extend(address.octets()),
        }
    }
    ends.iter().for_each(|end| content.extend(end.port().to_be_bytes()));
    for (kind, value) in tlvs {
        content.push(*kind);
        content.extend((value.len() as u16).to_be_bytes());
        content.extend(*value);
    }
    binary(0x21, if ends[0].is_ipv4() { 0x10 } else { 0x20 } | transport, &content)
}

/// The same with a checksum at its end.
pub fn with_checksum(mut header: Vec<u8>) -> Vec<u8> {
    header.extend([3, 0, 4, 0, 0, 0, 0]);
    let length = (header.len() - 16) as u16;
    header[14..16].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c(&header);
    let place = header.len() - 4;
    header[place..].copy_from_slice(&checksum.to_be_bytes());
    header
}

/// A header of version 2 as a backend received it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Received {
    /// 0x20 for LOCAL, 0x21 for PROXY.
    pub command: u8,
    /// Family and transport, 0x11 for TCP over IPv4.
    pub family: u8,
    /// The client and the address that it connected to; `None` where no internet addresses are told.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// Type and value of each TLV but the checksum, which was verified.
    pub tlvs: Vec<(u8, Vec<u8>)>,
    /// Whether there was a checksum.
    pub checked: bool,
}

impl Received {
    /// Reads a header from a connection, and not one byte more.
    #[track_caller]
    pub fn from(connection: &mut Connection) -> Received {
        let mut bytes = connection.read_exactly(16);
        let length = u16::from_be_bytes([bytes[14], bytes[15]]);
        bytes.extend(connection.read_exactly(length.into()));
        Received::read(&bytes)
    }

    /// Reads a whole header.
    #[track_caller]
    pub fn read(bytes: &[u8]) -> Received {
        assert_eq!(&bytes[..12], SIGNATURE);
        let (command, family) = (bytes[12], bytes[13]);
        let port = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let address = |at: usize, length: usize| -> IpAddr {
            match length {
                4 => <[u8; 4]>::try_from(&bytes[at..at + 4]).expect("4 bytes").into(),
                _ => <[u8; 16]>::try_from(&bytes[at..at + 16]).expect("16 bytes").into(),
            }
        };
        let ends = |length: usize| {
            let ports = 16 + 2 * length;
            let source = SocketAddr::new(address(16, length), port(ports));
            (source, SocketAddr::new(address(16 + length, length), port(ports + 2)))
        };
        let (ends, mut at) = match family >> 4 {
            1 => (Some(ends(4)), 16 + 12),
            2 => (Some(ends(16)), 16 + 36),
            _ => (None, 16),
        };
        let mut received = Received { command, family, ends, tlvs: Vec::new(), checked: false };
        while at < bytes.len() {
            let kind = bytes[at];
            let value = &bytes[at + 3..at + 3 + usize::from(port(at + 1))];
            if kind == 3 {
                let mut zeroed = bytes.to_vec();
                zeroed[at + 3..at + 7].fill(0);
                assert_eq!(crc32c(&zeroed).to_be_bytes(), value, "the checksum of {bytes:?}");
                received.checked = true;
            } else {
                received.tlvs.push((kind, value.to_vec()));
            }
            at += 3 + value.len();
        }
        received
    }

    /// The first TLV of that type, as text.
    pub fn text(&self, kind: u8) -> Option<String> {
        let found = self.tlvs.iter().find(|(one, _)| *one == kind)?;
        Some(String::from_utf8_lossy(&found.1).into_owned())
    }
}

/// CRC32c, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |sum: u32| if sum & 1 == 1 { (sum >> 1) ^ 0x82F6_3B78 } else { sum >> 1 };
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| step(sum)))
}
