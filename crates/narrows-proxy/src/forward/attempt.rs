//! One attempt: send the request, wait for the head of the answer.

use super::forwarding::Forwarding;
use crate::Fault;
use crate::downstream::{Downstream, head_limits};
use crate::flow::{BACK, Flow, FlowFault, Recode};
use narrows_plan::Route;
use narrows_plan::defaults::BODY_RATE_GRACE;
use narrows_runtime::{Buffer, Tick};
use narrows_upstream::Connection;
use narrows_wire::http1::{HeadError, Progress, ResponseHead, Version, parse_response};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// One attempt. `out` is the head with what is already there of the body.
pub(super) struct Attempt<'a, 'b> {
    pub(super) forwarding: &'a Forwarding<'b, 'b>,
    pub(super) downstream: &'a mut Downstream,
    pub(super) upload: &'a mut Flow,
    pub(super) connection: Connection,
    pub(super) out: &'a [u8],
}

/// An answer whose head is complete. `buffer[..end]` begins with it.
pub(super) struct Answered {
    pub(super) connection: Connection,
    pub(super) buffer: Buffer,
    pub(super) end: usize,
    /// What had not left of the request's head and first bytes when the answer came.
    pub(super) unsent: Vec<u8>,
    /// Whether the endpoint takes no more of the request.
    pub(super) send_failed: bool,
}

/// An attempt that came to nothing.
pub(super) struct Failed {
    pub(super) fault: Fault,
    /// Not one byte of an answer was seen, and the endpoint closed.
    pub(super) unanswered: bool,
    /// Not one byte of the request was taken.
    pub(super) unsent: bool,
    /// The endpoint said that it has not looked at the request.
    pub(super) refused: bool,
}

/// What the attempt waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Client,
    Upstream,
}

/// How far the attempt is.
struct Progressing {
    sent: usize,
    upload_over: bool,
    send_failed: bool,
    buffer: Option<Buffer>,
    filled: usize,
    wait: Option<Wait>,
    began: Tick,
    patience: Patience,
    /// How much of the time for the answer has passed when a deadline is set.
    waited: Duration,
}

/// How closely the client is watched while the endpoint thinks. Most answers come at once and are not worth a look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Patience {
    /// Not yet.
    Waiting,
    /// The answer takes long: a client that resets its connection ends the attempt.
    Watching,
    /// The client has closed its half, or has sent as much of its next requests as we keep: it is not read any more.
    Deaf,
}

/// An answer that takes longer than this is worth a look at the client.
const WATCH_AFTER: Duration = Duration::from_secs(1);
/// Bytes of further requests that are kept while an answer is awaited.
const AHEAD_BYTES: usize = 64 << 10;

