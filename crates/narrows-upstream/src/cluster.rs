//! One upstream as one worker sees it.

use crate::budget::{Budget, RetryCounts};
use crate::endpoint::{EndpointState, Making, Need, Running};
use crate::gate::{Entered, Gate, Shed, ShedCause};
use crate::membership::{EndpointId, Membership};
use crate::queue::Ticket;
use crate::report::Reporter;
use crate::tiers::Tiers;
use crate::upstream_load::{RetryPlace, UpstreamCounts, UpstreamLoad};
use narrows_plan::{Balance, Upstream, UpstreamId};
use narrows_runtime::Tick;
use narrows_tls::Connector;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// One upstream as one worker sees it.
#[derive(Debug)]
pub struct Cluster {
    /// What is configured.
    pub upstream: Arc<Upstream>,
    /// What of its requests may be repeated.
    pub budget: Budget,
    making: Making,
    seed: usize,
    /// Where this process stands.
    zone: Option<Box<str>>,
    state: RefCell<State>,
    gate: Rc<Gate>,
    /// Whether an endpoint has a limit.
    is_limited: Cell<bool>,
    /// What this worker counts, beside what its budget does.
    pub counts: UpstreamCounts,
    /// What of the budget's counts was told.
    told: Cell<RetryCounts>,
}

/// What changes with the membership.
#[derive(Debug, Default)]
struct State {
    endpoints: Vec<Rc<EndpointState>>,
    tiers: Tiers,
}

/// What an endpoint is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whose traffic it is.
    pub client: IpAddr,
    /// What hash methods hash: the rendered key; `None` is the client's address.
    pub key: Option<&'a str>,
    /// Labels that it must have, and the values that it must have there; empty asks for none.
    pub subset: &'a [(&'a str, &'a str)],
    /// Endpoints that earlier attempts failed on.
    pub tried: &'a Tried,
}

impl<'a> Wanted<'a> {
    /// What a client wants when neither a key nor labels are asked for.
    pub fn new(client: IpAddr, tried: &'a Tried) -> Self {
        Wanted { client, key: None, subset: &[], tried }
    }

    /// The same with the rendered key of hash methods; `None` is the client's address.
    #[must_use]
    pub fn with_key(self, key: Option<&'a str>) -> Self {
        Wanted { key, ..self }
    }

    /// The same, of endpoints with these labels only.
    #[must_use]
    pub fn with_subset(self, subset: &'a [(&'a str, &'a str)]) -> Self {
        Wanted { subset, ..self }
    }
}

/// Why there is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// All were tried.
    Tried,
    /// Those that are available have no room.
    Full,
    /// None is available, or there is none at all.
    Down,
}

/// Endpoints that earlier attempts of the same request failed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried(Vec<EndpointId>);

impl Tried {
    /// Remembers an endpoint.
    pub fn add(&mut self, endpoint: EndpointId) {
        if !self.contains(endpoint) {
            self.0.push(endpoint);
        }
    }

