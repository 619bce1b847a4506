//! The fields of JSON and logfmt: one list for both.

use crate::AccessRecord;
use crate::access_record::Datagrams;
use std::time::Duration;

/// Gives each field that the record has, in order: texts that are not empty, then numbers.
pub(super) fn each<'r>(record: &'r AccessRecord<'r>, mut text: impl FnMut(&'static str, &'r [u8])) {
    let tls = record.tls.unwrap_or_default();
    let texts: [(&'static str, &'r [u8]); 19] = [
        ("protocol", record.protocol.as_bytes()),
        ("listener", record.listener.as_bytes()),
        ("method", record.method),
        ("target", record.target),
        ("version", record.version.as_bytes()),
        ("host", record.host.as_bytes()),
        ("referer", record.referer),
        ("user_agent", record.user_agent),
        ("route", record.route.as_bytes()),
        ("upstream", record.upstream.as_bytes()),
        ("endpoint", record.endpoint.as_bytes()),
        ("fault", record.fault.as_bytes()),
        ("tls_version", tls.version.as_bytes()),
        ("tls_cipher", tls.cipher.as_bytes()),
        ("tls_alpn", tls.protocol.as_bytes()),
        ("tls_server_name", tls.server_name.as_bytes()),
        ("request_id", record.ids.request.as_bytes()),
        ("trace_id", record.ids.trace.as_bytes()),
        ("span_id", record.ids.span.as_bytes()),
    ];
    for (name, value) in texts {
        if !value.is_empty() {
            text(name, value);
        }
    }
}

/// Gives each number that the record has.
pub(super) fn each_number(record: &AccessRecord<'_>, mut number: impl FnMut(&'static str, u64)) {
    number("status", record.status.into());
    if record.upstream_status > 0 {
        number("upstream_status", record.upstream_status.into());
    }
    number("attempts", record.attempts.into());
    number("bytes_received", record.bytes_received);
    number("bytes_sent", record.bytes_sent);
    number("duration_us", micros(record.duration));
    let timings = &record.timings;
    for (name, time) in [
        ("head_us", timings.head),
        ("queue_us", timings.queue),
        ("connect_us", timings.connect),
        ("answer_us", timings.answer),
    ] {
        if let Some(time) = time {
            number(name, micros(time));
        }
    }
    if let Some(Datagrams { received, sent, dropped }) = record.datagrams {
        number("datagrams_received", received);
        number("datagrams_sent", sent);
        number("datagrams_dropped", dropped);
    }
}

pub(super) fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