impl Attempt<'_, '_> {
    pub(super) async fn run(mut self, response: &mut ResponseHead) -> Result<Answered, Failed> {
        response.clear();
        let mut state = Progressing {
            sent: 0,
            upload_over: self.upload.is_received(),
            send_failed: false,
            buffer: None,
            filled: 0,
            wait: None,
            began: self.forwarding.worker.now(),
            // A message that its client gives up says so at once, and costs nothing to ask.
            patience: match self.downstream.is_http2() {
                true => Patience::Watching,
                false => Patience::Waiting,
            },
            waited: Duration::ZERO,
        };
        let result = poll_fn(|context| self.poll(context, &mut state, response)).await;
        match (result, state.buffer) {
            (Ok(()), Some(buffer)) => Ok(Answered {
                connection: self.connection,
                buffer,
                end: state.filled,
                unsent: self.out[state.sent..].to_vec(),
                send_failed: state.send_failed,
            }),
            (Ok(()), None) => Err(Failed {
                fault: Fault::ResponseMissing,
                unanswered: false,
                unsent: false,
                refused: false,
            }),
            (Err(fault), _) => Err(Failed {
                fault,
                unanswered: fault == Fault::ResponseMissing && state.filled == 0,
                unsent: state.sent == 0 || self.connection.stream.was_refused(),
                refused: self.connection.stream.was_refused(),
            }),
        }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        state: &mut Progressing,
        response: &mut ResponseHead,
    ) -> Poll<Result<(), Fault>> {
        let Forwarding { route, timing, .. } = *self.forwarding;
        self.poll_send(context, state);
        if let Poll::Ready(Err(fault)) = self.poll_upload(context, state) {
            return Poll::Ready(Err(fault));
        }
        self.poll_interim(context)?;
        if let Poll::Ready(result) = self.poll_head(context, state, response) {
            return Poll::Ready(result);
        }
        let uploading = state.sent == self.out.len() && !state.upload_over && !state.send_failed;
        let wait = if uploading && !self.upload.waits_for_receiver() { Wait::Client } else { Wait::Upstream };
        if state.wait != Some(wait) || std::mem::take(&mut self.upload.progressed) {
            state.waited = Duration::ZERO;
            self.arm(wait, state);
            state.wait = Some(wait);
            if self.is_too_slow(state.began) {
                return Poll::Ready(Err(Fault::RequestBodyTooSlow));
            }
        }
        self.poll_client(context, state)?;
        while self.downstream.watch.poll_expired(context).is_ready() {
            let over = timing.is_over(&self.downstream.watch);
            if !over && state.patience == Patience::Waiting && wait == Wait::Upstream && self.is_long(route) {
                state.patience = Patience::Watching;
                state.waited = WATCH_AFTER;
                self.arm(wait, state);
                self.poll_client(context, state)?;
                continue;
            }
            return Poll::Ready(Err(match wait {
                _ if over => Fault::RequestTimedOut,
                Wait::Client => Fault::RequestBodyTimedOut,
                Wait::Upstream => Fault::ResponseHeadTimedOut,
            }));
        }
        Poll::Pending
    }

    /// Sets the deadline of what is waited for now; the first look at the client comes before that of the answer.
    fn arm(&self, wait: Wait, state: &Progressing) {
        let Forwarding { route, timing, .. } = *self.forwarding;
        let timeout = match (wait, state.patience) {
            (Wait::Client, _) => route.timeouts.body_idle,
            (Wait::Upstream, Patience::Waiting) if self.is_long(route) => Some(WATCH_AFTER),
            (Wait::Upstream, Patience::Waiting) => route.timeouts.response_head,
            (Wait::Upstream, _) => {
                route.timeouts.response_head.map(|timeout| timeout.saturating_sub(state.waited))
            }
        };
        timing.arm(&self.downstream.watch, timeout);
    }

    fn is_long(&self, route: &Route) -> bool {
        route.timeouts.response_head.is_none_or(|timeout| timeout > WATCH_AFTER)
    }

