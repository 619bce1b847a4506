//! Numbers by chance, for jitter: not for secrets.

use std::hash::{BuildHasher, RandomState};

/// A sequence of numbers that looks random (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Chance(u64);

impl Chance {
    /// Another sequence each time.
    pub(crate) fn new() -> Self {
        Chance(RandomState::new().hash_one(0_u8))
    }

    /// The sequence of a seed, for tests that can be repeated.
    #[cfg(test)]
    pub(crate) fn seeded(seed: u64) -> Self {
        Chance(seed)
    }

    /// The next number.
    pub(crate) fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`; 0 when that is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.number().checked_rem(bound).unwrap_or(0)
    }
}
