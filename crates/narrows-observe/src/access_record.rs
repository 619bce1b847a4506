//! One line per request, TCP flow or UDP session.

use crate::Calendar;
use crate::digits::{write_address, write_number};
use narrows_plan::LogFormat;
use std::io::Write;
use std::net::IpAddr;
use std::time::Duration;

/// The datagrams of a UDP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagrams {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
    /// Those of either side that could not be passed on.
    pub dropped: u64,
}

/// What is known of a request once its answer is over, or of a TCP flow or UDP session once it has ended.
#[derive(Debug)]
pub struct AccessRecord<'a> {
    /// When it ended.
    pub time: Calendar,
    /// The client.
    pub client: IpAddr,
    /// The listener that took it.
    pub listener: &'a str,
    /// Method as sent; empty for TCP and for a request that could not be read.
    pub method: &'a [u8],
    /// Request target as sent.
    pub target: &'a [u8],
    /// `HTTP/1.1` or the like; empty for TCP.
    pub version: &'a str,
    /// Host, or TLS server name.
    pub host: &'a str,
    /// Status of the answer; 0 when none was sent, and for TCP.
    pub status: u16,
    /// Bytes received from the client after the head.
    pub bytes_received: u64,
    /// Bytes of the answer after its head, or bytes to the client.
    pub bytes_sent: u64,
    /// From the first byte of the request to the last of the answer.
    pub duration: Duration,
    /// `Referer`.
    pub referer: &'a [u8],
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// The route that took it; empty when none did.
    pub route: &'a str,
    /// The upstream; empty when none was asked.
    pub upstream: &'a str,
    /// The last endpoint that was asked.
    pub endpoint: &'a str,
    /// Of a UDP session, its datagrams.
    pub datagrams: Option<Datagrams>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The typed cause when something went wrong; empty when nothing did.
    pub fault: &'a str,
}

/// A date as the log writes it, kept for as long as it is the same.
#[derive(Debug, Default)]
pub(crate) struct WrittenDate {
    time: Option<Calendar>,
    text: Vec<u8>,
}

impl WrittenDate {
    fn of(&mut self, time: Calendar) -> &[u8] {
        if self.time != Some(time) {
            self.text.clear();
            time.write_log_date(&mut self.text);
            self.time = Some(time);
        }
        &self.text
    }
}

impl<'a> AccessRecord<'a> {
    /// A record in which nothing else is known.
    pub fn blank(time: Calendar, client: IpAddr, listener: &'a str, method: &'a [u8]) -> Self {
        AccessRecord {
            time,
            client,
            listener,
            method,
            target: &[],
            version: "",
            host: "",
            status: 0,
            bytes_received: 0,
            bytes_sent: 0,
            duration: Duration::ZERO,
            referer: &[],
            user_agent: &[],
            route: "",
            upstream: "",
            endpoint: "",
            datagrams: None,
            attempts: 0,
            fault: "",
        }
    }
}

impl AccessRecord<'_> {
    /// Appends the record as one line. `date` remembers the last date that was written: it changes once a second.
    pub(crate) fn write(&self, format: LogFormat, date: &mut WrittenDate, out: &mut Vec<u8>) {
        match format {
            LogFormat::Text => self.write_text(date.of(self.time), out),
            LogFormat::Json => self.write_json(out),
        }
        out.push(b'\n');
    }

    /// The combined format that existing tools read, then `key=value` pairs.
    fn write_text(&self, date: &[u8], out: &mut Vec<u8>) {
        write_address(self.client, out);
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(date);
        out.extend_from_slice(b"] \"");
        write_escaped(self.method, out);
        if !self.version.is_empty() {
            out.push(b' ');
            write_escaped(self.target, out);
            out.push(b' ');
            out.extend_from_slice(self.version.as_bytes());
        }
        write_pair("\" ", self.status.into(), out);
        write_pair(" ", self.bytes_sent, out);
        out.extend_from_slice(b" \"");
        write_escaped(or_dash(self.referer), out);
        out.extend_from_slice(b"\" \"");
        write_escaped(or_dash(self.user_agent), out);
        for (name, text) in [
            ("\" listener=", self.listener),
            (" host=", self.host),
            (" route=", self.route),
            (" upstream=", self.upstream),
            (" endpoint=", self.endpoint),
        ] {
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(or_dash(text.as_bytes()));
        }
        write_pair(" attempts=", self.attempts.into(), out);
        write_pair(" received=", self.bytes_received, out);
        write_pair(" duration_us=", u64::try_from(self.duration.as_micros()).unwrap_or(u64::MAX), out);
        out.extend_from_slice(b" fault=");
        out.extend_from_slice(or_dash(self.fault.as_bytes()));
        if let Some(Datagrams { received, sent, dropped }) = self.datagrams {
            write_pair(" datagrams_received=", received, out);
            write_pair(" datagrams_sent=", sent, out);
            write_pair(" datagrams_dropped=", dropped, out);
        }
    }

    fn write_json(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"time\":\"");
        self.time.write_rfc3339(out);
        let _ = write!(out, "\",\"client\":\"{}\"", self.client);
        let texts: [(&str, &[u8]); 11] = [
            ("listener", self.listener.as_bytes()),
            ("method", self.method),
            ("target", self.target),
            ("version", self.version.as_bytes()),
            ("host", self.host.as_bytes()),
            ("referer", self.referer),
            ("user_agent", self.user_agent),
            ("route", self.route.as_bytes()),
            ("upstream", self.upstream.as_bytes()),
            ("endpoint", self.endpoint.as_bytes()),
            ("fault", self.fault.as_bytes()),
        ];
        for (name, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            let _ = write!(out, ",\"{name}\":\"");
            write_json_escaped(text, out);
            out.push(b'"');
        }
        let _ = write!(
            out,
            ",\"status\":{},\"attempts\":{},\"bytes_received\":{},\"bytes_sent\":{},\"duration_us\":{}",
            self.status,
            self.attempts,
            self.bytes_received,
            self.bytes_sent,
            self.duration.as_micros()
        );
        if let Some(Datagrams { received, sent, dropped }) = self.datagrams {
            let _ = write!(
                out,
                ",\"datagrams_received\":{received},\"datagrams_sent\":{sent},\"datagrams_dropped\":{dropped}"
            );
        }
        out.push(b'}');
    }
}

fn write_pair(name: &str, number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    write_number(number, out);
}

fn or_dash(text: &[u8]) -> &[u8] {
    if text.is_empty() { b"-" } else { text }
}

/// Printable ASCII stays, everything else becomes `\xHH`: a client cannot forge a line or a quote.
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(end) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x7f..)) {
        out.extend_from_slice(&rest[..end]);
        let _ = write!(out, "\\x{:02X}", rest[end]);
        rest = &rest[end + 1..];
    }
    out.extend_from_slice(rest);
}

/// A JSON string of the text; bytes that are not UTF-8 become U+FFFD (RFC 8259 section 7).
fn write_json_escaped(text: &[u8], out: &mut Vec<u8>) {
    for character in String::from_utf8_lossy(text).chars() {
        match character {
            '"' | '\\' => out.extend_from_slice(&[b'\\', character as u8]),
            '\0'..' ' | '\u{7f}' => drop(write!(out, "\\u{:04x}", u32::from(character))),
            _ => out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests;
