//! Idle connections of one endpoint, last in first out.

use crate::endpoint::Open;
use narrows_plan::PoolLimits;
use narrows_runtime::{Stream, Tick};
use std::cell::RefCell;

/// A connection to an endpoint.
#[derive(Debug)]
pub struct Connection {
    /// The stream.
    pub stream: Stream,
    /// Requests that were sent on it.
    pub requests: u32,
    /// When it was made.
    pub born: Tick,
    /// Its place among the endpoint's connections.
    pub open: Open,
}

/// Idle connections. The most recently used is taken first: fewer and hotter connections, the others age out.
#[derive(Debug)]
pub struct Pool {
    limits: PoolLimits,
    idle: RefCell<Vec<Idle>>,
}

#[derive(Debug)]
struct Idle {
    connection: Connection,
    since: Tick,
}

impl Pool {
    /// An empty pool.
    pub fn new(limits: PoolLimits) -> Self {
        Pool { limits, idle: RefCell::default() }
    }

    /// An idle connection that the other end has not closed as far as we know. With `certain` the kernel is asked, for
    /// requests that must not be repeated. `discard` gets the places of those that are of no use.
    pub(crate) fn take(&self, now: Tick, certain: bool, mut discard: impl FnMut(Open)) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut entry) = idle.pop() {
            let stale = if certain {
                entry.connection.stream.is_stale_now()
            } else {
                entry.connection.stream.is_stale()
            };
            if !stale && !self.is_over(&entry, now) {
                return Some(entry.connection);
            }
            let Connection { stream, open, .. } = entry.connection;
            drop(stream);
            discard(open);
        }
        None
    }

    /// Keeps a connection unless it has served enough or there are enough.
    pub fn put(&self, connection: Connection, now: Tick) {
        let spent = self.limits.requests.is_some_and(|limit| connection.requests >= limit);
        let mut idle = self.idle.borrow_mut();
        // A message ends with its answer; its connection is kept elsewhere.
        if !spent && idle.len() < self.limits.idle && !connection.stream.is_message() {
            idle.push(Idle { connection, since: now });
        }
    }

    /// Whether a connection is idle.
    pub(crate) fn has_any(&self) -> bool {
        !self.idle.borrow().is_empty()
    }

    /// Closes what has been idle or alive for too long.
    pub fn prune(&self, now: Tick) {
        self.idle
            .borrow_mut()
            .retain_mut(|entry| !self.is_over(entry, now) && !entry.connection.stream.is_stale());
    }

    /// Closes every idle connection; says how many.
    pub fn shed(&self) -> usize {
        std::mem::take(&mut *self.idle.borrow_mut()).len()
    }

    fn is_over(&self, entry: &Idle, now: Tick) -> bool {
        let idle_too_long = self.limits.idle_timeout.is_some_and(|limit| now.since(entry.since) >= limit);
        idle_too_long || self.limits.age.is_some_and(|limit| now.since(entry.connection.born) >= limit)
    }
}

#[cfg(test)]
mod tests;
