//! Which endpoints a balancer chooses among: priorities, and what is available.

use crate::balancer::{self, Balancer};
use crate::cluster::{Unavailable, Wanted};
use crate::endpoint::EndpointState;
use crate::membership::Condition;
use narrows_plan::Upstream;
use std::rc::Rc;

/// The tiers of a cluster, the first one first.
#[derive(Debug, Default)]
pub(crate) struct Tiers {
    tiers: Vec<Tier>,
    /// Taken when no tier has anything available.
    ejected: Option<Tier>,
}

/// Endpoints of one priority.
#[derive(Debug)]
struct Tier {
    available: Vec<Rc<EndpointState>>,
    balancer: Box<dyn Balancer>,
}

impl Tiers {
    pub(crate) fn new(upstream: &Upstream, endpoints: &[Rc<EndpointState>], seed: usize) -> Self {
        let mut priorities: Vec<u32> = endpoints.iter().map(|one| one.member().priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let tier = |available: Vec<Rc<EndpointState>>| {
            (!available.is_empty())
                .then(|| Tier { balancer: balancer::for_upstream(upstream, &available, seed), available })
        };
        let with = |condition: Condition, priority: Option<u32>| {
            let is_wanted = |one: &&Rc<EndpointState>| {
                one.condition() == condition
                    && one.weight() > 0
                    && priority.is_none_or(|priority| one.member().priority == priority)
            };
            endpoints.iter().filter(is_wanted).cloned().collect()
        };
        Tiers {
            tiers: priorities
                .iter()
                .filter_map(|priority| tier(with(Condition::Up, Some(*priority))))
                .collect(),
            ejected: tier(with(Condition::Ejected, None)),
        }
    }

    pub(crate) fn pick(&self, wanted: &Wanted<'_>) -> Result<Rc<EndpointState>, Unavailable> {
        let tiers = self.tiers.iter().chain(&self.ejected);
        let picked = tiers.filter_map(|tier| {
            let index = tier.balancer.pick(&tier.available, wanted)?;
            tier.available.get(index).cloned()
        });
        let nothing = || if wanted.tried.is_empty() { Unavailable::Down } else { Unavailable::Tried };
        { picked }.next().ok_or_else(nothing)
    }
}
