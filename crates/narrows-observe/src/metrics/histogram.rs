//! How values are distributed: logarithmic buckets, fine enough for native histograms, from which coarse ones are added up.

use super::Counter;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Which values a histogram tells apart: powers of two from `2^first` to `2^last`, each in `2^schema` steps of equal ratio (the exponential buckets of native histograms).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Steps per power of two, as a power of two itself, 0 to 3.
    pub schema: u8,
    /// Everything up to `2^first` is in the first bucket.
    pub first: i8,
    /// Everything above `2^last` is in the last one.
    pub last: i8,
}

impl Scale {
    /// Seconds: 1 us to 1024 s, steps of 9 %.
    pub const SECONDS: Scale = Scale { schema: 3, first: -20, last: 10 };
    /// Bytes: 16 B to 1 TiB, steps of 41 %.
    pub const BYTES: Scale = Scale { schema: 1, first: 4, last: 40 };

    /// How many buckets there are; the last one has no bound.
    fn buckets(self) -> usize {
        (usize::from((self.last - self.first) as u8) << self.schema) + 2
    }

    /// The bucket of a value: the one with the lowest bound that is not below it.
    fn bucket(self, value: f64) -> usize {
        // Rounded up 2^(n/8), n from 1 to 7: comparing is cheaper than a logarithm.
        const STEPS: [f64; 8] = [
            1.0,
            1.090_507_732_665_257_7,
            1.189_207_115_002_721,
            1.296_839_554_651_009_6,
            std::f64::consts::SQRT_2,
            1.542_210_825_407_940_7,
            1.681_792_830_507_429,
            1.834_008_086_409_342_4,
        ];
        if value.is_nan() || value <= power(self.first) {
            return 0;
        }
        if value > power(self.last) {
            return self.buckets() - 1;
        }
        let bits = value.to_bits();
        let exponent = (bits >> 52) as i32 - 1023;
        let mantissa = f64::from_bits(bits & ((1 << 52) - 1) | 1023 << 52);
        // All eight are compared, which needs no branch; a coarser scale has every second one, or every fourth.
        let below = STEPS.iter().filter(|step| mantissa > **step).count();
        let within = (below + (8 >> self.schema) - 1) >> (3 - self.schema);
        ((exponent - i32::from(self.first)) as usize * (1 << self.schema)) + within
    }

    /// The upper bound of a bucket.
    fn bound(self, bucket: usize) -> f64 {
        f64::from(self.first).exp2() * (bucket as f64 / f64::from(1_u32 << self.schema)).exp2()
    }

    /// What a bucket is called in native histograms: its bound is `2^(index / 2^schema)`.
    fn index(self, bucket: usize) -> i32 {
        bucket as i32 + (i32::from(self.first) << self.schema)
    }
}

fn power(exponent: i8) -> f64 {
    // As its bits: this is on the way of every request.
    f64::from_bits(((i64::from(exponent) + 1023) as u64) << 52)
}

/// Values that one thread counts. It takes up memory once it has seen one: 8 bytes a bucket.
#[derive(Debug)]
pub struct Histogram {
    scale: Scale,
    cells: OnceLock<Cells>,
}

#[derive(Debug)]
struct Cells {
    buckets: Box<[Counter]>,
    /// A floating-point number, as its bits.
    sum: AtomicU64,
}

impl Histogram {
    /// One that has seen nothing.
    pub const fn new(scale: Scale) -> Self {
        Histogram { scale, cells: OnceLock::new() }
    }

    /// Counts a value; for the one thread that owns it.
    pub fn observe(&self, value: f64) {
        let cells = self.cells.get_or_init(|| Cells {
            buckets: (0..self.scale.buckets()).map(|_| Counter::default()).collect(),
            sum: AtomicU64::new(0),
        });
        cells.buckets[self.scale.bucket(value)].add(1);
        let sum = f64::from_bits(cells.sum.load(Ordering::Relaxed)) + value;
        cells.sum.store(sum.to_bits(), Ordering::Relaxed);
    }
}

/// What several histograms of one scale have counted together.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    /// What the buckets mean.
    pub scale: Scale,
    /// How many values there were in each; empty when there was none at all.
    buckets: Vec<u64>,
    /// All values together.
    pub sum: f64,
}

impl Distribution {
    /// Without values.
    pub fn new(scale: Scale) -> Self {
        Distribution { scale, buckets: Vec::new(), sum: 0.0 }
    }

    /// Adds what a histogram of the same scale has counted.
    pub fn add(&mut self, histogram: &Histogram) {
        let Some(cells) = histogram.cells.get() else { return };
        self.buckets.resize(self.scale.buckets(), 0);
        for (total, cell) in self.buckets.iter_mut().zip(&cells.buckets) {
            *total += cell.get();
        }
        self.sum += f64::from_bits(cells.sum.load(Ordering::Relaxed));
    }

    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The value that this share of all values does not exceed, as far as the buckets tell; `None` without values. `share` is 0 to 1.
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let count = self.count();
        let wanted = ((count as f64 * share).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, number) in self.buckets.iter().enumerate() {
            seen += number;
            if seen >= wanted && count > 0 {
                return Some(self.scale.bound(bucket));
            }
        }
        None
    }

    /// Bounds of powers of two with how many values do not exceed them; the last one, without a bound, is not among them.
    pub fn classic(&self) -> Vec<(f64, u64)> {
        let steps = 1_usize << self.scale.schema;
        let mut seen = 0;
        let mut classic = Vec::new();
        let buckets = self.scale.buckets() - 1;
        for bucket in 0..buckets {
            seen += self.buckets.get(bucket).copied().unwrap_or(0);
            if bucket.is_multiple_of(steps) {
                classic.push((self.scale.bound(bucket), seen));
            }
        }
        classic
    }

    /// The buckets that hold something, by their index in native histograms. Values below the scale are in its first bucket; those above it in the last.
    pub(crate) fn native(&self) -> Vec<(i32, u64)> {
        let filled = self.buckets.iter().enumerate().filter(|(_, number)| **number > 0);
        filled.map(|(bucket, number)| (self.scale.index(bucket), *number)).collect()
    }
}

#[cfg(test)]
mod tests;
