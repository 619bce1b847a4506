//! A record as one line, in the format of its log.

mod basic;
mod fields;
mod json;
mod logfmt;
mod parts;
mod text;

use crate::AccessRecord;
use crate::dates::Dates;
use narrows_plan::LogFormat;

impl AccessRecord<'_> {
    /// Appends the record, without the end of its line. Nothing is allocated but what `out` grows by, and what an expression of the operator
    /// builds.
    pub(crate) fn write(&self, format: &LogFormat, dates: &mut Dates, out: &mut Vec<u8>) {
        match format {
            LogFormat::Text => text::write(self, dates, out),
            LogFormat::Json => json::write(self, dates, out),
            LogFormat::Logfmt => logfmt::write(self, dates, out),
            LogFormat::Parts(format) => parts::write(self, format, dates, out),
        }
    }
}

fn or_dash(text: &[u8]) -> &[u8] {
    if text.is_empty() { b"-" } else { text }
}

#[cfg(test)]
mod tests;
