//! An answer that nobody gets, because another attempt is made.

use super::forwarding::Forwarding;
use super::lane::Answered;
use crate::flow::{BACK, Flow, Recode};
use crate::worker::AnswerMemory;
use std::task::{Context, Poll, Waker};

/// Keeps the connection of an answer that is thrown away when all of the answer is there, and ends it when it is not.
pub(super) fn life(
    forwarding: &Forwarding<'_, '_>,
    answered: Answered,
    memory: &AnswerMemory,
    upload: &Flow,
) {
    let Answered { endpoint, mut connection, mut buffer, end, unsent, send_failed, .. } = answered;
    let is_sent = unsent.is_empty() && !send_failed && upload.is_over();
    let is_shared = forwarding.cluster.upstream.proxy_protocol.is_none();
    if !is_sent || !is_shared || !memory.head.keep_alive {
        return;
    }
    let mut body = Flow::new(memory.head.framing, Recode::Nothing, None);
    let start = memory.head.length;
    let Ok(mut taken) = body.admit(&buffer[start..end]) else { return };
    let mut rest = end - start;
    if !body.is_received() {
        // Often the body is a moment behind its head, and there by now.
        let mut context = Context::from_waker(Waker::noop());
        let space = ..buffer.len() - BACK;
        let Poll::Ready(Ok(count)) = connection.stream.poll_read(&mut context, &mut buffer[space]) else {
            return;
        };
        let Ok(more) = body.admit(&buffer[..count]) else { return };
        (taken, rest) = (more, count);
    }
    if body.is_received() && taken == rest {
        endpoint.release(connection, forwarding.worker.now());
    }
}
