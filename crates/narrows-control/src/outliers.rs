//! Passive checks: endpoints whose traffic fails are ejected for a while.
//!
//! Three things eject an endpoint: failures in a row, as all workers count them together; a success rate far below the others'; answers that
//! take much longer than the others'. The n-th ejection in a row lasts n times as long as the first; for each time of that first one in which
//! an endpoint behaves, its count goes down by one. Only a share of the endpoints is ejected at one time, and never the only one.
//!
//! How the two kinds of checks work together: an endpoint that is down by its health check is not also ejected, because nothing is known of it that the
//! health check does not know. A health check that passes does not end an ejection: a server may answer `/healthz` and nothing else. An endpoint that goes
//! down while it is ejected is down, and its time runs on; it comes back when both allow it.
//!
//! A state machine without a clock: every moment is an argument.

use narrows_plan::PassiveCheck;
use narrows_upstream::{AttemptFailure, Seen};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Judges the endpoints of one upstream.
#[derive(Debug)]
pub(crate) struct Outliers {
    rules: PassiveCheck,
    judged: Instant,
}

/// What is known of one endpoint by its traffic.
#[derive(Debug, Default)]
pub(crate) struct Passive {
    /// Attempts since rates were judged last.
    seen: Seen,
    /// It failed and has not succeeded since, as far as was told; the last failure.
    failing: Option<AttemptFailure>,
    ejected: Option<Ejected>,
    /// Ejections in a row.
    times: u32,
    /// Since when it behaves, for `times` to go down.
    calm_since: Option<Instant>,
    /// Ejections since it was found.
    total: u64,
}

#[derive(Debug, Clone)]
struct Ejected {
    until: Instant,
    reason: Arc<str>,
}

/// An endpoint as it is judged.
pub(crate) struct Judged<'a> {
    pub(crate) passive: &'a mut Passive,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Whether it takes traffic now, or would if it were not ejected.
    pub(crate) is_up: bool,
}

impl Passive {
    /// Why it is ejected, if it is.
    pub(crate) fn ejected(&self) -> Option<&Arc<str>> {
        self.ejected.as_ref().map(|ejected| &ejected.reason)
    }

    /// Ejections since it was found.
    pub(crate) fn ejections(&self) -> u64 {
        self.total
    }

    /// An attempt failed.
    pub(crate) fn failed(&mut self, failure: AttemptFailure) {
        self.failing = Some(failure);
    }

    /// An attempt went well after some that failed.
    pub(crate) fn recovered(&mut self) {
        self.failing = None;
    }

    /// A worker told what it saw.
    pub(crate) fn saw(&mut self, seen: Seen) {
        self.seen.attempts += seen.attempts;
        self.seen.failures += seen.failures;
        self.seen.time += seen.time;
    }

    /// Whether time alone changes something.
    pub(crate) fn is_restless(&self) -> bool {
        self.failing.is_some() || self.ejected.is_some() || self.times > 0
    }

    fn eject(&mut self, rules: &PassiveCheck, now: Instant, why: &str) {
        self.times = self.times.saturating_add(1);
        self.total += 1;
        let length =
            rules.ejection.saturating_mul(self.times).min(rules.maximum_ejection.max(rules.ejection));
        let reason = format!("{why}; for {}", text_of(length)).into();
        self.ejected = Some(Ejected { until: now + length, reason });
        self.failing = None;
    }

    /// Lets time pass; says whether it came back.
    fn pass(&mut self, rules: &PassiveCheck, now: Instant) -> bool {
        if let Some(ejected) = &self.ejected {
            if now < ejected.until {
                return false;
            }
            self.ejected = None;
            self.failing = None;
            self.seen = Seen::default();
            self.calm_since = Some(now);
            return true;
        }
        while self.times > 0 {
            let since = *self.calm_since.get_or_insert(now);
            if now.saturating_duration_since(since) < rules.ejection.max(Duration::from_millis(1)) {
                break;
            }
            self.times -= 1;
            self.calm_since = Some(since + rules.ejection.max(Duration::from_millis(1)));
        }
        false
    }
}

impl Outliers {
    pub(crate) fn new(rules: PassiveCheck, now: Instant) -> Self {
        Outliers { rules, judged: now }
    }

    /// Whether so many failures in a row eject.
    pub(crate) fn is_too_many(&self, failures: u32) -> bool {
        self.rules.failures.is_some_and(|limit| failures >= limit)
    }

