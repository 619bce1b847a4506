//! The life of an HTTP connection.

use crate::exchange;
use crate::worker::{OpenConnection, Place, Worker};
use narrows_plan::{HttpListener, Protocol};
use narrows_runtime::{Buffer, Peer, Stream, Tick, Watch};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// How long we read from a client that may still be sending when we have closed: without that the kernel answers with
/// a reset, and the client loses the answer that it has not read yet (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// The client's end of a connection.
pub(crate) struct Downstream {
    pub(crate) stream: Stream,
    /// Bytes that were received and not used yet.
    pub(crate) leftover: Vec<u8>,
    pub(crate) watch: Watch,
    pub(crate) peer: Peer,
    pub(crate) place: Place,
}

/// What becomes of a connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request.
    KeepAlive,
    /// The end.
    Close,
    /// The end, but the client may still be sending.
    Linger,
}

/// The life of an HTTP connection: wait, exchange, again.
pub(crate) async fn life(
    worker: Rc<Worker>,
    place: Place,
    stream: Stream,
    peer: Peer,
    _open: OpenConnection,
) {
    let watch = worker.deadlines.watch();
    let mut downstream = Downstream { stream, leftover: Vec::new(), watch, peer, place };
    let Protocol::Http(listener) = &worker.plan.listeners[place.listener].protocol else { return };
    let mut requests = 0_u32;
    loop {
        let timeout = if requests == 0 { listener.timeouts.head } else { listener.timeouts.keep_alive };
        let Some(received) = downstream.wait_for_request(&worker, timeout).await else { return };
        requests = requests.saturating_add(1);
        let last = listener.limits.requests_per_connection.is_some_and(|limit| requests >= limit);
        // Boxed, so that an idle connection does not carry the size of a running exchange.
        match Box::pin(exchange::life(&worker, listener, &mut downstream, received, last)).await {
            Next::KeepAlive => {}
            Next::Close => return,
            Next::Linger => return Box::pin(downstream.linger(&worker)).await,
        }
    }
}

/// The first bytes of a request.
pub(crate) struct Received {
    pub(crate) buffer: Buffer,
    pub(crate) length: usize,
}

impl Downstream {
    /// Waits for the first bytes of a request; `None` when the client closed, stayed silent, or the worker drains.
    async fn wait_for_request(&mut self, worker: &Worker, timeout: Option<Duration>) -> Option<Received> {
        if !self.leftover.is_empty() {
            let mut buffer = worker.buffers.take(self.leftover.len());
            let length = self.leftover.len().min(buffer.len());
            buffer[..length].copy_from_slice(&self.leftover[..length]);
            self.leftover.drain(..length);
            return Some(Received { buffer, length });
        }
        // An idle connection holds no memory for bytes.
        self.leftover = Vec::new();
        self.watch.set(timeout);
        poll_fn(|context| {
            let mut buffer = worker.buffers.take(0);
            match self.stream.poll_read(context, &mut buffer) {
                Poll::Ready(Ok(length)) if length > 0 => Poll::Ready(Some(Received { buffer, length })),
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending if worker.is_draining() => Poll::Ready(None),
                Poll::Pending => self.watch.poll_expired(context).map(|()| None),
            }
        })
        .await
    }

    /// Sends the end of our bytes and reads what the client still sends, for a moment.
    async fn linger(&mut self, worker: &Worker) {
        if self.stream.shutdown_write().is_err() {
            return;
        }
        self.watch.set(Some(LINGER));
        poll_fn(|context| {
            let mut buffer = worker.buffers.take(0);
            loop {
                match self.stream.poll_read(context, &mut buffer) {
                    Poll::Ready(Ok(length)) if length > 0 => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return self.watch.poll_expired(context),
                }
            }
        })
        .await;
    }
}

/// Deadlines of one exchange: that of its present phase, and that of the whole.
pub(crate) struct Timing {
    whole: Tick,
}

impl Timing {
    /// The whole exchange may take `request`.
    pub(crate) fn new(watch: &Watch, request: Option<Duration>) -> Self {
        Timing { whole: request.map_or(watch.never(), |timeout| watch.after(timeout)) }
    }

    /// The present phase may take `timeout` from now.
    pub(crate) fn arm(&self, watch: &Watch, timeout: Option<Duration>) {
        let phase = timeout.map_or(watch.never(), |timeout| watch.after(timeout));
        watch.set_at(phase.min(self.whole));
    }

    /// Whether it is the whole exchange that took too long.
    pub(crate) fn is_over(&self, watch: &Watch) -> bool {
        watch.now() >= self.whole
    }
}

/// The listener's limits of a head, as the parser wants them.
pub(crate) fn head_limits(listener: &HttpListener) -> narrows_wire::http1::HeadLimits {
    narrows_wire::http1::HeadLimits {
        head_bytes: listener.limits.head_bytes,
        fields: listener.limits.header_fields,
        target_bytes: listener.limits.uri_bytes,
    }
}
