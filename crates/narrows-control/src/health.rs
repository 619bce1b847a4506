//! What the checks of one endpoint have shown, and when the next one is due. No clock and no socket: results and chance are arguments.

use crate::state::{HealthState, LastCheck};
use narrows_plan::{HealthCheck, StartState};
use narrows_upstream::Chance;
use std::sync::Arc;
use std::time::Duration;

/// Checks of an endpoint are never closer to each other than this, whatever jitter makes of their interval.
const CLOSEST: Duration = Duration::from_millis(10);

/// What the checks of one endpoint have shown.
#[derive(Debug, Clone)]
pub(crate) struct Health {
    verdict: Verdict,
    /// Results like the last one, in a row.
    streak: u32,
    last: Option<Last>,
    passed: u64,
    failed: u64,
    /// Why the verdict is what it is, for people.
    reason: Arc<str>,
}

/// What follows from the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first check will decide.
    Unknown,
    /// It is well.
    Up,
    /// It is not.
    Down,
}

/// A check that is over.
#[derive(Debug, Clone)]
struct Last {
    /// What was wrong.
    result: Result<(), Box<str>>,
    took: Duration,
}

impl Health {
    pub(crate) fn new(start: StartState) -> Self {
        let (verdict, reason) = match start {
            StartState::Up => (Verdict::Up, ""),
            StartState::Down => (Verdict::Down, "not checked yet"),
            StartState::Checked => (Verdict::Unknown, "not checked yet"),
        };
        Health { verdict, streak: 0, last: None, passed: 0, failed: 0, reason: reason.into() }
    }

    /// What follows from the checks so far.
    pub(crate) fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Why, for people: `3 checks failed: connection refused`. Changes with the verdict only; empty when it was never another one.
    pub(crate) fn reason(&self) -> &Arc<str> {
        &self.reason
    }

    /// Takes over a result, with what was wrong when the check failed. Says whether the verdict is another one now.
    pub(crate) fn record(
        &mut self,
        check: &HealthCheck,
        result: Result<(), Box<str>>,
        took: Duration,
    ) -> bool {
        let is_alike = self.last.as_ref().is_some_and(|last| last.result.is_ok() == result.is_ok());
        self.streak = if is_alike { self.streak.saturating_add(1) } else { 1 };
        let needed = match (self.verdict, &result) {
            (Verdict::Unknown, _) => Some(1),
            (Verdict::Up, Err(_)) => Some(check.fall.max(1)),
            (Verdict::Down, Ok(())) => Some(check.rise.max(1)),
            (Verdict::Up, Ok(())) | (Verdict::Down, Err(_)) => None,
        };
        let changes = needed.is_some_and(|needed| self.streak >= needed);
        if changes {
            let checks = if self.streak == 1 { "check" } else { "checks" };
            self.reason = match &result {
                Ok(()) => format!("{} {checks} passed", self.streak).into(),
                Err(why) => format!("{} {checks} failed: {why}", self.streak).into(),
            };
            self.verdict = if result.is_ok() { Verdict::Up } else { Verdict::Down };
        }
        match &result {
            Ok(()) => self.passed += 1,
            Err(_) => self.failed += 1,
        }
        self.last = Some(Last { result, took });
        changes
    }

    /// It is not checked for a while. What is known holds on; a row of results that had begun does not.
    pub(crate) fn rest(&mut self) {
        self.streak = 0;
    }

    /// From the beginning to the first check: at once where it decides, spread over an interval where it can wait.
    pub(crate) fn first(&self, check: &HealthCheck, chance: &Chance) -> Duration {
        match self.verdict {
            Verdict::Unknown | Verdict::Down => Duration::ZERO,
            Verdict::Up => Duration::from_nanos(chance.below(nanoseconds(check.interval))),
        }
    }

    /// From the beginning of the last check to the next one.
    pub(crate) fn next(&self, check: &HealthCheck, chance: &Chance) -> Duration {
        let has_passed = self.last.as_ref().map(|last| last.result.is_ok());
        let interval = match (self.verdict, has_passed) {
            // The state is about to change.
            (Verdict::Unknown, _) | (Verdict::Up, Some(false)) | (Verdict::Down, Some(true)) => {
                check.fast_interval
            }
            (Verdict::Down, _) => check.slow_interval,
            (Verdict::Up, _) => None,
        };
        let interval = nanoseconds(interval.unwrap_or(check.interval));
        let most = interval / 100 * u64::from(check.jitter.min(100));
        let jittered = interval - most + chance.below(most.saturating_mul(2).saturating_add(1));
        Duration::from_nanos(jittered).max(CLOSEST)
    }

    /// For the status of the upstream. `kind` is the name of what is checked.
    pub(crate) fn describe(&self, kind: &str) -> HealthState {
        let last = self.last.as_ref().map(|last| LastCheck {
            result: last.result.as_ref().map_or_else(|why| why.to_string(), |()| "passed".to_owned()),
            milliseconds: (last.took.as_secs_f64() * 1_000_000.0).round() / 1000.0,
        });
        HealthState {
            kind: kind.to_owned(),
            passed_total: self.passed,
            failed_total: self.failed,
            in_a_row: self.streak,
            last,
        }
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4)
}

#[cfg(test)]
mod tests;
