//! One upstream as one worker sees it.

use crate::admission::Admission;
use crate::budget::Budget;
use crate::candidate::Candidate;
use crate::chance::mix;
use crate::clock::Clock;
use crate::endpoint::{EndpointState, Making};
use crate::members::Surroundings;
use crate::membership::UpstreamKey;
use crate::membership::{EndpointId, Member, Membership};
use crate::mirroring::Mirroring;
use crate::report::Reporter;
use crate::subsets::Subsets;
use crate::tiers::{Ground, Place, Priority, Rules, Tiers};
use crate::upstream_load::UpstreamLoad;
use crate::wanted::{Unavailable, Wanted};
use narrows_plan::Upstream;
use narrows_runtime::Tick;
use narrows_tls::Connector;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;
use std::sync::Arc;

/// One upstream as one worker sees it.
#[derive(Debug)]
pub struct Cluster {
    /// What is configured.
    pub upstream: Arc<Upstream>,
    /// What of its requests may be repeated.
    pub budget: Budget,
    /// The copies that it gets of other upstreams' requests.
    pub mirroring: Rc<Mirroring>,
    pub(crate) making: Making,
    rules: Rules,
    state: RefCell<State>,
    /// What its requests pass before an endpoint is chosen.
    pub(crate) admission: Admission,
}

/// What changes with the membership.
#[derive(Debug)]
struct State {
    membership: Arc<Membership>,
    /// In the order of the membership.
    endpoints: Vec<Rc<EndpointState>>,
    by_id: HashMap<EndpointId, usize>,
    /// Where each stands.
    places: Vec<Place>,
    ground: Ground,
    /// Those of the last time that all was made anew.
    rules: Rc<Rules>,
    tiers: Tiers,
    subsets: Subsets,
}

impl Cluster {
    /// A cluster without endpoints. `seed` differs between workers; `connector` begins TLS where the upstream wants it;
    /// `zone` is where this process stands.
    pub fn new(
        upstream: Arc<Upstream>,
        id: UpstreamKey,
        seed: usize,
        connector: Option<&Arc<Connector>>,
        reporter: Reporter,
        zone: Option<&str>,
    ) -> Self {
        let clock = Rc::<Clock>::default();
        let around = Surroundings {
            slow_start: upstream.slow_start,
            clock: Rc::clone(&clock),
            seed: mix(mix(seed as u64) ^ u64::from(id.0)),
        };
        let rules = Rules { balancing: upstream.balancing.clone(), zone: zone.map(Into::into), seed, around };
        let shared = UpstreamLoad::new(&upstream);
        let admission = Admission::new(&upstream, id, seed, &shared, &reporter);
        let making = Making {
            upstream: Arc::clone(&upstream),
            id,
            connector: connector.cloned(),
            reporter,
            clock,
            shared,
            worker: seed,
        };
        let state = State::new(Arc::default(), Vec::new(), Rc::new(rules.clone()));
        Cluster {
            upstream,
            budget: Budget::default(),
            mirroring: Rc::default(),
            making,
            rules,
            state: RefCell::new(state),
            admission,
        }
    }

    /// Takes over a membership. What runs on endpoints that left goes on; their idle connections close. Members that are the same `Arc` as before
    /// cost a comparison; a change of conditions or (without a hash method) of weights costs a logarithm of steps for each; any other change
    /// makes everything anew.
    pub fn update(&self, membership: &Arc<Membership>) {
        let mut state = self.state.borrow_mut();
        let before = std::mem::replace(&mut state.membership, Arc::clone(membership));
        if Arc::ptr_eq(&before, membership) {
            return;
        }
        let pairs = before.members.iter().zip(&membership.members).enumerate();
        let changes = pairs.filter(|(_, (before, now))| !Arc::ptr_eq(before, now));
        if before.members.len() == membership.members.len()
            && changes.clone().all(|(_, (before, now))| self.moves_nothing(before, now))
        {
            changes.for_each(|(position, (_, now))| state.change(position, now));
            self.admission.changed(&state.endpoints);
            return;
        }
        let mut known: HashMap<EndpointId, Rc<EndpointState>> = std::mem::take(&mut state.endpoints)
            .into_iter()
            .map(|endpoint| (endpoint.id(), endpoint))
            .collect();
        let endpoints = membership.members.iter().map(|member| match known.remove(&member.id) {
            Some(endpoint) => {
                endpoint.update(member);
                endpoint
            }
            None => EndpointState::new(member, &self.making),
        });
        let endpoints = endpoints.collect();
        known.values().for_each(|gone| gone.leave());
        // Rotations begin elsewhere each time: endpoints that come and go often must not favour the first ones.
        let mut rules = self.rules.clone();
        if !before.members.is_empty() {
            rules.seed = mix(state.rules.seed as u64) as usize;
        }
        rules.around.seed = mix(state.rules.around.seed);
        *state = State::new(Arc::clone(membership), endpoints, Rc::new(rules));
        self.admission.changed(&state.endpoints);
    }

    /// Holds the clock for tests.
    #[cfg(test)]
    pub(crate) fn hold(&self, moment: std::time::Instant) {
        self.making.clock.hold(moment);
    }

    /// Whether a change leaves everybody in the tier and at the place of the hash table where they are.
    fn moves_nothing(&self, before: &Member, now: &Member) -> bool {
        before.id == now.id
            && before.priority == now.priority
            && before.zone == now.zone
            && before.labels == now.labels
            && (before.weight == now.weight || !self.upstream.balancing.method.is_hash())
    }

