//! The life of a request: read, admit, route, act, answer, record.

use crate::Fault;
use crate::answer::Answer;
use crate::connection::{Downstream, Next, Received, Timing, head_limits};
use crate::flow::{Flow, FlowFault, Recode};
use crate::forward::{self, Forwarding, Unanswered};
use crate::request::{ConnectionFacts, Request};
use crate::worker::{ExchangeMemory, Worker};
use narrows_observe::{AccessRecord, Calendar};
use narrows_plan::{Action, HttpListener, Route, Subject, UpstreamId};
use narrows_wire::http1::{FieldName, Method, Progress, Version, parse_request};
use std::future::poll_fn;
use std::task::Poll;
use std::time::Instant;

/// What happened, for the record.
#[derive(Debug, Default)]
pub(crate) struct Outcome<'a> {
    pub(crate) route: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) attempts: u32,
    pub(crate) status: u16,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) fault: Option<Fault>,
}

/// The life of a request, from its first bytes to the record of its answer. `last` closes the connection behind it.
pub(crate) async fn life(
    worker: &Worker,
    listener: &HttpListener,
    downstream: &mut Downstream,
    received: Received,
    last: bool,
) -> Next {
    let started = worker.log.as_ref().map(|_| Instant::now());
    let mut memory = worker.take_memory();
    let mut outcome = Outcome::default();
    let next = match read_head(worker, listener, downstream, received, &mut memory).await {
        Ok(()) => serve(worker, listener, downstream, &mut memory, last, &mut outcome).await,
        // The client left before it asked for anything.
        Err(None) => {
            worker.keep_memory(memory);
            return Next::Close;
        }
        Err(Some(fault)) => {
            memory.head.clear();
            let answer = Answer::to_fault(fault, None, &listener.error_pages);
            reply(worker, listener, downstream, &mut memory.out, None, &answer, false, &mut outcome).await
        }
    };
    if let Some(started) = started {
        record(worker, downstream, &memory, started, &outcome);
    }
    worker.keep_memory(memory);
    next
}

/// Reads until the head is complete; what follows it stays in the connection's leftover. `Err(None)`: the client is gone.
async fn read_head(
    worker: &Worker,
    listener: &HttpListener,
    downstream: &mut Downstream,
    received: Received,
    memory: &mut ExchangeMemory,
) -> Result<(), Option<Fault>> {
    let limits = head_limits(listener);
    let Received { mut buffer, mut length } = received;
    memory.head.clear();
    downstream.watch.set(listener.timeouts.head);
    loop {
        match parse_request(&buffer[..length], &limits, &mut memory.head) {
            Ok(Progress::Complete) => break,
            Ok(Progress::Partial) => {}
            Err(error) => return Err(Some(error.into())),
        }
        if length == buffer.len() {
            let mut larger = worker.buffers.take(buffer.next_size());
            if larger.len() == length {
                return Err(Some(Fault::RequestHead(narrows_wire::http1::HeadError::HeadTooLarge)));
            }
            larger[..length].copy_from_slice(&buffer[..length]);
            buffer = larger;
        }
        let read = poll_fn(|context| match downstream.stream.poll_read(context, &mut buffer[length..]) {
            Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Ok(count)),
            Poll::Ready(_) => Poll::Ready(Err(None)),
            Poll::Pending => {
                downstream.watch.poll_expired(context).map(|()| Err(Some(Fault::RequestHeadTimedOut)))
            }
        });
        length += read.await?;
    }
    let head_length = memory.head.length;
    memory.bytes.clear();
    memory.bytes.extend_from_slice(&buffer[..head_length]);
    downstream.unread(&buffer[head_length..length]);
    Ok(())
}

