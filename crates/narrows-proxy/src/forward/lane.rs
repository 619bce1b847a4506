//! One way to an answer: a connection to an endpoint, the request on its way there, the answer on its way back.

use super::condition::{Cause, Failed};
use super::forwarding::Forwarding;
use crate::Fault;
use crate::downstream::head_limits;
use crate::flow::BACK;
use narrows_runtime::{Buffer, Stream, Tick};
use narrows_upstream::{ConnectFailure, Connection, EndpointState, Running};
use narrows_wire::http1::{HeadError, Progress, ResponseHead, parse_response};
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// A connection in the making, beside others.
pub(super) type Connecting = Pin<Box<dyn Future<Output = Result<Connection, ConnectFailure>>>>;

/// One way to an answer.
pub(super) struct Lane {
    pub(super) endpoint: Rc<EndpointState>,
    /// Counts the request at the endpoint.
    pub(super) running: Running,
    pub(super) stage: Stage,
    /// Whether the connection has carried a request before.
    pub(super) is_reused: bool,
    /// How much of the head, with what was there of the body, has left.
    pub(super) sent: usize,
    /// Whether the endpoint takes no more of the request.
    pub(super) send_failed: bool,
    pub(super) buffer: Option<Buffer>,
    /// How much of `buffer` was received.
    pub(super) filled: usize,
    /// Whether the head of the answer is whole.
    pub(super) is_answered: bool,
    /// Whether bytes were received that nobody has looked at.
    is_unseen: bool,
    /// The attempt fails when its answer has not begun then.
    pub(super) limit: Tick,
    /// What it fails with.
    pub(super) limit_fault: Fault,
    /// When it began.
    pub(super) began: Instant,
    /// How much of the time since then the connection took.
    pub(super) connected: Duration,
}

/// An answer whose head is complete. `buffer[..end]` begins with it.
pub(super) struct Answered {
    pub(super) endpoint: Rc<EndpointState>,
    /// Counts the request at the endpoint until the answer is over.
    pub(super) running: Running,
    pub(super) connection: Connection,
    pub(super) buffer: Buffer,
    pub(super) end: usize,
    /// What had not left of the request's head and first bytes when the answer came.
    pub(super) unsent: Vec<u8>,
    /// Whether the endpoint takes no more of the request.
    pub(super) send_failed: bool,
    /// How long the endpoint took.
    pub(super) took: Duration,
    /// How much of that is left without the time that the connection took.
    pub(super) thought: Duration,
}

/// How far a connection is.
pub(super) enum Stage {
    Connecting(Connecting),
    Open(Connection),
}

/// A head that arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    /// An informational one; others follow. It is in the buffer until [`Lane::drop_interim`].
    Interim,
    Final,
}

impl Lane {
    /// A lane on which nothing has moved.
    pub(super) fn new(
        endpoint: Rc<EndpointState>,
        running: Running,
        stage: Stage,
        is_reused: bool,
        began: Instant,
    ) -> Self {
        Lane {
            endpoint,
            running,
            stage,
            is_reused,
            sent: 0,
            send_failed: false,
            buffer: None,
            filled: 0,
            is_answered: false,
            is_unseen: false,
            limit: Tick::NEVER,
            limit_fault: Fault::ResponseHeadTimedOut,
            began,
            connected: Duration::ZERO,
        }
    }

