//! Formats that were compiled to parts: those of other proxies, and templates.

use super::basic::write_user;
use crate::AccessRecord;
use crate::access_record::Stage;
use crate::dates::{Dates, write_seconds};
use crate::digits::{write_address, write_number, write_padded};
use crate::escape::write_escaped_as;
use crate::host::{hostname, process_id};
use crate::record_facts::RecordFacts;
use narrows_plan::{Fact, Facts, LogEscape, LogField, LogPart, LogParts, Value};
use std::io::Write;
use std::time::Duration;

pub(super) fn write(record: &AccessRecord<'_>, format: &LogParts, dates: &mut Dates, out: &mut Vec<u8>) {
    let escape = format.escape;
    for part in &format.parts {
        match part {
            LogPart::Text(text) => out.extend_from_slice(text.as_bytes()),
            LogPart::Field(field) => {
                let start = out.len();
                Fields { record, escape, dates, out }.write(field);
                let is_dashed = matches!(escape, LogEscape::Backslash | LogEscape::Hash)
                    // Those are empty at the others too.
                    && !matches!(
                        field,
                        LogField::QueryMark | LogField::QueryMarked | LogField::Https | LogField::Host
                    );
                if out.len() == start && is_dashed {
                    out.push(b'-');
                }
            }
            LogPart::Quoted(field) => {
                out.push(b'"');
                Fields { record, escape, dates, out }.write(field);
                out.push(b'"');
            }
            LogPart::Hexadecimal(field) => {
                let start = out.len();
                Fields { record, escape, dates, out }.write(field);
                let number =
                    std::str::from_utf8(&out[start..]).ok().and_then(|text| text.parse::<u64>().ok());
                if let Some(number) = number {
                    out.truncate(start);
                    let _ = write!(out, "{number:X}");
                }
            }
        }
    }
}

/// Writes fields of one record.
struct Fields<'f, 'r> {
    record: &'f AccessRecord<'r>,
    escape: LogEscape,
    dates: &'f mut Dates,
    out: &'f mut Vec<u8>,
}

impl Fields<'_, '_> {
    fn text(&mut self, text: &[u8]) {
        write_escaped_as(self.escape, text, self.out);
    }

    fn number(&mut self, number: impl Into<u64>) {
        write_number(number.into(), self.out);
    }

    /// Whole milliseconds; -1 for what was not reached.
    fn milliseconds(&mut self, time: Option<Duration>) {
        match time {
            Some(time) => write_number(u64::try_from(time.as_millis()).unwrap_or(u64::MAX), self.out),
            None => self.out.extend_from_slice(b"-1"),
        }
    }

    fn seconds(&mut self, time: Option<Duration>) {
        if let Some(time) = time {
            write_seconds(time, self.out);
        }
    }

    fn request_line(&mut self) {
        let record = self.record;
        self.text(record.method);
        if !record.version.is_empty() {
            self.out.push(b' ');
            self.text(record.target);
            self.out.push(b' ');
            self.text(record.version.as_bytes());
        }
    }

    fn fact(&mut self, fact: Fact) {
        let facts = RecordFacts(self.record);
        let text = facts.text(fact);
        write_escaped_as(self.escape, text.as_bytes(), self.out);
    }

