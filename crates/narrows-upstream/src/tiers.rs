//! Which endpoints a balancer chooses among: priorities, zones, how much each tier can carry, and what is left when nothing is well.

use crate::balancer::{self, Balancer};
use crate::candidate::{Candidate, Score};
use crate::chance::{GOLDEN, hash_address, hash_text, mix, unit};
use crate::endpoint::EndpointState;
use crate::members::{Asking, Members, Surroundings, Taking};
use crate::membership::EndpointId;
use crate::table::Table;
use crate::wanted::{Unavailable, Wanted};
use narrows_plan::Balancing;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// All endpoints of an upstream by priority, whatever their condition.
#[derive(Debug, Default)]
pub(crate) struct Ground {
    pub(crate) priorities: Vec<Priority>,
}

/// All endpoints of one priority, in the order of the membership.
#[derive(Debug)]
pub(crate) struct Priority {
    pub(crate) priority: u32,
    pub(crate) endpoints: Vec<Rc<EndpointState>>,
    /// What a hash method looks keys up in.
    pub(crate) table: Option<Arc<Table>>,
}

/// Where an endpoint stands in the [`Ground`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) priority: u32,
    pub(crate) origin: u32,
}

/// How tiers are made and chosen among.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) balancing: Balancing,
    /// The zone whose endpoints go before others of their priority.
    pub(crate) zone: Option<Box<str>>,
    /// Which worker this is, and how often its tiers were made anew.
    pub(crate) seed: usize,
    pub(crate) around: Surroundings,
}

/// The tiers of a cluster, or of those of its endpoints that have some labels; the first one first.
#[derive(Debug, Clone)]
pub(crate) struct Tiers {
    rules: Rc<Rules>,
    tiers: Vec<Tier>,
    /// Where the next choice among tiers falls.
    point: Cell<u64>,
    /// The same tiers of what is ejected: taken when nothing else is left. Made when it is needed, forgotten with the next change.
    ejected: RefCell<Option<Vec<Tier>>>,
}

/// Endpoints that are as good as each other for the order of tiers.
#[derive(Debug, Clone)]
struct Tier {
    /// Index into [`Ground::priorities`].
    priority: u32,
    members: Members,
    balancer: Box<dyn Balancer>,
    table: Option<Arc<Table>>,
    /// The part of the traffic that it takes, from 0 to 1.
    portion: f64,
}

impl Tiers {
    /// The tiers of the endpoints at some places, which ascend. `counts_load` is for those of a whole cluster: what runs on each tier is counted.
    pub(crate) fn new(rules: &Rc<Rules>, ground: &Ground, places: &[Place], counts_load: bool) -> Self {
        let mut tiers = Vec::new();
        for of_priority in places.chunk_by(|one, other| one.priority == other.priority) {
            let priority = of_priority[0].priority;
            let on = &ground.priorities[priority as usize];
            let zone = rules.zone.as_ref().filter(|_| rules.balancing.prefers_zone);
            let is_near =
                |endpoint: &EndpointState| zone.is_none() || endpoint.member().zone == zone.cloned();
            let members = of_priority
                .iter()
                .map(|place| (place.origin, Rc::clone(&on.endpoints[place.origin as usize])));
            let (near, far): (Vec<_>, Vec<_>) = members.partition(|(_, endpoint)| is_near(endpoint));
            for members in [near, far] {
                if !members.is_empty() {
                    let table = on.table.clone();
                    tiers.push(Tier::new(rules, priority, members, Taking::Healthy, table, counts_load));
                }
            }
        }
        let point = Cell::new(mix(rules.seed as u64));
        let mut made = Tiers { rules: Rc::clone(rules), tiers, point, ejected: RefCell::default() };
        made.share_out();
        made
    }

