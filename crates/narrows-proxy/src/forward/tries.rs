//! Attempts until one is answered: which endpoint is next, whether there is a next one, and what goes there again.

use super::attempt::Attempt;
use super::condition::{self, Cause, Failed};
use super::forwarding::Forwarding;
use super::hedge::Hedge;
use super::lane::{Answered, Lane, Stage};
use super::{backoff, discard};
use crate::Fault;
use crate::downstream::Downstream;
use crate::explain::Attempted;
use crate::flow::Flow;
use crate::outgoing::{is_upgrade, write_request_head};
use crate::preface::preface;
use crate::record::Outcome;
use crate::worker::AnswerMemory;
use narrows_observe::Timings;
use narrows_plan::RetryPolicy;
use narrows_runtime::Tick;
use narrows_upstream::{
    Again, ConnectFailure, Connection, EndpointState, Entered, Need, Purpose, RetryPlace, Retrying, Running,
    Tried, Unavailable,
};
use narrows_wire::http1::{BodyFraming, ResponseHead};
use std::cell::Cell;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// The attempts of one request.
pub(super) struct Tries<'t> {
    pub(super) forwarding: &'t Forwarding<'t, 't>,
    pub(super) policy: &'t RetryPolicy,
    /// After this time a second endpoint is asked; taken when it was.
    pub(super) hedge_after: Option<Duration>,
    /// What is there of the body, in the connection's leftover, until an endpoint has answered.
    body_start: usize,
    /// Whether an endpoint may see the request twice.
    is_safe: bool,
    /// Whether what is read of the body is kept.
    is_keeping: bool,
    pub(super) tried: Tried,
    /// The place that was reserved at the endpoint of the next attempt.
    pub(super) place: Cell<Option<Running>>,
    /// Further attempts.
    left: u32,
    /// What connections begin with.
    preface: Vec<u8>,
    attempts: u32,
    /// How long was waited in the queue, all attempts together.
    pub(super) queued: Cell<Option<Duration>>,
    /// How long the last attempt took to connect.
    connected: Cell<Option<Duration>>,
    hedging: Option<Retrying<'t>>,
}

impl<'t> Tries<'t> {
    /// No attempt yet. `is_keeping`: the body is kept in any case.
    pub(super) fn new(
        forwarding: &'t Forwarding<'t, 't>,
        downstream: &Downstream,
        body_start: usize,
        is_keeping: bool,
    ) -> Self {
        let Forwarding { request, cluster, policy, .. } = *forwarding;
        let is_safe = (request.head.method.is_idempotent() || policy.unsafe_methods) && !is_upgrade(request);
        Tries {
            forwarding,
            policy,
            // Who sticks to an endpoint would stay with whichever of two answers first.
            hedge_after: policy.hedge.filter(|_| is_safe && !forwarding.wants.sticks()),
            body_start,
            is_safe,
            is_keeping,
            tried: Tried::default(),
            place: Cell::new(None),
            left: policy.limit,
            // A connection that says whose it is serves nobody else, so it is neither taken from the pool nor kept.
            preface: preface(cluster.upstream.proxy_protocol, &downstream.arrival, ""),
            attempts: 0,
            queued: Cell::new(None),
            connected: Cell::new(None),
            hedging: None,
        }
    }

    /// How long the parts of it took that it knows of.
    pub(super) fn timings(&self) -> Timings {
        Timings { queue: self.queued.get(), connect: self.connected.get(), ..Timings::default() }
    }

