//! Attempts until one is answered: which endpoint is next, whether there is a next one, and what goes there again.

use super::attempt::Attempt;
use super::condition::{self, Cause, Failed};
use super::forwarding::Forwarding;
use super::hedge::Hedge;
use super::lane::{Answered, Lane, Stage};
use super::{backoff, discard};
use crate::Fault;
use crate::downstream::Downstream;
use crate::flow::Flow;
use crate::outgoing::{is_upgrade, write_request_head};
use crate::preface::preface;
use crate::queueing::Reserved;
use crate::record::Outcome;
use crate::worker::AnswerMemory;
use narrows_plan::RetryPolicy;
use narrows_runtime::Tick;
use narrows_upstream::{
    Again, ConnectFailure, Connection, EndpointState, Entered, Need, Purpose, RetryPlace, Retrying, Running,
    Tried, Unavailable,
};
use narrows_wire::http1::BodyFraming;
use std::rc::Rc;
use std::time::Instant;

/// The attempts of one request.
pub(super) struct Tries<'t> {
    pub(super) forwarding: &'t Forwarding<'t, 't>,
    pub(super) policy: &'t RetryPolicy,
    /// After this time a second endpoint is asked; taken when it was.
    pub(super) hedge_after: Option<std::time::Duration>,
    /// What is there of the body, in the connection's leftover, until an endpoint has answered.
    body_start: usize,
    /// Whether an endpoint may see the request twice.
    is_safe: bool,
    /// Whether what is read of the body is kept.
    is_keeping: bool,
    pub(super) tried: Tried,
    /// Further attempts.
    left: u32,
    /// What connections begin with.
    preface: Vec<u8>,
    attempts: u32,
    hedging: Option<Retrying<'t>>,
}

