//! How a choice comes about, for people.

use crate::membership::{Condition, EndpointId};
use std::fmt;
use std::sync::Arc;

/// An endpoint as one choice sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Its identity.
    pub id: EndpointId,
    /// Its address.
    pub label: Box<str>,
    /// Whether it is taken.
    pub condition: Condition,
    /// Why it is in this condition.
    pub reason: Arc<str>,
    /// Share of the traffic.
    pub weight: u32,
    /// Per cent of its weight that it has while it starts slowly, otherwise 100.
    pub part: u32,
    /// Its priority.
    pub priority: u32,
    /// Its place in the order of the tiers; without zones and labels one for each priority. `None` when it has not the labels that are asked for.
    pub tier: Option<usize>,
    /// Per cent of the traffic that its tier takes now.
    pub portion: u32,
    /// Whether its tier takes endpoints whatever their health, because too few are well.
    pub panics: bool,
    /// Requests, flows or sessions that the worker has running there.
    pub running: u32,
    /// Whether it was tried before.
    pub was_tried: bool,
    /// Whether it has no room.
    pub is_full: bool,
    /// What the balancer goes by; `None` when it does not come into question.
    pub score: Option<Score>,
    /// Whether it is the choice.
    pub is_chosen: bool,
}

/// What a balancer goes by.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Score {
    /// How many have their turn before (round robin).
    Turn(usize),
    /// Running requests or open connections for each unit of weight: the least is taken.
    Load(f64),
    /// Seconds that one more request is expected to take, for each unit of weight: the least is taken.
    Seconds(f64),
    /// Probability.
    Share(f64),
    /// Its place in the order of the key: the first that is available is taken.
    Rank(usize),
}

impl fmt::Display for Score {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Score::Turn(ahead) => write!(formatter, "turn {}", ahead + 1),
            Score::Load(load) => write!(formatter, "load {load:.2}"),
            Score::Seconds(seconds) => write!(formatter, "expected {:.1} ms", seconds * 1000.0),
            Score::Share(share) => write!(formatter, "share {:.1} %", share * 100.0),
            Score::Rank(rank) => write!(formatter, "rank {}", rank + 1),
        }
    }
}