    /// The life of a request at its endpoints, until one has answered.
    pub(super) async fn life(
        &mut self,
        downstream: &mut Downstream,
        upload: &mut Flow,
        memory: &mut AnswerMemory,
        outcome: &mut Outcome<'_>,
        entered: &Entered,
    ) -> Result<Answered, Fault> {
        let Forwarding { cluster, .. } = *self.forwarding;
        let budget = &cluster.budget;
        let _running = budget.begin(self.policy.budget);
        let mut endpoint = self.pick_or_wait(downstream, upload.is_received()).await?;
        entered.begins();
        let mut retrying: Option<(Retrying<'t>, RetryPlace)> = None;
        loop {
            let mut pooled = self.reuse(&endpoint, upload);
            // Twice on one endpoint only when the first time was on a connection that had died in the pool.
            let ended = loop {
                self.attempts += 1;
                let began = self.forwarding.trail.map(|_| Instant::now());
                self.trace_attempt(&endpoint);
                let try_limit = self.try_limit(downstream);
                let lane = match self.ready_lane(&endpoint, pooled.take()) {
                    Some(lane) => lane,
                    None => match self.new_lane(&endpoint, downstream).await {
                        Ok(lane) => lane,
                        Err(failed) => {
                            self.explain(began, &failed.endpoint, 0, Some(failed.fault));
                            break Err(failed);
                        }
                    },
                };
                self.keep(&lane, upload, memory);
                let AnswerMemory { head: response, out, .. } = memory;
                self.write_request(&endpoint, downstream, upload, out);
                response.clear();
                let mut attempt = Attempt::new(self, downstream, upload, out, lane, try_limit);
                let result = poll_fn(|context| attempt.poll(context, response)).await;
                let ended = attempt.ended(result);
                match &ended {
                    Ok(answered) => self.explain(began, &answered.endpoint, memory.head.status, None),
                    Err(failed) => self.explain(began, &failed.endpoint, 0, Some(failed.fault)),
                }
                match ended {
                    Err(mut failed) if self.is_old_story(&failed, &endpoint, upload) => {
                        self.explain_again("the connection had died in the pool");
                        // What it had goes on to the repetition, and to nobody who waits.
                        self.place.set(failed.running.take());
                        failed.open.take().into_iter().for_each(|open| endpoint.hand_on(open));
                        upload.rewind();
                    }
                    Err(failed) => break Err(failed.letting_go()),
                    Ok(answered) => break Ok(answered),
                }
            };
            if is_full(&ended) {
                // Nothing was tried: this goes back to those who wait, as the same attempt.
                self.attempts -= 1;
                if let Some(correlation) = &self.forwarding.request.correlation {
                    correlation.attempt_was_none();
                }
                upload.rewind();
                endpoint = self.pick_or_wait(downstream, upload.is_received()).await?;
                continue;
            }
            drop(retrying.take());
            outcome.attempts = self.attempts;
            outcome.endpoint = Some(Rc::clone(last(&ended)));
            if matches!(ended, Err(Failed { cause: Cause::Late, .. })) {
                entered.failed();
            }
            let again = self.judge(&ended, memory, upload);
            let next = again.and_then(|again| {
                let (next, place) = (self.next(&ended)?, cluster.take_retry()?);
                Some((next, (budget.again(self.policy.budget, again)?, place)))
            });
            let Some((next, allowed)) = next else { return ended.map_err(|failed| failed.fault) };
            if let Err(failed) = &ended {
                self.explain_again(failed.cause.words());
            } else {
                self.explain_again("its answer is one that is tried again");
            }
            retrying = Some(allowed);
            if let Ok(answered) = ended {
                discard::life(self.forwarding, answered, memory, upload);
            }
            upload.rewind();
            self.left -= 1;
            if !self.policy.backoff.is_zero() {
                // Boxed apart, so that requests that are not repeated do not carry its size.
                let number = self.policy.limit - self.left - 1;
                let is_received = upload.is_received();
                Box::pin(backoff::life(self.forwarding, self.policy, number, downstream, is_received))
                    .await?;
            }
            endpoint = match next {
                Next::At(endpoint) => endpoint,
                Next::Queue => self.pick_or_wait(downstream, upload.is_received()).await?,
                Next::Later(endpoint) => {
                    match Box::pin(self.pick_or_wait(downstream, upload.is_received())).await {
                        // It was the last one left, and went down meanwhile: it is asked all the same.
                        Err(Fault::NoEndpoint) => endpoint,
                        picked => picked?,
                    }
                }
            };
        }
    }

    /// An attempt begins: what is sent there names its span as the parent.
    fn trace_attempt(&self, endpoint: &EndpointState) {
        if let Some(correlation) = &self.forwarding.request.correlation {
            correlation.attempt_begins(self.forwarding.worker, &endpoint.label);
        }
    }

    /// Writes down an attempt that `began` then, where somebody wants it told or explained.
    fn explain(&self, began: Option<Instant>, endpoint: &EndpointState, status: u16, fault: Option<Fault>) {
        if let Some(correlation) = &self.forwarding.request.correlation {
            let code = fault.map_or("", |fault| fault.meaning().code);
            correlation.attempt_ended(&endpoint.label, status, code);
        }
        if let (Some(trail), Some(began)) = (self.forwarding.trail, began) {
            trail.attempted(&Attempted {
                endpoint: &endpoint.label,
                connect: self.connected.get(),
                took: began.elapsed(),
                status,
                fault,
            });
        }
    }

    /// Writes down why another attempt follows.
    fn explain_again(&self, why: &str) {
        if let Some(trail) = self.forwarding.trail {
            trail.again(why);
        }
    }

    /// Reports how an attempt ended. What another one is for; `None` when there is to be none.
    fn judge(&self, ended: &Result<Answered, Failed>, memory: &AnswerMemory, upload: &Flow) -> Option<Again> {
        match ended {
            Ok(answered) => {
                let passive = self.forwarding.cluster.upstream.passive.as_ref();
                condition::report_answer(
                    &answered.endpoint,
                    passive,
                    memory.head.status,
                    Some(answered.took),
                );
                self.may_replace(answered, memory, upload).then_some(Again::Failed)
            }
            Err(failed) => {
                failed.report();
                if !failed.cause.is_worth_another(&self.policy.on) || !self.may_repeat(failed, upload) {
                    return None;
                }
                let is_unseen = matches!(failed.cause, Cause::Connect | Cause::Refused) || failed.is_unsent;
                Some(if is_unseen { Again::Unseen } else { Again::Failed })
            }
        }
    }

    /// Where another attempt is made, while there is an endpoint for it.
    fn next(&mut self, ended: &Result<Answered, Failed>) -> Option<Next> {
        if self.left == 0 {
            return None;
        }
        // One that refuses now takes it a moment later, on another connection; somebody else does so at once.
        let is_refused = matches!(ended, Err(Failed { cause: Cause::Refused, .. }));
        if is_refused && self.forwarding.cluster.is_single() {
            if !self.policy.backoff.is_zero() {
                return Some(Next::Later(Rc::clone(last(ended))));
            }
            self.place.set(last(ended).try_begin(Need::Request));
            return Some(Next::At(Rc::clone(last(ended))));
        }
        self.tried.add(last(ended).id());
        let picked = match self.policy.backoff.is_zero() {
            true => self.pick().map(Next::At),
            // A place is taken after the pause: others may use it until then.
            false => self.look().map(Next::Later),
        };
        match picked {
            Ok(next) => Some(next),
            Err(Unavailable::Full) => Some(Next::Queue),
            Err(Unavailable::Down | Unavailable::Tried | Unavailable::Sticky) => None,
        }
    }

    /// A connection that is there already. One for a request that must not be repeated is looked at more closely.
    fn reuse(&self, endpoint: &EndpointState, upload: &Flow) -> Option<Connection> {
        let certain = !(self.is_safe && upload.is_received());
        match self.preface.is_empty() {
            true => endpoint.reuse(self.forwarding.worker.now(), certain),
            false => None,
        }
    }

    /// Whether a failure is that of a connection that had died in the pool, and nothing more.
    fn is_old_story(&self, failed: &Failed, endpoint: &Rc<EndpointState>, upload: &Flow) -> bool {
        failed.is_reused
            && Rc::ptr_eq(&failed.endpoint, endpoint)
            && matches!(failed.cause, Cause::Reset | Cause::Refused)
            && self.may_repeat(failed, upload)
    }

    /// When a try that begins now is over.
    fn try_limit(&self, downstream: &Downstream) -> Tick {
        self.policy.try_timeout.map_or(Tick::NEVER, |timeout| downstream.watch.after(timeout))
    }

    /// A lane that need not be waited for: on a connection that is there, or on one that is made while another endpoint may be asked.
    fn ready_lane(&self, endpoint: &Rc<EndpointState>, pooled: Option<Connection>) -> Option<Lane> {
        let is_reused = pooled.is_some();
        let stage = match pooled {
            Some(mut connection) => {
                self.connected.set(None);
                connection.requests += 1;
                Stage::Open(connection)
            }
            None if self.hedge_after.is_some() => self.connecting(endpoint),
            None => return None,
        };
        Some(Lane::new(Rc::clone(endpoint), self.take_place(endpoint)?, stage, is_reused, Instant::now()))
    }

    /// A lane on a new connection.
    async fn new_lane(&self, endpoint: &Rc<EndpointState>, downstream: &Downstream) -> Result<Lane, Failed> {
        let Forwarding { route, timing, .. } = *self.forwarding;
        let Some(running) = self.take_place(endpoint) else {
            let (fault, endpoint) = (Fault::Connect(ConnectFailure::Full), Rc::clone(endpoint));
            return Err(Failed {
                fault,
                cause: Cause::Connect,
                endpoint,
                is_unsent: true,
                is_reused: false,
                running: None,
                open: None,
            });
        };
        let (began, watch) = (Instant::now(), &downstream.watch);
        let connect = [route.timeouts.connect, self.policy.try_timeout].into_iter().flatten().min();
        let (timeout, since) = (timing.within(watch, connect), watch.now());
        let connected = endpoint.connect(Purpose::Http, watch, timeout, &self.preface).await;
        let connecting = began.elapsed();
        self.connected.set(Some(connecting));
        match connected {
            Ok(mut connection) => {
                connection.requests += 1;
                let stage = Stage::Open(connection);
                let mut lane = Lane::new(Rc::clone(endpoint), running, stage, false, began);
                lane.connected = connecting;
                Ok(lane)
            }
            Err(failure) => {
                let endpoint = Rc::clone(endpoint);
                // We are the ones who have nothing left.
                let is_ours = matches!(failure, ConnectFailure::Exhausted | ConnectFailure::Full);
                let (fault, cause) = match timing.is_over(watch) {
                    true if !is_ours && timing.is_over_for(watch, since) => {
                        (Fault::RequestTimedOut, Cause::Late)
                    }
                    true => (Fault::RequestTimedOut, Cause::Elsewhere),
                    false => (Fault::Connect(failure), Cause::Connect),
                };
                Err(Failed {
                    fault,
                    cause,
                    endpoint,
                    is_unsent: true,
                    is_reused: false,
                    running: None,
                    open: None,
                })
            }
        }
    }

    /// The place that was reserved; a try that is repeated on the same endpoint needs another one.
    fn take_place(&self, endpoint: &Rc<EndpointState>) -> Option<Running> {
        self.place.take().or_else(|| endpoint.try_begin(Need::Request))
    }

    /// A connection in the making that can be waited for beside others.
    fn connecting(&self, endpoint: &Rc<EndpointState>) -> Stage {
        let Forwarding { route, worker, .. } = *self.forwarding;
        let (endpoint, preface) = (Rc::clone(endpoint), self.preface.clone());
        let (watch, timeout) = (worker.deadlines.watch(), route.timeouts.connect);
        Stage::Connecting(Box::pin(async move {
            endpoint.connect(Purpose::Http, &watch, timeout, &preface).await
        }))
    }

    /// A second attempt beside the one on `first`; `None` when the request, the endpoints or the budget do not allow it.
    pub(super) fn begin_hedge(
        &mut self,
        first: &Rc<EndpointState>,
        downstream: &Downstream,
        upload: &Flow,
    ) -> Option<Box<Hedge>> {
        if !upload.is_received() || upload.is_lost() {
            return None;
        }
        let after = |timeout: Option<_>| timeout.map_or(Tick::NEVER, |it| downstream.watch.after(it));
        self.hedge_after = None;
        // Only what a second attempt is made beside counts as tried: the first may still have to wait for room there.
        let before = self.tried.clone();
        self.tried.add(first.id());
        let picked = self.pick().ok();
        let allowed = picked.and_then(|endpoint| {
            Some((endpoint, self.forwarding.cluster.budget.again(self.policy.budget, Again::Hedge)?))
        });
        let Some((endpoint, hedging)) = allowed else {
            self.tried = before;
            self.place.set(None);
            return None;
        };
        self.hedging = Some(hedging);
        self.tried.add(endpoint.id());
        self.attempts += 1;
        let mut out = Vec::new();
        self.trace_attempt(&endpoint);
        self.write_request(&endpoint, downstream, upload, &mut out);
        let mut lane = match self.ready_lane(&endpoint, self.reuse(&endpoint, upload)) {
            Some(lane) => lane,
            None => {
                let stage = self.connecting(&endpoint);
                Lane::new(Rc::clone(&endpoint), self.take_place(&endpoint)?, stage, false, Instant::now())
            }
        };
        let head = if lane.is_open() { self.forwarding.route.timeouts.response_head } else { None };
        lane.limit_within(after(head), self.try_limit(downstream));
        Some(Box::new(Hedge { lane, out, response: ResponseHead::default() }))
    }

    /// Writes the head as `endpoint` gets it, and what is there of the body.
    fn write_request(
        &self,
        endpoint: &EndpointState,
        downstream: &Downstream,
        upload: &Flow,
        out: &mut Vec<u8>,
    ) {
        let Forwarding { request, listener, route, matched_prefix, wants, .. } = *self.forwarding;
        out.clear();
        let prefix = matched_prefix.map(|length| &request.path[..length]);
        write_request_head(request, listener, route, prefix, wants.cookie(), &endpoint.label, out);
        if let Some(trail) = self.forwarding.trail {
            trail.sends(request, out);
        }
        out.extend_from_slice(&downstream.leftover[..self.body_start]);
        if !upload.kept().is_empty() {
            out.extend_from_slice(upload.kept());
        }
    }

    /// Keeps what is read of the body from now on, where another attempt may need it.
    fn keep(&mut self, lane: &Lane, upload: &mut Flow, memory: &mut AnswerMemory) {
        if self.is_keeping || upload.is_received() || upload.is_lost() {
            return;
        }
        // What a server of HTTP/2 refuses may be sent again, whatever it is.
        let is_message = matches!(&lane.stage, Stage::Open(connection) if connection.stream.is_message());
        let has_next = self.left > 0 || lane.is_reused || self.hedge_after.is_some();
        let fits = match self.forwarding.request.head.framing {
            BodyFraming::Length(length) => length.saturating_sub(upload.payload) <= self.policy.replay as u64,
            _ => self.policy.replay > 0,
        };
        if has_next && fits && (self.is_safe || is_message) {
            self.is_keeping = true;
            upload.keep(std::mem::take(&mut memory.kept), self.policy.replay);
        }
    }

    /// Whether a request whose attempt failed may be sent again.
    fn may_repeat(&self, failed: &Failed, upload: &Flow) -> bool {
        !upload.is_lost() && (self.is_safe || failed.is_unsent || failed.cause == Cause::Refused)
    }

    /// Whether an answer is worth another attempt, and may have one.
    fn may_replace(&self, answered: &Answered, memory: &AnswerMemory, upload: &Flow) -> bool {
        let bytes = &answered.buffer[..answered.end];
        self.left > 0
            && self.is_safe
            && !upload.is_lost()
            && condition::is_worth_another(bytes, &memory.head, &self.policy.on)
    }
}

/// Where another attempt is made.
enum Next {
    /// There, where a place is reserved.
    At(Rc<EndpointState>),
    /// Where there is room after the pause; there, where there is none left then.
    Later(Rc<EndpointState>),
    /// Wherever there is room first.
    Queue,
}

/// Whether somebody else took the room that there was.
fn is_full(ended: &Result<Answered, Failed>) -> bool {
    matches!(ended, Err(Failed { fault: Fault::Connect(ConnectFailure::Full), .. }))
}

/// The last endpoint that an attempt was made on.
fn last(ended: &Result<Answered, Failed>) -> &Rc<EndpointState> {
    match ended {
        Ok(answered) => &answered.endpoint,
        Err(failed) => &failed.endpoint,
    }
}
