//! The combined format that existing tools read, then `key=value` pairs.

use super::or_dash;
use crate::AccessRecord;
use crate::access_record::Datagrams;
use crate::dates::Dates;
use crate::digits::{write_address, write_number};
use crate::escape::write_escaped;
use crate::formats::fields::micros;

pub(super) fn write(record: &AccessRecord<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
    write_address(record.client, out);
    out.extend_from_slice(b" - - [");
    dates.write_common(record.ended, out);
    out.extend_from_slice(b"] \"");
    write_escaped(record.method, out);
    if !record.version.is_empty() {
        out.push(b' ');
        write_escaped(record.target, out);
        out.push(b' ');
        out.extend_from_slice(record.version.as_bytes());
    }
    write_pair("\" ", record.status.into(), out);
    write_pair(" ", record.bytes_sent, out);
    out.extend_from_slice(b" \"");
    write_escaped(or_dash(record.referer), out);
    out.extend_from_slice(b"\" \"");
    write_escaped(or_dash(record.user_agent), out);
    for (name, text) in [
        ("\" listener=", record.listener),
        (" host=", record.host),
        (" route=", record.route),
        (" upstream=", record.upstream),
        (" endpoint=", record.endpoint),
    ] {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(or_dash(text.as_bytes()));
    }
    write_pair(" attempts=", record.attempts.into(), out);
    write_pair(" received=", record.bytes_received, out);
    write_pair(" duration_us=", micros(record.duration), out);
    out.extend_from_slice(b" fault=");
    out.extend_from_slice(or_dash(record.fault.as_bytes()));
    if let Some(Datagrams { received, sent, dropped }) = record.datagrams {
        write_pair(" datagrams_received=", received, out);
        write_pair(" datagrams_sent=", sent, out);
        write_pair(" datagrams_dropped=", dropped, out);
    }
    if !record.ids.request.is_empty() {
        out.extend_from_slice(b" request_id=");
        write_escaped(record.ids.request.as_bytes(), out);
    }
}

fn write_pair(name: &str, number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    write_number(number, out);
}
