//! One line per request, TCP flow or UDP session.

use crate::Calendar;
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
    /// Appends the record as one line.
    pub fn write(&self, format: LogFormat, out: &mut Vec<u8>) {
        match format {
            LogFormat::Text => self.write_text(out),
            LogFormat::Json => self.write_json(out),
        }
        out.push(b'\n');
    }

    /// The combined format that existing tools read, then `key=value` pairs.
    fn write_text(&self, out: &mut Vec<u8>) {
        let _ = write!(out, "{} - - [", self.client);
        self.time.write_log_date(out);
        out.extend_from_slice(b"] \"");
        write_escaped(self.method, out);
        if !self.version.is_empty() {
            out.push(b' ');
            write_escaped(self.target, out);
            let _ = write!(out, " {}", self.version);
        }
        let _ = write!(out, "\" {} {} \"", self.status, self.bytes_sent);
        write_escaped(or_dash(self.referer), out);
        out.extend_from_slice(b"\" \"");
        write_escaped(or_dash(self.user_agent), out);
        let _ = write!(
            out,
            "\" listener={} host={} route={} upstream={} endpoint={} attempts={} received={} duration_us={} fault={}",
            self.listener,
            dash(self.host),
            dash(self.route),
            dash(self.upstream),
            dash(self.endpoint),
            self.attempts,
            self.bytes_received,
            self.duration.as_micros(),
            dash(self.fault),
        );
        if let Some(Datagrams { received, sent, dropped }) = self.datagrams {
            let _ = write!(
                out,
                " datagrams_received={received} datagrams_sent={sent} datagrams_dropped={dropped}"
            );
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

fn dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

fn or_dash(text: &[u8]) -> &[u8] {
    if text.is_empty() { b"-" } else { text }
}

/// Printable ASCII stays, everything else becomes `\xHH`: a client cannot forge a line or a quote.
fn write_escaped(text: &[u8], out: &mut Vec<u8>) {
    for &byte in text {
        match byte {
            b'"' | b'\\' | 0..0x20 | 0x7f.. => drop(write!(out, "\\x{byte:02X}")),
            _ => out.push(byte),
        }
    }
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