/// Where the next attempt is made.
enum Next {
    /// There, where a place is taken.
    Reserved(Reserved),
    /// Wherever there is room first.
    Queue,
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
            hedge_after: policy.hedge.filter(|_| is_safe),
            body_start,
            is_safe,
            is_keeping,
            tried: Tried::default(),
            left: policy.limit,
            // A connection that says whose it is serves nobody else, so it is neither taken from the pool nor kept.
            preface: preface(cluster.upstream.proxy_protocol, &downstream.arrival, ""),
            attempts: 0,
            hedging: None,
        }
    }

    /// The life of a request at its endpoints, until one has answered.
    pub(super) async fn life(
        mut self,
        downstream: &mut Downstream,
        upload: &mut Flow,
        memory: &mut AnswerMemory,
        outcome: &mut Outcome<'_>,
        entered: &Entered,
    ) -> Result<Answered, Fault> {
        let Forwarding { cluster, .. } = *self.forwarding;
        let _running = cluster.budget.begin(self.policy.budget);
        let (mut endpoint, mut running) = self.reserve_or_wait(downstream, upload.is_received()).await?;
        entered.begins();
        let mut number = 0;
        let mut retrying: Option<(Retrying<'t>, RetryPlace)> = None;
        loop {
            let ended = self.try_on(&endpoint, running, downstream, upload, memory).await;
            drop(retrying.take());
            outcome.attempts = self.attempts;
            let (last, again) = match &ended {
                Ok(answered) => {
                    outcome.endpoint = Some(Rc::clone(&answered.endpoint));
                    let passive = cluster.upstream.passive.as_ref();
                    condition::report_answer(&answered.endpoint, passive, memory.head.status, answered.took);
                    if !self.may_replace(answered, memory, upload) {
                        return ended.map_err(|failed| failed.fault);
                    }
                    (&answered.endpoint, Again::Failed)
                }
                Err(failed) => {
                    outcome.endpoint = Some(Rc::clone(&failed.endpoint));
                    failed.report();
                    if !failed.cause.is_worth_another(&self.policy.on) || !self.may_repeat(failed, upload) {
                        return Err(failed.fault);
                    }
                    let is_unseen =
                        matches!(failed.cause, Cause::Connect | Cause::Refused) || failed.is_unsent;
                    (&failed.endpoint, if is_unseen { Again::Unseen } else { Again::Failed })
                }
            };
            // One that refuses now takes it a moment later, on another connection; somebody else does so at once.
            let is_refused = matches!(&ended, Err(Failed { cause: Cause::Refused, .. }));
            let next = if self.left == 0 {
                None
            } else if is_refused && cluster.is_single() {
                last.try_begin(Need::Request).map(|running| Next::Reserved((Rc::clone(last), running)))
            } else {
                self.tried.add(last.id());
                match self.reserve() {
                    Ok(reserved) => Some(Next::Reserved(reserved)),
                    Err(Unavailable::Full) => Some(Next::Queue),
                    Err(Unavailable::Down | Unavailable::Tried) => None,
                }
            };
            let allowed = next.and_then(|next| {
                let place = cluster.take_retry()?;
                Some((next, (cluster.budget.again(self.policy.budget, again)?, place)))
            });
            let Some((next, allowed)) = allowed else { return ended.map_err(|failed| failed.fault) };
            if let Ok(answered) = ended {
                discard::life(self.forwarding, answered, memory, upload);
            }
            upload.rewind();
            self.left -= 1;
            retrying = Some(allowed);
            backoff::life(self.forwarding, self.policy, number, downstream, upload.is_received()).await?;
            number += 1;
            (endpoint, running) = match next {
                Next::Reserved(reserved) => reserved,
                Next::Queue => self.reserve_or_wait(downstream, upload.is_received()).await?,
            };
        }
    }

    /// One try on an endpoint; twice only when the first time was on a connection that had died in the pool.
    async fn try_on(
        &mut self,
        endpoint: &Rc<EndpointState>,
        running: Running,
        downstream: &mut Downstream,
        upload: &mut Flow,
        memory: &mut AnswerMemory,
    ) -> Result<Answered, Failed> {
        let mut running = Some(running);
        let certain = !(self.is_safe && upload.is_received());
        let mut pooled = match self.preface.is_empty() {
            true => endpoint.reuse(self.forwarding.worker.now(), certain),
            false => None,
        };
        loop {
            self.attempts += 1;
            let try_limit =
                self.policy.try_timeout.map_or(Tick::NEVER, |timeout| downstream.watch.after(timeout));
            let lane = self.lane(endpoint, running.take(), pooled.take(), downstream).await?;
            self.keep(&lane, upload, memory);
            let AnswerMemory { head: response, out, .. } = memory;
            self.write_request(endpoint, downstream, upload, out);
            let attempt = Attempt::new(self, downstream, upload, out, lane, try_limit);
            match attempt.run(response).await {
                Err(failed)
                    if failed.is_reused
                        && Rc::ptr_eq(&failed.endpoint, endpoint)
                        && matches!(failed.cause, Cause::Reset | Cause::Refused)
                        && self.may_repeat(&failed, upload) =>
                {
                    upload.rewind();
                }
                ended => return ended,
            }
        }
    }

    /// A lane to an endpoint, on `pooled` or on a new connection.
    async fn lane(
        &mut self,
        endpoint: &Rc<EndpointState>,
        running: Option<Running>,
        pooled: Option<Connection>,
        downstream: &Downstream,
    ) -> Result<Lane, Failed> {
        let Forwarding { route, cluster, timing, .. } = *self.forwarding;
        // The place of a try that is repeated went with it.
        let Some(running) = running.or_else(|| endpoint.try_begin(Need::Request)) else {
            let (fault, endpoint) = (Fault::Connect(ConnectFailure::Full), Rc::clone(endpoint));
            return Err(Failed { fault, cause: Cause::Connect, endpoint, is_unsent: true, is_reused: false });
        };
        let began = cluster.wants_times().then(Instant::now);
        let is_reused = pooled.is_some();
        let stage = match pooled {
            Some(mut connection) => {
                connection.requests += 1;
                Stage::Open(connection)
            }
            // While it is made, another endpoint may be asked.
            None if self.hedge_after.is_some() => self.connecting(endpoint),
            None => {
                let watch = &downstream.watch;
                let connect = [route.timeouts.connect, self.policy.try_timeout].into_iter().flatten().min();
                let timeout = timing.within(watch, connect);
                match endpoint.connect(Purpose::Http, watch, timeout, &self.preface).await {
                    Ok(mut connection) => {
                        connection.requests += 1;
                        Stage::Open(connection)
                    }
                    Err(failure) => {
                        let endpoint = Rc::clone(endpoint);
                        let (fault, cause) = match timing.is_over(watch) {
                            true => (Fault::RequestTimedOut, Cause::Elsewhere),
                            false => (Fault::Connect(failure), Cause::Connect),
                        };
                        return Err(Failed { fault, cause, endpoint, is_unsent: true, is_reused: false });
                    }
                }
            }
        };
        Ok(Lane::new(Rc::clone(endpoint), running, stage, is_reused, began))
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
        let Forwarding { cluster, worker, .. } = *self.forwarding;
        if !upload.is_received() || upload.is_lost() {
            return None;
        }
        self.hedge_after = None;
        self.tried.add(first.id());
        let (endpoint, running) = self.reserve().ok()?;
        self.hedging = Some(cluster.budget.again(self.policy.budget, Again::Hedge)?);
        self.tried.add(endpoint.id());
        self.attempts += 1;
        let pooled = match self.preface.is_empty() {
            true => endpoint.reuse(worker.now(), true),
            false => None,
        };
        let is_reused = pooled.is_some();
        let stage = match pooled {
            Some(mut connection) => {
                connection.requests += 1;
                Stage::Open(connection)
            }
            None => self.connecting(&endpoint),
        };
        let mut out = Vec::new();
        self.write_request(&endpoint, downstream, upload, &mut out);
        let began = cluster.wants_times().then(Instant::now);
        let mut lane = Lane::new(Rc::clone(&endpoint), running, stage, is_reused, began);
        let after =
            |timeout: Option<_>| timeout.map_or(Tick::NEVER, |timeout| downstream.watch.after(timeout));
        let head = if lane.is_open() { self.forwarding.route.timeouts.response_head } else { None };
        lane.limit_within(after(head), after(self.policy.try_timeout));
        Some(Box::new(Hedge { lane, out, response: Default::default() }))
    }

    /// Writes the head as `endpoint` gets it, and what is there of the body.
    fn write_request(
        &self,
        endpoint: &EndpointState,
        downstream: &Downstream,
        upload: &Flow,
        out: &mut Vec<u8>,
    ) {
        let Forwarding { request, listener, route, matched_prefix, .. } = *self.forwarding;
        out.clear();
        let prefix = matched_prefix.map(|length| &request.path[..length]);
        write_request_head(request, listener, route, prefix, &endpoint.label, out);
        out.extend_from_slice(&downstream.leftover[..self.body_start]);
        out.extend_from_slice(upload.kept());
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
