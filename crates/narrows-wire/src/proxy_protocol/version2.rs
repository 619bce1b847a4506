//! Version 2: binary, with TLVs (section 2.2).

use super::checksum::crc32c;
use super::tlv::{self, Tlvs, kind};
use super::{Addresses, Header, InvalidHeader, LONGEST, Step, Transport};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every header begins with: nothing that another protocol begins with.
pub(super) const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family and transport, length.
const FIXED: usize = 16;
/// A checksum as a TLV.
const CHECKSUM_BYTES: usize = 3 + 4;

/// Reads a header. `bytes` begins as the signature does.
pub(super) fn read(bytes: &[u8]) -> Result<Step<'_>, InvalidHeader> {
    if bytes.len() < SIGNATURE.len() {
        return Ok(Step::Partial(bytes.len() + 1));
    }
    if bytes.get(12).is_some_and(|byte| byte >> 4 != 2) {
        return Err(InvalidHeader::Version);
    }
    let [_, _, _, _, _, _, _, _, _, _, _, _, command, family, high, low, ..] = *bytes else {
        return Ok(Step::Partial(FIXED));
    };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    if length > LONGEST {
        return Err(InvalidHeader::TooLong);
    }
    let Some(content) = bytes.get(FIXED..length) else { return Ok(Step::Partial(length)) };
    match command & 0xF {
        // The sender speaks for itself: the rest, whatever it is, is to be discarded.
        0 => Ok(Step::Header(Header { length, addresses: Addresses::Unknown, tlvs: Tlvs::default() })),
        1 => {
            let (addresses, tlvs) = read_addresses(family, content)?;
            let tlvs = match (addresses, Tlvs::new(tlvs)) {
                // What an unspecified family puts in front of its TLVs, nobody knows.
                (Addresses::Unknown, Err(_)) => Tlvs::default(),
                (_, tlvs) => tlvs?,
            };
            verify(&bytes[..length], tlvs)?;
            Ok(Step::Header(Header { length, addresses, tlvs }))
        }
        _ => Err(InvalidHeader::Command),
    }
}

/// The addresses at the beginning of `content`, and what follows them.
fn read_addresses(family: u8, content: &[u8]) -> Result<(Addresses<'_>, &[u8]), InvalidHeader> {
    let transport = match family & 0xF {
        1 => Transport::Stream,
        2 => Transport::Datagram,
        // An unspecified family has no addresses and no transport.
        0 if family == 0 => return Ok((Addresses::Unknown, content)),
        _ => return Err(InvalidHeader::Family),
    };
    let mut rest = content;
    let mut take = |length| {
        let (taken, after) = rest.split_at_checked(length).ok_or(InvalidHeader::TooShort)?;
        rest = after;
        Ok(taken)
    };
    let port = |bytes: &[u8]| u16::from_be_bytes([bytes[0], bytes[1]]);
    let addresses = match family >> 4 {
        1 => {
            let address = |bytes: &[u8]| IpAddr::V4(Ipv4Addr::new(bytes[0], bytes[1], bytes[2], bytes[3]));
            let (source, destination) = (address(take(4)?), address(take(4)?));
            internet(transport, source, destination, port(take(2)?), port(take(2)?))
        }
        2 => {
            let address = |bytes: &[u8]| {
                let octets = <[u8; 16]>::try_from(bytes).unwrap_or_default();
                IpAddr::V6(Ipv6Addr::from(octets))
            };
            let (source, destination) = (address(take(16)?), address(take(16)?));
            internet(transport, source, destination, port(take(2)?), port(take(2)?))
        }
        3 => {
            let (source, destination) = (path(take(UNIX_BYTES)?), path(take(UNIX_BYTES)?));
            Addresses::Unix { transport, source, destination }
        }
        _ => return Err(InvalidHeader::Family),
    };
    Ok((addresses, rest))
}

/// Bytes of a Unix address.
const UNIX_BYTES: usize = 108;

