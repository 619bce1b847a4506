//! Whether the workers live: each of them beats with every tick.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What a worker has beaten that came to its end in order.
const ENDED: u64 = u64::MAX;

/// The beats of all workers. Costs a worker one store a tick.
#[derive(Debug, Clone)]
pub struct Pulse {
    beats: Arc<[AtomicU64]>,
    seen: Vec<u64>,
}

impl Pulse {
    pub(crate) fn new(workers: usize) -> Self {
        Pulse { beats: (0..workers).map(|_| AtomicU64::new(0)).collect(), seen: Vec::new() }
    }

    pub(crate) fn beat(&self, worker: usize) {
        self.beats[worker].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self, worker: usize) {
        self.beats[worker].store(ENDED, Ordering::Relaxed);
    }

    /// Whether every worker has beaten, or has ended, since the last time when this was asked. Workers beat every 100 ms.
    pub fn is_steady(&mut self) -> bool {
        let now: Vec<u64> = self.beats.iter().map(|beats| beats.load(Ordering::Relaxed)).collect();
        let moved = |worker: usize| now[worker] == ENDED || self.seen.get(worker) != Some(&now[worker]);
        let is_steady = (0..now.len()).all(moved);
        self.seen = now;
        is_steady
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_stands_still_is_noticed_and_one_that_ended_is_not() {
        let workers = Pulse::new(2);
        let mut watched = workers.clone();
        workers.beat(0);
        workers.beat(1);
        assert!(watched.is_steady());
        workers.beat(0);
        assert!(!watched.is_steady(), "the second one stands still");
        workers.beat(0);
        workers.beat(1);
        assert!(watched.is_steady(), "it was only slow");
        workers.end(1);
        workers.beat(0);
        assert!(watched.is_steady());
        workers.beat(0);
        assert!(watched.is_steady(), "an end is no stand-still");
    }
}
