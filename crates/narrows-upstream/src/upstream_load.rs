//! What all workers share of one upstream: who waits, the breaker, and what runs where that is limited.

use crate::breaker::Breaker;
use crate::budget::RetryCounts;
use crate::load::{give_back, take};
use crate::mirroring::MirrorCounts;
use crate::queue::Queue;
use narrows_plan::Upstream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What all workers share of one upstream. Nothing in it is touched while no limit, breaker or queue is in use, but for the counters once a second.
#[derive(Debug)]
pub struct UpstreamLoad {
    /// Who waits for an endpoint that has room.
    pub queue: Arc<Queue>,
    /// Whether requests pass at all.
    pub breaker: Option<Breaker>,
    began: Instant,
    requests: AtomicU32,
    retries: AtomicU32,
    counters: Counters,
}

#[derive(Debug, Default)]
struct Counters {
    retries: AtomicU64,
    retries_denied: AtomicU64,
    hedges: AtomicU64,
    hedges_won: AtomicU64,
    mirrors_answered: AtomicU64,
    mirrors_failed: AtomicU64,
    mirrors_skipped: AtomicU64,
    breaker_refused: AtomicU64,
    overloaded: AtomicU64,
}

impl Counters {
    fn copy(&self) -> Self {
        let copy = |counter: &AtomicU64| AtomicU64::new(counter.load(Ordering::Relaxed));
        Counters {
            retries: copy(&self.retries),
            retries_denied: copy(&self.retries_denied),
            hedges: copy(&self.hedges),
            hedges_won: copy(&self.hedges_won),
            mirrors_answered: copy(&self.mirrors_answered),
            mirrors_failed: copy(&self.mirrors_failed),
            mirrors_skipped: copy(&self.mirrors_skipped),
            breaker_refused: copy(&self.breaker_refused),
            overloaded: copy(&self.overloaded),
        }
    }
}

/// What was counted of an upstream since the start, as of about a second ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct UpstreamTotals {
    /// Attempts after the first one.
    pub retries: u64,
    /// Further attempts that the budget or a limit did not allow.
    pub retries_denied: u64,
    /// Attempts beside another one.
    pub hedges: u64,
    /// Those of them whose answer was taken.
    pub hedges_won: u64,
    /// Copies of other upstreams' requests that were answered here.
    pub mirrors_answered: u64,
    /// Those that were not.
    pub mirrors_failed: u64,
    /// Requests that were chosen and not copied.
    pub mirrors_skipped: u64,
    /// Requests that an open breaker refused.
    pub breaker_refused: u64,
    /// Requests that a limit of the whole upstream refused.
    pub overloaded: u64,
}

/// A retry that runs, where retries are limited; dropping it ends it.
#[derive(Debug)]
pub struct RetryPlace(Option<Arc<UpstreamLoad>>);

impl UpstreamLoad {
    /// Of an upstream with nothing running yet.
    pub fn new(upstream: &Upstream) -> Arc<Self> {
        Arc::new(UpstreamLoad {
            queue: Queue::new(upstream.limits.queue),
            breaker: upstream.breaker.map(Breaker::new),
            began: Instant::now(),
            requests: AtomicU32::new(0),
            retries: AtomicU32::new(0),
            counters: Counters::default(),
        })
    }

    /// Of an upstream whose queue or breaker is another one than before. What was counted goes on.
    pub fn succeeding(before: &UpstreamLoad, upstream: &Upstream) -> Arc<Self> {
        let mut load = UpstreamLoad::new(upstream);
        if let Some(load) = Arc::get_mut(&mut load) {
            load.counters = before.counters.copy();
        }
        load
    }

    /// What was counted since the start.
    pub fn totals(&self) -> UpstreamTotals {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let all = &self.counters;
        UpstreamTotals {
            retries: total(&all.retries),
            retries_denied: total(&all.retries_denied),
            hedges: total(&all.hedges),
            hedges_won: total(&all.hedges_won),
            mirrors_answered: total(&all.mirrors_answered),
            mirrors_failed: total(&all.mirrors_failed),
            mirrors_skipped: total(&all.mirrors_skipped),
            breaker_refused: total(&all.breaker_refused),
            overloaded: total(&all.overloaded),
        }
    }

    /// Since this was made.
    pub(crate) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn take_request(&self, limit: u32) -> bool {
        take(&self.requests, limit)
    }

    pub(crate) fn give_request_back(&self) {
        give_back(&self.requests);
    }

    /// Lets a retry run unless `limit` do.
    pub(crate) fn take_retry(self: &Arc<Self>, limit: Option<u32>) -> Option<RetryPlace> {
        match limit {
            None => Some(RetryPlace(None)),
            Some(limit) => take(&self.retries, limit).then(|| RetryPlace(Some(Arc::clone(self)))),
        }
    }

    pub(crate) fn note_breaker_refused(&self) {
        self.counters.breaker_refused.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn note_overloaded(&self) {
        self.counters.overloaded.fetch_add(1, Ordering::Relaxed);
    }

    /// Adds what a worker counted between two moments.
    pub(crate) fn add(&self, before: (RetryCounts, MirrorCounts), now: (RetryCounts, MirrorCounts)) {
        let all = &self.counters;
        let ((before, mirrors_before), (now, mirrors_now)) = (before, now);
        let counters = [
            (now.retries - before.retries, &all.retries),
            (now.denied - before.denied, &all.retries_denied),
            (now.hedges - before.hedges, &all.hedges),
            (now.hedges_won - before.hedges_won, &all.hedges_won),
            (mirrors_now.answered - mirrors_before.answered, &all.mirrors_answered),
            (mirrors_now.failed - mirrors_before.failed, &all.mirrors_failed),
            (mirrors_now.skipped - mirrors_before.skipped, &all.mirrors_skipped),
        ];
        for (new, all) in counters {
            if new > 0 {
                all.fetch_add(new, Ordering::Relaxed);
            }
        }
    }
}

impl Drop for RetryPlace {
    fn drop(&mut self) {
        if let Some(load) = &self.0 {
            give_back(&load.retries);
        }
    }
}
