//! Connections to one endpoint that carry many requests at once (HTTP/2).

use crate::endpoint::Open;
use crate::pool::Connection;
use narrows_http2::{Client, ClientLimits};
use narrows_plan::{PoolLimits, Upstream, defaults};
use narrows_runtime::{Tick, Watch};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use tokio::sync::Notify;

/// The connections, and who waits for one.
#[derive(Debug)]
pub(crate) struct Multiplexed {
    limits: PoolLimits,
    pub(crate) client_limits: ClientLimits,
    /// Whether the endpoint has chosen HTTP/2 when it could choose.
    pub(crate) was_chosen: Cell<bool>,
    connections: RefCell<Vec<Shared>>,
    is_connecting: Cell<bool>,
    connected: Notify,
}

#[derive(Debug)]
struct Shared {
    client: Client,
    born: Tick,
    used: Tick,
    requests: u32,
    open: Open,
}

/// Somebody makes a connection; the others wait until this is dropped.
#[derive(Debug)]
pub(crate) struct Connecting<'a>(&'a Multiplexed);

impl Multiplexed {
    pub(crate) fn new(upstream: &Upstream) -> Self {
        let scheme = if upstream.tls.is_some() { "https" } else { "http" };
        Multiplexed {
            limits: upstream.pool,
            client_limits: ClientLimits {
                streams: defaults::HTTP2_STREAMS as usize,
                ping: Some(defaults::HTTP2_UPSTREAM_PING),
                scheme,
                grpc_web: upstream.grpc_web,
            },
            was_chosen: Cell::new(false),
            connections: RefCell::default(),
            is_connecting: Cell::new(false),
            connected: Notify::new(),
        }
    }

    /// A stream on a connection that has room for another request.
    pub(crate) fn open(&self, now: Tick) -> Option<Connection> {
        let mut connections = self.connections.borrow_mut();
        // Who finds nothing here and no place for a connection waits for room: what is left has to be what may be used. A connection
        // that is let go of ends with its last request.
        connections.retain(|shared| !shared.client.is_closed() && !self.is_spent(shared, now));
        for shared in connections.iter_mut() {
            if let Some(stream) = shared.client.open() {
                shared.requests = shared.requests.saturating_add(1);
                shared.used = now;
                let Shared { requests, born, ref open, .. } = *shared;
                return Some(Connection { stream, requests, born, open: open.clone() });
            }
        }
        None
    }

    /// Whether a request can do without a connection of its own: one has room, or is being made.
    pub(crate) fn has_room(&self) -> bool {
        self.is_connecting.get() || self.connections.borrow().iter().any(|shared| shared.client.has_room())
    }

    /// Takes a new connection in.
    pub(crate) fn add(&self, client: Client, now: Tick, open: Open) {
        let shared = Shared { client, born: now, used: now, requests: 0, open };
        self.connections.borrow_mut().push(shared);
    }

    /// Says that the caller makes a connection, or waits while somebody else does; `Err` when the deadline of `watch` passed.
    pub(crate) async fn begin(&self, watch: &Watch) -> Result<Option<Connecting<'_>>, ()> {
        if !self.is_connecting.replace(true) {
            return Ok(Some(Connecting(self)));
        }
        let mut waiting = pin!(self.connected.notified());
        poll_fn(|context| match waiting.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Ok(None)),
            Poll::Pending => watch.poll_expired(context).map(|()| Err(())),
        })
        .await
    }

    /// Lets go of connections that are closed, and of those that have been idle or alive for too long.
    pub(crate) fn prune(&self, now: Tick) {
        self.connections.borrow_mut().retain(|shared| {
            let idle = shared.client.running() == 0
                && self.limits.idle_timeout.is_some_and(|limit| now.since(shared.used) >= limit);
            !shared.client.is_closed() && !idle && !self.is_spent(shared, now)
        });
    }

    /// Whether a connection takes no further request.
    fn is_spent(&self, shared: &Shared, now: Tick) -> bool {
        self.limits.requests.is_some_and(|limit| shared.requests >= limit)
            || self.limits.age.is_some_and(|limit| now.since(shared.born) >= limit)
    }

    /// Lets go of every connection on which nothing runs; says how many.
    pub(crate) fn shed(&self) -> usize {
        let mut connections = self.connections.borrow_mut();
        let before = connections.len();
        connections.retain(|shared| shared.client.running() > 0);
        before - connections.len()
    }
}

impl Drop for Connecting<'_> {
    fn drop(&mut self) {
        self.0.is_connecting.set(false);
        self.0.connected.notify_waiters();
    }
}
