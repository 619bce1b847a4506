//! What every kind of load counts, and what the proxy used meanwhile.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::latency::Latency;
use crate::pinned::PROXY_CORE;
use crate::process::{self, Usage};

/// After so many wrong answers a run has said enough.
const MAX_ERRORS: u64 = 100;

/// What one run measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Right answers while measuring.
    pub(crate) answers: u64,
    /// Wrong answers and broken connections, the warm-up included.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Connections opened while measuring.
    pub(crate) connects: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_us_per_answer: f64,
    /// The share of its core that the proxy used.
    pub(crate) cpu_share: f64,
    /// The share of the proxy's core that others took: other programs, or other guests of the same host.
    pub(crate) others_share: f64,
    pub(crate) answers_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) resident_kib: u64,
    /// Workload w5 only.
    pub(crate) bytes_per_idle_connection: Option<f64>,
}

/// The answers so far, right and wrong.
pub(crate) struct Tally {
    pub(crate) answers: u64,
    pub(crate) connects: u64,
    errors: u64,
    first_error: Option<String>,
    latency: Latency,
}

/// What a proxy used between [`Meter::start`] and [`Meter::stop`].
pub(crate) struct Measured {
    elapsed: Duration,
    cpu: Duration,
    /// How long the proxy's core worked, for whomever.
    busy: Duration,
    resident_kib: u64,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { answers: 0, connects: 0, errors: 0, first_error: None, latency: Latency::new() }
    }

    pub(crate) fn right(&mut self, duration: Duration) {
        self.latency.record(duration);
        self.answers += 1;
    }

    pub(crate) fn wrong(&mut self, error: String) {
        self.errors += 1;
        self.first_error.get_or_insert(error);
    }

    /// Whether so much went wrong that nothing more needs to be measured.
    pub(crate) fn is_hopeless(&self) -> bool {
        self.errors >= MAX_ERRORS
    }

    /// The warm-up is over: only what went wrong in it counts.
    fn forget_the_right(&mut self) {
        self.latency.clear();
        self.answers = 0;
        self.connects = 0;
    }
}

/// The time of measuring, from [`Meter::start`] to [`Meter::stop`].
pub(crate) struct Meter {
    proxy: i32,
    before: Usage,
    busy_before: Duration,
    start: Instant,
}

impl Meter {
    /// Ends the warm-up. `proxy` is the root of the process tree whose CPU time is read.
    pub(crate) fn start(proxy: i32, tally: &mut Tally) -> anyhow::Result<Self> {
        tally.forget_the_right();
        let before = process::usage(proxy)?;
        let busy_before = process::busy(PROXY_CORE)?;
        Ok(Self { proxy, before, busy_before, start: Instant::now() })
    }

    pub(crate) fn started_at(&self) -> Instant {
        self.start
    }

    pub(crate) fn stop(self) -> anyhow::Result<Measured> {
        let elapsed = self.start.elapsed();
        let after = process::usage(self.proxy)?;
        let busy = process::busy(PROXY_CORE)?.saturating_sub(self.busy_before);
        let cpu = after.cpu.saturating_sub(self.before.cpu);
        Ok(Measured { elapsed, cpu, busy, resident_kib: after.resident_kib })
    }
}

impl Measured {
    /// What was used, shared among the answers of that time.
    pub(crate) fn outcome(&self, tally: &Tally) -> Outcome {
        let (seconds, cpu) = (self.elapsed.as_secs_f64(), self.cpu.as_secs_f64());
        Outcome {
            answers: tally.answers,
            errors: tally.errors,
            first_error: tally.first_error.clone(),
            connects: tally.connects,
            seconds,
            cpu_us_per_answer: cpu * 1e6 / tally.answers.max(1) as f64,
            cpu_share: cpu / seconds,
            others_share: self.busy.saturating_sub(self.cpu).as_secs_f64() / seconds,
            answers_per_second: tally.answers as f64 / seconds,
            p50_us: tally.latency.quantile_us(0.5),
            p99_us: tally.latency.quantile_us(0.99),
            resident_kib: self.resident_kib,
            bytes_per_idle_connection: None,
        }
    }
}
