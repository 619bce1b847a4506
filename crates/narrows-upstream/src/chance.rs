//! Numbers by chance, and numbers that look like it but always come out the same.

use std::cell::Cell;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

/// A step of the golden ratio: its multiples spread evenly over all numbers of 64 bits.
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Numbers by chance (SplitMix64): the same ones for the same seed, good enough to balance with, and nothing to keep a secret with.
#[derive(Debug, Clone)]
pub struct Chance(Cell<u64>);

impl Chance {
    /// Numbers that begin at a seed.
    pub fn new(seed: u64) -> Self {
        Chance(Cell::new(mix(seed)))
    }

    /// Another sequence each time.
    pub fn unseeded() -> Self {
        Chance::new(RandomState::new().hash_one(0_u8))
    }

    /// Any number.
    pub fn number(&self) -> u64 {
        let state = self.0.get().wrapping_add(GOLDEN);
        self.0.set(state);
        mix(state)
    }

    /// A number below `limit`; 0 when that is 0.
    pub fn below(&self, limit: u64) -> u64 {
        ((u128::from(self.number()) * u128::from(limit)) >> 64) as u64
    }

    /// A number from 0 up to and without 1.
    pub(crate) fn unit(&self) -> f64 {
        unit(self.number())
    }
}

/// A number from 0 up to and without 1, made of the high bits.
pub(crate) fn unit(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// The finaliser of SplitMix64: every bit of the input changes half of the bits of the output.
pub(crate) fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(GOLDEN);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// FNV-1a, then mixed: its own high bits are weak.
pub(crate) fn hash_text(text: &str) -> u64 {
    mix(text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// A mapped address is the same client as the plain one.
pub(crate) fn hash_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => mix(u64::from(u32::from(address))),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            mix(mix((bits >> 64) as u64) ^ bits as u64)
        }
    }
}
