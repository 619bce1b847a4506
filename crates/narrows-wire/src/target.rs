//! Request targets taken apart and normalised.
//!
//! # How a path is normalised for matching
//!
//! The rule, in this order; `decode` and `merge_slashes` are the listener's `path_matching`:
//!
//! 1. The path is what stands before the first `?`. It starts with `/`; an empty one (absolute form) is `/`.
//! 2. A `%` that is not followed by two hexadecimal digits is an error, and so is `%00`.
//! 3. With `decode`, each percent-encoded byte is decoded, except those whose decoding would change what the path
//!    means: `/` `\` `?` `#` `%` `;`, controls, and bytes that are not part of well-formed UTF-8. These stay encoded,
//!    with upper-case digits. So a decoded path is UTF-8, each `%` in it starts an encoding, and it is decoded once
//!    and never twice. Without `decode`, encodings stay as they were received.
//! 4. With `merge_slashes`, a run of `/` is one `/`.
//! 5. A `.` segment is removed, and a `..` segment with the one before it (RFC 3986 section 5.2.4), also when their
//!    dots are percent-encoded. A `..` above the root is an error. A path that ends in one of them ends in `/`.
//! 6. A backslash is a byte like any other, and so are path parameters: `/a/..;/b` keeps its three segments.

use std::{borrow::Cow, net::Ipv6Addr};

use thiserror::Error;

use crate::http1::bytes::run_end;

/// How paths are normalised; see the module for the whole rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PathRules {
    /// Decode percent-encodings.
    pub decode: bool,
    /// Make one slash of many.
    pub merge_slashes: bool,
}

impl Default for PathRules {
    /// Both on.
    fn default() -> Self {
        PathRules { decode: true, merge_slashes: true }
    }
}

/// Where [`normalize`] left the normal form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Normalized {
    /// The raw path is its own normal form; nothing was written.
    Unchanged,
    /// The normal form is in the buffer.
    Rewritten,
}

/// Why a path has no normal form; the request is answered with 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
pub enum TargetError {
    /// A `%` without two hexadecimal digits behind it (RFC 3986 section 2.1).
    #[error("an invalid percent-encoding in the path")]
    InvalidEncoding,
    /// An encoded NUL, which ends the path for C programs.
    #[error("an encoded NUL in the path")]
    Nul,
    /// `..` leads above the root (RFC 3986 section 5.2.4 would ignore it; others do not).
    #[error("the path leads above its root")]
    AboveRoot,
    /// The path does not start with `/`, or holds bytes that cannot stand in a request target.
    #[error("the path is malformed")]
    Malformed,
}

/// Brings a path into its normal form, in `out` where it differs from `raw_path`; `out` is cleared first.
pub fn normalize(raw_path: &[u8], rules: PathRules, out: &mut String) -> Result<Normalized, TargetError> {
    out.clear();
    if is_normal(raw_path, rules) {
        return Ok(Normalized::Unchanged);
    }
    if raw_path.is_empty() {
        out.push('/');
        return Ok(Normalized::Rewritten);
    }
    if raw_path[0] != b'/' || !raw_path.iter().all(u8::is_ascii_graphic) {
        return Err(TargetError::Malformed);
    }
    let mut rest = raw_path;
    while let [b'/', after @ ..] = rest {
        let end = memchr::memchr(b'/', after).unwrap_or(after.len());
        let segment = &after[..end];
        rest = &after[end..];
        let last = rest.is_empty();
        if segment.is_empty() && rules.merge_slashes {
            if last {
                out.push('/');
            }
            continue;
        }
        match dots(segment) {
            Some(1) => {}
            Some(_) => {
                let parent = out.rfind('/').ok_or(TargetError::AboveRoot)?;
                out.truncate(parent);
            }
            None => {
                out.push('/');
                push_segment(segment, rules.decode, out)?;
                continue;
            }
        }
        if last {
            out.push('/');
        }
    }
    Ok(Normalized::Rewritten)
}

/// Whether there is nothing to decode, merge or remove.
fn is_normal(path: &[u8], rules: PathRules) -> bool {
    if path.first() != Some(&b'/') {
        return false;
    }
    let mut previous = 0;
    path.iter().all(|&byte| {
        let plain = match byte {
            b'%' => false,
            b'/' => previous != b'/' || !rules.merge_slashes,
            b'.' => previous != b'/',
            _ => byte.is_ascii_graphic(),
        };
        previous = byte;
        plain
    })
}

