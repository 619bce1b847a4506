//! One copy on its way: connect, send, read the answer to its end, forget it.

use crate::forward::report_answer;
use narrows_plan::Upstream;
use narrows_runtime::{Buffers, Watch};
use narrows_upstream::{AttemptFailure, Connection, EndpointState, Purpose, Running};
use narrows_wire::http1::{BodyReader, HeadLimits, Method, Progress, ResponseHead, parse_response};
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

/// A copy of a request, with all that it needs after the request is over.
pub(super) struct Copy {
    pub(super) upstream: Arc<Upstream>,
    pub(super) endpoint: Rc<EndpointState>,
    pub(super) running: Running,
    /// What the connection begins with.
    pub(super) preface: Vec<u8>,
    /// Head and body.
    pub(super) out: Vec<u8>,
    pub(super) method: Method,
    pub(super) watch: Watch,
    pub(super) buffers: Rc<Buffers>,
    pub(super) limits: HeadLimits,
    /// For everything.
    pub(super) timeout: Duration,
}

/// How far the answer is.
#[derive(Default)]
struct Answer {
    sent: usize,
    /// What was received of the head.
    received: Vec<u8>,
    head: ResponseHead,
    body: Option<BodyReader>,
    /// Whether nothing came behind the answer.
    is_clean: bool,
}

impl Copy {
    /// The life of a copy: whether it was answered.
    pub(super) async fn life(self) -> bool {
        let Copy { upstream, endpoint, running: _running, preface, watch, timeout, .. } = &self;
        let end = watch.after(*timeout);
        let pooled = match preface.is_empty() {
            true => endpoint.reuse(watch.now(), true),
            false => None,
        };
        let is_reused = pooled.is_some();
        let connected = match pooled {
            Some(connection) => Ok(connection),
            None => endpoint.connect(Purpose::Http, watch, Some(*timeout), preface).await,
        };
        let mut connection = match connected {
            Ok(connection) => connection,
            Err(failure) => {
                endpoint.not_connected(failure);
                return false;
            }
        };
        connection.requests += 1;
        watch.set_at(end);
        let mut answer = Answer::default();
        let result = poll_fn(|context| {
            let polled = self.poll(context, &mut connection, &mut answer);
            match polled {
                Poll::Ready(result) => Poll::Ready(result),
                Poll::Pending => watch.poll_expired(context).map(|()| Err(AttemptFailure::Timeout)),
            }
        })
        .await;
        if answer.body.is_some() {
            report_answer(endpoint, upstream.passive.as_ref(), answer.head.status, None);
        } else if let (Err(failure), false) = (result, is_reused) {
            endpoint.failed(failure);
        }
        let is_reusable = result.is_ok() && answer.head.keep_alive && answer.is_clean;
        if is_reusable && answer.sent == self.out.len() && preface.is_empty() {
            endpoint.release(connection, watch.now());
        }
        result.is_ok()
    }

    /// Sends and reads until the answer is over.
    fn poll(
        &self,
        context: &mut Context<'_>,
        connection: &mut Connection,
        answer: &mut Answer,
    ) -> Poll<Result<(), AttemptFailure>> {
        while answer.sent < self.out.len() {
            match connection.stream.poll_write(context, &self.out[answer.sent..]) {
                Poll::Ready(Ok(count)) if count > 0 => answer.sent += count,
                Poll::Ready(_) => return Poll::Ready(Err(AttemptFailure::Reset)),
                Poll::Pending => break,
            }
        }
        loop {
            let mut buffer = self.buffers.take(0);
            let read = ready!(connection.stream.poll_read(context, &mut buffer));
            match read {
                Ok(0) => return Poll::Ready(answer.end()),
                Ok(count) if answer.take(&buffer[..count], self)? => return Poll::Ready(Ok(())),
                Ok(_) => {}
                Err(_) => return Poll::Ready(Err(AttemptFailure::Reset)),
            }
        }
    }
}

impl Answer {
    /// Takes what was received; whether the answer is over.
    fn take(&mut self, bytes: &[u8], copy: &Copy) -> Result<bool, AttemptFailure> {
        if self.body.is_some() {
            return self.scan(bytes);
        }
        self.received.extend_from_slice(bytes);
        while self.body.is_none() {
            match parse_response(&self.received, copy.method, &copy.limits, &mut self.head) {
                Ok(Progress::Partial) => return Ok(false),
                Ok(Progress::Complete) if !self.head.upgrade => {}
                Ok(Progress::Complete) | Err(_) => return Err(AttemptFailure::Reset),
            }
            self.received.drain(..self.head.length);
            if self.head.status >= 200 {
                self.body = Some(BodyReader::new(self.head.framing));
            } else {
                self.head.clear();
            }
        }
        let rest = std::mem::take(&mut self.received);
        self.scan(&rest)
    }

    fn scan(&mut self, bytes: &[u8]) -> Result<bool, AttemptFailure> {
        let Some(body) = &mut self.body else { return Ok(false) };
        let (wire, _) = body.scan(bytes).map_err(|_| AttemptFailure::Reset)?;
        self.is_clean = wire == bytes.len();
        Ok(body.is_done())
    }

    /// The connection has ended.
    fn end(&self) -> Result<(), AttemptFailure> {
        let is_whole = self.body.as_ref().is_some_and(|body| body.finish_at_close().is_ok());
        if is_whole { Ok(()) } else { Err(AttemptFailure::Reset) }
    }
}

#[cfg(test)]
mod tests;
