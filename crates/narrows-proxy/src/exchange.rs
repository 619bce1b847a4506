//! The life of a request: read, admit, route, act, answer, record.

use crate::answer::Answer;
use crate::downstream::{Downstream, Next, Received, Timing, head_limits};
use crate::explain::{self, Trail};
use crate::flow::{Flow, Recode};
use crate::forward::{self, Forwarding, Unanswered};
use crate::generation::Generation;
use crate::outgoing::{write_field, write_hsts, write_own_edits};
use crate::record::{self, Outcome};
use crate::request::{ConnectionFacts, Request};
use crate::tracing::Correlation;
use crate::wants::{LabelTexts, Wants};
use crate::worker::{AnswerMemory, ExchangeMemory, Worker};
use crate::{Fault, secure};
use narrows_plan::{Action, HttpListener, Route, Subject, UpstreamId};
use narrows_wire::http1::{HeadError, Method, Progress, Version, parse_request};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

/// The first byte of a TLS handshake (RFC 8446 section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// The life of a request, from its first bytes to the record of its answer. `last` closes the connection behind it.
pub(crate) async fn life(
    worker: &Worker,
    generation: &Generation,
    listener: &HttpListener,
    downstream: &mut Downstream,
    received: Received,
    last: bool,
) -> Next {
    let started = Instant::now();
    let mut memory = worker.take_memory();
    let mut exchange =
        Exchange { worker, generation, listener, downstream, last, outcome: Outcome::default(), trail: None };
    let next = match exchange.read_head(received, started, &mut memory).await {
        Ok(()) => exchange.serve(&mut memory).await,
        // The client left before it asked for anything.
        Err(None) => {
            worker.keep_memory(memory);
            return Next::Close;
        }
        Err(Some(fault)) => {
            memory.head.clear();
            exchange.refuse(fault, &mut memory.answer).await
        }
    };
    let Exchange { outcome, trail, .. } = exchange;
    record::add(worker, generation, listener, downstream, &memory, started, &outcome);
    if let Some(trail) = trail {
        trail.end(
            outcome.timings,
            started.elapsed(),
            outcome.status,
            outcome.fault,
            (outcome.received, outcome.sent),
        );
    }
    worker.keep_memory(memory);
    next
}

/// A request and its answer.
struct Exchange<'a, 'd> {
    worker: &'a Worker,
    /// The configuration that it began with.
    generation: &'a Generation,
    listener: &'a HttpListener,
    downstream: &'d mut Downstream,
    last: bool,
    outcome: Outcome<'a>,
    /// Where somebody wants it explained.
    trail: Option<Box<Trail>>,
}

/// An answer of our own, ready to be sent.
struct Reply<'r> {
    request: Option<&'r Request<'r>>,
    answer: Answer,
    keep_alive: bool,
    /// Complete field lines that the route adds.
    extra: Vec<u8>,
}