/// A request whose head is there: admit, route, act.
async fn serve<'a>(
    worker: &'a Worker,
    listener: &'a HttpListener,
    downstream: &mut Downstream,
    memory: &mut ExchangeMemory,
    last: bool,
    outcome: &mut Outcome<'a>,
) -> Next {
    let ExchangeMemory { bytes, head, request: request_memory, response, out } = memory;
    let connection = ConnectionFacts {
        peer: downstream.peer.address(),
        peer_port: downstream.peer.port(),
        listener: &worker.plan.listeners[downstream.place.listener].name,
        local_port: downstream.place.local_port,
        scheme: "http",
        unix: worker.unix(),
    };
    let mut request = match Request::admit(bytes, head, listener, connection, request_memory) {
        Ok(request) => request,
        Err(fault) => {
            let answer = Answer::to_fault(fault, None, &listener.error_pages);
            return reply(worker, listener, downstream, out, None, &answer, false, outcome).await;
        }
    };
    let subject = Subject { host: request.host, path: request.path };
    let chosen = listener.table.select(subject, &request.facts(None), &mut ());
    let (route, prefix) = match (chosen, &listener.fallback) {
        (Some(rule), _) => {
            (&listener.routes[rule], listener.table.rules()[rule].matched_prefix(request.path).map(str::len))
        }
        (None, Some(fallback)) => (&**fallback, None),
        (None, None) => {
            let answer = Answer::to_fault(Fault::NoRoute, Some(&request), &listener.error_pages);
            let keep_alive = may_keep_alive(worker, downstream, &request, last);
            return reply(worker, listener, downstream, out, Some(&request), &answer, keep_alive, outcome)
                .await;
        }
    };
    outcome.route = &route.name;
    if let Some(pattern) = &route.captures {
        request.capture(pattern);
    }
    let answer = match &route.action {
        Action::Respond(fixed) => Answer::fixed(fixed, &request),
        Action::Redirect(redirect) => Answer::redirect(redirect, &request),
        Action::Upstream(upstream) => {
            let upstream = *upstream;
            return pass(
                worker, listener, downstream, route, prefix, &request, upstream, response, out, last, outcome,
            )
            .await;
        }
        Action::Split(split) => {
            let upstream = split.choose(worker.split_point(split.total));
            return pass(
                worker, listener, downstream, route, prefix, &request, upstream, response, out, last, outcome,
            )
            .await;
        }
    };
    let keep_alive = may_keep_alive(worker, downstream, &request, last);
    let mut edits = Vec::new();
    crate::outgoing::write_own_edits(route, &request, answer.status(), &mut edits);
    reply_with(worker, listener, downstream, out, Some(&request), &answer, &edits, keep_alive, outcome).await
}

/// Has the request answered by an upstream.
#[allow(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed separately")]
async fn pass<'a>(
    worker: &'a Worker,
    listener: &'a HttpListener,
    downstream: &mut Downstream,
    route: &'a Route,
    matched_prefix: Option<usize>,
    request: &Request<'_>,
    upstream: UpstreamId,
    response: &mut narrows_wire::http1::ResponseHead,
    out: &mut Vec<u8>,
    last: bool,
    outcome: &mut Outcome<'a>,
) -> Next {
    let cluster = worker.cluster(upstream);
    outcome.upstream = &cluster.name;
    let timing = Timing::new(&downstream.watch, route.timeouts.request);
    let forwarding =
        Forwarding { worker, listener, route, matched_prefix, request, cluster, timing: &timing, last };
    match forward::life(&forwarding, downstream, response, out, outcome).await {
        Ok(next) => next,
        Err(Unanswered { fault, is_received }) => {
            outcome.fault = Some(fault);
            if fault == Fault::ClientGone {
                outcome.status = fault.meaning().status;
                return Next::Close;
            }
            let answer = Answer::to_fault(fault, Some(request), &route.error_pages);
            let keep_alive = is_received && wants_keep_alive(worker, request, last);
            reply(worker, listener, downstream, out, Some(request), &answer, keep_alive, outcome).await
        }
    }
}

/// Whether the connection may carry another request after an answer of our own. Takes the request's body out of the
/// leftover; where it has not arrived yet, the connection ends.
fn may_keep_alive(worker: &Worker, downstream: &mut Downstream, request: &Request<'_>, last: bool) -> bool {
    let mut body = Flow::new(request.head.framing, Recode::Nothing, None);
    match body.admit(&downstream.leftover) {
        Ok(length) if body.is_received() => {
            downstream.leftover.drain(..length);
            wants_keep_alive(worker, request, last)
        }
        _ => false,
    }
}

