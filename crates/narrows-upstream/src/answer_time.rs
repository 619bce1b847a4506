//! How long an endpoint takes to answer: a moving average that believes bad news at once.

use std::cell::Cell;
use std::time::{Duration, Instant};

/// What is e times less true: how fast an average forgets.
const FADING: Duration = Duration::from_secs(10);
/// What a failure counts as at least.
const FAILURE: Duration = Duration::from_millis(200);
/// What failures count as at most.
const WORST: Duration = Duration::from_secs(30);

/// The answer time of an endpoint as one worker sees it (peak EWMA, as in Finagle). An answer that took longer than the average replaces it; a
/// shorter one moves it, the more the longer ago the last one was. While nothing is heard the average fades, so that an endpoint that was slow is
/// tried again.
#[derive(Debug)]
pub(crate) struct AnswerTime {
    /// Seconds; negative before the first answer.
    average: Cell<f64>,
    heard: Cell<Instant>,
}

impl AnswerTime {
    /// Nothing is known.
    pub(crate) fn new(now: Instant) -> Self {
        AnswerTime { average: Cell::new(-1.0), heard: Cell::new(now) }
    }

    /// An answer began after `took`.
    pub(crate) fn answered(&self, took: Duration, now: Instant) {
        self.hear(took.as_secs_f64(), now);
    }

    /// An attempt failed: it counts as twice the average.
    pub(crate) fn failed(&self, now: Instant) {
        let doubled = 2.0 * self.average.get().max(0.0);
        self.hear(doubled.clamp(FAILURE.as_secs_f64(), WORST.as_secs_f64()), now);
    }

    fn hear(&self, seconds: f64, now: Instant) {
        let average = self.average.get();
        let kept = self.kept(now);
        self.heard.set(now);
        let moved = if seconds > average { seconds } else { average * kept + seconds * (1.0 - kept) };
        self.average.set(moved);
    }

    /// The average in seconds as of now, `None` when there was no answer yet.
    pub(crate) fn seconds(&self, now: Instant) -> Option<f64> {
        let average = self.average.get();
        (average >= 0.0).then(|| average * self.kept(now))
    }

    fn kept(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.heard.get());
        (-since.as_secs_f64() / FADING.as_secs_f64()).exp()
    }
}
