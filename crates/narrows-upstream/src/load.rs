//! What the whole process has running on one endpoint, over all workers.

use crate::counts::Tally;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// What the whole process has running on one endpoint. Made once with the endpoint, and the same in each renewal of its member.
///
/// Places are counted only where a limit is configured; a limit that comes later counts what begins from then on.
#[derive(Debug, Default)]
pub struct Load {
    /// Failures since the last success. Apart from what changes with each request: every success looks at it.
    failures: AtomicU32,
    places: Places,
    /// What workers add up about once a second, for the status.
    pub tally: Tally,
    /// What the control plane counted.
    ejections: AtomicU64,
}

/// A line of the cache of their own, which workers take from each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Places {
    requests: AtomicU32,
    connections: AtomicU32,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// A running request, flow or session.
    Request,
    /// An open connection.
    Connection,
}

impl Load {
    fn place(&self, place: Place) -> &AtomicU32 {
        match place {
            Place::Request => &self.places.requests,
            Place::Connection => &self.places.connections,
        }
    }

    /// How many places of a kind are taken.
    pub(crate) fn taken(&self, place: Place) -> u32 {
        self.place(place).load(Ordering::SeqCst)
    }

    /// Takes a place unless `limit` of them are taken. Two workers never take the same one.
    pub(crate) fn take(&self, place: Place, limit: u32) -> bool {
        take(self.place(place), limit)
    }

    /// Gives a place back.
    pub(crate) fn give_back(&self, place: Place) {
        give_back(self.place(place));
    }

    /// Failures in a row, over all workers.
    pub fn failures(&self) -> u32 {
        self.failures.load(Ordering::Relaxed)
    }

    /// One more failure; how many that makes in a row.
    pub fn failed(&self) -> u32 {
        self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// A success ends the row; says whether there was one. Only a look as long as all is well.
    pub(crate) fn succeeded(&self) -> bool {
        self.failures() > 0 && self.failures.swap(0, Ordering::Relaxed) > 0
    }

    /// How often the endpoint's traffic took it out, as the control plane has it.
    pub fn ejections(&self) -> u64 {
        self.ejections.load(Ordering::Relaxed)
    }

    /// It was taken out so often until now.
    pub fn note_ejections(&self, ejections: u64) {
        self.ejections.store(ejections, Ordering::Relaxed);
    }

    /// What was counted of failures so far has been dealt with.
    pub fn forget_failures(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }
}

/// Adds one to `count` unless it is `limit` already.
pub(crate) fn take(count: &AtomicU32, limit: u32) -> bool {
    let more = |taken: u32| (taken < limit).then_some(taken + 1);
    count.fetch_update(Ordering::SeqCst, Ordering::SeqCst, more).is_ok()
}

/// Takes one off.
pub(crate) fn give_back(count: &AtomicU32) {
    let before = count.fetch_sub(1, Ordering::SeqCst);
    debug_assert!(before > 0, "more places were given back than taken");
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    #[test]
    fn two_threads_never_hold_more_places_than_the_limit() {
        const LIMIT: u32 = 3;
        let load = Arc::new(Load::default());
        let exceeded = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let (load, exceeded) = (Arc::clone(&load), Arc::clone(&exceeded));
                std::thread::spawn(move || {
                    for _ in 0..20_000 {
                        if load.take(Place::Request, LIMIT) {
                            if load.taken(Place::Request) > LIMIT {
                                exceeded.store(true, Ordering::Relaxed);
                            }
                            load.give_back(Place::Request);
                        }
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert!(!exceeded.load(Ordering::Relaxed));
        assert_eq!(load.taken(Place::Request), 0);
    }

    #[test]
    fn a_success_on_any_worker_ends_the_row_of_failures() {
        let load = Load::default();
        assert_eq!((load.failed(), load.failed()), (1, 2));
        assert!(load.succeeded());
        assert!(!load.succeeded(), "there is no row any more");
        assert_eq!(load.failed(), 1);
    }
}
