//! Rendezvous hashing.

use crate::chance::{hash_text, mix};
use crate::membership::Member;

/// Every endpoint draws a lot for the key, in proportion to its weight, and the highest wins. An endpoint that is added takes exactly its share
/// from the others, one that is not taken leaves its keys to the second best of each; nobody else moves. Exact, at the price of one lot
/// for every endpoint.
#[derive(Debug)]
pub(crate) struct Rendezvous {
    lots: Box<[Lot]>,
    are_equal: bool,
}

#[derive(Debug, Clone, Copy)]
struct Lot {
    /// A number made from the address.
    seed: u64,
    weight: u32,
    endpoint: u32,
}

impl Rendezvous {
    pub(super) fn new(members: &[&Member]) -> Self {
        let lots = (0..).zip(members).filter(|(_, member)| member.weight > 0).map(|(endpoint, member)| Lot {
            seed: hash_text(&member.label),
            weight: member.weight,
            endpoint,
        });
        let lots: Box<[Lot]> = lots.collect();
        let are_equal = lots.iter().all(|lot| lot.weight == lots[0].weight);
        Rendezvous { lots, are_equal }
    }

    pub(super) fn find(&self, hash: u64, accepts: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        if self.are_equal {
            let mut best: Option<(u64, u32)> = None;
            for lot in &self.lots {
                let drawn = mix(hash ^ lot.seed);
                if best.is_none_or(|(best, _)| drawn > best) && accepts(lot.endpoint as usize) {
                    best = Some((drawn, lot.endpoint));
                }
            }
            return best.map(|(_, endpoint)| endpoint as usize);
        }
        let mut best: Option<(f64, u32)> = None;
        for lot in &self.lots {
            let unit = lot.unit(hash);
            // -ln(u) is at least 1 - u: most lots are out without a logarithm.
            if best.is_some_and(|(best, _)| (1.0 - unit) * best >= f64::from(lot.weight)) {
                continue;
            }
            let drawn = lot.drawn(unit);
            if best.is_none_or(|(best, _)| drawn > best) && accepts(lot.endpoint as usize) {
                best = Some((drawn, lot.endpoint));
            }
        }
        best.map(|(_, endpoint)| endpoint as usize)
    }

    pub(super) fn order(&self, hash: u64) -> Vec<usize> {
        let mut drawn: Vec<(f64, u32)> =
            self.lots.iter().map(|lot| (lot.drawn(lot.unit(hash)), lot.endpoint)).collect();
        drawn.sort_by(|one, other| other.0.total_cmp(&one.0));
        drawn.into_iter().map(|(_, endpoint)| endpoint as usize).collect()
    }
}

impl Lot {
    /// A number above 0 and below 1, with the 53 bits that fit.
    fn unit(&self, hash: u64) -> f64 {
        ((mix(hash ^ self.seed) >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// The logarithm makes shares of weights.
    fn drawn(&self, unit: f64) -> f64 {
        f64::from(self.weight) / -unit.ln()
    }
}
