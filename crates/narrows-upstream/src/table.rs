//! What hash methods look keys up in: made of all endpoints of a priority, whatever their condition.
//!
//! Because a table does not know who is well, only the keys of an endpoint that is not taken go elsewhere, and they come back with it. Nothing here
//! is random: every worker, every restart and every proxy with the same endpoints chooses alike, whatever their order in the configuration.

mod crc32;
mod maglev;
mod proportional;
mod rendezvous;
mod ring;

use crate::chance::{hash_address, hash_text};
use crate::membership::{Member, Membership};
use crate::wanted::Wanted;
use maglev::Maglev;
use narrows_plan::Balance;
use proportional::Proportional;
use rendezvous::Rendezvous;
use ring::Ring;
use std::sync::Arc;

/// The tables of an upstream, one for each priority. Immutable, shared by all workers.
#[derive(Debug, Default)]
pub(crate) struct Tables {
    tables: Vec<(u32, Arc<Table>)>,
}

/// What one hash method looks keys up in. Endpoints are numbers: their places among those of the priority, in the order of the membership.
#[derive(Debug)]
pub(crate) enum Table {
    Proportional(Proportional),
    Rendezvous(Rendezvous),
    Ring(Ring),
    Maglev(Maglev),
}

impl Tables {
    /// The tables of a method; empty when it is no hash method.
    pub(crate) fn new(method: Balance, membership: &Membership) -> Self {
        if !method.is_hash() {
            return Tables::default();
        }
        let mut priorities: Vec<u32> = membership.members.iter().map(|member| member.priority).collect();
        priorities.sort_unstable();
        priorities.dedup();
        let table = |priority: u32| {
            let members = membership.members.iter().filter(|member| member.priority == priority);
            let members: Vec<&Member> = members.map(|member| &**member).collect();
            Some((priority, Arc::new(Table::new(method, &members)?)))
        };
        Tables { tables: priorities.into_iter().filter_map(table).collect() }
    }

    /// The table of a priority.
    pub(crate) fn of(&self, priority: u32) -> Option<Arc<Table>> {
        let found = self.tables.binary_search_by_key(&priority, |(priority, _)| *priority);
        found.ok().map(|position| Arc::clone(&self.tables[position].1))
    }
}

/// Whether the tables of two memberships are the same.
pub(crate) fn are_alike(one: &Membership, other: &Membership) -> bool {
    one.members.len() == other.members.len()
        && one.members.iter().zip(&other.members).all(|(one, other)| {
            Arc::ptr_eq(one, other)
                || (one.id == other.id
                    && one.weight == other.weight
                    && one.priority == other.priority
                    && one.address == other.address
                    && one.server_name == other.server_name)
        })
}

impl Table {
    /// The table of a hash method, `None` for other methods.
    pub(crate) fn new(method: Balance, members: &[&Member]) -> Option<Self> {
        match method {
            Balance::Hash => Some(Table::Proportional(Proportional::new(members))),
            Balance::ConsistentHash => Some(Table::Rendezvous(Rendezvous::new(members))),
            Balance::Ketama => Some(Table::Ring(Ring::new(members))),
            Balance::Maglev => Some(Table::Maglev(Maglev::new(members))),
            Balance::RoundRobin
            | Balance::LeastRequest
            | Balance::LeastConnections
            | Balance::Random
            | Balance::PeakEwma => None,
        }
    }

    /// What is looked up for a request.
    pub(crate) fn hash(&self, wanted: &Wanted<'_>) -> u64 {
        match (self, wanted.key) {
            (Table::Ring(_), Some(key)) => u64::from(crc32::of(key.as_bytes())),
            (Table::Ring(_), None) => {
                u64::from(crc32::of(wanted.client.to_canonical().to_string().as_bytes()))
            }
            (_, Some(key)) => hash_text(key),
            (_, None) => hash_address(wanted.client),
        }
    }

    /// The first endpoint for a hash that is accepted, in the order in which the hash prefers them.
    pub(crate) fn find(&self, hash: u64, mut accepts: impl FnMut(usize) -> bool) -> Option<usize> {
        match self {
            Table::Proportional(table) => table.find(hash, &mut accepts),
            Table::Rendezvous(table) => table.find(hash, &mut accepts),
            Table::Ring(table) => table.find(hash as u32, &mut accepts),
            Table::Maglev(table) => table.find(hash, &mut accepts),
        }
    }

    /// All endpoints in the order in which the hash prefers them. Costs more than finding one.
    pub(crate) fn order(&self, hash: u64) -> Vec<usize> {
        let mut order = Vec::new();
        let mut seen = std::collections::HashSet::new();
        match self {
            Table::Rendezvous(table) => return table.order(hash),
            _ => self.find(hash, |endpoint| {
                if seen.insert(endpoint) {
                    order.push(endpoint);
                }
                false
            }),
        };
        order
    }
}
