//! A set of small numbers, one bit each.

/// A set of numbers below a length.
#[derive(Debug, Clone, Default)]
pub(crate) struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    /// An empty set of numbers below `length`.
    pub(crate) fn new(length: usize) -> Self {
        Bits { words: vec![0; length.div_ceil(64)], count: 0 }
    }

    /// Puts a number in or takes it out.
    pub(crate) fn set(&mut self, number: usize, is_in: bool) {
        let (word, bit) = (number / 64, 1 << (number % 64));
        if (self.words[word] & bit != 0) != is_in {
            self.words[word] ^= bit;
            self.count = if is_in { self.count + 1 } else { self.count - 1 };
        }
    }

    /// Whether a number is in it.
    pub(crate) fn contains(&self, number: usize) -> bool {
        self.words.get(number / 64).is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// How many are in it.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Those from `start` upwards, in order.
    pub(crate) fn starting_at(&self, start: usize) -> impl Iterator<Item = usize> {
        let mut word = start / 64;
        let mut rest = self.words.get(word).map_or(0, |bits| bits & (u64::MAX << (start % 64)));
        std::iter::from_fn(move || {
            while rest == 0 {
                word += 1;
                rest = *self.words.get(word)?;
            }
            let number = word * 64 + rest.trailing_zeros() as usize;
            rest &= rest - 1;
            Some(number)
        })
    }

    /// All of them, from `start` upwards and then from the smallest.
    pub(crate) fn rotation(&self, start: usize) -> impl Iterator<Item = usize> {
        self.starting_at(start).chain(self.starting_at(0).take_while(move |number| *number < start))
    }

    /// All of them in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = usize> {
        self.starting_at(0)
    }
}
