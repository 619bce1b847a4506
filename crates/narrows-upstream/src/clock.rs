//! What time it is, for averages that fade and shares that grow.

use std::cell::Cell;
use std::time::Instant;

/// The monotonic clock, or a moment that tests hold.
#[derive(Debug, Default)]
pub(crate) struct Clock {
    held: Cell<Option<Instant>>,
}

impl Clock {
    /// Now.
    pub(crate) fn now(&self) -> Instant {
        self.held.get().unwrap_or_else(Instant::now)
    }

    /// Stands still at a moment.
    #[cfg(test)]
    pub(crate) fn hold(&self, moment: Instant) {
        self.held.set(Some(moment));
    }
}
