//! Having a request answered by an upstream: attempt, retry, relay.

mod attempt;
mod backoff;
mod condition;
mod discard;
mod forwarding;
mod hedge;
mod lane;
mod queue;
mod relay;
mod tries;

pub(crate) use backoff::pause;
pub(crate) use condition::report_answer;
pub(crate) use forwarding::Forwarding;

use crate::downstream::{Downstream, Next};
use crate::flow::{Flow, FlowFault, Recode};
use crate::mirror::Copies;
use crate::record::Outcome;
use crate::worker::AnswerMemory;
use crate::{Fault, tunnel};
use lane::Answered;
use narrows_observe::Timings;
use narrows_upstream::Need;
use narrows_wire::http1::BodyFraming;
use tries::Tries;

/// Memory for the bodies of requests that is kept from one to the next.
const KEPT_BYTES: usize = 16 << 10;

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
    let entered = forwarding.cluster.enter(Need::Request).map_err(|shed| refused(Fault::Shed(shed)))?;
    let mut copies = Copies::choose(forwarding);
    if !copies.is_empty() {
        let first = &downstream.leftover[..body_start];
        let limit = copies.wait_for_body(first);
        if upload.is_received() {
            copies.send(forwarding, &downstream.arrival, &[]);
        } else {
            upload.keep(std::mem::take(&mut memory.kept), limit.max(forwarding.policy.replay));
        }
    }
    let mut tries = Tries::new(forwarding, downstream, body_start, !copies.is_empty());
    let answered = tries.life(downstream, &mut upload, memory, outcome, &entered).await;
    outcome.timings = Timings { head: outcome.timings.head, ..tries.timings() };
    drop(tries);
    match &answered {
        Ok(answered) => {
            entered.answered(memory.head.status);
            outcome.upstream_status = memory.head.status;
            outcome.timings.answer = Some(answered.thought);
            memory.keep_head(&answered.buffer[..answered.end], forwarding.worker);
            let bytes = &answered.buffer[..answered.end];
            forwarding.wants.answered(&answered.endpoint, request, bytes, &memory.head);
        }
        Err(fault) if fault.is_upstream() => entered.failed(),
        Err(_) => {}
    }
    // What came behind the body came before all that was read while the answer was waited for.
    downstream.leftover.splice(..body_start, upload.excess.drain(..));
    if copies.is_empty() {
        forget(&mut upload, memory);
    }
    let result = match answered {
        Ok(answered) if memory.head.upgrade => {
            Ok(switch_protocols(forwarding, downstream, memory, answered, outcome).await)
        }
        Ok(answered) => {
            Ok(finish(forwarding, downstream, memory, &mut upload, &mut copies, answered, outcome).await)
        }
        Err(fault) => Err(Unanswered { fault, is_received: upload.is_over() }),
    };
    if !copies.is_empty() {
        mirror(forwarding, downstream, &upload, &mut copies);
        forget(&mut upload, memory);
    }
    result
}

/// Sends copies of a request that was received whole.
fn mirror<'a>(
    forwarding: &Forwarding<'a, '_>,
    downstream: &Downstream,
    upload: &Flow,
    copies: &mut Copies<'a>,
) {
    match upload.is_received() && !upload.is_lost() {
        true => copies.send(forwarding, &downstream.arrival, upload.kept()),
        false => copies.skip(forwarding),
    }
}

/// Gives back the memory of a body that is not sent again.
fn forget(upload: &mut Flow, memory: &mut AnswerMemory) {
    memory.kept = upload.keep_no_more();
    memory.kept.clear();
    memory.kept.shrink_to(KEPT_BYTES);
}

/// The answer is there: relay it, then decide which connections live on.
async fn finish<'a>(
    forwarding: &Forwarding<'a, '_>,
    downstream: &mut Downstream,
    memory: &mut AnswerMemory,
    upload: &mut Flow,
    copies: &mut Copies<'a>,
    mut answered: Answered,
    outcome: &mut Outcome<'_>,
) -> Next {
    outcome.status = memory.head.status;
    match answered.send_failed {
        true => upload.give_up(),
        // An answer may come before the request has left; the rest still goes first.
        false => upload.send_first(std::mem::take(&mut answered.unsent)),
    }
    if upload.is_received() && !copies.is_empty() {
        mirror(forwarding, downstream, upload, copies);
    }
    let relayed = relay::life(forwarding, downstream, memory, upload, answered).await;
    outcome.received = upload.payload;
    outcome.sent = relayed.sent;
    outcome.head_sent = relayed.head;
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
        relayed.endpoint.release(relayed.connection, forwarding.worker.now());
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
    let Answered { mut connection, buffer, end, unsent, running: _running, endpoint, .. } = answered;
    let AnswerMemory { head: response, out, .. } = memory;
    let received = &buffer[..end];
    outcome.status = response.status;
    let worker = forwarding.worker;
    out.clear();
    forwarding.write_head(received, response, Recode::Nothing, true, out);
    outcome.head_sent = out.len() as u64;
    downstream.take_waiting(out);
    let from_upstream = &received[response.length..];
    out.extend_from_slice(from_upstream);
    let from_client = [unsent, std::mem::take(&mut downstream.leftover)].concat();
    let ends = tunnel::Ends {
        client: &mut downstream.stream,
        server: &mut connection.stream,
        endpoint: &endpoint,
        is_unproven: false,
    };
    let idle = forwarding.route.timeouts.tunnel_idle;
    let moved = tunnel::life(worker, &downstream.watch, idle, ends, &from_client, out).await;
    outcome.received = moved.received;
    outcome.sent = moved.sent;
    outcome.fault = moved.fault;
    Next::Close
}
