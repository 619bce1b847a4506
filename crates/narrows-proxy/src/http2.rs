//! The life of an HTTP/2 connection: each of its streams is a message that lives like a connection with one request.

use crate::connection;
use crate::downstream::Downstream;
use crate::gate::Arrival;
use crate::worker::{OpenConnection, Place, Worker};
use crate::{Fault, record};
use narrows_http2::{Failure, Server, ServerLimits};
use narrows_plan::HttpTimeouts;
use narrows_runtime::{Stream, Watch};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// How long a client may take to close a connection on which nothing runs, once it was told to.
const FAREWELL: Duration = Duration::from_secs(5);

/// The life of an HTTP/2 connection. `downstream.leftover` is what was read of it.
pub(crate) async fn life(worker: &Rc<Worker>, downstream: Downstream) {
    let started = Instant::now();
    let Downstream { stream, leftover, watch, arrival, .. } = downstream;
    let (rules, limits) = {
        let generation = worker.generation_of(arrival.place.listener);
        let Some(listener) = generation.http(arrival.place.listener) else { return };
        let rules = Rules {
            timeouts: listener.timeouts,
            requests: listener.limits.requests_per_connection,
            place: arrival.place,
        };
        let http2 = listener.http2.unwrap_or_default();
        (rules, ServerLimits { http2, head_bytes: listener.limits.head_bytes })
    };
    watch.set(rules.timeouts.head);
    let mut connection = match Server::begin(stream, leftover, limits, &watch).await {
        Ok(server) => Connection { server, watch, rules, requests: 0, awaited: None, gave_up: false },
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
    match connection.server.failure() {
        Some(failure) => record_failure(worker, &arrival, started, failure),
        None if connection.gave_up => {}
        None => connection.linger().await,
    }
}

fn record_failure(worker: &Worker, arrival: &Arrival, started: Instant, failure: Failure) {
    // A client that went away between two requests has done nothing wrong.
    if failure != Failure::Gone {
        let generation = worker.generation_of(arrival.place.listener);
        record::add_refused(worker, &generation, arrival, started, b"HTTP2", Fault::Http2(failure));
    }
}

/// What holds for the connection all its life; each of its requests takes the configuration of its time.
struct Rules {
    timeouts: HttpTimeouts,
    requests: Option<u32>,
    place: Place,
}

/// The connection, and when it is to end.
struct Connection {
    server: Server,
    watch: Watch,
    rules: Rules,
    requests: u32,
    /// What the deadline is set for, and how many bytes had left then.
    awaited: Option<(Awaited, u64)>,
    /// Whether the client let its time pass.
    gave_up: bool,
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Awaited {
    /// Requests that run, each with deadlines of its own.
    Running,
    /// The client, to take answers that are whole.
    Taking,
    /// The client, to ask for something or to close.
    Anything,
}

impl Connection {
    /// The next message; `None` once the connection is over.
    fn poll_next(&mut self, context: &mut Context<'_>, worker: &Worker) -> Poll<Option<Stream>> {
        loop {
            if let Poll::Ready(next) = self.server.poll_next(context) {
                if next.is_some() {
                    self.requests = self.requests.saturating_add(1);
                    if self.rules.requests.is_some_and(|limit| self.requests >= limit) {
                        self.server.drain();
                    }
                }
                return Poll::Ready(next);
            }
            let is_draining = self.server.is_draining();
            if worker.is_leaving(self.rules.place) && !is_draining {
                self.say_farewell();
                continue;
            }
            let awaited = self.awaited();
            self.set_deadline(awaited);
            match self.watch.poll_expired(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if is_draining || awaited == Awaited::Taking => {
                    self.gave_up = true;
                    return Poll::Ready(None);
                }
                Poll::Ready(()) => self.say_farewell(),
            }
        }
    }

    fn awaited(&self) -> Awaited {
        match self.server.running() {
            0 if self.server.is_sending() => Awaited::Taking,
            0 => Awaited::Anything,
            _ => Awaited::Running,
        }
    }

    /// Sets the deadline anew when something else is awaited, or when the client took something.
    fn set_deadline(&mut self, awaited: Awaited) {
        let now = Some((awaited, self.server.sent()));
        if self.awaited != now {
            self.awaited = now;
            self.watch.set(match awaited {
                Awaited::Running => None,
                Awaited::Taking => self.rules.timeouts.write_idle,
                Awaited::Anything if self.server.is_draining() => Some(FAREWELL),
                Awaited::Anything => self.rules.timeouts.keep_alive,
            });
        }
    }

    /// Everything was sent: gives the client a moment to read it.
    async fn linger(&mut self) {
        self.watch.set(Some(FAREWELL));
        poll_fn(|context| match self.server.poll_client_closed(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => self.watch.poll_expired(context),
        })
        .await;
    }

    fn say_farewell(&mut self) {
        self.server.drain();
        self.awaited = None;
    }
}
