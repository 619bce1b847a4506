//! How much an upstream is given at one time. What is over that waits, or is answered with 503.

use crate::defaults;
use serde::Serialize;
use std::time::Duration;

/// What one endpoint is given at most, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct EndpointLimits {
    /// Open connections. `None` is no limit.
    pub connections: Option<u32>,
    /// Running requests (layer 7), flows (TCP) or sessions (UDP). `None` is no limit.
    pub requests: Option<u32>,
}

/// What an upstream is given at most, over all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct UpstreamLimits {
    /// What each endpoint is given, where it says nothing itself.
    pub endpoint: EndpointLimits,
    /// Running requests, flows or sessions of the whole upstream.
    pub requests: Option<u32>,
    /// Retries that run at one time.
    pub retries: Option<u32>,
    /// Who waits when all endpoints are full.
    pub queue: QueueLimits,
}

/// Requests that wait for an endpoint: the more important first, of equals the one that came first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueLimits {
    /// Most that wait at one time; 0 is no queue.
    pub length: u32,
    /// How long one waits.
    pub timeout: Duration,
}

impl Default for QueueLimits {
    fn default() -> Self {
        QueueLimits { length: defaults::QUEUE_LENGTH, timeout: defaults::QUEUE_TIMEOUT }
    }
}

/// A circuit breaker: an upstream whose requests fail gets none for a while, then a few to see whether it is well again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Breaker {
    /// Per cent of requests that fail before it opens. A failure is a fault of the upstream's side, or a status of 500 or more.
    pub failure_rate: u32,
    /// Requests within `window` below which it never opens.
    pub requests: u32,
    /// The rate is taken over this time.
    pub window: Duration,
    /// How long it stays open before it lets probes through.
    pub open: Duration,
    /// Requests that are let through to see; all must succeed before it closes.
    pub probes: u32,
}

/// Finds out how many requests an upstream can run at one time, from its answer times (gradient).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct AdaptiveConcurrency {
    /// Never fewer, per worker.
    pub minimum: u32,
    /// Never more, per worker.
    pub maximum: u32,
    /// How often the answer time without load is measured anew.
    pub baseline: Duration,
}