    /// Whether the connection is there.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.stage, Stage::Open(_))
    }

    /// Whether the endpoint said that it has not looked at the request.
    pub(super) fn was_refused(&self) -> bool {
        matches!(&self.stage, Stage::Open(connection) if connection.stream.was_refused())
    }

    /// The connection's stream, once it is there.
    pub(super) fn stream(&mut self) -> Option<&mut Stream> {
        match &mut self.stage {
            Stage::Open(connection) => Some(&mut connection.stream),
            Stage::Connecting(_) => None,
        }
    }

    /// What was received.
    pub(super) fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| &buffer[..self.filled])
    }

    /// Sets the earlier of both limits.
    pub(super) fn limit_within(&mut self, head: Tick, try_limit: Tick) {
        let is_try = try_limit < head;
        self.limit = head.min(try_limit);
        self.limit_fault = if is_try { Fault::TryTimedOut } else { Fault::ResponseHeadTimedOut };
    }

    /// What a fault says of the endpoint.
    pub(super) fn cause_of(&self, fault: Fault) -> Cause {
        Cause::of(fault, self.filled == 0, self.was_refused())
    }

    /// What is left of a lane that failed.
    pub(super) fn failed(self, fault: Fault) -> Failed {
        let cause = self.cause_of(fault);
        // What a layer has sealed leaves record by record: the endpoint may have some before the write counts any byte.
        let has_left = matches!(&self.stage, Stage::Open(connection) if connection.stream.is_half_written());
        // Connections that are shared have one place for many requests.
        let open = match self.stage {
            Stage::Open(Connection { stream, open, .. }) if self.is_reused && !stream.is_message() => {
                Some(open)
            }
            _ => None,
        };
        Failed {
            fault,
            cause,
            is_unsent: self.sent == 0 && !has_left,
            is_reused: self.is_reused,
            endpoint: self.endpoint,
            running: Some(self.running),
            open,
        }
    }

    /// What a lane has when the head of its answer is whole; `out` is what it was given to send.
    pub(super) fn answered(self, out: &[u8]) -> Result<Answered, Failed> {
        match self {
            Lane { stage: Stage::Open(connection), buffer: Some(buffer), endpoint, running, .. } => {
                let took = self.began.elapsed();
                Ok(Answered {
                    endpoint,
                    running,
                    connection,
                    buffer,
                    end: self.filled,
                    unsent: out[self.sent..].to_vec(),
                    send_failed: self.send_failed,
                    took,
                    thought: took.saturating_sub(self.connected),
                })
            }
            lane => Err(lane.failed(Fault::ResponseMissing)),
        }
    }

    /// Ready once the connection is there; at once when it was.
    pub(super) fn poll_connected(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let Stage::Connecting(connecting) = &mut self.stage else { return Poll::Ready(Ok(())) };
        connecting.as_mut().poll(context).map(|result| {
            let mut connection = result.map_err(Fault::Connect)?;
            connection.requests += 1;
            self.stage = Stage::Open(connection);
            Ok(())
        })
    }

    /// Sends `out` as far as the endpoint takes it.
    pub(super) fn poll_send(&mut self, context: &mut Context<'_>, out: &[u8]) {
        let Stage::Open(connection) = &mut self.stage else { return };
        while self.sent < out.len() && !self.send_failed {
            match connection.stream.poll_write(context, &out[self.sent..]) {
                Poll::Ready(Ok(count)) if count > 0 => self.sent += count,
                // The endpoint may have answered before it stopped reading: look for that answer.
                Poll::Ready(_) => self.send_failed = true,
                Poll::Pending => return,
            }
        }
    }

    /// Reads until a head is complete.
    pub(super) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        forwarding: &Forwarding<'_, '_>,
        response: &mut ResponseHead,
    ) -> Poll<Result<Head, Fault>> {
        let Forwarding { worker, listener, request, .. } = *forwarding;
        let Stage::Open(connection) = &mut self.stage else { return Poll::Pending };
        loop {
            if let (true, Some(buffer)) = (std::mem::take(&mut self.is_unseen), &self.buffer) {
                let bytes = &buffer[..self.filled];
                match parse_response(bytes, request.head.method, &head_limits(listener), response) {
                    Ok(Progress::Partial) => {}
                    Err(error) => return Poll::Ready(Err(Fault::ResponseHead(error))),
                    Ok(Progress::Complete) if response.upgrade && !crate::outgoing::is_upgrade(request) => {
                        return Poll::Ready(Err(Fault::ResponseHead(HeadError::InvalidStatusLine)));
                    }
                    Ok(Progress::Complete) if response.status >= 200 || response.upgrade => {
                        self.is_answered = true;
                        return Poll::Ready(Ok(Head::Final));
                    }
                    Ok(Progress::Complete) => return Poll::Ready(Ok(Head::Interim)),
                }
            }
            let mut buffer = match self.buffer.take() {
                Some(buffer) if self.filled + BACK < buffer.len() => buffer,
                Some(full) => {
                    let mut larger = worker.buffers.take(full.next_size());
                    if larger.len() == full.len() {
                        return Poll::Ready(Err(Fault::ResponseHead(HeadError::HeadTooLarge)));
                    }
                    larger[..self.filled].copy_from_slice(&full[..self.filled]);
                    larger
                }
                None => worker.buffers.take(0),
            };
            let space = self.filled..buffer.len() - BACK;
            match connection.stream.poll_read(context, &mut buffer[space]) {
                Poll::Ready(Ok(count)) if count > 0 => {
                    self.filled += count;
                    self.is_unseen = true;
                    self.buffer = Some(buffer);
                }
                Poll::Ready(_) => return Poll::Ready(Err(Fault::ResponseMissing)),
                Poll::Pending => {
                    // An endpoint that is still thinking holds no buffer.
                    if self.filled > 0 {
                        self.buffer = Some(buffer);
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Takes an interim head out of what was received.
    pub(super) fn drop_interim(&mut self, response: &mut ResponseHead) {
        if let Some(buffer) = &mut self.buffer {
            buffer.copy_within(response.length..self.filled, 0);
            self.filled -= response.length;
            self.is_unseen = self.filled > 0;
        }
        response.clear();
    }
}