fn internet(
    transport: Transport,
    source: IpAddr,
    destination: IpAddr,
    source_port: u16,
    destination_port: u16,
) -> Addresses<'static> {
    Addresses::Internet {
        transport,
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    }
}

/// A path without the zeros that fill it; an abstract address begins with one.
fn path(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    &bytes[..end]
}

/// Verifies the checksum of a whole header, where it has one.
fn verify(header: &[u8], tlvs: Tlvs<'_>) -> Result<(), InvalidHeader> {
    let mut at = header.len() - tlvs.as_bytes().len();
    let mut place = None;
    for (kind, value) in tlvs.iter() {
        at += 3;
        if kind == kind::CRC32C && place.replace(at).is_some() {
            return Err(InvalidHeader::Checksum);
        }
        at += value.len();
    }
    let Some(place) = place else { return Ok(()) };
    let (before, rest) = header.split_at(place);
    let (written, after) = rest.split_first_chunk::<4>().ok_or(InvalidHeader::Tlv)?;
    // It is computed with zeros in its own place.
    if crc32c(&[before, &[0; 4], after]) == u32::from_be_bytes(*written) {
        Ok(())
    } else {
        Err(InvalidHeader::Checksum)
    }
}

/// Appends a header with its checksum. [`Addresses::Unknown`] is written as LOCAL, which has no TLVs. A TLV that does not
/// fit into [`LONGEST`] is left out, and so is a checksum of the caller's.
pub fn write_v2(addresses: &Addresses<'_>, tlvs: &[(u8, &[u8])], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(SIGNATURE);
    let transport = match addresses.transport() {
        None => {
            out.extend_from_slice(&[0x20, 0, 0, 0]);
            return;
        }
        Some(Transport::Stream) => 1,
        Some(Transport::Datagram) => 2,
    };
    out.push(0x21);
    let family = out.len();
    out.extend_from_slice(&[0, 0, 0]);
    out[family] = transport | write_addresses(addresses, out) << 4;
    for (kind, value) in tlvs.iter().filter(|(kind, _)| *kind != kind::CRC32C) {
        if out.len() - start + 3 + value.len() + CHECKSUM_BYTES <= LONGEST {
            tlv::write(*kind, value, out);
        }
    }
    tlv::write(kind::CRC32C, &[0; 4], out);
    let length = u16::try_from(out.len() - start - FIXED).unwrap_or(u16::MAX);
    out[start + 14..start + FIXED].copy_from_slice(&length.to_be_bytes());
    let checksum = crc32c(&[&out[start..]]);
    let place = out.len() - 4;
    out[place..].copy_from_slice(&checksum.to_be_bytes());
}

/// Appends the addresses; says their family.
fn write_addresses(addresses: &Addresses<'_>, out: &mut Vec<u8>) -> u8 {
    match *addresses {
        Addresses::Unknown => 0,
        Addresses::Internet { source, destination, .. } => {
            let (source, destination) = of_one_family(source, destination);
            for end in [source, destination] {
                match end.ip() {
                    IpAddr::V4(address) => out.extend_from_slice(&address.octets()),
                    IpAddr::V6(address) => out.extend_from_slice(&address.octets()),
                }
            }
            out.extend_from_slice(&source.port().to_be_bytes());
            out.extend_from_slice(&destination.port().to_be_bytes());
            if source.is_ipv4() { 1 } else { 2 }
        }
        Addresses::Unix { source, destination, .. } => {
            for path in [source, destination] {
                let end = out.len() + UNIX_BYTES;
                out.extend_from_slice(&path[..path.len().min(UNIX_BYTES)]);
                out.resize(end, 0);
            }
            3
        }
    }
}

/// Both addresses as IPv4, or both as IPv6: a header has one family.
pub(super) fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let mapped = |end: SocketAddr| match end.ip() {
        IpAddr::V4(address) => SocketAddr::new(address.to_ipv6_mapped().into(), end.port()),
        IpAddr::V6(_) => end,
    };
    (mapped(source), mapped(destination))
}