    /// The endpoint at a place, which may not belong, has another condition or weight.
    pub(crate) fn changed(&mut self, place: Place) {
        let mut belongs = false;
        for tier in self.tiers.iter_mut().filter(|tier| tier.priority == place.priority) {
            if let Some(member) = tier.members.at_origin(place.origin as usize) {
                belongs = true;
                if tier.members.refresh(member) {
                    tier.balancer.changed(&tier.members, Some(member));
                }
            }
        }
        if belongs {
            *self.ejected.get_mut() = None;
            self.share_out();
        }
    }

    /// Finds out how much each tier takes, and in which of them health is believed.
    ///
    /// A tier can carry the share of its weight that is available times `overflow`; what it cannot goes to the next ones. What none of them can carry
    /// they share in proportion. Only when all of them together cannot carry everything, one of which too little is well stops
    /// believing in health: as long as others can help, its few do what they can.
    fn share_out(&mut self) {
        let Balancing { overflow, panic, .. } = self.rules.balancing;
        let able = |tier: &Tier, per_cent: u32| {
            let counts = tier.members.counts();
            let able = counts.healthy_weight as f64 * f64::from(per_cent) / 100.0;
            if counts.healthy_weight == 0 { 0.0 } else { (able / counts.weight as f64).min(1.0) }
        };
        let all: f64 = self.tiers.iter().map(|tier| able(tier, overflow.unwrap_or(100))).sum();
        for tier in &mut self.tiers {
            let counts = tier.members.counts();
            let panics =
                all < 1.0 && u64::from(counts.healthy) * 100 < u64::from(counts.judged) * u64::from(panic);
            let taking = if panics { Taking::All } else { Taking::Healthy };
            if tier.members.taking() != taking {
                tier.members.take(taking);
                tier.balancer.changed(&tier.members, None);
            }
        }
        let mut rest = 1.0;
        for tier in &mut self.tiers {
            let has_any = tier.members.taken().count() > 0;
            tier.portion = match overflow {
                None if has_any => rest,
                None => 0.0,
                Some(_) if all == 0.0 && has_any => rest,
                Some(overflow) => (able(tier, overflow) / all.clamp(f64::MIN_POSITIVE, 1.0)).min(rest),
            };
            rest -= tier.portion;
        }
    }

    /// The tier that the next choice falls on; for hash methods the same for the same key.
    fn first(&self, wanted: &Wanted<'_>) -> usize {
        if self.tiers.first().is_none_or(|tier| tier.portion >= 1.0) {
            return 0;
        }
        let is_keyed = self.rules.balancing.method.is_hash();
        let point = match wanted.key {
            Some(key) if is_keyed && !key.is_empty() => mix(hash_text(key)),
            None if is_keyed => mix(hash_address(wanted.client)),
            _ => {
                self.point.set(self.point.get().wrapping_add(GOLDEN));
                self.point.get()
            }
        };
        let mut rest = unit(point);
        for (number, tier) in self.tiers.iter().enumerate() {
            if rest < tier.portion {
                return number;
            }
            rest -= tier.portion;
        }
        // Rounding: the last one that takes anything.
        self.tiers.iter().rposition(|tier| tier.portion > 0.0).unwrap_or(0)
    }

    /// The endpoint for the next attempt.
    pub(crate) fn pick(&self, wanted: &Wanted<'_>) -> Result<Rc<EndpointState>, Unavailable> {
        let first = self.first(wanted);
        let mut saw_full = false;
        // Where the first one has nobody left, the others are asked in their order.
        let order = std::iter::once(first).chain((0..self.tiers.len()).filter(|other| *other != first));
        for tier in order.filter_map(|number| self.tiers.get(number)) {
            if let Some(member) = tier.pick(wanted, &mut saw_full) {
                return Ok(Rc::clone(&tier.members.endpoints()[member]));
            }
        }
        if saw_full {
            return Err(Unavailable::Full);
        }
        let mut ejected = self.ejected.borrow_mut();
        for tier in ejected.get_or_insert_with(|| self.of_ejected()) {
            if let Some(member) = tier.pick(wanted, &mut saw_full) {
                return Ok(Rc::clone(&tier.members.endpoints()[member]));
            }
        }
        Err(match (saw_full, wanted.tried.is_empty()) {
            (true, _) => Unavailable::Full,
            (false, true) => Unavailable::Down,
            (false, false) => Unavailable::Tried,
        })
    }

