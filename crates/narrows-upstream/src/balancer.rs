//! Choosing an endpoint. A new way to balance is one more type here and one more arm in [`for_upstream`].

mod by_chance;
mod keyed;
mod least;
mod turns;

use crate::candidate::Score;
use crate::members::{Asking, Members};
use crate::table::Table;
use by_chance::ByChance;
use keyed::Keyed;
use least::{Least, Load};
use narrows_plan::{Balance, Balancing};
use std::cell::Cell;
use std::fmt::Debug;
use std::rc::Rc;
use std::sync::Arc;
use turns::Turns;

/// Chooses among the members of one group.
pub(crate) trait Balancer: Debug {
    /// The member for the next attempt: one that is taken and accepted. `None` when there is none.
    fn pick(&self, asking: &Asking<'_>) -> Option<usize>;

    /// Members are taken otherwise than before: these, or all (`None`).
    fn changed(&mut self, _members: &Members, _member: Option<usize>) {}

    /// What speaks for or against each member now, in their order.
    fn scores(&self, asking: &Asking<'_>) -> Vec<Option<Score>>;

    /// A copy that goes its own way.
    fn copied(&self) -> Box<dyn Balancer>;
}

impl Clone for Box<dyn Balancer> {
    fn clone(&self) -> Self {
        self.copied()
    }
}

/// The balancer that an upstream asks for, for members that it will always be used with. `seed` differs between workers, so that they do not all
/// begin with the same endpoint; `table` is what a hash method looks keys up in, `load` counts what runs on the members where one is needed.
pub(crate) fn for_upstream(
    balancing: &Balancing,
    members: &Members,
    seed: usize,
    table: Option<Arc<Table>>,
    load: Option<Rc<Cell<u64>>>,
) -> Box<dyn Balancer> {
    match balancing.method {
        Balance::RoundRobin => Box::new(Turns::new(members, seed)),
        Balance::LeastRequest => Box::new(Least::new(Load::Requests, members, seed)),
        Balance::LeastConnections => Box::new(Least::new(Load::Connections, members, seed)),
        Balance::PeakEwma => Box::new(Least::new(Load::Time, members, seed)),
        Balance::Random => Box::new(ByChance),
        Balance::Hash | Balance::ConsistentHash | Balance::Ketama | Balance::Maglev => match table {
            Some(table) => Box::new(Keyed::new(table, balancing.bound, load)),
            None => Box::new(ByChance),
        },
    }
}