    /// The endpoint for the next attempt. An endpoint of weight 0 is never it, nor one that was tried, nor one in a condition that takes nothing new,
    /// as long as [`Balancing::panic`](narrows_plan::Balancing) does not say otherwise; ejected ones are taken when nothing else is left.
    /// Before all that, the one that the client sticks to is asked.
    ///
    /// # Errors
    /// Why there is none.
    pub fn pick(&self, wanted: &Wanted<'_>) -> Result<Rc<EndpointState>, Unavailable> {
        if let Some(picked) = self.pick_sticky(wanted) {
            return picked;
        }
        if wanted.subset.is_empty() {
            return self.state.borrow().tiers.pick(wanted);
        }
        let state = &mut *self.state.borrow_mut();
        match state.subsets.of(wanted.subset, &state.rules, &state.ground) {
            Some(tiers) => tiers.pick(wanted),
            None => Err(Unavailable::Down),
        }
    }

    /// How the next choice would come about, all endpoints in the order of the membership. Changes nothing: the next [`Cluster::pick`] chooses as it
    /// is told here, unless something happens in between. Costs more than a choice.
    pub fn candidates(&self, wanted: &Wanted<'_>) -> Vec<Candidate> {
        let sticky = self.pick_sticky(wanted);
        let state = &mut *self.state.borrow_mut();
        let mut candidates: Vec<Candidate> =
            state.endpoints.iter().map(|endpoint| candidate(endpoint, wanted)).collect();
        if wanted.subset.is_empty() {
            state.tiers.tell(wanted, &mut candidates, &state.by_id);
        } else if let Some(tiers) = state.subsets.of(wanted.subset, &state.rules, &state.ground) {
            tiers.tell(wanted, &mut candidates, &state.by_id);
        }
        if let Some(picked) = sticky {
            let chosen = picked.ok().map(|endpoint| endpoint.id());
            candidates.iter_mut().for_each(|one| one.is_chosen = Some(one.id) == chosen);
        }
        candidates
    }

    /// The endpoint of that identity, while it is a member.
    pub fn endpoint(&self, id: EndpointId) -> Option<Rc<EndpointState>> {
        let state = self.state.borrow();
        state.by_id.get(&id).map(|position| Rc::clone(&state.endpoints[*position]))
    }

    /// All endpoints in the order of the membership.
    pub fn endpoints(&self) -> Vec<Rc<EndpointState>> {
        self.state.borrow().endpoints.clone()
    }

    /// How many endpoints there are, available or not.
    pub fn size(&self) -> usize {
        self.state.borrow().endpoints.len()
    }

    /// Whether there is one endpoint only.
    pub fn is_single(&self) -> bool {
        self.size() == 1
    }

    /// Closes idle connections that have been idle or alive for too long, and tells what was seen of the endpoints.
    pub fn prune(&self, now: Tick) {
        for endpoint in &self.state.borrow().endpoints {
            endpoint.prune(now);
            endpoint.tell();
        }
        self.admission.tell(self.budget.counts(), self.mirroring.counts());
    }

    pub(crate) fn each_endpoint(&self, mut visit: impl FnMut(&EndpointState)) {
        self.state.borrow().endpoints.iter().for_each(|endpoint| visit(endpoint));
    }

    /// Closes every idle connection and says how many there were (descriptors ran out, or a drain began).
    pub fn shed(&self) -> usize {
        self.state.borrow().endpoints.iter().map(|endpoint| endpoint.shed()).sum()
    }
}

impl State {
    fn new(membership: Arc<Membership>, endpoints: Vec<Rc<EndpointState>>, rules: Rc<Rules>) -> Self {
        let numbers: BTreeSet<u32> = membership.members.iter().map(|member| member.priority).collect();
        let tables = membership.tables(rules.balancing.method);
        let mut ground = Ground {
            priorities: numbers
                .iter()
                .map(|priority| Priority {
                    priority: *priority,
                    endpoints: Vec::new(),
                    table: tables.of(*priority),
                })
                .collect(),
        };
        let mut places = Vec::with_capacity(endpoints.len());
        for (endpoint, member) in endpoints.iter().zip(&membership.members) {
            let found = ground.priorities.binary_search_by_key(&member.priority, |on| on.priority);
            let priority = found.unwrap_or_default();
            let on = &mut ground.priorities[priority];
            places.push(Place { priority: priority as u32, origin: on.endpoints.len() as u32 });
            on.endpoints.push(Rc::clone(endpoint));
        }
        let by_id = endpoints.iter().enumerate().map(|(position, one)| (one.id(), position)).collect();
        let mut ascending = places.clone();
        ascending.sort_unstable();
        let tiers = Tiers::new(&rules, &ground, &ascending, true);
        State { membership, endpoints, by_id, places, ground, rules, tiers, subsets: Subsets::default() }
    }

    /// Somebody has another condition or weight.
    fn change(&mut self, position: usize, member: &Arc<Member>) {
        self.endpoints[position].update(member);
        let place = self.places[position];
        self.tiers.changed(place);
        self.subsets.changed(place);
    }
}

/// What is known of an endpoint before it is known what the tiers make of it.
fn candidate(endpoint: &EndpointState, wanted: &Wanted<'_>) -> Candidate {
    let member = endpoint.member();
    Candidate {
        id: endpoint.id(),
        label: endpoint.label.clone(),
        condition: endpoint.condition(),
        reason: Arc::clone(&member.reason),
        weight: endpoint.weight(),
        part: 100,
        priority: member.priority,
        tier: None,
        portion: 0,
        panics: false,
        running: endpoint.running(),
        was_tried: wanted.tried.contains(endpoint.id()),
        is_full: !endpoint.has_room(),
        score: None,
        is_chosen: false,
    }
}
