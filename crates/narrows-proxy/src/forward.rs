//! Having a request answered by an upstream: attempt, retry, relay.

mod attempt;
mod forwarding;
mod relay;

pub(crate) use forwarding::Forwarding;

use crate::downstream::{Downstream, Next};
use crate::flow::{Flow, FlowFault, Recode};
use crate::outgoing::{is_upgrade, write_request_head};
use crate::preface::preface;
use crate::record::Outcome;
use crate::worker::AnswerMemory;
use crate::{Fault, tunnel};
use attempt::{Answered, Attempt, Failed};
use narrows_upstream::{AttemptFailure, EndpointState, Purpose, Tried};
use narrows_wire::http1::BodyFraming;
use std::rc::Rc;

/// Why no endpoint answered. Nothing was sent to the client yet.
pub(crate) struct Unanswered {
    pub(crate) fault: Fault,
    /// Whether the whole request was received, so that the next one can be read behind it.
    pub(crate) is_received: bool,
}

/// The life of a forwarded request: attempts until one is answered, then the answer.
pub(crate) async fn life<'a>(
    forwarding: &Forwarding<'a, '_>,
    downstream: &mut Downstream,
    memory: &mut AnswerMemory,
    outcome: &mut Outcome<'a>,
) -> Result<Next, Unanswered> {
    let Forwarding { route, request, .. } = *forwarding;
    let refused = |fault| Unanswered { fault, is_received: false };
    if let (BodyFraming::Length(length), Some(limit)) = (request.head.framing, route.body_limit)
        && length > limit
    {
        return Err(refused(Fault::RequestBodyTooLarge));
    }
    let mut upload = Flow::new(request.head.framing, Recode::Nothing, route.body_limit);
    // The part of the body that came with the head stays in the leftover until an endpoint has answered.
    let body_start =
        upload.admit(&downstream.leftover).map_err(|fault: FlowFault| refused(fault.of_request()))?;
    match attempts(forwarding, downstream, &mut upload, body_start, memory, outcome).await {
        Ok((endpoint, answered)) => {
            forwarding.wants.answered(&endpoint, request, &answered.buffer[..answered.end], &memory.head);
            downstream.leftover.drain(..body_start);
            if memory.head.upgrade {
                return Ok(switch_protocols(forwarding, downstream, memory, answered, outcome).await);
            }
            Ok(finish(forwarding, downstream, memory, upload, endpoint, answered, outcome).await)
        }
        Err(fault) => {
            downstream.leftover.drain(..body_start);
            downstream.leftover.append(&mut upload.excess);
            Err(Unanswered { fault, is_received: upload.is_over() })
        }
    }
}

/// Attempts until an endpoint answers: which one, and the answer. `downstream.leftover[..body_start]` is what is there of the body.
async fn attempts<'a>(
    forwarding: &Forwarding<'a, '_>,
    downstream: &mut Downstream,
    upload: &mut Flow,
    body_start: usize,
    memory: &mut AnswerMemory,
    outcome: &mut Outcome<'a>,
) -> Result<(Rc<EndpointState>, Answered), Fault> {
    let Forwarding { worker, route, request, cluster, .. } = *forwarding;
    let AnswerMemory { head: response, out } = memory;
    let repeatable = request.head.method.is_idempotent() && upload.is_received() && !is_upgrade(request);

    // A connection that says whose it is serves nobody else, so it is neither taken from the pool nor kept.
    let preface = preface(cluster.upstream.proxy_protocol, &downstream.arrival, "");
    let mut tried = Tried::default();
    let mut retries = cluster.upstream.retry.limit;
    let mut fault = None;
    'endpoints: loop {
        let endpoint = match cluster.pick(&forwarding.wants.wanted(&tried)) {
            Ok(endpoint) => endpoint,
            Err(why) => return Err(fault.unwrap_or(why.into())),
        };
        let _running = endpoint.begin();
        outcome.endpoint = Some(Rc::clone(&endpoint));
        let mut pooled = match preface.is_empty() {
            true => endpoint.reuse(worker.now(), !repeatable),
            false => None,
        };
        // Twice on one endpoint only when the first time was on a connection that had died in the pool.
        loop {
            outcome.attempts += 1;
            let reused = pooled.is_some();
            let mut connection = match pooled.take() {
                Some(connection) => connection,
                None => {
                    let timeout = route.timeouts.connect;
                    match endpoint.connect(Purpose::Http, &downstream.watch, timeout, &preface).await {
                        Ok(connection) => connection,
                        Err(failure) => {
                            endpoint.failed(AttemptFailure::Connect);
                            if retries == 0 {
                                return Err(Fault::Connect(failure));
                            }
                            fault = Some(Fault::Connect(failure));
                            retries -= 1;
                            tried.add(endpoint.id());
                            continue 'endpoints;
                        }
                    }
                }
            };
            connection.requests += 1;
            out.clear();
            let prefix = forwarding.matched_prefix.map(|length| &request.path[..length]);
            write_request_head(
                request,
                forwarding.listener,
                route,
                prefix,
                forwarding.wants.cookie(),
                &endpoint.label,
                out,
            );
            out.extend_from_slice(&downstream.leftover[..body_start]);
            let attempt = Attempt { forwarding, downstream, upload, connection, out };
            match attempt.run(response).await {
                Ok(answered) => {
                    endpoint.succeeded(None);
                    return Ok((endpoint, answered));
                }
                Err(Failed { fault: failed, unanswered, unsent, refused }) => {
                    fault = Some(failed);
                    let safe = unanswered && !upload.was_read() && (repeatable || unsent);
                    if !safe {
                        return Err(failed);
                    }
                    if reused {
                        continue;
                    }
                    if retries == 0 {
                        return Err(failed);
                    }
                    retries -= 1;
                    // One that refuses now takes it a moment later, on another connection; somebody else does so at once.
                    if refused && cluster.is_single() {
                        continue;
                    }
                    tried.add(endpoint.id());
                    continue 'endpoints;
                }
            }
        }
    }
}

