//! The endpoints that one balancer chooses among.

use crate::bits::Bits;
use crate::chance::Chance;
use crate::clock::Clock;
use crate::endpoint::EndpointState;
use crate::membership::Condition;
use crate::shares::Shares;
use crate::wanted::Wanted;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

/// An endpoint that came back begins with this part of its weight.
const FIRST_PART: f64 = 0.1;
/// Draws that may not be accepted before all members are looked at.
const DRAWS: usize = 16;

/// Which conditions are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taking {
    /// Endpoints that are up.
    Healthy,
    /// All that the operator has not taken out, whatever their health.
    All,
    /// Those that were ejected.
    Ejected,
}

/// The endpoints that one balancer chooses among: who they are, who of them is taken and with which weight. A change of one costs a logarithm of steps.
#[derive(Debug, Clone)]
pub(crate) struct Members {
    endpoints: Vec<Rc<EndpointState>>,
    /// Place of each among all endpoints of its priority, ascending.
    origins: Vec<u32>,
    taking: Taking,
    /// What the members looked like when they were counted.
    counted: Vec<(Condition, u32)>,
    counts: Counts,
    taken: Bits,
    shares: Shares,
    /// How many of those that are taken have each weight.
    weights: BTreeMap<u32, u32>,
    slow_start: Option<Duration>,
    /// When the last slow start ends.
    slow_until: Cell<Option<Instant>>,
    clock: Rc<Clock>,
    pub(crate) chance: Chance,
}

/// What decides whether a tier can carry everything.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Members that are up. Here and below only those with a weight above 0 count.
    pub(crate) healthy: u32,
    /// Members that are up, down or ejected.
    pub(crate) judged: u32,
    /// Weight of those that are up.
    pub(crate) healthy_weight: u64,
    /// Weight of all.
    pub(crate) weight: u64,
}

/// What all groups of endpoints of a cluster are made with.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) slow_start: Option<Duration>,
    pub(crate) clock: Rc<Clock>,
    pub(crate) seed: u64,
}

impl Members {
    /// Members with their places among all endpoints of the priority, ascending.
    pub(crate) fn new(members: Vec<(u32, Rc<EndpointState>)>, taking: Taking, around: &Surroundings) -> Self {
        let length = members.len();
        let (origins, endpoints) = members.into_iter().unzip();
        let mut made = Members {
            endpoints,
            origins,
            taking,
            counted: vec![(Condition::Maintenance, 0); length],
            counts: Counts::default(),
            taken: Bits::new(length),
            shares: Shares::new(length),
            weights: BTreeMap::new(),
            slow_start: around.slow_start,
            slow_until: Cell::new(None),
            clock: Rc::clone(&around.clock),
            chance: Chance::new(around.seed),
        };
        for member in 0..length {
            made.refresh(member);
        }
        made
    }

    /// A member to begin with that is taken, so that nobody gets what its neighbour may not.
    pub(crate) fn start(&self, seed: usize) -> usize {
        self.taken.iter().nth(seed % self.taken.count().max(1)).unwrap_or(0)
    }

    /// Looks at a member again; says whether it is taken otherwise than before.
    pub(crate) fn refresh(&mut self, member: usize) -> bool {
        let endpoint = &self.endpoints[member];
        let (condition, weight) = (endpoint.condition(), endpoint.weight());
        let before = std::mem::replace(&mut self.counted[member], (condition, weight));
        self.counts.take(before);
        self.counts.add((condition, weight));
        let is_taken = weight > 0 && self.taking.takes(condition);
        let (old, new) = (self.shares.weight(member), if is_taken { weight } else { 0 });
        if is_taken && let (Some(slow_start), Some(returned)) = (self.slow_start, endpoint.returned()) {
            let until = returned + slow_start;
            if until > self.clock.now() {
                self.slow_until.set(self.slow_until.get().max(Some(until)));
            }
        }
        if old == new {
            return false;
        }
        self.taken.set(member, is_taken);
        self.shares.set(member, new);
        if new > 0 {
            *self.weights.entry(new).or_default() += 1;
        }
        if let Some(count) = self.weights.get_mut(&old) {
            *count -= 1;
            if *count == 0 {
                self.weights.remove(&old);
            }
        }
        true
    }

    /// Takes members of other conditions from now on.
    pub(crate) fn take(&mut self, taking: Taking) {
        self.taking = taking;
        for member in 0..self.endpoints.len() {
            self.refresh(member);
        }
    }

    pub(crate) fn taking(&self) -> Taking {
        self.taking
    }

    pub(crate) fn counts(&self) -> Counts {
        self.counts
    }

    /// All of them, taken or not.
    pub(crate) fn endpoints(&self) -> &[Rc<EndpointState>] {
        &self.endpoints
    }

    /// Those that are taken.
    pub(crate) fn taken(&self) -> &Bits {
        &self.taken
    }

    /// The weight of those that are taken together.
    pub(crate) fn total(&self) -> u64 {
        self.shares.total()
    }

    /// The member that stands at a place of the priority.
    pub(crate) fn at_origin(&self, origin: usize) -> Option<usize> {
        match self.origins.get(origin) {
            // Everybody of the priority up to it belongs.
            Some(found) if *found as usize == origin => Some(origin),
            _ => self.origins.binary_search(&(origin as u32)).ok(),
        }
    }

