//! The copies of requests that one worker sends to an upstream.

use std::cell::Cell;
use std::rc::Rc;

/// The copies of requests that one worker sends to an upstream.
#[derive(Debug, Default)]
pub struct Mirroring {
    running: Cell<u32>,
    counts: Cell<MirrorCounts>,
}

/// What became of copies since the worker began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct MirrorCounts {
    /// Those that were answered.
    pub answered: u64,
    /// Those that were not, in time or at all.
    pub failed: u64,
    /// Requests that were chosen and not copied: too large, too many at one time, not received whole, no endpoint.
    pub skipped: u64,
}

impl Mirroring {
    /// Counts a copy until it has ended. One that is dropped before has failed.
    pub fn begin(self: &Rc<Self>) -> RunningCopy {
        self.running.set(self.running.get() + 1);
        RunningCopy { mirroring: Rc::clone(self), is_answered: false }
    }

    /// Counts a request that was chosen and not copied.
    pub fn skip(&self) {
        let counts = self.counts.get();
        self.counts.set(MirrorCounts { skipped: counts.skipped + 1, ..counts });
    }

    /// Copies that are running.
    pub fn running(&self) -> u32 {
        self.running.get()
    }

    /// What became of the others.
    pub fn counts(&self) -> MirrorCounts {
        self.counts.get()
    }
}

/// A running copy; dropping it ends it.
#[derive(Debug)]
pub struct RunningCopy {
    mirroring: Rc<Mirroring>,
    is_answered: bool,
}

impl RunningCopy {
    /// It has ended.
    pub fn ended(mut self, is_answered: bool) {
        self.is_answered = is_answered;
    }
}

impl Drop for RunningCopy {
    fn drop(&mut self) {
        let Mirroring { running, counts } = &*self.mirroring;
        running.set(running.get().saturating_sub(1));
        let before = counts.get();
        counts.set(match self.is_answered {
            true => MirrorCounts { answered: before.answered + 1, ..before },
            false => MirrorCounts { failed: before.failed + 1, ..before },
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_copy_is_counted_once() {
        let mirroring = Rc::<Mirroring>::default();
        let copies = [mirroring.begin(), mirroring.begin(), mirroring.begin()];
        assert_eq!(mirroring.running(), 3);
        let [answered, failed, dropped] = copies;
        answered.ended(true);
        failed.ended(false);
        drop(dropped);
        mirroring.skip();
        assert_eq!(mirroring.running(), 0);
        assert_eq!(mirroring.counts(), MirrorCounts { answered: 1, failed: 2, skipped: 1 });
    }
}
