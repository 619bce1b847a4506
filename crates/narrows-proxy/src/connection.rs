//! The life of an HTTP connection.

use crate::downstream::{Downstream, Next, Received};
use crate::gate;
use crate::generation::Generation;
use crate::worker::{OpenConnection, Worker};
use crate::{exchange, http2, record, secure};
use narrows_plan::HttpListener;
use narrows_runtime::Stream;
use narrows_tls::Acceptor;
use narrows_wire::http2::PREFACE;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

/// How long we read from a client that may still be sending when we have closed: without that the kernel answers with
/// a reset, and the client loses the answer that it has not read yet (RFC 9112 section 9.6).
const LINGER: Duration = Duration::from_secs(5);

/// The life of an HTTP connection: the gate, TLS where the listener wants it, then HTTP/2 by ALPN or by its preface, or HTTP/1.1.
///
/// What an idle connection does not need is boxed, so that it does not carry the size of a gate, a handshake or a running exchange.
pub(crate) async fn life(worker: Rc<Worker>, mut downstream: Downstream, _open: OpenConnection) {
    let place = downstream.arrival.place;
    let is_plain = {
        let generation = worker.generation_of(place.listener);
        gate::is_open(&generation, place) && generation.acceptor(place.listener).is_none()
    };
    if !is_plain && !Box::pin(downstream.enter(&worker)).await {
        return;
    }
    let is_http2 = downstream.arrival.tls.as_ref().is_some_and(|facts| facts.protocol == "h2");
    if is_http2 || requests(&worker, &mut downstream).await == End::Preface {
        Box::pin(http2::life(&worker, downstream)).await;
    }
}

/// The life of one message of an HTTP/2 connection, which speaks HTTP/1.1 to us.
pub(crate) async fn message(worker: Rc<Worker>, mut downstream: Downstream, _open: OpenConnection) {
    requests(&worker, &mut downstream).await;
}

/// Why no further request is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// The connection is over.
    Closed,
    /// The first bytes are the preface of HTTP/2; they are back in the leftover.
    Preface,
}

/// Request after request: wait, exchange, again. Each belongs to the configuration that is in force when it comes; while none runs, none is held.
async fn requests(worker: &Worker, downstream: &mut Downstream) -> End {
    let key = downstream.arrival.place.listener;
    let mut requests = 0_u32;
    loop {
        let timeout = {
            let generation = worker.generation_of(key);
            let Some(listener) = generation.http(key) else { return End::Closed };
            if requests == 0 { listener.timeouts.head } else { listener.timeouts.keep_alive }
        };
        let Some(mut received) = downstream.wait_for_request(worker, timeout).await else {
            return End::Closed;
        };
        let generation = worker.generation_of(key);
        let Some(listener) = generation.http(key) else { return End::Closed };
        // A client that agreed on HTTP/1.1 (ALPN) does not begin with another protocol.
        let may_be_preface = listener.http2.is_some()
            && downstream.arrival.tls.as_ref().is_none_or(|facts| facts.protocol.is_empty());
        if requests == 0 && received.bytes()[0] == PREFACE[0] && may_be_preface {
            match Box::pin(downstream.wait_for_preface(received)).await {
                Some(Beginning::Http1(bytes)) => received = bytes,
                Some(Beginning::Http2) => return End::Preface,
                None => return End::Closed,
            }
        }
        requests = requests.saturating_add(1);
        let last = listener.limits.requests_per_connection.is_some_and(|limit| requests >= limit);
        match Box::pin(exchange::life(worker, &generation, listener, downstream, received, last)).await {
            Next::KeepAlive => {}
            Next::Close => return End::Closed,
            Next::Linger => {
                Box::pin(downstream.linger(worker)).await;
                return End::Closed;
            }
        }
    }
}

/// What a connection begins with.
enum Beginning {
    Http1(Received),
    Http2,
}

impl Downstream {
    /// Whether the connection gets in: past the gate, and through TLS where the listener ends it; else it is over, and recorded.
    async fn enter(&mut self, worker: &Worker) -> bool {
        let place = self.arrival.place;
        let generation = worker.generation_of(place.listener);
        let Some(listener) = generation.http(place.listener) else { return false };
        if !gate::is_open(&generation, place) && !self.pass_gate(worker, &generation, listener).await {
            return false;
        }
        match generation.acceptor(place.listener) {
            Some(acceptor) => self.end_tls(worker, &generation, acceptor).await,
            None => true,
        }
    }

    /// Whether the gate lets the connection in; else it is over, and recorded.
    async fn pass_gate(&mut self, worker: &Worker, generation: &Generation, listener: &HttpListener) -> bool {
        let started = Instant::now();
        let Downstream { stream, watch, arrival, .. } = self;
        match gate::pass(worker, generation, stream, watch, listener.timeouts.head, arrival).await {
            Ok(()) => true,
            Err(refused) => {
                // One that left without a word is not worth a record.
                if let Some(fault) = refused {
                    stream.reset_on_close();
                    record::add_refused(worker, generation, arrival, started, b"", fault);
                }
                false
            }
        }
    }

    /// Whether the client's TLS could be ended; else the connection is over, and recorded.
    async fn end_tls(&mut self, worker: &Worker, generation: &Generation, acceptor: &Acceptor) -> bool {
        let sealed = std::mem::replace(&mut self.stream, Stream::gone());
        match secure::end_tls(worker, generation, acceptor, sealed, &self.watch, &mut self.arrival).await {
            Some(inside) => {
                self.stream = inside;
                true
            }
            None => false,
        }
    }

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
                Poll::Pending if worker.is_dismissing(self.arrival.place) => Poll::Ready(None),
                Poll::Pending => self.watch.poll_expired(context).map(|()| None),
            }
        })
        .await
    }

    /// Reads on while the bytes could become the preface of HTTP/2 (RFC 9113 section 3.3); `None` when the client closed or stayed silent.
    async fn wait_for_preface(&mut self, mut received: Received) -> Option<Beginning> {
        loop {
            let bytes = received.bytes();
            if bytes.starts_with(PREFACE) {
                let bytes = bytes.to_vec();
                self.unread(&bytes);
                return Some(Beginning::Http2);
            }
            if !PREFACE.starts_with(bytes) {
                return Some(Beginning::Http1(received));
            }
            let Received { buffer, length } = &mut received;
            *length += poll_fn(|context| match self.stream.poll_read(context, &mut buffer[*length..]) {
                Poll::Ready(Ok(count)) if count > 0 => Poll::Ready(Some(count)),
                Poll::Ready(_) => Poll::Ready(None),
                Poll::Pending => self.watch.poll_expired(context).map(|()| None),
            })
            .await?;
        }
    }

    /// Sends the end of our bytes and reads what the client still sends, for a moment.
    pub(crate) async fn linger(&mut self, worker: &Worker) {
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