fn wants_keep_alive(worker: &Worker, request: &Request<'_>, last: bool) -> bool {
    request.head.keep_alive && !last && !worker.is_draining()
}

#[allow(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed separately")]
async fn reply(
    worker: &Worker,
    listener: &HttpListener,
    downstream: &mut Downstream,
    out: &mut Vec<u8>,
    request: Option<&Request<'_>>,
    answer: &Answer,
    keep_alive: bool,
    outcome: &mut Outcome<'_>,
) -> Next {
    reply_with(worker, listener, downstream, out, request, answer, &[], keep_alive, outcome).await
}

/// Sends an answer of our own. `extra` are complete field lines.
#[allow(clippy::too_many_arguments, reason = "the parts of one exchange, borrowed separately")]
async fn reply_with(
    worker: &Worker,
    listener: &HttpListener,
    downstream: &mut Downstream,
    out: &mut Vec<u8>,
    request: Option<&Request<'_>>,
    answer: &Answer,
    extra: &[u8],
    keep_alive: bool,
    outcome: &mut Outcome<'_>,
) -> Next {
    let (method, version) =
        request.map_or((Method::Get, Version::Http11), |request| (request.head.method, request.head.version));
    out.clear();
    answer.write(method, version, keep_alive, &worker.date(), extra, out);
    outcome.status = answer.status();
    outcome.fault = answer.fault().or(outcome.fault);
    downstream.watch.set(listener.timeouts.write_idle);
    match downstream.write_all(out).await {
        Ok(()) => outcome.sent = answer.body_length(method) as u64,
        Err(fault) => {
            outcome.fault = Some(fault);
            return Next::Close;
        }
    }
    if keep_alive { Next::KeepAlive } else { Next::Linger }
}

impl Downstream {
    /// Writes all of `bytes` within the deadline that is set.
    async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        poll_fn(|context| {
            while !rest.is_empty() {
                match self.stream.poll_write(context, rest) {
                    Poll::Ready(Ok(count)) if count > 0 => rest = &rest[count..],
                    Poll::Ready(_) => return Poll::Ready(Err(Fault::ClientGone)),
                    Poll::Pending => {
                        return self.watch.poll_expired(context).map(|()| Err(Fault::ClientTooSlow));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Puts bytes back in front of those that were not used yet.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        self.leftover.splice(0..0, bytes.iter().copied());
    }
}

/// What a fault of the request's body means.
pub(crate) fn upload_fault(fault: FlowFault) -> Fault {
    match fault {
        FlowFault::Read | FlowFault::Incomplete => Fault::ClientGone,
        FlowFault::Framing(error) => Fault::RequestBody(error),
        FlowFault::TooLarge => Fault::RequestBodyTooLarge,
        FlowFault::Write => Fault::ResponseMissing,
    }
}

fn record(
    worker: &Worker,
    downstream: &Downstream,
    memory: &ExchangeMemory,
    started: Instant,
    outcome: &Outcome<'_>,
) {
    let Some(log) = &worker.log else { return };
    let listener = &worker.plan.listeners[downstream.place.listener];
    let narrows_plan::Protocol::Http(http) = &listener.protocol else { return };
    let (head, bytes) = (&memory.head, &memory.bytes[..]);
    let value = |known| head.field(known).map_or(&[][..], |field| field.value.of(bytes));
    let (client, _) = crate::client::address(downstream.peer.address(), bytes, head, &http.trusted_proxies);
    log.add(&AccessRecord {
        time: Calendar::from_unix(worker.unix()),
        client,
        listener: &listener.name,
        method: head.method_span.of(bytes),
        target: head.target.of(bytes),
        version: if head.length == 0 { "" } else { head.version.as_str() },
        host: std::str::from_utf8(head.host.of(bytes)).unwrap_or_default(),
        status: outcome.status,
        bytes_received: outcome.received,
        bytes_sent: outcome.sent,
        duration: started.elapsed(),
        referer: value(FieldName::Referer),
        user_agent: value(FieldName::UserAgent),
        route: outcome.route,
        upstream: outcome.upstream,
        endpoint: outcome.endpoint,
        attempts: outcome.attempts,
        fault: outcome.fault.map_or("", |fault| fault.meaning().code),
    });
}
