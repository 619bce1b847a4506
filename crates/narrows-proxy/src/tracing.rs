//! By which names others know a request: its id, and the trace that it belongs to.
//!
//! Nothing of this is there unless a configuration asks for it. A [`Correlation`] is made once for a request; every head that leaves carries what it says, and when the request
//! is over it becomes the spans that are told.

mod headers;
mod ids;
mod spans;

pub(crate) use ids::Ids;
pub(crate) use spans::{Handshake, Outbox, tell_handshake};

use crate::generation::Generation;
use crate::request::Request;
use crate::worker::Worker;
use headers::Heard;
use narrows_plan::{Propagation, RequestIds, Tracing, WHOLE};
use narrows_wire::trace_context::{Decision, Parent, SpanId, TraceId};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

/// A request id that is longer is not taken over.
const LONGEST_ID: usize = 128;

/// The names of one request.
#[derive(Debug)]
pub(crate) struct Correlation {
    id: Option<RequestId>,
    trace: Option<Trace>,
}

/// The id of a request, and where it is told.
#[derive(Debug)]
struct RequestId {
    text: Box<str>,
    header: Box<str>,
    responds: bool,
}

/// The trace of a request.
#[derive(Debug)]
pub(crate) struct Trace {
    trace: TraceId,
    trace_digits: [u8; 32],
    /// The span of the request.
    span: SpanId,
    span_digits: [u8; 16],
    /// The span of whoever sent it.
    parent: Option<SpanId>,
    decision: Decision,
    is_random: bool,
    /// Whether `tracestate` goes on as it came.
    keeps_state: bool,
    /// What `tracestate` said.
    state: Box<str>,
    propagate: Box<[Propagation]>,
    /// Whether it is told at the end, if it did not fail, and if it did.
    is_told: bool,
    is_told_failed: bool,
    tells_attempts: bool,
    /// Who is the parent of what is sent now.
    sending: Cell<SpanId>,
    attempts: RefCell<Vec<Attempted>>,
}

/// An attempt.
#[derive(Debug)]
struct Attempted {
    span: SpanId,
    endpoint: Box<str>,
    began: Instant,
    ended: Option<AttemptEnd>,
}

/// How an attempt ended.
#[derive(Debug)]
struct AttemptEnd {
    at: Instant,
    status: u16,
    fault: &'static str,
}

impl Correlation {
    /// The names of a request; `None` where the configuration gives it none.
    pub(crate) fn of_request(
        worker: &Worker,
        generation: &Generation,
        request: &Request<'_>,
    ) -> Option<Rc<Self>> {
        let plan = &generation.plan;
        if plan.tracing.is_none() && plan.request_ids.is_none() {
            return None;
        }
        let id = plan.request_ids.as_deref().map(|rules| RequestId::of(worker, rules, request));
        let is_exported = plan.otlp.is_some() && worker.spans.has_sink();
        let trace = plan.tracing.as_deref().map(|rules| Trace::of(worker, rules, request, is_exported));
        Some(Rc::new(Correlation { id, trace }))
    }

    /// The request id; empty without one.
    pub(crate) fn request_id(&self) -> &str {
        self.id.as_ref().map_or("", |id| &id.text)
    }

    /// The trace in 32 digits; empty without one.
    pub(crate) fn trace_id(&self) -> &str {
        self.trace.as_ref().map_or("", |trace| std::str::from_utf8(&trace.trace_digits).unwrap_or_default())
    }

