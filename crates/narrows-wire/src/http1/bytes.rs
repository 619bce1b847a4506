//! Which bytes may stand where, as one table lookup a byte.

const TOKEN: u8 = 1;
const TARGET: u8 = 2;

/// 1 in each byte.
const ONES: u64 = u64::MAX / 255;

const CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let value = byte as u8;
        let token = value.is_ascii_alphanumeric()
            || matches!(
                value,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        if token {
            table[byte] |= TOKEN;
        }
        if value > b' ' && value < 0x7f && value != b'#' {
            table[byte] |= TARGET;
        }
        byte += 1;
    }
    table
}

/// `tchar` of RFC 9110 section 5.6.2.
pub(crate) fn is_token_byte(byte: u8) -> bool {
    CLASS[usize::from(byte)] & TOKEN != 0
}

/// Visible ASCII without `#`: what we let stand in a request target.
pub(crate) fn is_target_byte(byte: u8) -> bool {
    CLASS[usize::from(byte)] & TARGET != 0
}

/// A non-empty token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|&byte| is_token_byte(byte))
}

/// A byte that may not stand in a field value (RFC 9110 section 5.5): controls except HTAB, and DEL.
pub(crate) fn is_forbidden_in_value(byte: u8) -> bool {
    (byte < b' ' && byte != b'\t') || byte == 0x7f
}

/// Where the first byte stands, at or behind `from`, that may not stand in a field value; the length without one.
///
/// Such a byte ends a field line, by its CR or by its fault, so this is both the search for the end of the line and
/// the check of its bytes. Windows of 16 compile to vector code; together with the inlining that is 3 times faster
/// than a call of memchr and a check.
#[inline]
pub(crate) fn value_run_end(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let clean = rest.as_chunks::<16>().0.iter().take_while(|window| !has_forbidden(window)).count();
    let mut position = 16 * clean;
    for word in rest[position..].as_chunks::<8>().0 {
        let hits = forbidden_in_word(u64::from_le_bytes(*word));
        if hits != 0 {
            return from + position + hits.trailing_zeros() as usize / 8;
        }
        position += 8;
    }
    let tail = &rest[position..];
    from + position + tail.iter().position(|&byte| is_forbidden_in_value(byte)).unwrap_or(tail.len())
}

fn has_forbidden(window: &[u8; 16]) -> bool {
    window.iter().fold(false, |seen, &byte| seen | is_forbidden_in_value(byte))
}

/// The top bit of each byte in the word that may not stand in a field value.
fn forbidden_in_word(word: u64) -> u64 {
    const TOPS: u64 = ONES << 7;
    const LOWS: u64 = !TOPS;
    let zero_bytes = |word: u64| !(((word & LOWS) + LOWS) | word) & TOPS;
    let controls = !(((word & LOWS) + 0x60 * ONES) | word) & TOPS;
    (controls & !zero_bytes(word ^ (0x09 * ONES))) | zero_bytes(word ^ LOWS)
}

/// Where the run of bytes of one kind that starts at `from` ends.
///
/// Eight bytes are classified before the one branch that depends on them: runs end where no branch predictor
/// knows.
#[inline(always)]
pub(crate) fn run_end(bytes: &[u8], from: usize, kind: fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let (words, tail) = rest.as_chunks::<8>();
    let mut position = from;
    for word in words {
        let others = word.iter().rev().fold(0u32, |others, &byte| others << 1 | u32::from(!kind(byte)));
        if others != 0 {
            return position + others.trailing_zeros() as usize;
        }
        position += 8;
    }
    position + tail.iter().position(|&byte| !kind(byte)).unwrap_or(tail.len())
}

/// Whether `name` is `lower`, a name of lower-case letters, digits and hyphens, in any case.
#[inline]
pub(crate) fn is_named(name: &[u8], lower: &[u8]) -> bool {
    if name.len() != lower.len() {
        return false;
    }
    let (Some(last), Some(lower_last)) = (name.last_chunk::<8>(), lower.last_chunk::<8>()) else {
        return match (name.first_chunk(), name.last_chunk(), lower.first_chunk(), lower.last_chunk()) {
            (Some(first), Some(last), Some(lower_first), Some(lower_last)) => {
                let word = |first: &[u8; 4], last: &[u8; 4]| {
                    u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
                };
                difference(word(first, last), word(lower_first, lower_last)) == 0
            }
            _ => name.eq_ignore_ascii_case(lower),
        };
    };
    let words = name.as_chunks::<8>().0.iter().zip(lower.as_chunks::<8>().0);
    let differences = words.fold(0, |differences, (word, lower_word)| {
        differences | difference(u64::from_le_bytes(*word), u64::from_le_bytes(*lower_word))
    });
    differences | difference(u64::from_le_bytes(*last), u64::from_le_bytes(*lower_last)) == 0
}

/// 0 where eight bytes are the eight of `lower`, letters in any case.
fn difference(word: u64, lower: u64) -> u64 {
    // Setting bit 5 makes letters lower case, and 0x0d a hyphen: so neither bit 5 nor bit 6 is a difference too.
    let printable = (word | word << 1) & (0x40 * ONES);
    ((word | (0x20 * ONES)) ^ lower) | (printable ^ (0x40 * ONES))
}

pub(crate) fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

/// `bytes` without the optional whitespace (OWS, RFC 9110 section 5.6.3) around it.
pub(crate) fn trim_blanks(mut bytes: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = bytes
        && is_blank(*first)
    {
        bytes = rest;
    }
    while let [rest @ .., last] = bytes
        && is_blank(*last)
    {
        bytes = rest;
    }
    bytes
}

#[cfg(test)]
mod tests;
