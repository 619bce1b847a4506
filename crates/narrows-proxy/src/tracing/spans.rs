//! What is told of a trace: attributes after OpenTelemetry's semantic conventions for HTTP, and what only this proxy knows.

use super::{Attempted, Correlation, Trace};
use crate::gate::Arrival;
use crate::generation::Generation;
use crate::worker::Worker;
use narrows_observe::{AccessRecord, Span, SpanKind, SpanSink, SpanValue};
use narrows_wire::trace_context::SpanId;
use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Spans that are handed over together at most.
const BATCH: usize = 128;
/// Attempts of one request that are told.
const ATTEMPTS: usize = 32;
/// Methods that are told by name (RFC 9110 and RFC 5789).
const METHODS: [&[u8]; 9] =
    [b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"CONNECT", b"OPTIONS", b"TRACE", b"PATCH"];

/// The spans of one worker on their way out. They leave together.
#[derive(Debug)]
pub(crate) struct Outbox {
    sink: Option<Arc<dyn SpanSink>>,
    waiting: RefCell<Vec<Span>>,
}

impl Outbox {
    pub(crate) fn new(sink: Option<Arc<dyn SpanSink>>) -> Self {
        Outbox { sink, waiting: RefCell::default() }
    }

    /// Whether anybody takes spans.
    pub(crate) fn has_sink(&self) -> bool {
        self.sink.is_some()
    }

    fn put(&self, span: Span) {
        let is_full = {
            let mut waiting = self.waiting.borrow_mut();
            waiting.push(span);
            waiting.len() >= BATCH
        };
        if is_full {
            self.flush();
        }
    }

    /// Hands over what has gathered; never waits.
    pub(crate) fn flush(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        if let (Some(sink), false) = (&self.sink, waiting.is_empty()) {
            sink.offer(waiting);
        }
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        self.flush();
    }
}

/// A handshake, to be told with the first request of its connection that is.
#[derive(Debug)]
pub(crate) struct Handshake {
    began: Instant,
    ended: Instant,
    is_told: Cell<bool>,
}

impl Handshake {
    /// One that began then and has just ended.
    pub(crate) fn since(began: Instant) -> Self {
        Handshake { began, ended: Instant::now(), is_told: Cell::new(false) }
    }
}

/// Moments of this process since 1970.
struct Clock {
    now: Instant,
    since_1970: Duration,
}

impl Clock {
    fn of(&self, moment: Instant) -> Duration {
        self.since_1970.saturating_sub(self.now.saturating_duration_since(moment))
    }
}

