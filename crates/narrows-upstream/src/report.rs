//! What workers tell the control plane of endpoints.

use crate::breaker::BreakerChange;
use crate::membership::EndpointId;
use crate::membership::UpstreamKey;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;

/// Reports that wait for the control plane at most; what is over that is counted and lost.
const WAITING: usize = 16_384;

/// One thing that a worker noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// An attempt failed.
    Failed {
        /// The upstream.
        upstream: UpstreamKey,
        /// The endpoint.
        endpoint: EndpointId,
        /// How.
        failure: AttemptFailure,
    },
    /// The first attempt that went well after some that this worker saw failing.
    Recovered {
        /// The upstream.
        upstream: UpstreamKey,
        /// The endpoint.
        endpoint: EndpointId,
    },
    /// What a worker saw of an endpoint since it told the last time, for rates.
    Seen {
        /// The upstream.
        upstream: UpstreamKey,
        /// The endpoint.
        endpoint: EndpointId,
        /// What it saw.
        seen: Seen,
    },
    /// A breaker opened, closed or tries.
    Breaker {
        /// The upstream.
        upstream: UpstreamKey,
        /// What happened.
        change: BreakerChange,
    },
}

/// Attempts on an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// All that ended.
    pub attempts: u64,
    /// Those that failed.
    pub failures: u64,
    /// Time until the answer began, of those that went well.
    pub time: Duration,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AttemptFailure {
    /// No connection.
    Connect,
    /// The connection broke before the answer.
    Reset,
    /// No answer in time.
    Timeout,
    /// An answer with this status.
    Status(u16),
}

/// Where a worker reports to. Cloned for each cluster; costs nothing while all is well.
#[derive(Debug, Clone)]
pub struct Reporter {
    sender: mpsc::Sender<Report>,
    lost: Arc<AtomicU64>,
}

impl Reporter {
    /// A reporter, and where its reports arrive.
    pub fn new() -> (Reporter, mpsc::Receiver<Report>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Reporter { sender, lost: Arc::default() }, receiver)
    }

    /// Reports without waiting.
    pub fn report(&self, report: Report) {
        if self.sender.try_send(report).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Reports that were lost because the control plane was busy.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}
