//! The endpoint with the least to do.

use super::Balancer;
use crate::candidate::Score;
use crate::members::{Asking, Members};
use std::cell::Cell;
use std::time::Instant;

/// Among so many, all are looked at; among more, two.
const FULL_SCAN: usize = 16;
/// Draws of a second one that is not the first.
const SECOND_DRAWS: usize = 4;

/// The endpoint with the least load in proportion to its weight: of all in a small set, of two that chance chose in a large one (the power of two
/// choices: nearly as even, and no herd runs to the one that looked idle). Equals take turns, or follow their weights by chance.
#[derive(Debug, Clone)]
pub(super) struct Least {
    load: Load,
    next: Cell<usize>,
}

/// What is compared.
#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    /// Running requests.
    Requests,
    /// Open connections, idle ones included.
    Connections,
    /// The time that one more request is expected to take: the average of answer times, times what would run.
    Time,
}

impl Least {
    pub(super) fn new(load: Load, members: &Members, seed: usize) -> Self {
        Least { load, next: Cell::new(members.start(seed)) }
    }

    fn scan(&self, asking: &Asking<'_>) -> Option<usize> {
        let members = asking.members;
        let (even, length) = (members.are_even(), members.endpoints().len().max(1));
        let now = self.load.moment(members);
        let mut best: Option<(f64, usize)> = None;
        let mut tied = 0.0;
        for member in members.taken().rotation(self.next.get() % length) {
            if !asking.accepts(member) {
                continue;
            }
            let load = self.load.of(members, member, now);
            let is_tie = best.is_some_and(|(least, _)| load == least);
            if is_tie && even {
                continue;
            }
            if is_tie {
                let weight = members.weight_now(member);
                tied += weight;
                if members.chance.unit() * tied < weight {
                    best = Some((load, member));
                }
            } else if best.is_none_or(|(least, _)| load < least) {
                tied = if even { 0.0 } else { members.weight_now(member) };
                best = Some((load, member));
            }
        }
        let (_, chosen) = best?;
        self.next.set(chosen + 1);
        Some(chosen)
    }

    fn choose_of_two(&self, asking: &Asking<'_>) -> Option<usize> {
        let members = asking.members;
        let first = members.draw(asking)?;
        let now = self.load.moment(members);
        let load = |member: usize| self.load.of(members, member, now);
        for _ in 0..SECOND_DRAWS {
            let second = members.draw_any()?;
            if second != first && asking.accepts(second) {
                let is_less = load(second) < load(first);
                return Some(if is_less { second } else { first });
            }
        }
        Some(first)
    }
}

impl Balancer for Least {
    fn pick(&self, asking: &Asking<'_>) -> Option<usize> {
        match asking.members.taken().count() {
            0..=FULL_SCAN => self.scan(asking),
            _ => self.choose_of_two(asking),
        }
    }

    fn scores(&self, asking: &Asking<'_>) -> Vec<Option<Score>> {
        let members = asking.members;
        let now = self.load.moment(members);
        let score = |member: usize| {
            let load = self.load.of(members, member, now);
            match self.load {
                Load::Requests | Load::Connections => Score::Load(load),
                Load::Time => Score::Seconds(load),
            }
        };
        let all = 0..members.endpoints().len();
        all.map(|member| members.taken().contains(member).then(|| score(member))).collect()
    }

    fn copied(&self) -> Box<dyn Balancer> {
        Box::new(self.clone())
    }
}

impl Load {
    /// The moment of a comparison, where time plays a part.
    fn moment(self, members: &Members) -> Option<Instant> {
        matches!(self, Load::Time).then(|| members.now())
    }

    fn of(self, members: &Members, member: usize, now: Option<Instant>) -> f64 {
        let endpoint = &members.endpoints()[member];
        let load = match self {
            Load::Requests => f64::from(endpoint.running()),
            Load::Connections => f64::from(endpoint.connections()),
            Load::Time => match (now.and_then(|now| endpoint.answer_seconds(now)), endpoint.running()) {
                (Some(seconds), running) => seconds * (f64::from(running) + 1.0),
                // One that was never asked is asked once, and nobody else goes there before it has answered.
                (None, 0) => 0.0,
                (None, running) => UNKNOWN_SECONDS * f64::from(running),
            },
        };
        load / members.weight_now(member).max(f64::MIN_POSITIVE)
    }
}

/// What an endpoint that was asked and has not answered yet is expected to take.
const UNKNOWN_SECONDS: f64 = 1e6;