type Attributes = Vec<(&'static str, SpanValue)>;

fn text(attributes: &mut Attributes, key: &'static str, value: &str) {
    if !value.is_empty() {
        attributes.push((key, SpanValue::Text(value.into())));
    }
}

fn number(attributes: &mut Attributes, key: &'static str, value: u64) {
    attributes.push((key, SpanValue::Number(i64::try_from(value).unwrap_or(i64::MAX))));
}

impl Correlation {
    /// The request is over: tells its spans, where it is one that is told.
    pub(crate) fn end(
        &self,
        worker: &Worker,
        generation: &Generation,
        arrival: &Arrival,
        record: &AccessRecord<'_>,
    ) {
        let Some(trace) = &self.trace else { return };
        let failed = record.status >= 500 || !record.fault.is_empty();
        let is_told = if failed { trace.is_told_failed } else { trace.is_told };
        let Some(rules) = generation.plan.tracing.as_deref().filter(|_| is_told) else { return };
        let clock = Clock { now: Instant::now(), since_1970: record.ended };
        worker.spans.put(trace.request(self.request_id(), record, failed));
        for (number, attempt) in trace.attempts.take().iter().take(ATTEMPTS).enumerate() {
            worker.spans.put(trace.attempt(attempt, number, record, &clock));
        }
        if let Some(handshake) = arrival.handshake.as_ref().filter(|_| rules.handshakes)
            && !handshake.is_told.replace(true)
        {
            let began = clock.of(handshake.began);
            let span = Span {
                parent: Some(trace.span.bytes()),
                has_remote_parent: false,
                began,
                ended: clock.of(handshake.ended),
                ..trace.span(worker.ids.span(), SpanKind::Internal, "TLS handshake")
            };
            worker.spans.put(Span { attributes: tls(record), ..span });
        }
    }
}

/// Tells a handshake that failed, which belongs to no request.
pub(crate) fn tell_handshake(worker: &Worker, generation: &Generation, record: &AccessRecord<'_>) {
    let plan = &generation.plan;
    let is_wanted = plan.tracing.as_ref().is_some_and(|rules| rules.errors && rules.handshakes);
    if !is_wanted || plan.otlp.is_none() || !worker.spans.has_sink() {
        return;
    }
    let mut attributes = tls(record);
    network(&mut attributes, record);
    text(&mut attributes, "error.type", record.fault);
    text(&mut attributes, "narrows.listener", record.listener);
    text(&mut attributes, "narrows.fault", record.fault);
    worker.spans.put(Span {
        trace: worker.ids.trace().bytes(),
        id: worker.ids.span().bytes(),
        parent: None,
        state: "".into(),
        is_sampled: false,
        has_remote_parent: false,
        kind: SpanKind::Server,
        name: "TLS handshake".into(),
        began: record.ended.saturating_sub(record.duration),
        ended: record.ended,
        attributes,
        failure: Some(record.fault.into()),
    });
}

impl Trace {
    fn span(&self, id: SpanId, kind: SpanKind, name: &str) -> Span {
        Span {
            trace: self.trace.bytes(),
            id: id.bytes(),
            parent: None,
            state: self.state.clone(),
            is_sampled: self.decision.is_kept(),
            has_remote_parent: false,
            kind,
            name: name.into(),
            began: Duration::ZERO,
            ended: Duration::ZERO,
            attributes: Vec::new(),
            failure: None,
        }
    }

    fn request(&self, id: &str, record: &AccessRecord<'_>, failed: bool) -> Span {
        let mut attributes = Attributes::with_capacity(24);
        let method = method(&mut attributes, record);
        let target = String::from_utf8_lossy(record.target);
        // Queries carry what is nobody's business more often than paths do.
        let path = target.split(['?', '#']).next().unwrap_or_default();
        text(&mut attributes, "url.path", path);
        text(&mut attributes, "url.scheme", if record.tls.is_some() { "https" } else { "http" });
        let (host, port) = split_port(record.host);
        text(&mut attributes, "server.address", host);
        number(&mut attributes, "server.port", port.unwrap_or(record.local_port).into());
        text(&mut attributes, "client.address", &record.client.to_string());
        network(&mut attributes, record);
        text(&mut attributes, "network.protocol.name", "http");
        let version = record.version.trim_start_matches("HTTP/");
        text(&mut attributes, "network.protocol.version", version);
        text(&mut attributes, "user_agent.original", &String::from_utf8_lossy(record.user_agent));
        number(&mut attributes, "http.request.body.size", record.bytes_received);
        if record.status > 0 {
            number(&mut attributes, "http.response.status_code", record.status.into());
            number(&mut attributes, "http.response.body.size", record.bytes_sent);
        }
        if let Some(tls) = record.tls {
            text(&mut attributes, "tls.protocol.version", tls.version);
        }
        let cause = match record.fault {
            "" => record.status.to_string(),
            fault => fault.to_owned(),
        };
        if failed {
            text(&mut attributes, "error.type", &cause);
        }
        text(&mut attributes, "narrows.listener", record.listener);
        text(&mut attributes, "narrows.route", record.route);
        text(&mut attributes, "narrows.upstream", record.upstream);
        text(&mut attributes, "narrows.endpoint", record.endpoint);
        text(&mut attributes, "narrows.fault", record.fault);
        text(&mut attributes, "narrows.request_id", id);
        number(&mut attributes, "narrows.attempts", record.attempts.into());
        if let Some(queue) = record.timings.queue {
            number(&mut attributes, "narrows.queue_us", u64::try_from(queue.as_micros()).unwrap_or(u64::MAX));
        }
        let name = match record.route {
            "" => method.to_owned(),
            route => format!("{method} {route}"),
        };
        Span {
            parent: self.parent.map(SpanId::bytes),
            has_remote_parent: self.parent.is_some(),
            began: record.ended.saturating_sub(record.duration),
            ended: record.ended,
            attributes,
            failure: failed.then(|| cause.into()),
            ..self.span(self.span, SpanKind::Server, &name)
        }
    }

    fn attempt(&self, attempt: &Attempted, tried: usize, record: &AccessRecord<'_>, clock: &Clock) -> Span {
        let mut attributes = Attributes::with_capacity(10);
        let method = method(&mut attributes, record);
        let (host, port) = split_port(&attempt.endpoint);
        text(&mut attributes, "server.address", host);
        if let Some(port) = port {
            number(&mut attributes, "server.port", port.into());
        }
        if tried > 0 {
            number(&mut attributes, "http.request.resend_count", tried as u64);
        }
        text(&mut attributes, "narrows.upstream", record.upstream);
        text(&mut attributes, "narrows.endpoint", &attempt.endpoint);
        let mut failure = None;
        let ended = match &attempt.ended {
            Some(end) => {
                if end.status > 0 {
                    number(&mut attributes, "http.response.status_code", end.status.into());
                }
                text(&mut attributes, "narrows.fault", end.fault);
                failure = match (end.fault, end.status) {
                    ("", 0..=399) => None,
                    ("", status) => Some(status.to_string()),
                    (fault, _) => Some(fault.to_owned()),
                };
                end.at
            }
            None => {
                // Another one was faster, or the client left.
                attributes.push(("narrows.abandoned", SpanValue::Flag(true)));
                clock.now
            }
        };
        text(&mut attributes, "error.type", failure.as_deref().unwrap_or_default());
        Span {
            parent: Some(self.span.bytes()),
            began: clock.of(attempt.began),
            ended: clock.of(ended),
            attributes,
            failure: failure.map(Into::into),
            ..self.span(attempt.span, SpanKind::Client, method)
        }
    }
}

/// The method as it is told; one that nobody knows would make names without end.
fn method(attributes: &mut Attributes, record: &AccessRecord<'_>) -> &'static str {
    let known = METHODS.iter().find(|known| **known == record.method);
    let Some(name) = known.and_then(|known| std::str::from_utf8(known).ok()) else {
        text(attributes, "http.request.method", "_OTHER");
        let told = String::from_utf8_lossy(record.method);
        text(attributes, "http.request.method_original", &told.chars().take(64).collect::<String>());
        return "HTTP";
    };
    text(attributes, "http.request.method", name);
    name
}

fn network(attributes: &mut Attributes, record: &AccessRecord<'_>) {
    if record.peer_port > 0 {
        text(attributes, "network.peer.address", &record.peer.to_string());
        number(attributes, "network.peer.port", record.peer_port.into());
    }
}

fn tls(record: &AccessRecord<'_>) -> Attributes {
    let mut attributes = Attributes::new();
    if let Some(tls) = record.tls {
        text(&mut attributes, "tls.protocol.version", tls.version);
        text(&mut attributes, "tls.cipher", tls.cipher);
        text(&mut attributes, "tls.client.server_name", tls.server_name);
        text(&mut attributes, "tls.next_protocol", tls.protocol);
        attributes.push(("tls.resumed", SpanValue::Flag(tls.resumed)));
    }
    attributes
}

/// Host and port of `host:port`.
fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) => (host.trim_start_matches('[').trim_end_matches(']'), Some(port)),
        _ => (authority.trim_start_matches('[').trim_end_matches(']'), None),
    }
}
