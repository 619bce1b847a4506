//! Weights that change one by one and are chosen among by chance.

/// A weight for each of some numbers: changed, and looked up by a point below their sum, in a logarithm of steps (a Fenwick tree).
#[derive(Debug, Clone, Default)]
pub(crate) struct Shares {
    weights: Vec<u32>,
    /// `sums[n]` is the sum of as many weights up to `n` as the lowest bit of `n` says; the first is unused.
    sums: Vec<u64>,
    total: u64,
}

impl Shares {
    /// As many weights, all 0.
    pub(crate) fn new(length: usize) -> Self {
        Shares { weights: vec![0; length], sums: vec![0; length + 1], total: 0 }
    }

    /// Sets a weight.
    pub(crate) fn set(&mut self, number: usize, weight: u32) {
        let before = std::mem::replace(&mut self.weights[number], weight);
        if before == weight {
            return;
        }
        let (added, taken) = (u64::from(weight), u64::from(before));
        self.total = self.total + added - taken;
        let mut node = number + 1;
        while let Some(sum) = self.sums.get_mut(node) {
            *sum = *sum + added - taken;
            node += node & node.wrapping_neg();
        }
    }

    /// The weight of a number.
    pub(crate) fn weight(&self, number: usize) -> u32 {
        self.weights[number]
    }

    /// The sum of all.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// The number that `point` falls on when each takes as much room as its weight; `point` is below the total.
    pub(crate) fn at(&self, point: u64) -> usize {
        debug_assert!(point < self.total);
        let (mut number, mut rest) = (0, point);
        let mut step = self.weights.len().next_power_of_two();
        while step > 0 {
            if let Some(sum) = self.sums.get(number + step)
                && *sum <= rest
            {
                rest -= sum;
                number += step;
            }
            step /= 2;
        }
        number
    }
}
