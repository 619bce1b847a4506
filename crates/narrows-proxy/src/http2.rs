//! The life of an HTTP/2 connection: each of its streams is a message that lives like a connection with one request.

use crate::connection;
use crate::downstream::Downstream;
use crate::gate::Arrival;
use crate::worker::{OpenConnection, Worker};
use crate::{Fault, record};
use narrows_http2::{Failure, Server, ServerLimits};
use narrows_plan::HttpListener;
use narrows_runtime::{Stream, Watch};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long a client may take to close a connection on which nothing runs, once it was told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// The life of an HTTP/2 connection. `downstream.leftover` is what was read of it.
pub(crate) async fn life(
    worker: &Rc<Worker>,
    listener: &HttpListener,
    downstream: Downstream,
    _open: &OpenConnection,
) {
    let started = Instant::now();
    let Downstream { stream, leftover, watch, arrival, .. } = downstream;
    watch.set(listener.timeouts.head);
    let http2 = listener.http2.unwrap_or_default();
    let limits = ServerLimits { http2, head_bytes: listener.limits.head_bytes };
    let mut connection = match Server::begin(stream, leftover, limits, &watch).await {
        Ok(server) => Connection { server, watch, listener, requests: 0, is_quiet: false },
        Err(failure) => return record_failure(worker, &arrival, started, failure),
    };
    while let Some(stream) = poll_fn(|context| connection.poll_next(context, worker)).await {
        let watch = worker.deadlines.watch();
        let message = Downstream::new(stream, watch, arrival.clone());
        tokio::task::spawn_local(connection::message(
            Rc::clone(worker),
            message,
            OpenConnection::new(worker),
        ));
    }
    if let Some(failure) = connection.server.failure() {
        record_failure(worker, &arrival, started, failure);
    }
}

fn record_failure(worker: &Worker, arrival: &Arrival, started: Instant, failure: Failure) {
    // A client that went away between two requests has done nothing wrong.
    if failure != Failure::Gone {
        record::add_refused(worker, arrival, started, b"HTTP2", Fault::Http2(failure));
    }
}

/// The connection, and when it is to end.
struct Connection<'a> {
    server: Server,
    watch: Watch,
    listener: &'a HttpListener,
    requests: u32,
    /// Whether nothing runs and the deadline for that is set.
    is_quiet: bool,
}

impl Connection<'_> {
    /// The next message; `None` once the connection is over.
    fn poll_next(&mut self, context: &mut Context<'_>, worker: &Worker) -> Poll<Option<Stream>> {
        loop {
            if let Poll::Ready(next) = self.server.poll_next(context) {
                if next.is_some() {
                    self.requests = self.requests.saturating_add(1);
                    self.is_quiet = false;
                    if self
                        .listener
                        .limits
                        .requests_per_connection
                        .is_some_and(|limit| self.requests >= limit)
                    {
                        self.server.drain();
                    }
                }
                return Poll::Ready(next);
            }
            let is_draining = self.server.is_draining();
            if worker.is_draining() && !is_draining {
                self.say_farewell();
                continue;
            }
            if self.server.running() > 0 {
                self.is_quiet = false;
                self.watch.set(None);
            } else if !self.is_quiet {
                self.is_quiet = true;
                let timeout = if is_draining { Some(FAREWELL) } else { self.listener.timeouts.keep_alive };
                self.watch.set(timeout);
            }
            match self.watch.poll_expired(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if is_draining => return Poll::Ready(None),
                Poll::Ready(()) => self.say_farewell(),
            }
        }
    }

    fn say_farewell(&mut self) {
        self.server.drain();
        self.is_quiet = false;
    }
}
