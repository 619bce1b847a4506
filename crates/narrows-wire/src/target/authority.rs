//! Authorities: a host with an optional port.

use std::net::Ipv6Addr;

use crate::http1::bytes::run_end;

/// Host and port of an authority without user information; `None` when it is invalid.
///
/// The host is a non-empty name of letters, digits and `-._~`, or an IPv6 address in its brackets, which stay. An
/// empty port (`host:`) counts as none (RFC 3986 section 3.2.3).
pub fn split_host_port(authority: &[u8]) -> Option<(&str, Option<u16>)> {
    let host_end = if authority.first() == Some(&b'[') {
        let end = memchr::memchr(b']', authority)?;
        std::str::from_utf8(&authority[1..end]).ok()?.parse::<Ipv6Addr>().ok()?;
        end + 1
    } else {
        let end = run_end(authority, 0, is_name_byte);
        if end == 0 {
            return None;
        }
        end
    };
    let (host, port) = authority.split_at(host_end);
    let host = std::str::from_utf8(host).ok()?;
    match port {
        [] | [b':'] => Some((host, None)),
        [b':', digits @ ..] if digits.len() <= 5 => {
            let port = digits.iter().try_fold(0u32, |port, &digit| {
                digit.is_ascii_digit().then(|| port * 10 + u32::from(digit - b'0'))
            })?;
            Some((host, Some(u16::try_from(port).ok()?)))
        }
        _ => None,
    }
}

/// Whether [`split_host_port`] takes it.
pub fn is_valid_authority(authority: &[u8]) -> bool {
    split_host_port(authority).is_some()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}
