//! Which bytes may stand where, as one table lookup a byte.

const TOKEN: u8 = 1;
const TARGET: u8 = 2;

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

/// Whether any byte may not stand in a field value; without early exit, so that it compiles to vector code.
pub(crate) fn has_forbidden_in_value(value: &[u8]) -> bool {
    value.iter().fold(false, |seen, &byte| seen | is_forbidden_in_value(byte))
}

/// Where the run of bytes of one kind that starts at `from` ends.
pub(crate) fn run_end(bytes: &[u8], from: usize, kind: fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|&byte| !kind(byte)).unwrap_or(rest.len())
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