    /// Looks whether the client has reset its connection. One that only closed its half still waits for its answer, and
    /// one that still sends its body is looked at by the upload.
    fn poll_client(&mut self, context: &mut Context<'_>, state: &mut Progressing) -> Result<(), Fault> {
        if state.patience != Patience::Watching || !state.upload_over {
            return Ok(());
        }
        let mut buffer = self.forwarding.worker.buffers.take(0);
        while state.patience == Patience::Watching {
            match self.downstream.stream.poll_read(context, &mut buffer) {
                Poll::Ready(Ok(0)) => state.patience = Patience::Deaf,
                Poll::Ready(Ok(count)) => {
                    self.downstream.leftover.extend_from_slice(&buffer[..count]);
                    if self.downstream.leftover.len() >= AHEAD_BYTES {
                        state.patience = Patience::Deaf;
                    }
                }
                Poll::Ready(Err(_)) => return Err(Fault::ClientGone),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn poll_send(&mut self, context: &mut Context<'_>, state: &mut Progressing) {
        while state.sent < self.out.len() && !state.send_failed {
            match self.connection.stream.poll_write(context, &self.out[state.sent..]) {
                Poll::Ready(Ok(count)) if count > 0 => state.sent += count,
                // The endpoint may have answered before it stopped reading: look for that answer.
                Poll::Ready(_) => state.send_failed = true,
                Poll::Pending => return,
            }
        }
    }

    fn poll_upload(&mut self, context: &mut Context<'_>, state: &mut Progressing) -> Poll<Result<(), Fault>> {
        if state.upload_over || state.send_failed || state.sent < self.out.len() {
            return Poll::Pending;
        }
        let buffers = &self.forwarding.worker.buffers;
        match self.upload.poll(context, buffers, &mut self.downstream.stream, &mut self.connection.stream) {
            Poll::Ready(Ok(())) => {
                state.upload_over = true;
                state.wait = None;
                Poll::Pending
            }
            Poll::Ready(Err(FlowFault::Write)) => {
                state.send_failed = true;
                Poll::Pending
            }
            Poll::Ready(Err(fault)) => Poll::Ready(Err(fault.of_request())),
            Poll::Pending => Poll::Pending,
        }
    }

    /// Reads until the final head is complete; informational ones go to the client at once.
    fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        state: &mut Progressing,
        response: &mut ResponseHead,
    ) -> Poll<Result<(), Fault>> {
        let Forwarding { worker, listener, request, .. } = *self.forwarding;
        loop {
            let mut buffer = match state.buffer.take() {
                Some(buffer) if state.filled + BACK < buffer.len() => buffer,
                Some(full) => {
                    let mut larger = worker.buffers.take(full.next_size());
                    if larger.len() == full.len() {
                        return Poll::Ready(Err(Fault::ResponseHead(HeadError::HeadTooLarge)));
                    }
                    larger[..state.filled].copy_from_slice(&full[..state.filled]);
                    larger
                }
                None => worker.buffers.take(0),
            };
            let space = state.filled..buffer.len() - BACK;
            let polled = self.connection.stream.poll_read(context, &mut buffer[space]);
            let count = match polled {
                Poll::Ready(Ok(count)) if count > 0 => count,
                Poll::Ready(_) => return Poll::Ready(Err(Fault::ResponseMissing)),
                Poll::Pending => {
                    // An endpoint that is still thinking holds no buffer.
                    if state.filled > 0 {
                        state.buffer = Some(buffer);
                    }
                    return Poll::Pending;
                }
            };
            state.filled += count;
            loop {
                match parse_response(
                    &buffer[..state.filled],
                    request.head.method,
                    &head_limits(listener),
                    response,
                ) {
                    Ok(Progress::Partial) => break,
                    Err(error) => return Poll::Ready(Err(Fault::ResponseHead(error))),
                    Ok(Progress::Complete) if response.status >= 200 || response.upgrade => {
                        if response.upgrade && !crate::outgoing::is_upgrade(request) {
                            return Poll::Ready(Err(Fault::ResponseHead(HeadError::InvalidStatusLine)));
                        }
                        state.buffer = Some(buffer);
                        return Poll::Ready(Ok(()));
                    }
                    Ok(Progress::Complete) => {
                        self.take_interim(&buffer, response);
                        buffer.copy_within(response.length..state.filled, 0);
                        state.filled -= response.length;
                        response.clear();
                        self.poll_interim(context)?;
                        state.wait = None;
                    }
                }
            }
            state.buffer = Some(buffer);
        }
    }

    fn take_interim(&mut self, bytes: &[u8], response: &ResponseHead) {
        /// More interim answers than this to a client that takes none are dropped: they are hints (RFC 9110 section 15.2).
        const WAITING_BYTES: usize = 64 << 10;
        let knows = self.forwarding.request.head.version == Version::Http11;
        let waiting = &mut self.downstream.waiting;
        if knows && waiting.len() < WAITING_BYTES {
            self.forwarding.write_head(bytes, response, Recode::Nothing, true, waiting);
        }
    }

    /// Sends interim answers as far as the client takes them; what it does not take goes before the final one.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        let Downstream { stream, waiting, .. } = &mut *self.downstream;
        while !waiting.is_empty() {
            match stream.poll_write(context, waiting) {
                Poll::Ready(Ok(count)) if count > 0 => drop(waiting.drain(..count)),
                Poll::Ready(_) => return Err(Fault::ClientGone),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn is_too_slow(&self, began: Tick) -> bool {
        let Some(rate) = self.forwarding.listener.limits.minimum_body_rate else { return false };
        let elapsed = self.forwarding.worker.now().since(began);
        !self.upload.is_received()
            && !self.upload.waits_for_receiver()
            && elapsed > BODY_RATE_GRACE
            && self.upload.payload < rate.saturating_mul(elapsed.as_secs())
    }
}
