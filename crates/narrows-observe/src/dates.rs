//! Dates as logs write them, kept for as long as they are the same.

use crate::Calendar;
use crate::digits::{write_number, write_padded};
use std::time::Duration;

/// The second of a record's end and the one of its beginning, each in the forms that were asked for.
#[derive(Debug, Default)]
pub(crate) struct Dates {
    common: Written,
    rfc3339: Written,
    iso8601: Written,
    began: Written,
}

/// A second in one form.
#[derive(Debug, Default)]
struct Written {
    second: u64,
    text: Vec<u8>,
}

impl Written {
    fn of(&mut self, time: Duration, write: impl FnOnce(&Calendar, &mut Vec<u8>)) -> &[u8] {
        if self.second != time.as_secs() || self.text.is_empty() {
            self.second = time.as_secs();
            self.text.clear();
            write(&Calendar::from_unix(self.second), &mut self.text);
        }
        &self.text
    }
}

impl Dates {
    /// `06/Nov/1994:08:49:37 +0000`
    pub(crate) fn write_common(&mut self, time: Duration, out: &mut Vec<u8>) {
        out.extend_from_slice(self.common.of(time, Calendar::write_log_date));
    }

    /// `1994-11-06T08:49:37.123456Z` (RFC 3339)
    pub(crate) fn write_rfc3339(&mut self, time: Duration, out: &mut Vec<u8>) {
        let text = self.rfc3339.of(time, Calendar::write_rfc3339);
        // The zone comes behind the fraction.
        out.extend_from_slice(text.strip_suffix(b"Z").unwrap_or(text));
        out.push(b'.');
        write_padded(time.subsec_micros().into(), 6, out);
        out.push(b'Z');
    }

    /// `1994-11-06T08:49:37+00:00`
    pub(crate) fn write_iso8601(&mut self, time: Duration, out: &mut Vec<u8>) {
        let text = self.iso8601.of(time, Calendar::write_rfc3339);
        out.extend_from_slice(text.strip_suffix(b"Z").unwrap_or(text));
        out.extend_from_slice(b"+00:00");
    }

    /// `06/Nov/1994:08:49:37.123`
    pub(crate) fn write_began(&mut self, time: Duration, out: &mut Vec<u8>) {
        let text = self.began.of(time, Calendar::write_log_date);
        out.extend_from_slice(text.strip_suffix(b" +0000").unwrap_or(text));
        out.push(b'.');
        write_padded(time.subsec_millis().into(), 3, out);
    }
}

/// `1234567890.123`
pub(crate) fn write_seconds(time: Duration, out: &mut Vec<u8>) {
    write_number(time.as_secs(), out);
    out.push(b'.');
    write_padded(time.subsec_millis().into(), 3, out);
}
