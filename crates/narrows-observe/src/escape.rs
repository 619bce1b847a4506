//! Texts from strangers, written so that they cannot be taken for anything else.

use narrows_plan::LogEscape;
use std::io::Write;

const DIGITS: &[u8; 16] = b"0123456789ABCDEF";

/// Appends a text in the given way; a line break never gets through.
pub(crate) fn write_escaped_as(escape: LogEscape, text: &[u8], out: &mut Vec<u8>) {
    match escape {
        LogEscape::Backslash | LogEscape::Template => write_escaped(text, out),
        LogEscape::Json => write_json_escaped(text, out),
        LogEscape::Hash => {
            write_with(text, |byte| matches!(byte, b'"' | b'#' | 0..0x20 | 0x7f..), b"#", out);
        }
        LogEscape::None => write_with(text, |byte| matches!(byte, b'\n' | b'\r'), b"\\x", out),
    }
}

/// Printable ASCII stays, everything else becomes `\xHH`: a client cannot forge a line or a quote.
pub(crate) fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    write_with(text, |byte| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x7f..), b"\\x", out);
}

fn write_with(text: &[u8], is_unwanted: impl Fn(u8) -> bool, prefix: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| is_unwanted(*byte)) {
        out.extend_from_slice(&rest[..end]);
        out.extend_from_slice(prefix);
        out.extend_from_slice(&[DIGITS[usize::from(rest[end] >> 4)], DIGITS[usize::from(rest[end] & 15)]]);
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
}

/// A JSON string of the text; bytes that are not UTF-8 become U+FFFD (RFC 8259 section 7).
pub(crate) fn write_json_escaped(text: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, 0x20..0x7f) && !matches!(byte, b'"' | b'\\');
    if text.iter().all(plain) {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            match character {
                '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                '\0'..' ' | '\u{7f}' => drop(write!(out, "\\u{:04x}", u32::from(character))),
                _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// A value of logfmt: as it is where it is plain, else in quotes with backslashes.
pub(crate) fn write_logfmt_value(text: &[u8], out: &mut Vec<u8>) {
    let plain = |byte: &u8| matches!(byte, 0x21..0x7f) && !matches!(byte, b'"' | b'\\' | b'=');
    if text.iter().all(plain) {
        return out.extend_from_slice(text);
    }
    out.push(b'"');
    write_json_escaped(text, out);
    out.push(b'"');
}
