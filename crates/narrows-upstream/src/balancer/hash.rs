//! The same endpoint for the same client.
//!
//! Nothing here is random: every worker, every restart and every proxy with the same endpoints chooses alike.

use super::{Balancer, rotation};
use crate::EndpointState;
use crate::cluster::Wanted;
use std::net::IpAddr;
use std::rc::Rc;

/// The client's address points to an endpoint, in proportion to the weights. When that was tried, the next one. Cheap, but almost
/// every client moves when the number of endpoints changes.
#[derive(Debug)]
pub(super) struct Hash;

impl Balancer for Hash {
    fn pick(&self, endpoints: &[Rc<EndpointState>], wanted: &Wanted<'_>) -> Option<usize> {
        let total: u64 = endpoints.iter().map(|endpoint| u64::from(endpoint.weight())).sum();
        let mut rest = hash_key(wanted) % total.max(1);
        let chosen = endpoints.iter().position(|endpoint| {
            let weight = u64::from(endpoint.weight());
            let within = rest < weight;
            rest = rest.saturating_sub(weight);
            within
        });
        rotation(chosen?, endpoints.len()).find(|endpoint| !wanted.tried.contains(endpoints[*endpoint].id()))
    }
}

/// Every endpoint draws a lot for the client, in proportion to its weight, and the highest wins (rendezvous hashing). An endpoint that is
/// added takes exactly its share from the others, one that is removed or was tried leaves its clients to the second best
/// of each; nobody else moves. A ring needs thousands of points for shares that are this even, and keeps them only while the weights stay.
#[derive(Debug)]
pub(super) struct ConsistentHash {
    /// A number for each endpoint, made from its address: the order in the configuration does not matter.
    seeds: Box<[u64]>,
    are_equal: bool,
}

impl ConsistentHash {
    pub(super) fn new(endpoints: &[Rc<EndpointState>]) -> Self {
        ConsistentHash {
            seeds: endpoints.iter().map(|endpoint| hash_text(&endpoint.label)).collect(),
            are_equal: endpoints.iter().all(|endpoint| endpoint.weight() == endpoints[0].weight()),
        }
    }

    /// What the endpoint drew; higher wins.
    fn lot(&self, endpoint: usize, weight: u32, client: u64) -> f64 {
        let drawn = mix(client ^ self.seeds[endpoint]);
        // A number above 0 and below 1, with the 53 bits that fit.
        let unit = ((drawn >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
        // The logarithm makes shares of weights; equal ones keep their order without it.
        if self.are_equal { unit } else { f64::from(weight) / -unit.ln() }
    }
}

impl Balancer for ConsistentHash {
    fn pick(&self, endpoints: &[Rc<EndpointState>], wanted: &Wanted<'_>) -> Option<usize> {
        let client = hash_key(wanted);
        let untried =
            (0..endpoints.len()).filter(|endpoint| !wanted.tried.contains(endpoints[*endpoint].id()));
        let lots =
            untried.map(|endpoint| (self.lot(endpoint, endpoints[endpoint].weight(), client), endpoint));
        lots.max_by(|one, two| one.0.total_cmp(&two.0)).map(|(_, endpoint)| endpoint)
    }
}

/// What the key of a request points with.
fn hash_key(wanted: &Wanted<'_>) -> u64 {
    match wanted.key {
        Some(key) => hash_text(key),
        None => hash_address(wanted.client),
    }
}

fn hash_address(address: IpAddr) -> u64 {
    match address.to_canonical() {
        IpAddr::V4(address) => mix(u64::from(u32::from(address))),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            mix(mix((bits >> 64) as u64) ^ bits as u64)
        }
    }
}

/// FNV-1a, then mixed: its own high bits are weak.
fn hash_text(text: &str) -> u64 {
    mix(text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)))
}

/// The finaliser of SplitMix64: every bit of the input changes half of the bits of the output.
fn mix(mut bits: u64) -> u64 {
    bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
