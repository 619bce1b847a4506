//! The life of an HTTP connection.

use crate::downstream::{Downstream, Next, Received};
use crate::gate::{self, Arrival};
use crate::worker::{OpenConnection, Place, Worker};
use crate::{exchange, record};
use narrows_plan::Protocol;
use narrows_runtime::{Peer, Stream};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long we read from a client that may still be sending when we have closed: without that the kernel answers with
/// a reset, and the client loses the answer that it has not read yet (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// The life of an HTTP connection: wait, exchange, again.
pub(crate) async fn life(
    worker: Rc<Worker>,
    place: Place,
    stream: Stream,
    peer: Peer,
    _open: OpenConnection,
) {
    let started = Instant::now();
    let watch = worker.deadlines.watch();
    let arrival = Arrival::new(place, peer);
    let mut downstream = Downstream { stream, leftover: Vec::new(), watch, arrival };
    let Protocol::Http(listener) = &worker.plan.listeners[place.listener].protocol else { return };
    let Downstream { stream, watch, arrival, .. } = &mut downstream;
    if let Err(refused) = gate::pass(&worker, stream, watch, listener.timeouts.head, arrival).await {
        if refused.is_some() {
            stream.reset_on_close();
        }
        return record::add_refused(&worker, arrival, started, refused);
    }
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