    fn write(&mut self, field: &LogField) {
        let record = self.record;
        let is_http = record.protocol == "http";
        // HAProxy says so in the place of each part.
        let is_bad = is_http && record.version.is_empty() && self.escape == LogEscape::Hash;
        match field {
            LogField::Method
            | LogField::Target
            | LogField::RawPath
            | LogField::QueryMarked
            | LogField::Version
            | LogField::RequestLineOrBad
                if is_bad =>
            {
                self.text(b"<BADREQ>");
            }
            LogField::Client => write_address(record.client, self.out),
            LogField::Peer => write_address(record.peer, self.out),
            LogField::PeerPort => self.number(record.peer_port),
            LogField::LocalPort => self.number(record.local_port),
            LogField::Listener => self.text(record.listener.as_bytes()),
            LogField::ListenerTls => {
                self.text(record.listener.as_bytes());
                if record.tls.is_some() {
                    self.out.push(b'~');
                }
            }
            LogField::Route => self.text(record.route.as_bytes()),
            LogField::Backend => match record.upstream {
                "" => self.text(record.listener.as_bytes()),
                upstream => self.text(upstream.as_bytes()),
            },
            LogField::Upstream => self.text(record.upstream.as_bytes()),
            LogField::Server => match record.endpoint {
                "" => self.out.extend_from_slice(b"<NOSRV>"),
                endpoint => self.text(endpoint.as_bytes()),
            },
            LogField::Endpoint => self.text(record.endpoint.as_bytes()),
            LogField::Protocol => self.text(record.protocol.as_bytes()),
            LogField::Transport => {
                let is_datagrams = matches!(record.protocol, "udp" | "quic");
                self.out.extend_from_slice(if is_datagrams { b"UDP" } else { b"TCP" });
            }
            LogField::Scheme if is_http => {
                self.out.extend_from_slice(if record.tls.is_some() { b"https" } else { b"http" });
            }
            LogField::Scheme => {}
            LogField::Https => self.out.extend_from_slice(if record.tls.is_some() { b"on" } else { b"" }),
            LogField::Hostname => self.text(hostname().as_bytes()),
            LogField::ProcessId => self.number(process_id()),
            LogField::RequestId => self.text(record.ids.request.as_bytes()),
            LogField::TraceId => self.text(record.ids.trace.as_bytes()),
            LogField::SpanId => self.text(record.ids.span.as_bytes()),
            LogField::BasicUser => {
                if let Some(value) = record.facts.header("authorization") {
                    let (escape, out) = (self.escape, &mut *self.out);
                    write_user(&value, |byte| write_escaped_as(escape, &[byte], out));
                }
            }
            LogField::LocalDate => self.dates.write_common(record.ended, self.out),
            LogField::Iso8601 => self.dates.write_iso8601(record.ended, self.out),
            LogField::UnixSeconds => self.number(record.ended.as_secs()),
            LogField::UnixMilliseconds => write_seconds(record.ended, self.out),
            LogField::BeganDate => self.dates.write_began(record.began(), self.out),
            LogField::BeganLocalDate => self.dates.write_common(record.began(), self.out),
            LogField::BeganMilliseconds => write_padded(record.began().subsec_millis().into(), 3, self.out),
            LogField::BeganSeconds => self.number(record.began().as_secs()),
            LogField::Method => self.text(record.method),
            LogField::Target => self.text(record.target),
            LogField::RawPath => self.text(split(record.target).0),
            LogField::Query => self.text(split(record.target).1.unwrap_or_default()),
            LogField::QueryMarked => {
                if let (_, Some(query)) = split(record.target) {
                    self.out.push(b'?');
                    self.text(query);
                }
            }
            LogField::QueryMark => {
                if split(record.target).1.is_some_and(|query| !query.is_empty()) {
                    self.out.push(b'?');
                }
            }
            LogField::Version => self.text(record.version.as_bytes()),
            LogField::RequestLine if is_http => self.request_line(),
            LogField::RequestLine => {}
            LogField::RequestLineOrBad if is_http => self.request_line(),
            LogField::RequestLineOrBad => {}
            LogField::Host => {
                let start = self.out.len();
                self.text(without_port(record.host).as_bytes());
                self.out[start..].make_ascii_lowercase();
            }
            LogField::Referer => self.text(record.referer),
            LogField::UserAgent => self.text(record.user_agent),
            LogField::Status => write_padded(record.status.into(), 3, self.out),
            LogField::StatusOrMinusOne => match record.status {
                0 => self.out.extend_from_slice(b"-1"),
                status => self.number(status),
            },
            LogField::UpstreamStatus if record.upstream_status == 0 => {}
            LogField::UpstreamStatus => self.number(record.upstream_status),
            LogField::Fault => self.text(record.fault.as_bytes()),
            LogField::Termination => self.out.extend_from_slice(&record.termination.letters()),
            LogField::TerminationWithCookies => {
                self.out.extend_from_slice(&record.termination.letters());
                self.out.extend_from_slice(b"--");
            }
            LogField::Attempts => self.number(record.attempts),
            LogField::Retries => self.number(record.attempts.saturating_sub(1)),
            LogField::BytesSent => self.number(record.head_sent + record.bytes_sent),
            LogField::BodyBytesSent => self.number(record.bytes_sent),
            LogField::BytesReceived => self.number(record.head_received + record.bytes_received),
            LogField::BodyBytesReceived => self.number(record.bytes_received),
            LogField::DurationSeconds => self.seconds(Some(record.duration)),
            LogField::ConnectSeconds => self.seconds(self.record.connected()),
            LogField::HeaderSeconds => self.seconds(record.until_head()),
            LogField::ResponseSeconds => self.seconds(record.at_upstream()),
            LogField::DurationMilliseconds => self.milliseconds(Some(record.duration)),
            LogField::DurationMicroseconds => self.number(super::fields::micros(record.duration)),
            LogField::HeadMilliseconds => self.milliseconds(record.head_time()),
            LogField::QueueMilliseconds => self.milliseconds(record.queued()),
            LogField::ConnectMilliseconds => self.milliseconds(record.connected()),
            LogField::AnswerMilliseconds => self.milliseconds(record.timings.answer),
            LogField::DataMilliseconds => self.milliseconds(record.data_time()),
            LogField::TlsVersion => self.text(record.tls.unwrap_or_default().version.as_bytes()),
            LogField::TlsProtocol => {
                if let Some(tls) = record.tls.filter(|tls| !tls.version.is_empty()) {
                    self.out.extend_from_slice(b"TLSv");
                    self.text(tls.version.as_bytes());
                }
            }
            LogField::TlsCipher => self.text(record.tls.unwrap_or_default().cipher.as_bytes()),
            LogField::TlsServerName => self.text(record.tls.unwrap_or_default().server_name.as_bytes()),
            LogField::TlsAlpn => self.text(record.tls.unwrap_or_default().protocol.as_bytes()),
            LogField::TlsReused => {
                let letter = |resumed| if resumed { b'r' } else { b'.' };
                self.out.extend(record.tls.map(|tls| letter(tls.resumed)));
            }
            LogField::TlsResumed => self.number(u32::from(record.tls.is_some_and(|tls| tls.resumed))),
            LogField::TlsVerified if record.tls.is_none() => {}
            LogField::TlsVerified => {
                let is_verified = record.facts.flag(Fact::TlsClientVerified);
                self.out.extend_from_slice(if is_verified { b"SUCCESS" } else { b"NONE" });
            }
            LogField::Header(name) => self.cow(record.facts.header(name)),
            LogField::ResponseHeader(name) => self.cow(record.facts.response_header(name)),
            LogField::Cookie(name) => self.cow(record.facts.cookie(name)),
            LogField::Parameter(name) => self.cow(record.facts.parameter(name)),
            LogField::Fact(fact) => self.fact(*fact),
            LogField::Expression(expression) => {
                let facts = RecordFacts(record);
                match expression.evaluate(&facts) {
                    Some(Value::Text(text)) => write_escaped_as(self.escape, text.as_bytes(), self.out),
                    Some(Value::Int(number)) => drop(write!(self.out, "{number}")),
                    Some(Value::Double(number)) => drop(write!(self.out, "{number}")),
                    Some(Value::Bool(answer)) => drop(write!(self.out, "{answer}")),
                    Some(Value::TextList(list)) => {
                        for (index, text) in list.iter().enumerate() {
                            if index > 0 {
                                self.out.push(b',');
                            }
                            write_escaped_as(self.escape, text.as_bytes(), self.out);
                        }
                    }
                    Some(Value::IntList(_)) | None => {}
                }
            }
            LogField::Nothing => {}
            LogField::Zero => self.out.push(b'0'),
        }
    }

