//! Waiting for a condition, never for a duration.

use std::time::{Duration, Instant};

/// How long any single step of a test may take before the test fails. Generous, because CI machines are slow;
/// no test waits this long when all is well.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(5);

/// Returns as soon as `condition` holds; panics with `what` when it does not within [`DEADLINE`].
#[track_caller]
pub fn until(what: &str, mut condition: impl FnMut() -> bool) {
    if !holds_within(DEADLINE, &mut condition) {
        panic!("not within {DEADLINE:?}: {what}");
    }
}

/// Polls `condition` until it holds (true) or `limit` has passed (false).
pub fn holds_within(limit: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + limit;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= end {
            return false;
        }
        std::thread::park_timeout(POLL);
    }
}