/// The answer is there: relay it, then decide which connections live on.
async fn finish(
    forwarding: &Forwarding<'_, '_>,
    downstream: &mut Downstream,
    memory: &mut AnswerMemory,
    mut upload: Flow,
    endpoint: Rc<EndpointState>,
    answered: Answered,
    outcome: &mut Outcome<'_>,
) -> Next {
    outcome.status = memory.head.status;
    let mut answered = answered;
    match answered.send_failed {
        true => upload.give_up(),
        // An answer may come before the request has left; the rest still goes first.
        false => upload.send_first(std::mem::take(&mut answered.unsent)),
    }
    let relayed = relay::life(forwarding, downstream, memory, &mut upload, answered).await;
    outcome.received = upload.payload;
    outcome.sent = relayed.sent;
    outcome.fault = relayed.fault;
    if relayed.fault.is_some() {
        // What a client does not take must not stay with the kernel either.
        if relayed.ends_at_close || relayed.fault == Some(Fault::ClientTooSlow) {
            downstream.stream.reset_on_close();
        }
        return Next::Close;
    }
    downstream.leftover.append(&mut upload.excess);
    if relayed.reusable && upload.is_over() && forwarding.cluster.upstream.proxy_protocol.is_none() {
        endpoint.release(relayed.connection, forwarding.worker.now());
    }
    match relayed.keep_alive {
        true => Next::KeepAlive,
        false if upload.is_over() => Next::Close,
        false => Next::Linger,
    }
}

/// 101: from here on the connection is a tunnel (RFC 9110 section 7.8).
async fn switch_protocols(
    forwarding: &Forwarding<'_, '_>,
    downstream: &mut Downstream,
    memory: &mut AnswerMemory,
    answered: Answered,
    outcome: &mut Outcome<'_>,
) -> Next {
    let Answered { mut connection, buffer, end, unsent, .. } = answered;
    let AnswerMemory { head: response, out } = memory;
    let received = &buffer[..end];
    outcome.status = response.status;
    let worker = forwarding.worker;
    out.clear();
    forwarding.write_head(received, response, Recode::Nothing, true, out);
    downstream.take_waiting(out);
    let from_upstream = &received[response.length..];
    out.extend_from_slice(from_upstream);
    let from_client = [unsent, std::mem::take(&mut downstream.leftover)].concat();
    let ends = tunnel::Ends { client: &mut downstream.stream, server: &mut connection.stream };
    let idle = forwarding.route.timeouts.tunnel_idle;
    let moved = tunnel::life(worker, &downstream.watch, idle, ends, &from_client, out).await;
    outcome.received = moved.received;
    outcome.sent = moved.sent;
    outcome.fault = moved.fault;
    Next::Close
}