    fn cow(&mut self, text: Option<std::borrow::Cow<'_, str>>) {
        if let Some(text) = text {
            self.text(text.as_bytes());
        }
    }
}

/// The times of HAProxy and nginx, made of ours.
impl AccessRecord<'_> {
    /// How long the head took; `None` when it never was complete.
    fn head_time(&self) -> Option<Duration> {
        (!self.version.is_empty() || self.protocol != "http").then(|| self.timings.head.unwrap_or_default())
    }

    /// How long it waited; `None` when it came to no endpoint.
    fn queued(&self) -> Option<Duration> {
        self.timings.queue.or_else(|| (self.attempts > 0).then_some(Duration::ZERO))
    }

    /// How long the connection took: nothing from the pool, `None` when it failed.
    fn connected(&self) -> Option<Duration> {
        let is_there = self.attempts > 0 && self.termination.at != Stage::Connect;
        is_there.then(|| self.timings.connect.unwrap_or_default())
    }

    /// From the beginning of the last attempt to the head of its answer.
    fn until_head(&self) -> Option<Duration> {
        Some(self.timings.connect.unwrap_or_default() + self.timings.answer?)
    }

    /// From the first attempt to the end.
    fn at_upstream(&self) -> Option<Duration> {
        let before = self.timings.head.unwrap_or_default() + self.timings.queue.unwrap_or_default();
        (self.attempts > 0).then(|| self.duration.saturating_sub(before))
    }

    /// From the head of the answer to the end; `None` when there was none.
    fn data_time(&self) -> Option<Duration> {
        let before = self.timings.head.unwrap_or_default() + self.timings.queue.unwrap_or_default();
        Some(self.duration.saturating_sub(before + self.until_head()?))
    }
}

/// A host without the port behind it; brackets of IPv6 stay.
fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !name.ends_with(':') => {
            if name.contains(':') && !name.starts_with('[') {
                host
            } else {
                name
            }
        }
        _ => host,
    }
}

/// Path and query of a target.
fn split(target: &[u8]) -> (&[u8], Option<&[u8]>) {
    match target.iter().position(|byte| *byte == b'?') {
        Some(mark) => (&target[..mark], Some(&target[mark + 1..])),
        None => (target, None),
    }
}