    fn of_ejected(&self) -> Vec<Tier> {
        let made = self.tiers.iter().filter_map(|tier| {
            let members: Vec<_> = tier.members.with_origins(|one| Taking::Ejected.takes(one)).collect();
            (!members.is_empty()).then(|| {
                let table = tier.table.clone();
                Tier::new(&self.rules, tier.priority, members, Taking::Ejected, table, false)
            })
        });
        made.collect()
    }

    /// Adds what is known of the endpoints here to the candidates of one choice. Nothing changes.
    pub(crate) fn tell(
        &self,
        wanted: &Wanted<'_>,
        candidates: &mut [Candidate],
        by_id: &HashMap<EndpointId, usize>,
    ) {
        let chosen = self.clone().pick(wanted).ok();
        let last_resort = chosen.as_ref().is_some_and(|one| {
            Taking::Ejected.takes(one.condition()) && self.tiers.iter().all(|tier| !tier.takes(one))
        });
        let ejected = if last_resort { self.of_ejected() } else { Vec::new() };
        for (number, tier) in self.tiers.iter().enumerate() {
            for (endpoint, part, score) in tier.scores(wanted) {
                let candidate = &mut candidates[by_id[&endpoint.id()]];
                candidate.tier = Some(number);
                candidate.portion = (tier.portion * 100.0).round() as u32;
                candidate.panics = tier.members.taking() == Taking::All;
                candidate.part = (part * 100.0).round() as u32;
                candidate.score = score;
                candidate.is_chosen = chosen.as_ref().is_some_and(|chosen| chosen.id() == endpoint.id());
            }
        }
        for (endpoint, _, score) in ejected.iter().flat_map(|tier| tier.scores(wanted)) {
            candidates[by_id[&endpoint.id()]].score = score;
        }
    }
}

impl Tier {
    fn new(
        rules: &Rules,
        priority: u32,
        members: Vec<(u32, Rc<EndpointState>)>,
        taking: Taking,
        table: Option<Arc<Table>>,
        counts_load: bool,
    ) -> Self {
        let members = Members::new(members, taking, &rules.around);
        let counts_load = counts_load && table.is_some() && rules.balancing.bound.is_some();
        let load = counts_load.then(|| Rc::new(Cell::new(0)));
        if counts_load {
            members.endpoints().iter().for_each(|endpoint| endpoint.share_load(load.as_ref()));
        }
        let balancer = balancer::for_upstream(&rules.balancing, &members, rules.seed, table.clone(), load);
        Tier { priority, members, balancer, table, portion: 0.0 }
    }

    fn pick(&self, wanted: &Wanted<'_>, saw_full: &mut bool) -> Option<usize> {
        if self.members.taken().count() == 0 {
            return None;
        }
        let asking = Asking::new(&self.members, wanted);
        let picked = self.balancer.pick(&asking);
        *saw_full |= asking.saw_full();
        picked
    }

    fn takes(&self, endpoint: &EndpointState) -> bool {
        self.members.taken().iter().any(|member| self.members.endpoints()[member].id() == endpoint.id())
    }

    /// Each endpoint with the part of its weight that it has now and its score.
    fn scores(&self, wanted: &Wanted<'_>) -> impl Iterator<Item = (&EndpointState, f64, Option<Score>)> {
        let scores = self.balancer.scores(&Asking::new(&self.members, wanted));
        let members = self.members.endpoints().iter().zip(scores).enumerate();
        members.map(|(member, (endpoint, score))| {
            let score = score.filter(|_| self.members.taken().contains(member));
            (&**endpoint, self.members.part(member), score)
        })
    }
}