/// How many dots a dot segment has, plain or encoded; `None` for any other segment.
fn dots(segment: &[u8]) -> Option<usize> {
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() {
        rest = match rest {
            [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
            _ => return None,
        };
        count += 1;
    }
    matches!(count, 1 | 2).then_some(count)
}

fn push_segment(segment: &[u8], decode: bool, out: &mut String) -> Result<(), TargetError> {
    let mut rest = segment;
    while let [byte, after @ ..] = rest {
        if *byte != b'%' {
            out.push(char::from(*byte));
            rest = after;
            continue;
        }
        let decoded = decode_one(rest).ok_or(TargetError::InvalidEncoding)?;
        if decoded == 0 {
            return Err(TargetError::Nul);
        }
        if !decode {
            out.extend(rest[..3].iter().map(|&byte| char::from(byte)));
            rest = &rest[3..];
        } else if let Some(character) = decode_character(rest) {
            out.push(character);
            rest = &rest[3 * character.len_utf8()..];
        } else {
            push_encoded(decoded, out);
            rest = &rest[3..];
        }
    }
    Ok(())
}

/// The character that starts with the encoding at the start of `bytes`, unless it has to stay encoded.
fn decode_character(bytes: &[u8]) -> Option<char> {
    let mut utf8 = [0; 4];
    utf8[0] = decode_one(bytes)?;
    let length = match utf8[0] {
        b'/' | b'\\' | b'?' | b'#' | b'%' | b';' => return None,
        byte if byte.is_ascii_control() => return None,
        ..0x80 => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    for (position, slot) in utf8.iter_mut().enumerate().take(length).skip(1) {
        *slot = decode_one(bytes.get(3 * position..)?)?;
    }
    std::str::from_utf8(&utf8[..length]).ok()?.chars().next()
}

/// The byte that the percent-encoding at the start of `bytes` stands for.
fn decode_one(bytes: &[u8]) -> Option<u8> {
    let [b'%', high, low, ..] = bytes else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    Some(digit(*high)? << 4 | digit(*low)?)
}

fn push_encoded(byte: u8, out: &mut String) {
    const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

/// Appends a normalised path to `out` in a form that may stand in a request target: spaces, non-ASCII bytes and the
/// other bytes that RFC 3986 does not allow in a path are percent-encoded; a `%` stays, it starts an encoding.
pub fn encode_path(path: &str, out: &mut Vec<u8>) {
    for &byte in path.as_bytes() {
        if byte.is_ascii_graphic()
            && !matches!(byte, b'"' | b'#' | b'<' | b'>' | b'?' | b'^' | b'`' | b'{'..=b'}')
        {
            out.push(byte);
        } else {
            const DIGITS: [u8; 16] = *b"0123456789ABCDEF";
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

/// Path and query, cut at the first `?`.
pub fn split_query(path_and_query: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', path_and_query) {
        Some(mark) => (&path_and_query[..mark], Some(&path_and_query[mark + 1..])),
        None => (path_and_query, None),
    }
}

/// The value of the first parameter of this name in `a=1&b=2`, as an HTML form encodes it: `+` is a space, `%XX` a
/// byte. An invalid encoding stays as it is; bytes that are not UTF-8 become U+FFFD. A name without `=` has the
/// empty value.
pub fn query_parameter<'a>(query: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    query.split(|&byte| byte == b'&').find_map(|pair| {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let value = pair.get(equals + 1..).unwrap_or_default();
        (!pair.is_empty() && decode_form(&pair[..equals]) == name).then(|| decode_form(value))
    })
}

fn decode_form(encoded: &[u8]) -> Cow<'_, str> {
    if memchr::memchr2(b'+', b'%', encoded).is_none() {
        return String::from_utf8_lossy(encoded);
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [byte, after @ ..] = rest {
        rest = after;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match decode_one(&encoded[encoded.len() - after.len() - 1..]) {
                Some(byte) => {
                    rest = &after[2..];
                    byte
                }
                None => b'%',
            },
            _ => *byte,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

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

#[cfg(test)]
mod tests;
