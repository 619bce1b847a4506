//! Finds out how many requests an upstream can run at one time, from its answer times.
//!
//! One for each upstream and worker. Answer times are averaged over short windows. As long as an average stays near the *baseline*, the answer
//! time of an upstream that is not busy, the limit grows by its square root, which leaves room for bursts; as soon as it is longer, requests queue up there,
//! and the limit shrinks in proportion (the gradient). The baseline is the shortest average so far, and is measured anew from time to time, for which the limit
//! is halved for two windows: an upstream that has become slower for good gets its limit back.

use narrows_plan::AdaptiveConcurrency;
use std::cell::Cell;
use std::time::Duration;

/// The shortest window, and the fewest answers in one.
const WINDOW: Duration = Duration::from_millis(100);
const ANSWERS: u32 = 10;
/// What is allowed at the beginning, when nothing is known.
const FIRST: f64 = 20.0;
/// An average up to this factor above the baseline is chance.
const TOLERANCE: f64 = 1.5;
/// How much of a new limit is believed at once.
const TRUST: f64 = 0.2;

/// The limit of one upstream on one worker.
#[derive(Debug)]
pub(crate) struct Concurrency {
    rules: AdaptiveConcurrency,
    state: Cell<State>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    limit: f64,
    running: u32,
    /// Most that ran within the window.
    most: u32,
    /// Sum of the answer times of the window, seconds.
    sum: f64,
    answers: u32,
    window_began: Duration,
    /// Seconds; 0 when it is not known.
    baseline: f64,
    measured: Duration,
    measuring: Measuring,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Measuring {
    No,
    /// What ran before the limit was halved ends.
    Emptying,
    /// The present window is the new baseline.
    Counting,
}

impl Concurrency {
    pub(crate) fn new(rules: AdaptiveConcurrency, now: Duration) -> Self {
        let limit = FIRST.clamp(f64::from(rules.minimum), f64::from(rules.maximum.max(rules.minimum)));
        let state = State {
            limit,
            running: 0,
            most: 0,
            sum: 0.0,
            answers: 0,
            window_began: now,
            baseline: 0.0,
            measured: now,
            measuring: Measuring::No,
        };
        Concurrency { rules, state: Cell::new(state) }
    }

    /// How many may run now.
    pub(crate) fn limit(&self) -> u32 {
        let state = self.state.get();
        let limit = if state.measuring == Measuring::No { state.limit } else { state.limit / 2.0 };
        (limit as u32).max(self.rules.minimum).max(1)
    }

    /// How many run.
    #[cfg(test)]
    pub(crate) fn running(&self) -> u32 {
        self.state.get().running
    }

    /// Lets one more run unless as many do as may; `left` must follow.
    pub(crate) fn enter(&self) -> bool {
        let mut state = self.state.get();
        if state.running >= self.limit() {
            // Somebody wanted more than the limit.
            state.most = state.most.max(state.running);
            self.state.set(state);
            return false;
        }
        state.running += 1;
        state.most = state.most.max(state.running);
        self.state.set(state);
        true
    }

    /// One has ended.
    pub(crate) fn left(&self) {
        let mut state = self.state.get();
        state.running = state.running.saturating_sub(1);
        self.state.set(state);
    }

    /// The answer to one began after `took`.
    pub(crate) fn answered(&self, took: Duration, now: Duration) {
        let mut state = self.state.get();
        state.sum += took.as_secs_f64();
        state.answers += 1;
        if state.answers >= ANSWERS && now.saturating_sub(state.window_began) >= WINDOW {
            self.close_window(&mut state, now);
        }
        self.state.set(state);
    }

    fn close_window(&self, state: &mut State, now: Duration) {
        // Below a microsecond nothing can be told apart.
        let average = (state.sum / f64::from(state.answers)).max(1e-6);
        match state.measuring {
            Measuring::No => {
                if state.baseline == 0.0 || average < state.baseline {
                    state.baseline = average;
                }
                let gradient = (TOLERANCE * state.baseline / average).clamp(0.5, 1.0);
                let wanted = state.limit * gradient + state.limit.sqrt();
                // A limit that nobody comes near says nothing when it grows.
                if wanted < state.limit || f64::from(state.most) > state.limit / 2.0 {
                    state.limit += TRUST * (wanted - state.limit);
                }
                if now.saturating_sub(state.measured) >= self.rules.baseline {
                    state.measuring = Measuring::Emptying;
                }
            }
            Measuring::Emptying => state.measuring = Measuring::Counting,
            Measuring::Counting => {
                state.baseline = average;
                state.measured = now;
                state.measuring = Measuring::No;
            }
        }
        let (least, most) = (self.rules.minimum, self.rules.maximum.max(self.rules.minimum));
        state.limit = state.limit.clamp(f64::from(least.max(1)), f64::from(most.max(1)));
        state.sum = 0.0;
        state.answers = 0;
        state.most = state.running;
        state.window_began = now;
    }
}

#[cfg(test)]
mod tests;
