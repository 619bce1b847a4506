//! One JSON object a line.

use super::fields;
use crate::AccessRecord;
use crate::dates::Dates;
use crate::digits::{write_address, write_number};
use crate::escape::write_json_escaped;

pub(super) fn write(record: &AccessRecord<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"time\":\"");
    dates.write_rfc3339(record.ended, out);
    out.extend_from_slice(b"\",\"client\":\"");
    write_address(record.client, out);
    out.push(b'"');
    if record.peer != record.client {
        out.extend_from_slice(b",\"peer\":\"");
        write_address(record.peer, out);
        out.push(b'"');
    }
    if record.peer_port > 0 {
        write_name("port", out);
        write_number(record.peer_port.into(), out);
    }
    fields::each(record, |name, text| {
        write_name(name, out);
        out.push(b'"');
        write_json_escaped(text, out);
        out.push(b'"');
    });
    fields::each_number(record, |name, number| {
        write_name(name, out);
        write_number(number, out);
    });
    out.extend_from_slice(b",\"termination\":\"");
    out.extend_from_slice(&record.termination.letters());
    out.extend_from_slice(b"\"}");
}

fn write_name(name: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(b",\"");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\":");
}
