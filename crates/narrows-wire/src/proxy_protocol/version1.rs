//! Version 1: a line of text (section 2.1).

use super::{Addresses, Header, InvalidHeader, Step, Tlvs, Transport};
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// What every line begins with.
pub(super) const SIGNATURE: &[u8] = b"PROXY ";
/// The longest line, with its end.
const LONGEST: usize = 107;
/// The shortest line.
const SHORTEST: usize = b"PROXY UNKNOWN\r\n".len();

/// Reads a line. `bytes` begins as the signature does.
pub(super) fn read(bytes: &[u8]) -> Result<Step<'_>, InvalidHeader> {
    if bytes.len() < SIGNATURE.len() {
        return Ok(Step::Partial(bytes.len() + 1));
    }
    let Some(end) = memchr::memchr2(b'\r', b'\n', &bytes[..bytes.len().min(LONGEST)]) else {
        return match bytes.len() {
            LONGEST.. => Err(InvalidHeader::TooLong),
            length => Ok(Step::Partial(SHORTEST.max(length + 1))),
        };
    };
    match bytes[end..] {
        _ if end + 2 > LONGEST => return Err(InvalidHeader::TooLong),
        [b'\r', b'\n', ..] => {}
        [b'\r'] => return Ok(Step::Partial(end + 2)),
        _ => return Err(InvalidHeader::Line),
    }
    let addresses = read_addresses(&bytes[SIGNATURE.len()..end])?;
    Ok(Step::Header(Header { length: end + 2, addresses, tlvs: Tlvs::default() }))
}

fn read_addresses<'a>(line: &[u8]) -> Result<Addresses<'a>, InvalidHeader> {
    let line = std::str::from_utf8(line).map_err(|_| InvalidHeader::Line)?;
    let mut words = line.split(' ');
    let family = words.next();
    if family == Some("UNKNOWN") {
        // What follows is to be ignored.
        return Ok(Addresses::Unknown);
    }
    let mut word = || words.next().ok_or(InvalidHeader::Line);
    let (source, destination, source_port, destination_port) = (word()?, word()?, word()?, word()?);
    if words.next().is_some() {
        return Err(InvalidHeader::Line);
    }
    let address = |text: &str| -> Result<IpAddr, InvalidHeader> {
        match family {
            Some("TCP4") => text.parse::<Ipv4Addr>().map(IpAddr::V4).map_err(|_| InvalidHeader::Address),
            Some("TCP6") => text.parse::<Ipv6Addr>().map(IpAddr::V6).map_err(|_| InvalidHeader::Address),
            _ => Err(InvalidHeader::Line),
        }
    };
    let (source, destination) = (address(source)?, address(destination)?);
    Ok(Addresses::Internet {
        transport: Transport::Stream,
        source: SocketAddr::new(source, port(source_port)?),
        destination: SocketAddr::new(destination, port(destination_port)?),
    })
}

fn port(text: &str) -> Result<u16, InvalidHeader> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| plain).ok_or(InvalidHeader::Port)
}

/// Appends the line for a TCP connection; addresses that version 1 cannot say become `UNKNOWN`.
pub fn write_v1(addresses: &Addresses<'_>, out: &mut Vec<u8>) {
    let &Addresses::Internet { transport: Transport::Stream, source, destination } = addresses else {
        out.extend_from_slice(b"PROXY UNKNOWN\r\n");
        return;
    };
    let (source, destination) = super::version2::of_one_family(source, destination);
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (from, to) = (source.port(), destination.port());
    let _ = write!(out, "PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip());
}
