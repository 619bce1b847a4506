//! Simulations that can be repeated.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

/// Runs `simulate` with many seeds, and says the seed when it fails. `NARROWS_SEED` runs one seed only.
pub(crate) fn for_each_seed(count: u64, simulate: impl Fn(u64)) {
    let only = std::env::var("NARROWS_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..count, |seed: u64| seed..seed + 1);
    for seed in seeds {
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| simulate(seed))) {
            eprintln!("failed with NARROWS_SEED={seed}");
            resume_unwind(panic);
        }
    }
}
