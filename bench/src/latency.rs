//! A histogram of durations: 64 steps for each power of two, so a quantile is at most 1.6 % too high.

use std::time::Duration;

const STEPS_BITS: u32 = 6;
const STEPS: usize = 1 << STEPS_BITS;

/// Counts durations from 1 ns to minutes in a fixed 20 KiB.
pub(crate) struct Latency {
    counts: Vec<u64>,
    total: u64,
}

impl Latency {
    pub(crate) fn new() -> Self {
        Self { counts: vec![0; STEPS * 40], total: 0 }
    }

    pub(crate) fn record(&mut self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let last = self.counts.len() - 1;
        self.counts[index(nanoseconds).min(last)] += 1;
        self.total += 1;
    }

    pub(crate) fn clear(&mut self) {
        self.counts.fill(0);
        self.total = 0;
    }

    /// The duration in microseconds that a share `quantile` (0 to 1) of all durations stays within; 0 without any.
    pub(crate) fn quantile_us(&self, quantile: f64) -> f64 {
        let wanted = (self.total as f64 * quantile).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (index, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_bound(index) as f64 / 1000.0;
            }
        }
        0.0
    }
}

fn index(nanoseconds: u64) -> usize {
    let bits = u64::BITS - nanoseconds.leading_zeros();
    let shift = bits.saturating_sub(STEPS_BITS + 1);
    let step = (nanoseconds >> shift) as usize;
    STEPS * shift as usize + step
}

fn upper_bound(index: usize) -> u64 {
    if index < 2 * STEPS {
        return index as u64;
    }
    let shift = index / STEPS - 1;
    let step = index - shift * STEPS;
    ((step as u64 + 1) << shift) - 1
}

#[cfg(test)]
mod tests;
