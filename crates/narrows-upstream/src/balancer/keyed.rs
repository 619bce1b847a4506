//! The same endpoint for the same key.

use super::Balancer;
use crate::candidate::Score;
use crate::members::Asking;
use crate::table::Table;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// The same endpoint for the same key: the first one in the key's order that is taken, accepted and not loaded above the bound. An empty key
/// leaves the choice to chance.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    table: Arc<Table>,
    /// Per cent of the average load that an endpoint may have.
    bound: Option<u32>,
    /// What runs on all members; `None`: it is counted when needed.
    load: Option<Rc<Cell<u64>>>,
}

impl Keyed {
    pub(super) fn new(table: Arc<Table>, bound: Option<u32>, load: Option<Rc<Cell<u64>>>) -> Self {
        Keyed { table, bound, load }
    }

    /// The first in the key's order that `accepts` says yes to.
    fn find(&self, asking: &Asking<'_>, accepts: impl Fn(usize) -> bool) -> Option<usize> {
        let members = asking.members;
        let mut found = None;
        self.table.find(self.table.hash(asking.wanted), |origin| {
            let member = members.at_origin(origin).filter(|member| members.taken().contains(*member));
            let accepted = member.filter(|member| asking.accepts(*member) && accepts(*member));
            if accepted.is_some() {
                found = accepted;
            }
            accepted.is_some()
        })?;
        found
    }

    /// The average load with one more request: what an endpoint of weight 1 would have. Divided by the weight of those that are taken.
    fn average(&self, asking: &Asking<'_>) -> u64 {
        let counted = || asking.members.endpoints().iter().map(|one| u64::from(one.running())).sum();
        self.load.as_ref().map_or_else(counted, |load| load.get()) + 1
    }

    /// Consistent hashing with bounded loads (Mirrokni, Thorup, Zadimoghaddam, 2016): one more request may run on a member as long as it stays
    /// within its share of what runs, times the bound, rounded up. Somebody always has room.
    fn pick_bounded(&self, asking: &Asking<'_>, bound: u32) -> Option<usize> {
        let members = asking.members;
        let (load, total) = (self.average(asking), u128::from(members.total().max(1)));
        let is_within = |member: usize| {
            let running = u128::from(members.endpoints()[member].running());
            let share = u128::from(load) * u128::from(members.weight(member)) * u128::from(bound);
            running < share.div_ceil(total * 100)
        };
        // After some were tried or are full, the others may all be at their bound: the key decides then.
        self.find(asking, is_within).or_else(|| self.find(asking, |_| true))
    }
}

impl Balancer for Keyed {
    fn pick(&self, asking: &Asking<'_>) -> Option<usize> {
        match (asking.wanted.key, self.bound) {
            (Some(""), _) => asking.members.draw(asking),
            (_, Some(bound)) => self.pick_bounded(asking, bound),
            _ => self.find(asking, |_| true),
        }
    }

    fn scores(&self, asking: &Asking<'_>) -> Vec<Option<Score>> {
        if asking.wanted.key == Some("") {
            return super::ByChance.scores(asking);
        }
        let mut scores = vec![None; asking.members.endpoints().len()];
        let order = self.table.order(self.table.hash(asking.wanted));
        let ranked = order.into_iter().filter_map(|origin| asking.members.at_origin(origin));
        ranked.enumerate().for_each(|(rank, member)| scores[member] = Some(Score::Rank(rank)));
        scores
    }

    fn copied(&self) -> Box<dyn Balancer> {
        Box::new(self.clone())
    }
}