    /// Whether rates are to be judged now.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let has_rates = self.rules.success_rate.is_some() || self.rules.latency.is_some();
        has_rates && now.saturating_duration_since(self.judged) >= self.rules.interval
    }

    /// Lets time pass, and ejects who is to be ejected. `returned` hears the index of each endpoint that came back. Says whether anything changed.
    pub(crate) fn judge(
        &mut self,
        now: Instant,
        endpoints: &mut [Judged<'_>],
        mut returned: impl FnMut(usize),
    ) -> bool {
        let mut changed = false;
        for (index, endpoint) in endpoints.iter_mut().enumerate() {
            if endpoint.passive.pass(&self.rules, now) {
                // What was counted meanwhile belongs to the time in which it was ejected.
                endpoint.failures = 0;
                returned(index);
                changed = true;
            }
            // The last success was another worker's, and told before the failure was: nobody will tell it again.
            if endpoint.failures == 0 {
                endpoint.passive.recovered();
            }
        }
        let ejected = endpoints.iter().filter(|endpoint| endpoint.passive.ejected.is_some()).count();
        // How many more may be ejected. Counted once: thousands may have failed.
        let room = self.allowed(endpoints.len()).saturating_sub(ejected);
        let mut left = room;
        self.judge_rows(now, endpoints, &mut left);
        if self.is_due(now) {
            self.judged = now;
            self.judge_success(now, endpoints, &mut left);
            self.judge_latency(now, endpoints, &mut left);
            endpoints.iter_mut().for_each(|endpoint| endpoint.passive.seen = Seen::default());
        }
        changed || left < room
    }

    /// Most that may be ejected at one time.
    fn allowed(&self, endpoints: usize) -> usize {
        match endpoints {
            0 | 1 => 0,
            count => (count * self.rules.share.min(100) as usize / 100).max(1),
        }
    }

    fn judge_rows(&self, now: Instant, endpoints: &mut [Judged<'_>], room: &mut usize) {
        let Some(limit) = self.rules.failures else { return };
        for endpoint in endpoints {
            let Some(failure) = endpoint.passive.failing else { continue };
            if !endpoint.can_be_ejected() || endpoint.failures < limit {
                continue;
            }
            if *room == 0 {
                // Once there is room again, only what fails then speaks against it.
                endpoint.passive.failing = None;
                continue;
            }
            let failures = endpoint.failures;
            let why = format!("{failures} failures in a row, the last: {}", name_of(failure));
            endpoint.passive.eject(&self.rules, now, &why);
            *room -= 1;
        }
    }

    fn judge_success(&self, now: Instant, endpoints: &mut [Judged<'_>], room: &mut usize) {
        let Some(rule) = self.rules.success_rate else { return };
        let rates: Vec<(usize, f64)> = endpoints
            .iter()
            .enumerate()
            .filter(|(_, one)| {
                one.can_be_ejected() && one.passive.seen.attempts >= u64::from(rule.requests.max(1))
            })
            .map(|(index, one)| {
                (index, 1.0 - one.passive.seen.failures as f64 / one.passive.seen.attempts as f64)
            })
            .collect();
        if rates.len() < rule.endpoints.max(2) as usize {
            return;
        }
        let count = rates.len() as f64;
        let mean = rates.iter().map(|(_, rate)| rate).sum::<f64>() / count;
        let variance = rates.iter().map(|(_, rate)| (rate - mean).powi(2)).sum::<f64>() / count;
        let least = mean - f64::from(rule.deviation) / 100.0 * variance.sqrt();
        let mut worst_first: Vec<_> = rates.into_iter().filter(|(_, rate)| *rate < least - 1e-9).collect();
        worst_first.sort_by(|one, other| one.1.total_cmp(&other.1));
        for (index, rate) in worst_first.into_iter().take(*room) {
            let why = format!("success rate {:.1} %, on average {:.1} %", rate * 100.0, mean * 100.0);
            endpoints[index].passive.eject(&self.rules, now, &why);
            *room -= 1;
        }
    }

    fn judge_latency(&self, now: Instant, endpoints: &mut [Judged<'_>], room: &mut usize) {
        let Some(rule) = self.rules.latency else { return };
        let mut means: Vec<(usize, Duration)> = endpoints
            .iter()
            .enumerate()
            .filter(|(_, one)| one.can_be_ejected())
            .filter_map(|(index, one)| {
                let answers = one.passive.seen.attempts - one.passive.seen.failures;
                let is_enough = answers >= u64::from(rule.requests.max(1));
                is_enough.then(|| (index, one.passive.seen.time / u32::try_from(answers).unwrap_or(u32::MAX)))
            })
            .collect();
        if means.len() < 2 {
            return;
        }
        means.sort_by_key(|(_, mean)| *mean);
        // Of an even number the lower middle, so that of two the slower one can be told.
        let median = means[(means.len() - 1) / 2].1;
        let most = median.mul_f64(f64::from(rule.factor) / 100.0).max(rule.minimum);
        for (index, mean) in means.into_iter().rev().take_while(|(_, mean)| *mean > most).take(*room) {
            let why =
                format!("answers take {}, half of the endpoints {} at most", text_of(mean), text_of(median));
            endpoints[index].passive.eject(&self.rules, now, &why);
            *room -= 1;
        }
    }
}

impl Judged<'_> {
    fn can_be_ejected(&self) -> bool {
        self.is_up && self.passive.ejected.is_none()
    }
}

/// `10 s`, `812 ms`.
fn text_of(length: Duration) -> String {
    let milliseconds = length.as_millis();
    if milliseconds >= 1000 && milliseconds.is_multiple_of(1000) {
        format!("{} s", milliseconds / 1000)
    } else {
        format!("{milliseconds} ms")
    }
}

fn name_of(failure: AttemptFailure) -> String {
    match failure {
        AttemptFailure::Connect => "no connection".to_owned(),
        AttemptFailure::Reset => "the connection broke before an answer".to_owned(),
        AttemptFailure::Timeout => "no answer in time".to_owned(),
        AttemptFailure::Status(status) => format!("status {status}"),
    }
}

#[cfg(test)]
mod tests;
