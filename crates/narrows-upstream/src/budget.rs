//! How much of the traffic of an upstream may be repeated.
//!
//! A failure that lasts must not be multiplied by those who try again. So each request adds its share (20 per cent) to a reserve, and each retry takes
//! one from it. What breaks all at once when an endpoint dies may still be repeated at once: the reserve grows up to the number of requests
//! that run, which is why it is no plain limit on how many retries run.

use std::cell::Cell;

/// Retries that may run at one time whatever the reserve.
const ALWAYS: u32 = 3;
/// What a reserve can hold in any case, in retries; so full it is in the beginning.
const ROOM: u32 = 100;
/// A retry, in the unit of the reserve: requests add per cents.
const RETRY: u32 = 100;

/// The requests of one upstream in one worker, and what of them is repeated.
#[derive(Debug)]
pub struct Budget {
    running: Cell<u32>,
    retrying: Cell<u32>,
    /// In hundredths of a retry.
    reserve: Cell<u32>,
    counts: Cell<RetryCounts>,
}

/// What was repeated since the worker began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RetryCounts {
    /// Further attempts after one that failed.
    pub retries: u64,
    /// Retries and hedges that the budget did not allow.
    pub denied: u64,
    /// Second attempts beside one that took long.
    pub hedges: u64,
    /// Those of them whose answer was taken.
    pub hedges_won: u64,
}

/// What a further attempt is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// No endpoint has looked at the request: repeating it adds no load, and the budget always allows it.
    Unseen,
    /// An endpoint may have seen it.
    Failed,
    /// It runs beside another attempt.
    Hedge,
}

impl Default for Budget {
    fn default() -> Self {
        Budget {
            running: Cell::new(0),
            retrying: Cell::new(0),
            reserve: Cell::new(ROOM * RETRY),
            counts: Cell::default(),
        }
    }
}

impl Budget {
    /// Counts a request until the guard is dropped. `share` is the budget of its policy, in per cent.
    pub fn begin(&self, share: Option<u32>) -> RunningRequest<'_> {
        let running = self.running.get() + 1;
        self.running.set(running);
        let room = running.max(ROOM).saturating_mul(RETRY);
        self.reserve.set(self.reserve.get().saturating_add(share.unwrap_or_default()).min(room));
        RunningRequest(self)
    }

    /// Allows a further attempt, which runs until the guard is dropped; `None` when the budget is spent. `share` is the budget of the
    /// request's policy, `None` for no limit.
    pub fn again(&self, share: Option<u32>, what: Again) -> Option<Retrying<'_>> {
        let retrying = self.retrying.get();
        if share.is_some() && what != Again::Unseen {
            let reserve = self.reserve.get();
            if reserve >= RETRY {
                self.reserve.set(reserve - RETRY);
            } else if retrying >= ALWAYS {
                self.deny();
                return None;
            }
        }
        let mut counts = self.counts.get();
        match what {
            Again::Hedge => counts.hedges += 1,
            Again::Unseen | Again::Failed => counts.retries += 1,
        }
        self.counts.set(counts);
        self.retrying.set(retrying + 1);
        Some(Retrying(self))
    }

    /// Counts one that is not allowed.
    pub(crate) fn deny(&self) {
        let counts = self.counts.get();
        self.counts.set(RetryCounts { denied: counts.denied + 1, ..counts });
    }

    /// Counts a hedge whose answer was taken.
    pub fn hedge_won(&self) {
        let counts = self.counts.get();
        self.counts.set(RetryCounts { hedges_won: counts.hedges_won + 1, ..counts });
    }

    /// Requests that are running, those that wait for an endpoint included.
    pub fn running(&self) -> u32 {
        self.running.get()
    }

    /// Retries and hedges that are running.
    pub fn retrying(&self) -> u32 {
        self.retrying.get()
    }

    /// What was repeated.
    pub fn counts(&self) -> RetryCounts {
        self.counts.get()
    }
}

/// A running request; dropping it ends it.
#[derive(Debug)]
pub struct RunningRequest<'a>(&'a Budget);

impl Drop for RunningRequest<'_> {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get().saturating_sub(1));
    }
}

/// A running retry or hedge; dropping it ends it.
#[derive(Debug)]
pub struct Retrying<'a>(&'a Budget);

impl Drop for Retrying<'_> {
    fn drop(&mut self) {
        self.0.retrying.set(self.0.retrying.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
