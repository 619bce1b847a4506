//! The remainder of the hash points to an endpoint.

use crate::chance::mix;
use crate::membership::Member;

/// Draws before the next endpoints are taken in turn.
const DRAWS: u32 = 32;

/// The hash points to an endpoint, in proportion to the weights; when that is not accepted, the hash of the hash to another. Cheap, but almost
/// every key moves when the endpoints or their weights change.
#[derive(Debug)]
pub(crate) struct Proportional {
    /// Where the room of each endpoint with a weight ends, and which one it is.
    ends: Box<[(u64, u32)]>,
}

impl Proportional {
    pub(super) fn new(members: &[&Member]) -> Self {
        let mut end = 0;
        let ends = (0..).zip(members).filter(|(_, member)| member.weight > 0).map(|(number, member)| {
            end += u64::from(member.weight);
            (end, number)
        });
        Proportional { ends: ends.collect() }
    }

    pub(super) fn find(&self, hash: u64, accepts: &mut impl FnMut(usize) -> bool) -> Option<usize> {
        let total = self.ends.last()?.0;
        let place = |hash: u64| self.ends.partition_point(|(end, _)| *end <= hash % total);
        let mut draw = hash;
        for _ in 0..DRAWS {
            let endpoint = self.ends[place(draw)].1 as usize;
            if accepts(endpoint) {
                return Some(endpoint);
            }
            draw = mix(draw);
        }
        let (before, after) = self.ends.split_at(place(draw));
        after.iter().chain(before).map(|(_, endpoint)| *endpoint as usize).find(|endpoint| accepts(*endpoint))
    }
}