impl<'a> Exchange<'a, '_> {
    /// Reads until the head is complete; what follows it stays in the connection's leftover. `Err(None)`: the client is
    /// gone.
    async fn read_head(
        &mut self,
        received: Received,
        started: Instant,
        memory: &mut ExchangeMemory,
    ) -> Result<(), Option<Fault>> {
        let limits = head_limits(self.listener);
        let Received { mut buffer, mut length } = received;
        let mut is_whole = true;
        let Downstream { stream, watch, .. } = &mut *self.downstream;
        memory.head.clear();
        watch.set(self.listener.timeouts.head);
        loop {
            match parse_request(&buffer[..length], &limits, &mut memory.head) {
                Ok(Progress::Complete) => break,
                Ok(Progress::Partial) => {}
                Err(_) if buffer[0] == TLS_HANDSHAKE => return Err(Some(Fault::TlsOnPlainPort)),
                Err(error) => return Err(Some(error.into())),
            }
            if length == buffer.len() {
                let mut larger = self.worker.buffers.take(buffer.next_size());
                if larger.len() == length {
                    return Err(Some(Fault::RequestHead(HeadError::HeadTooLarge)));
                }
                larger[..length].copy_from_slice(&buffer[..length]);
                buffer = larger;
            }
            let read = poll_fn(|context| match stream.poll_read(context, &mut buffer[length..]) {
                Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Ok(count)),
                Poll::Ready(_) => Poll::Ready(Err(None)),
                Poll::Pending => watch.poll_expired(context).map(|()| Err(Some(Fault::RequestHeadTimedOut))),
            });
            length += read.await?;
            is_whole = false;
        }
        if !is_whole {
            self.outcome.timings.head = Some(started.elapsed());
        }
        let head_length = memory.head.length;
        memory.bytes.clear();
        memory.bytes.extend_from_slice(&buffer[..head_length]);
        self.downstream.unread(&buffer[head_length..length]);
        Ok(())
    }

    /// A request whose head is there: admit, route, act.
    async fn serve(&mut self, memory: &mut ExchangeMemory) -> Next {
        let ExchangeMemory { bytes, head, request: request_memory, answer: answer_memory } = memory;
        // Shared, so that what it tells outlives the borrow of the connection.
        let arrival = self.downstream.arrival.clone();
        let connection = ConnectionFacts {
            peer: arrival.peer.address(),
            peer_port: arrival.peer.port(),
            listener: self.generation.listener_name(arrival.place.listener),
            local_port: arrival.place.local_port,
            scheme: if arrival.tls.is_some() { "https" } else { "http" },
            is_http2: self.downstream.is_http2(),
            tls: arrival.tls.as_deref(),
            tlvs: arrival.tlvs(),
            unix: self.worker.unix(),
        };
        let mut request = match Request::admit(bytes, head, self.listener, connection, request_memory) {
            Ok(request) => request,
            Err(fault) => return self.refuse(fault, answer_memory).await,
        };
        request.correlation = Correlation::of_request(self.worker, self.generation, &request);
        self.outcome.correlation.clone_from(&request.correlation);
        self.trail = self.worker.asked.of_request(self.generation, &request);
        if self.listener.https_redirect && request.connection.tls.is_none() {
            let keep_alive = self.takes_body(&request);
            let reply = Reply {
                request: Some(&request),
                answer: Answer::to_https(&request),
                keep_alive,
                extra: Vec::new(),
            };
            return self.reply(reply, answer_memory).await;
        }
        let Some((route, matched_prefix)) = self.route(&request) else {
            let answer = Answer::to_fault(Fault::NoRoute, Some(&request), &self.listener.error_pages);
            let keep_alive = self.takes_body(&request);
            let reply = Reply { request: Some(&request), answer, keep_alive, extra: Vec::new() };
            return self.reply(reply, answer_memory).await;
        };
        self.outcome.route = &route.name;
        if let Some(pattern) = &route.captures {
            request.capture(pattern);
        }
        let answer = match &route.action {
            Action::Respond(fixed) => Answer::fixed(fixed, &request),
            Action::Redirect(redirect) => Answer::redirect(redirect, &request),
            Action::Upstream(upstream) => {
                return self.pass(route, matched_prefix, &request, *upstream, answer_memory).await;
            }
            Action::Status => {
                let state = self.worker.link.status.borrow().clone();
                Answer::json(&state)
            }
            Action::Split(split) => {
                let upstream = split.choose(self.worker.split_point(split.total));
                return self.pass(route, matched_prefix, &request, upstream, answer_memory).await;
            }
        };
        let mut extra = Vec::new();
        write_own_edits(route, &request, answer.status(), &mut extra);
        let keep_alive = self.takes_body(&request);
        self.reply(Reply { request: Some(&request), answer, keep_alive, extra }, answer_memory).await
    }

    /// The route that takes the request, and the length of the path prefix that its rule matched.
    fn route(&self, request: &Request<'_>) -> Option<(&'a Route, Option<usize>)> {
        let HttpListener { table, routes, fallback, .. } = self.listener;
        let subject = Subject { host: request.host, path: request.path };
        let facts = request.facts(None);
        let selected = match &self.trail {
            None => table.select(subject, &facts, &mut ()),
            Some(trail) => {
                let route = |rule: usize| (&*routes[rule].name, routes[rule].origin);
                trail.select(&self.generation.plan, table, subject, &facts, route)
            }
        };
        match selected {
            Some(rule) => {
                Some((&routes[rule], table.rules()[rule].matched_prefix(request.path).map(str::len)))
            }
            None => fallback.as_deref().map(|route| (route, None)),
        }
    }

    /// Has the request answered by an upstream.
    async fn pass(
        &mut self,
        route: &'a Route,
        matched_prefix: Option<usize>,
        request: &Request<'_>,
        upstream: UpstreamId,
        memory: &mut AnswerMemory,
    ) -> Next {
        let Exchange { worker, generation, listener, last, .. } = *self;
        let cluster = generation.cluster(upstream);
        self.outcome.upstream = &cluster.upstream.name;
        let timing = Timing::new(&self.downstream.watch, route.timeouts.request, request.grpc_timeout());
        let mut texts = LabelTexts::default();
        let wants =
            Wants::of_request(request, &route.subset, cluster, generation.sticky(upstream), &mut texts);
        let policy = route.retry.as_deref().unwrap_or(&cluster.upstream.retry);
        // Lent to the attempts.
        let trail = self.trail.take();
        if let Some(trail) = &trail {
            trail.goes_to(&cluster.upstream.name);
        }
        let forwarding = Forwarding {
            trail: trail.as_deref(),
            worker,
            generation,
            listener,
            route,
            matched_prefix,
            request,
            cluster,
            wants: &wants,
            policy,
            timing: &timing,
            last,
        };
        let forwarded = forward::life(&forwarding, self.downstream, memory, &mut self.outcome).await;
        self.trail = trail;
        match forwarded {
            Ok(next) => next,
            Err(Unanswered { fault: Fault::ClientGone, .. }) => {
                self.outcome.fault = Some(Fault::ClientGone);
                self.outcome.status = Fault::ClientGone.meaning().status;
                Next::Close
            }
            Err(Unanswered { fault, is_received }) => {
                let answer = Answer::to_fault(fault, Some(request), &route.error_pages);
                let keep_alive = is_received && self.wants_keep_alive(request);
                self.reply(Reply { request: Some(request), answer, keep_alive, extra: Vec::new() }, memory)
                    .await
            }
        }
    }

    /// Answers a request that could not be understood, and ends the connection.
    async fn refuse(&mut self, fault: Fault, memory: &mut AnswerMemory) -> Next {
        if fault == Fault::TlsOnPlainPort {
            self.outcome.fault = Some(fault);
            self.downstream.watch.set(self.listener.timeouts.write_idle);
            let _ = self.downstream.write_all(secure::PLAIN_PORT_ALERT).await;
            return Next::Linger;
        }
        let answer = Answer::to_fault(fault, None, &self.listener.error_pages);
        self.reply(Reply { request: None, answer, keep_alive: false, extra: Vec::new() }, memory).await
    }

    /// Whether the connection may carry another request after an answer of our own. Takes the request's body out of the
    /// leftover; where it has not arrived yet, the connection ends.
    fn takes_body(&mut self, request: &Request<'_>) -> bool {
        let mut body = Flow::new(request.head.framing, Recode::Nothing, None);
        match body.admit(&self.downstream.leftover) {
            Ok(length) if body.is_received() => {
                self.downstream.leftover.drain(..length);
                self.wants_keep_alive(request)
            }
            _ => false,
        }
    }

    fn wants_keep_alive(&self, request: &Request<'_>) -> bool {
        request.head.keep_alive && !self.last && !self.worker.is_leaving(self.downstream.arrival.place)
    }

    /// Sends an answer of our own.
    async fn reply(&mut self, reply: Reply<'_>, memory: &mut AnswerMemory) -> Next {
        let Reply { request, answer, keep_alive, mut extra } = reply;
        let (method, version) = request
            .map_or((Method::Get, Version::Http11), |request| (request.head.method, request.head.version));
        let out = &mut memory.out;
        out.clear();
        if let (Some(_), Some(hsts)) = (&self.downstream.arrival.tls, self.listener.hsts) {
            write_hsts(hsts, &mut extra);
        }
        let correlation = request.and_then(|request| request.correlation.as_deref());
        if let Some((name, id)) = correlation.and_then(Correlation::response_header) {
            write_field(name, id.as_bytes(), &mut extra);
        }
        if let Some(trail) = self.trail.as_ref().filter(|trail| trail.is_signed()) {
            write_field(explain::EXPLAINED, trail.short().as_bytes(), &mut extra);
        }
        answer.write(method, version, keep_alive, &self.worker.date(), &extra, out);
        if let Some(trail) = &self.trail {
            trail.answers_own(out);
        }
        self.downstream.take_waiting(out);
        self.outcome.status = answer.status();
        self.outcome.fault = answer.fault();
        self.downstream.watch.set(self.listener.timeouts.write_idle);
        match self.downstream.write_all(out).await {
            Ok(()) => {
                self.outcome.sent = answer.body_length(method) as u64;
                self.outcome.head_sent = head_length(out.len(), answer.body_length(method));
            }
            Err(fault) => {
                self.outcome.fault = Some(fault);
                return Next::Close;
            }
        }
        if keep_alive { Next::KeepAlive } else { Next::Linger }
    }
}

/// How much of what was sent is not the body.
fn head_length(all: usize, body: usize) -> u64 {
    all.saturating_sub(body) as u64
}