    /// As the record tells them.
    pub(crate) fn ids(&self) -> narrows_observe::Ids<'_> {
        let span = self.trace.as_ref().map(|trace| std::str::from_utf8(&trace.span_digits));
        narrows_observe::Ids {
            request: self.request_id(),
            trace: self.trace_id(),
            span: span.and_then(Result::ok).unwrap_or_default(),
            is_sampled: self.trace.as_ref().is_some_and(|trace| trace.decision.is_kept()),
        }
    }

    /// An attempt on an endpoint begins; what is sent from now on is its child.
    pub(crate) fn attempt_begins(&self, worker: &Worker, endpoint: &str) {
        let Some(trace) = &self.trace else { return };
        let span = worker.ids.span();
        trace.sending.set(span);
        if trace.tells_attempts {
            let attempt = Attempted { span, endpoint: endpoint.into(), began: Instant::now(), ended: None };
            trace.attempts.borrow_mut().push(attempt);
        }
    }

    /// The last attempt on an endpoint has ended.
    pub(crate) fn attempt_ended(&self, endpoint: &str, status: u16, fault: &'static str) {
        let Some(trace) = &self.trace else { return };
        let mut attempts = trace.attempts.borrow_mut();
        let running = |attempt: &&mut Attempted| attempt.ended.is_none() && *attempt.endpoint == *endpoint;
        if let Some(attempt) = attempts.iter_mut().rev().find(running) {
            attempt.ended = Some(AttemptEnd { at: Instant::now(), status, fault });
        }
    }

    /// The last attempt was none: it found no room.
    pub(crate) fn attempt_was_none(&self) {
        if let Some(trace) = &self.trace {
            trace.attempts.borrow_mut().pop();
        }
    }

    /// What is sent from now on is a child of the request itself.
    pub(crate) fn sends_aside(&self) {
        if let Some(trace) = &self.trace {
            trace.sending.set(trace.span);
        }
    }
}

impl RequestId {
    fn of(worker: &Worker, rules: &RequestIds, request: &Request<'_>) -> Self {
        let RequestIds { header, trust, respond, .. } = rules;
        let mut named = request
            .head
            .fields
            .iter()
            .filter(|field| field.name.of(request.bytes).eq_ignore_ascii_case(header.as_bytes()));
        let known = match (named.next(), named.next()) {
            (Some(field), None) if trust.takes(request.connection.peer, request.peer_is_trusted) => {
                let value = field.value.of(request.bytes);
                let is_id = (1..=LONGEST_ID).contains(&value.len())
                    && value.iter().all(|byte| byte.is_ascii_graphic() && !b"\"\\,;".contains(byte));
                is_id.then(|| std::str::from_utf8(value).unwrap_or_default())
            }
            _ => None,
        };
        RequestId {
            text: known.map_or_else(|| worker.ids.request(worker.unix()).into(), Into::into),
            header: header.clone(),
            responds: *respond,
        }
    }
}

impl Trace {
    fn of(worker: &Worker, rules: &Tracing, request: &Request<'_>, is_exported: bool) -> Self {
        let heard = match rules.respects_parent {
            true => headers::hear(&rules.propagate, request),
            false => Heard::default(),
        };
        let (trace, is_random) = match &heard.parent {
            Some(Parent { trace, is_random, .. }) => (*trace, *is_random),
            None => (worker.ids.trace(), true),
        };
        let decision = match heard.decision {
            Decision::Deferred if chosen(rules, request, trace) => Decision::Keep,
            Decision::Deferred => Decision::Drop,
            decided => decided,
        };
        let span = worker.ids.span();
        let is_told = is_exported && decision.is_kept();
        let is_told_failed = is_told || (is_exported && rules.errors);
        Trace {
            trace,
            trace_digits: trace.digits(),
            span,
            span_digits: span.digits(),
            parent: heard.parent.map(|parent| parent.span),
            decision,
            is_random,
            keeps_state: heard.keeps_state,
            state: if is_told_failed { heard.state.into() } else { "".into() },
            propagate: rules.propagate.as_slice().into(),
            is_told,
            is_told_failed,
            tells_attempts: rules.attempts && is_told_failed,
            sending: Cell::new(span),
            attempts: RefCell::default(),
        }
    }
}

/// Whether a request that nobody has decided on is traced: by the first rule that is true, else by the usual share. All proxies with the same share choose
/// the same traces.
fn chosen(rules: &Tracing, request: &Request<'_>, trace: TraceId) -> bool {
    let facts = request.facts(None);
    let rule = rules.rules.iter().find(|rule| rule.condition.expression.truth(&facts) == Some(true));
    let share = rule.map_or(rules.sample, |rule| rule.share);
    (u128::from(trace.chance()) * u128::from(WHOLE)) >> 64 < u128::from(share)
}
