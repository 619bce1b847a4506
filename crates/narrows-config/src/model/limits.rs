//! Limits, queue, breaker and adaptive concurrency as they are written.

use super::time;
use crate::shape::{Duration, Number, OPTIONAL, OrOff, Percent, otherwise, table};
use narrows_plan::defaults;

table! {
    /// How much an upstream is given at one time, over all workers. What is over that waits, or is answered with 503.
    UpstreamLimits {
        /// Open connections of each endpoint that says nothing itself.
        connections: Number<1, 4_294_967_295> = otherwise("no limit"),
        /// Running requests (tcp: flows, udp: sessions) of each endpoint that says nothing itself.
        requests: Number<1, 4_294_967_295> = otherwise("no limit"),
        /// Requests, flows or sessions of the whole upstream, those that wait included. What is over it is refused at once, it never waits.
        upstream_requests: Number<1, 4_294_967_295> = otherwise("no limit"),
        /// Retries that run at one time.
        retries: Number<0, 4_294_967_295> = otherwise("no limit"),
        /// Who waits when all endpoints are full.
        queue: OrOff<Queue> = OPTIONAL,
    }
}

table! {
    /// Requests that wait for an endpoint that has room: those with the lower `priority` of their route first, of equals the one that
    /// came first.
    Queue {
        /// Most that wait at one time.
        length: Number<1, 1_000_000> = defaults::QUEUE_LENGTH.to_string(),
        /// How long one waits.
        timeout: Duration = time(defaults::QUEUE_TIMEOUT),
    }
}

table! {
    /// A circuit breaker: an upstream whose requests fail gets none for a while, then a few to see whether it is well again.
    Breaker {
        /// Share of requests that fail before it opens. A failure is a fault of the upstream's side, or a status of 500 or more.
        failure_rate: Percent<1, 100> = format!("{}%", defaults::BREAKER_FAILURE_RATE),
        /// Requests within `window` below which it never opens.
        requests: Number<1, 1_000_000_000> = defaults::BREAKER_REQUESTS.to_string(),
        /// The share is taken over this time.
        window: Duration = time(defaults::BREAKER_WINDOW),
        /// How long it stays open before it lets requests through to see.
        open: Duration = time(defaults::BREAKER_OPEN),
        /// Requests that are let through to see; all must succeed before it closes.
        probes: Number<1, 1_000_000> = defaults::BREAKER_PROBES.to_string(),
    }
}

table! {
    /// Finds out how many requests an upstream can run at one time, from its answer times.
    AdaptiveConcurrency {
        /// Never fewer, for each worker.
        minimum: Number<1, 1_000_000> = defaults::CONCURRENCY.0.to_string(),
        /// Never more, for each worker.
        maximum: Number<1, 1_000_000> = defaults::CONCURRENCY.1.to_string(),
        /// How often the answer time without load is measured anew.
        baseline: Duration = time(defaults::CONCURRENCY_BASELINE),
    }
}
