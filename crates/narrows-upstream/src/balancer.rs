//! Choosing an endpoint. A new way to balance is one more type here and one more arm in [`for_upstream`].

mod hash;

use crate::EndpointState;
use crate::cluster::Wanted;
use hash::{ConsistentHash, Hash};
use narrows_plan::{Balance, Upstream};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Chooses among available endpoints.
pub(crate) trait Balancer: std::fmt::Debug {
    /// Index of the endpoint for the next attempt, none of those that were tried; `None` when all were. `endpoints` are always those that the balancer was
    /// made for.
    fn pick(&self, endpoints: &[Rc<EndpointState>], wanted: &Wanted<'_>) -> Option<usize>;
}

/// The balancer that an upstream asks for. `seed` differs between workers, so that they do not all begin with the same endpoint.
pub(crate) fn for_upstream(
    upstream: &Upstream,
    endpoints: &[Rc<EndpointState>],
    seed: usize,
) -> Box<dyn Balancer> {
    match upstream.balancing.method {
        Balance::RoundRobin
            if endpoints.iter().all(|endpoint| endpoint.weight() == endpoints[0].weight()) =>
        {
            Box::new(RoundRobin { next: Cell::new(seed) })
        }
        Balance::RoundRobin => Box::new(SmoothRoundRobin::new(endpoints.len(), seed)),
        Balance::Hash => Box::new(Hash),
        Balance::ConsistentHash => Box::new(ConsistentHash::new(endpoints)),
        _ => Box::new(LeastRequest { next: Cell::new(seed) }),
    }
}

/// Each in turn, for equal weights.
#[derive(Debug)]
struct RoundRobin {
    next: Cell<usize>,
}

impl Balancer for RoundRobin {
    fn pick(&self, endpoints: &[Rc<EndpointState>], wanted: &Wanted<'_>) -> Option<usize> {
        let start = self.next.get() % endpoints.len();
        let chosen = rotation(start, endpoints.len())
            .find(|endpoint| !wanted.tried.contains(endpoints[*endpoint].id()))?;
        self.next.set(chosen + 1);
        Some(chosen)
    }
}

/// Smooth weighted round robin: each pick raises every endpoint's credit by its weight and takes the richest, which pays
/// the sum of the weights. Weights 5, 1, 1 give a a b a c a a instead of a a a a a b c.
#[derive(Debug)]
struct SmoothRoundRobin {
    credits: RefCell<Vec<i64>>,
}

impl SmoothRoundRobin {
    fn new(length: usize, seed: usize) -> Self {
        let mut credits = vec![0; length];
        let favoured = seed % credits.len();
        credits[favoured] = 1;
        SmoothRoundRobin { credits: RefCell::new(credits) }
    }
}

impl Balancer for SmoothRoundRobin {
    fn pick(&self, endpoints: &[Rc<EndpointState>], wanted: &Wanted<'_>) -> Option<usize> {
        let mut credits = self.credits.borrow_mut();
        let mut total = 0;
        let mut richest: Option<usize> = None;
        for (index, endpoint) in endpoints.iter().enumerate() {
            if wanted.tried.contains(endpoint.id()) {
                continue;
            }
            credits[index] += i64::from(endpoint.weight());
            total += i64::from(endpoint.weight());
            if richest.is_none_or(|richest| credits[index] > credits[richest]) {
                richest = Some(index);
            }
        }
        let chosen = richest?;
        credits[chosen] -= total;
        Some(chosen)
    }
}

/// The fewest running requests in proportion to the weight; equals take turns.
#[derive(Debug)]
struct LeastRequest {
    next: Cell<usize>,
}

impl Balancer for LeastRequest {
    fn pick(&self, endpoints: &[Rc<EndpointState>], wanted: &Wanted<'_>) -> Option<usize> {
        let start = self.next.get() % endpoints.len();
        // a.running / a.weight < b.running / b.weight, without division
        let load = |mine: &EndpointState, other: &EndpointState| {
            u64::from(mine.running()) * u64::from(other.weight())
        };
        let chosen = rotation(start, endpoints.len())
            .filter(|endpoint| !wanted.tried.contains(endpoints[*endpoint].id()))
            .reduce(|best, next| {
                let (a, b) = (&endpoints[best], &endpoints[next]);
                if load(b, a) < load(a, b) { next } else { best }
            })?;
        self.next.set(chosen + 1);
        Some(chosen)
    }
}

fn rotation(start: usize, length: usize) -> impl Iterator<Item = usize> {
    (start..length).chain(0..start)
}