    /// Whether an endpoint was tried.
    pub fn contains(&self, endpoint: EndpointId) -> bool {
        self.0.contains(&endpoint)
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Cluster {
    /// A cluster without endpoints. `seed` differs between workers; `connector` begins TLS where the upstream wants it;
    /// `zone` is where this process stands.
    pub fn new(
        upstream: Arc<Upstream>,
        id: UpstreamId,
        seed: usize,
        connector: Option<&Arc<Connector>>,
        reporter: Reporter,
        zone: Option<&str>,
    ) -> Self {
        let shared = UpstreamLoad::new(&upstream);
        let gate = Gate::new(&upstream, id, &shared, &reporter);
        let making = Making {
            upstream: Arc::clone(&upstream),
            id,
            connector: connector.cloned(),
            reporter,
            shared,
            worker: seed,
        };
        Cluster {
            upstream,
            budget: Budget::default(),
            making,
            seed,
            zone: zone.map(Into::into),
            state: RefCell::default(),
            gate,
            is_limited: Cell::new(false),
            counts: UpstreamCounts::default(),
            told: Cell::default(),
        }
    }

    /// The same, sharing its limits, queue and breaker with the other workers. To be called before the first update.
    #[must_use]
    pub fn sharing(mut self, shared: &Arc<UpstreamLoad>) -> Self {
        self.gate = Gate::new(&self.upstream, self.making.id, shared, &self.making.reporter);
        self.making.shared = Arc::clone(shared);
        self
    }

    /// Takes over a membership. What runs on endpoints that left goes on; their idle connections close.
    pub fn update(&self, membership: &Membership) {
        let mut state = self.state.borrow_mut();
        let mut known: HashMap<EndpointId, Rc<EndpointState>> = std::mem::take(&mut state.endpoints)
            .into_iter()
            .map(|endpoint| (endpoint.id(), endpoint))
            .collect();
        state.endpoints = membership
            .members
            .iter()
            .map(|member| match known.remove(&member.id) {
                Some(endpoint) => {
                    endpoint.update(member);
                    endpoint
                }
                None => EndpointState::new(member, &self.making),
            })
            .collect();
        for gone in known.values() {
            gone.leave();
        }
        state.tiers = Tiers::new(&self.upstream, &state.endpoints, self.seed);
        self.is_limited.set(state.endpoints.iter().any(|endpoint| endpoint.is_limited()));
        drop(state);
        // Who waits may have somewhere to go now, or nowhere any more.
        self.making.shared.queue.stir();
    }

    /// Lets a request, flow or session of this upstream in, before an endpoint is chosen for it.
    ///
    /// # Errors
    /// When the breaker is open, or the upstream runs as many as it may.
    pub fn enter(&self) -> Result<Entered, Shed> {
        self.gate.enter()
    }

    /// The endpoint for the next attempt, with a place there. `Err(Full)` also when others wait for one: then [`wait`](Cluster::wait).
    ///
    /// # Errors
    /// Why there is none.
    pub fn reserve(
        &self,
        wanted: &Wanted<'_>,
        need: Need,
    ) -> Result<(Rc<EndpointState>, Running), Unavailable> {
        if self.is_limited.get() && self.making.shared.queue.waiting() > 0 {
            return Err(Unavailable::Full);
        }
        self.reserve_in_turn(wanted, need)
    }

    /// The same for one who has waited and whose turn it is.
    ///
    /// # Errors
    /// Why there is none.
    pub fn reserve_in_turn(
        &self,
        wanted: &Wanted<'_>,
        need: Need,
    ) -> Result<(Rc<EndpointState>, Running), Unavailable> {
        let endpoint = self.pick(wanted)?;
        if let Some(running) = endpoint.try_begin(need) {
            return Ok((endpoint, running));
        }
        // Another worker was faster.
        let mut passed_over = wanted.tried.clone();
        passed_over.add(endpoint.id());
        loop {
            let wanted = Wanted { tried: &passed_over, ..*wanted };
            let endpoint = self.pick(&wanted).map_err(|_| Unavailable::Full)?;
            match endpoint.try_begin(need) {
                Some(running) => return Ok((endpoint, running)),
                None => passed_over.add(endpoint.id()),
            }
        }
    }

    /// Waits in the queue of the upstream, behind those of the same `priority`.
    ///
    /// # Errors
    /// When as many wait as may.
    pub fn wait(&self, priority: i32) -> Result<Ticket, Shed> {
        let queue = &self.making.shared.queue;
        let entered = queue.enter(priority, self.seed);
        entered.map_err(|_| Shed::new(ShedCause::QueueFull, queue.timeout()))
    }

    /// One has waited as long as may be.
    pub fn waited_in_vain(&self) -> Shed {
        let queue = &self.making.shared.queue;
        queue.note_timed_out();
        Shed::new(ShedCause::QueueTimedOut, queue.timeout())
    }

    /// A place for a retry, where the upstream limits them; `None` when all are taken.
    pub fn take_retry(&self) -> Option<RetryPlace> {
        self.making.shared.take_retry(self.upstream.limits.retries)
    }

    /// How many requests adaptive concurrency lets run on this worker, where it is used.
    pub fn concurrency(&self) -> Option<u32> {
        self.gate.limit()
    }

    /// What is done every tick: idle connections that keep a place at an endpoint which somebody waits for are given up.
    pub fn tick(&self) {
        if self.is_limited.get() && self.making.shared.queue.waiting() > 0 {
            // Apart from the borrow, because whoever is woken may look at the endpoints.
            let endpoints = self.state.borrow().endpoints.clone();
            endpoints.iter().for_each(|endpoint| endpoint.relieve());
        }
    }

    /// The endpoint for the next attempt.
    ///
    /// # Errors
    /// Why there is none.
    pub fn pick(&self, wanted: &Wanted<'_>) -> Result<Rc<EndpointState>, Unavailable> {
        self.state.borrow().tiers.pick(wanted)
    }

    /// The endpoint of that identity, while it is a member.
    pub fn endpoint(&self, id: EndpointId) -> Option<Rc<EndpointState>> {
        self.state.borrow().endpoints.iter().find(|endpoint| endpoint.id() == id).cloned()
    }

    /// How many endpoints there are, available or not.
    pub fn size(&self) -> usize {
        self.state.borrow().endpoints.len()
    }

    /// Whether there is one endpoint only.
    pub fn is_single(&self) -> bool {
        self.size() == 1
    }

    /// Whether [`EndpointState::succeeded`] should be told how long answers took.
    pub fn wants_times(&self) -> bool {
        let judges = self.upstream.passive.as_ref().is_some_and(|passive| passive.latency.is_some());
        judges || self.upstream.balancing.method == Balance::PeakEwma
    }

    /// Closes idle connections that have been idle or alive for too long, and tells what was seen of the endpoints.
    pub fn prune(&self, now: Tick) {
        for endpoint in &self.state.borrow().endpoints {
            endpoint.prune(now);
            endpoint.tell();
        }
        let now = self.budget.counts();
        self.making.shared.add(&self.counts, self.told.replace(now), now);
    }

    /// Closes every idle connection and says how many there were (descriptors ran out, or a drain began).
    pub fn shed(&self) -> usize {
        self.state.borrow().endpoints.iter().map(|endpoint| endpoint.shed()).sum()
    }
}
