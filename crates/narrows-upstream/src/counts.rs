//! What is counted of an endpoint: by each worker in its own cells, and added up for everybody about once a second.

use crate::report::AttemptFailure;
use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The counts of one worker since it told them last.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    requests: Cell<u64>,
    connect_failures: Cell<u64>,
    resets: Cell<u64>,
    timeouts: Cell<u64>,
    bad_statuses: Cell<u64>,
    /// What it said to have running and open the last time.
    told_running: Cell<i64>,
    told_connections: Cell<i64>,
}

/// The counts of all workers, as of about a second ago.
#[derive(Debug, Default)]
pub struct Tally {
    requests: AtomicU64,
    connect_failures: AtomicU64,
    resets: AtomicU64,
    timeouts: AtomicU64,
    bad_statuses: AtomicU64,
    running: AtomicI64,
    connections: AtomicI64,
}

/// What a tally says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Attempts (layer 7), flows or sessions that were begun.
    pub requests: u64,
    /// Attempts that failed to connect.
    pub connect_failures: u64,
    /// Attempts whose connection broke before an answer.
    pub resets: u64,
    /// Attempts that got no answer in time.
    pub timeouts: u64,
    /// Attempts that were answered with a status that is a failure.
    pub bad_statuses: u64,
    /// What runs there now.
    pub running: u64,
    /// Open connections, idle ones included.
    pub connections: u64,
}

impl Counts {
    /// One more was begun.
    pub(crate) fn begun(&self) {
        self.requests.set(self.requests.get() + 1);
    }

    /// One failed.
    pub(crate) fn failed(&self, failure: AttemptFailure) {
        let counter = match failure {
            AttemptFailure::Connect => &self.connect_failures,
            AttemptFailure::Reset => &self.resets,
            AttemptFailure::Timeout => &self.timeouts,
            AttemptFailure::Status(_) => &self.bad_statuses,
        };
        counter.set(counter.get() + 1);
    }

    /// Adds what is new to the tally.
    pub(crate) fn tell(&self, running: u32, connections: u32, tally: &Tally) {
        let counters = [
            (&self.requests, &tally.requests),
            (&self.connect_failures, &tally.connect_failures),
            (&self.resets, &tally.resets),
            (&self.timeouts, &tally.timeouts),
            (&self.bad_statuses, &tally.bad_statuses),
        ];
        for (mine, all) in counters {
            let new = mine.take();
            if new > 0 {
                all.fetch_add(new, Ordering::Relaxed);
            }
        }
        let gauges = [
            (&self.told_running, i64::from(running), &tally.running),
            (&self.told_connections, i64::from(connections), &tally.connections),
        ];
        for (told, now, all) in gauges {
            let change = now - told.replace(now);
            if change != 0 {
                all.fetch_add(change, Ordering::Relaxed);
            }
        }
    }
}

impl Tally {
    /// What it says now.
    pub fn totals(&self) -> Totals {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let gauge = |gauge: &AtomicI64| u64::try_from(gauge.load(Ordering::Relaxed)).unwrap_or(0);
        Totals {
            requests: total(&self.requests),
            connect_failures: total(&self.connect_failures),
            resets: total(&self.resets),
            timeouts: total(&self.timeouts),
            bad_statuses: total(&self.bad_statuses),
            running: gauge(&self.running),
            connections: gauge(&self.connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tally_is_the_sum_of_what_workers_told() {
        let tally = Tally::default();
        let workers = [Counts::default(), Counts::default()];
        for worker in &workers {
            worker.begun();
            worker.begun();
            worker.failed(AttemptFailure::Status(503));
        }
        workers[0].tell(2, 5, &tally);
        workers[1].tell(1, 1, &tally);
        workers[0].tell(0, 3, &tally);
        let totals = tally.totals();
        assert_eq!((totals.requests, totals.bad_statuses), (4, 2));
        assert_eq!((totals.running, totals.connections), (1, 4));
    }
}
