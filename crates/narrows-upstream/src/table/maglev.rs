//! The lookup table of Maglev (Eisenbud and others, NSDI 2016), with weights.

use crate::chance::{hash_text, mix};
use crate::membership::Member;

/// Places of a table: a prime, as the paper's larger one. Shares are exact to 1 / 65,537.
const PLACES: usize = 65_537;
/// Places that are looked at before the others are taken in turn.
const DRAWS: u32 = 32;

/// Each endpoint has places in proportion to its weight, claimed in turns: each time the first free one of its own permutation of all places. One look
/// finds the endpoint of a key; a few more keys than needed move when endpoints come or go.
#[derive(Debug)]
pub(crate) struct Maglev {
    /// Empty without endpoints.
    places: Box<[u32]>,
}

impl Maglev {
    pub(super) fn new(members: &[&Member]) -> Self {
        let mut endpoints: Vec<(u64, u32, u32)> = (0..)
            .zip(members)
            .filter(|(_, member)| member.weight > 0)
            .map(|(number, member)| (hash_text(&member.label), member.weight, number))
            .collect();
        // Nothing depends on the order of the configuration.
        endpoints.sort_unstable();
        if endpoints.is_empty() {
            return Maglev { places: Box::default() };
        }
        let mut permutations: Vec<(usize, usize)> = endpoints
            .iter()
            .map(|(hash, _, _)| {
                let places = PLACES as u64;
                ((mix(*hash) % places) as usize, (mix(hash ^ places) % (places - 1)) as usize + 1)
            })
            .collect();
        let mut places = vec![u32::MAX; PLACES];
        for turn in turns(&endpoints.iter().map(|(_, weight, _)| *weight).collect::<Vec<_>>()) {
            let (next, skip) = &mut permutations[turn];
            while places[*next] != u32::MAX {
                *next = (*next + *skip) % PLACES;
            }
            places[*next] = endpoints[turn].2;
        }
        Maglev { places: places.into() }
    }

    pub(super) fn find(&self, hash: u64, accepts: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        if self.places.is_empty() {
            return None;
        }
        let place = |hash: u64| (hash % PLACES as u64) as usize;
        // Places beside each other are filled in turns, so that one endpoint would inherit most of another one's keys: look elsewhere.
        let mut draw = hash;
        for _ in 0..DRAWS {
            let endpoint = self.places[place(draw)] as usize;
            if accepts(endpoint) {
                return Some(endpoint);
            }
            draw = mix(draw);
        }
        let (before, after) = self.places.split_at(place(draw));
        after.iter().chain(before).map(|endpoint| *endpoint as usize).find(|endpoint| accepts(*endpoint))
    }
}

/// Who claims a place, place by place, so that after each place everybody has about its share.
fn turns(weights: &[u32]) -> Vec<usize> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    // The largest remainders get the places that rounding down leaves over.
    let exact = |weight: u32| u128::from(weight) * PLACES as u128;
    let mut counts: Vec<u64> =
        weights.iter().map(|weight| (exact(*weight) / u128::from(total)) as u64).collect();
    let mut by_remainder: Vec<usize> = (0..weights.len()).collect();
    by_remainder
        .sort_by_key(|one| std::cmp::Reverse((exact(weights[*one]) % u128::from(total), weights[*one])));
    let left = PLACES as u64 - counts.iter().sum::<u64>();
    by_remainder.iter().take(left as usize).for_each(|one| counts[*one] += 1);
    let mut turns: Vec<(u64, usize)> = Vec::with_capacity(PLACES);
    for (one, count) in counts.iter().enumerate() {
        // The middle of each of its turns, as a fraction of 2^32.
        turns.extend((0..*count).map(|turn| (((2 * turn + 1) << 32) / (2 * count), one)));
    }
    turns.sort_unstable();
    turns.into_iter().map(|(_, one)| one).collect()
}
