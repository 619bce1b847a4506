//! When a request is sent again.

use crate::defaults;
use serde::Serialize;
use std::time::Duration;

/// When a request is sent again, to which endpoints, and how often.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RetryPolicy {
    /// Further attempts after the first failed.
    pub limit: u32,
    /// What is worth another attempt.
    pub on: RetryConditions,
    /// A try whose answer does not begin within this time has failed; `None` is the route's `response_head`.
    pub try_timeout: Option<Duration>,
    /// Before the second attempt on, doubled each time up to ten times as long, less up to half of it by chance. Zero is at once.
    pub backoff: Duration,
    /// How many requests may be repeated, per cent of the requests of a worker to the upstream: each adds to a reserve, each retry or hedge
    /// takes from it. The reserve holds up to as many as requests run (100 where that is more), so that what one endpoint breaks at once may
    /// be repeated at once. Three may always run; what no endpoint has looked at does not count. `None` is no limit.
    pub budget: Option<u32>,
    /// Bytes of a request body that are kept to be sent again.
    pub replay: usize,
    /// Whether requests with side effects (POST, PATCH, ...) may be repeated after an endpoint has seen them.
    pub unsafe_methods: bool,
    /// A second attempt beside the first, to another endpoint, when the answer takes longer than this; for requests that may be repeated.
    pub hedge: Option<Duration>,
}

/// What is worth another attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RetryConditions {
    /// No connection could be made.
    pub connect_failure: bool,
    /// The endpoint refused the stream before it looked at it (HTTP/2 REFUSED_STREAM, GOAWAY).
    pub refused_stream: bool,
    /// The connection broke before the answer.
    pub reset: bool,
    /// The answer did not begin in time.
    pub timeout: bool,
    /// Inclusive ranges of statuses.
    pub statuses: Box<[(u16, u16)]>,
    /// gRPC statuses that came without a message.
    pub grpc_statuses: Box<[u8]>,
}

impl Default for RetryConditions {
    fn default() -> Self {
        RetryConditions {
            connect_failure: true,
            refused_stream: true,
            reset: true,
            timeout: false,
            statuses: Box::default(),
            grpc_statuses: Box::default(),
        }
    }
}

impl Default for RetryPolicy {
    fn default() -> Self {
        RetryPolicy {
            limit: defaults::RETRIES,
            on: RetryConditions::default(),
            try_timeout: None,
            backoff: Duration::ZERO,
            budget: Some(defaults::RETRY_BUDGET),
            replay: defaults::REPLAY_BYTES,
            unsafe_methods: false,
            hedge: None,
        }
    }
}