    /// The members in some conditions, with their places among all endpoints of the priority.
    pub(crate) fn with_origins(
        &self,
        takes: impl Fn(Condition) -> bool,
    ) -> impl Iterator<Item = (u32, Rc<EndpointState>)> {
        let all = self.origins.iter().zip(&self.endpoints);
        all.filter(move |(_, endpoint)| takes(endpoint.condition()))
            .map(|(origin, endpoint)| (*origin, Rc::clone(endpoint)))
    }

    /// The weight of a member that is taken, 0 for others.
    pub(crate) fn weight(&self, member: usize) -> u32 {
        self.shares.weight(member)
    }

    /// The part of its weight that a member has while it starts slowly, otherwise 1.
    pub(crate) fn part(&self, member: usize) -> f64 {
        let (Some(slow_start), true) = (self.slow_start, self.is_slow()) else { return 1.0 };
        let Some(returned) = self.endpoints[member].returned() else { return 1.0 };
        let since = self.clock.now().saturating_duration_since(returned);
        let grown = since.as_secs_f64() / slow_start.as_secs_f64().max(f64::MIN_POSITIVE);
        (FIRST_PART + (1.0 - FIRST_PART) * grown).min(1.0)
    }

    /// The weight as of now.
    pub(crate) fn weight_now(&self, member: usize) -> f64 {
        f64::from(self.weight(member)) * self.part(member)
    }

    /// Whether all that are taken have the same weight now.
    pub(crate) fn are_even(&self) -> bool {
        self.weights.len() < 2 && !self.is_slow()
    }

    fn is_slow(&self) -> bool {
        let Some(until) = self.slow_until.get() else { return false };
        let is_over = until <= self.clock.now();
        if is_over {
            self.slow_until.set(None);
        }
        !is_over
    }

    /// A member by chance in proportion to the weights, one that is accepted.
    pub(crate) fn draw(&self, asking: &Asking<'_>) -> Option<usize> {
        for _ in 0..DRAWS {
            let drawn = self.draw_any()?;
            if asking.accepts(drawn) {
                return Some(drawn);
            }
        }
        self.choose_of_ties(self.taken.iter().filter(|member| asking.accepts(*member)))
    }

    /// A member that is taken, by chance in proportion to the weights.
    pub(crate) fn draw_any(&self) -> Option<usize> {
        if self.taken.count() == 0 {
            return None;
        }
        let length = self.endpoints.len();
        if self.are_even() && self.taken.count() * 4 > length {
            // Without a look at weights: somebody of all, until one is met that is taken.
            let drawn = || self.chance.below(length as u64) as usize;
            if let Some(drawn) = (0..DRAWS).map(|_| drawn()).find(|drawn| self.taken.contains(*drawn)) {
                return Some(drawn);
            }
        }
        let mut drawn = 0;
        for _ in 0..2 * DRAWS {
            drawn = self.shares.at(self.chance.below(self.total()));
            let part = self.part(drawn);
            if part >= 1.0 || self.chance.unit() < part {
                break;
            }
        }
        Some(drawn)
    }

    /// One of some by chance in proportion to the weights, in one pass.
    pub(crate) fn choose_of_ties(&self, members: impl Iterator<Item = usize>) -> Option<usize> {
        let mut total = 0.0;
        let mut chosen = None;
        for member in members {
            let weight = self.weight_now(member);
            total += weight;
            if self.chance.unit() * total < weight {
                chosen = Some(member);
            }
        }
        chosen
    }

    pub(crate) fn now(&self) -> Instant {
        self.clock.now()
    }
}

impl Taking {
    pub(crate) fn takes(self, condition: Condition) -> bool {
        match self {
            Taking::Healthy => condition.takes_new(),
            Taking::All => matches!(condition, Condition::Up | Condition::Ejected | Condition::Down),
            Taking::Ejected => condition == Condition::Ejected,
        }
    }
}

impl Counts {
    fn add(&mut self, (condition, weight): (Condition, u32)) {
        let [healthy, judged] = Counts::of(condition, weight);
        self.healthy += healthy;
        self.judged += judged;
        self.healthy_weight += u64::from(healthy * weight);
        self.weight += u64::from(weight);
    }

    fn take(&mut self, (condition, weight): (Condition, u32)) {
        let [healthy, judged] = Counts::of(condition, weight);
        self.healthy -= healthy;
        self.judged -= judged;
        self.healthy_weight -= u64::from(healthy * weight);
        self.weight -= u64::from(weight);
    }

    fn of(condition: Condition, weight: u32) -> [u32; 2] {
        let counts = |taking: Taking| u32::from(weight > 0 && taking.takes(condition));
        [counts(Taking::Healthy), counts(Taking::All)]
    }
}

/// One question: who of the members may be the answer.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) members: &'a Members,
    pub(crate) wanted: &'a Wanted<'a>,
    /// Whether somebody was not accepted only because it is full.
    saw_full: Cell<bool>,
}

impl<'a> Asking<'a> {
    pub(crate) fn new(members: &'a Members, wanted: &'a Wanted<'a>) -> Self {
        Asking { members, wanted, saw_full: Cell::new(false) }
    }

    /// Whether a member that is taken was not tried yet and has room.
    pub(crate) fn accepts(&self, member: usize) -> bool {
        if self.was_tried(member) {
            return false;
        }
        let has_room = self.members.endpoints[member].has_room();
        if !has_room {
            self.saw_full.set(true);
        }
        has_room
    }

    pub(crate) fn was_tried(&self, member: usize) -> bool {
        !self.wanted.tried.is_empty() && self.wanted.tried.contains(self.members.endpoints[member].id())
    }

    pub(crate) fn saw_full(&self) -> bool {
        self.saw_full.get()
    }
}
