//! The normal form of a path, after the rule that stands in [`crate::target`].

use thiserror::Error;

/// How paths are normalised; see [`crate::target`] for the whole rule.
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
pub(super) fn decode_one(bytes: &[u8]) -> Option<u8> {
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
