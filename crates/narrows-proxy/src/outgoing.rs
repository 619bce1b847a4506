//! Heads as they are sent: the received lines where they were received, less what ends here, plus what we add.

mod certificate;
mod request;
mod response;

pub(crate) use request::{is_upgrade, write_request_head};
pub(crate) use response::{ResponseHeadOptions, write_hsts, write_response_head};

use crate::request::{Request, Response};
use narrows_plan::{Facts, HeaderEdit, Route, Template};
use narrows_wire::http1::Field;

/// Copies the field lines that `keep` wants, whole runs of them at once, in their order and spelling.
fn copy_fields(
    bytes: &[u8],
    fields: &[Field],
    fields_start: u32,
    out: &mut Vec<u8>,
    mut keep: impl FnMut(&Field) -> bool,
) {
    let mut run_start = fields_start as usize;
    let mut run_end = run_start;
    for field in fields {
        let line_start = field.name.start as usize;
        if !keep(field) {
            out.extend_from_slice(&bytes[run_start..line_start]);
            run_start = field.line_end as usize;
        }
        run_end = field.line_end as usize;
    }
    out.extend_from_slice(&bytes[run_start.min(run_end)..run_end]);
}

/// Whether an edit replaces or removes a received field.
fn is_edited_away(field: &Field, bytes: &[u8], edits: &[HeaderEdit]) -> bool {
    edits.iter().any(|edit| match edit {
        HeaderEdit::Set(name, _) | HeaderEdit::Remove(name) => {
            field.name.of(bytes).eq_ignore_ascii_case(name.as_bytes())
        }
        HeaderEdit::Add(..) => false,
    })
}

/// Writes the fields that edits set and add, in their order; a later set or removal undoes an earlier one.
fn write_edits<F: Facts>(edits: &[HeaderEdit], facts: &F, out: &mut Vec<u8>) {
    for (number, edit) in edits.iter().enumerate() {
        let (HeaderEdit::Set(name, value) | HeaderEdit::Add(name, value)) = edit else { continue };
        let undone = edits[number + 1..]
            .iter()
            .any(|later| !matches!(later, HeaderEdit::Add(..)) && later.name().eq_ignore_ascii_case(name));
        if !undone {
            write_template_field(name, value, facts, out);
        }
    }
}

fn write_template_field<F: Facts>(name: &str, value: &Template, facts: &F, out: &mut Vec<u8>) {
    match value.as_literal() {
        Some(text) => write_field(name, text.as_bytes(), out),
        None => {
            let mut text = String::new();
            value.render(facts, &mut text);
            write_field(name, text.as_bytes(), out);
        }
    }
}

/// Writes `name: value`. Control bytes are percent-encoded, so that no value can end its line.
pub(crate) fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    write_value(value, out);
    out.extend_from_slice(b"\r\n");
}

/// Writes a value with its control bytes percent-encoded.
pub(crate) fn write_value(value: &[u8], out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in value {
        if (byte < 0x20 && byte != b'\t') || byte == 0x7f {
            out.extend([b'%', DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        } else {
            out.push(byte);
        }
    }
}

/// Writes the fields that a route sets and adds on an answer of the proxy's own.
pub(crate) fn write_own_edits(route: &Route, request: &Request<'_>, status: u16, out: &mut Vec<u8>) {
    if !route.response_edits.is_empty() {
        let response = Response { status, bytes: &[], head: None };
        write_edits(&route.response_edits, &request.facts(Some(response)), out);
    }
}
