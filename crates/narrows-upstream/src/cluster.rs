//! One upstream as one worker sees it.

use crate::admission::Admission;
use crate::budget::Budget;
use crate::endpoint::{EndpointState, Making};
use crate::membership::{EndpointId, Membership};
use crate::report::Reporter;
use crate::tiers::Tiers;
use crate::upstream_load::UpstreamLoad;
use narrows_plan::{Balance, Upstream, UpstreamId};
use narrows_runtime::Tick;
use narrows_tls::Connector;
use std::cell::RefCell;
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
    pub(crate) making: Making,
    seed: usize,
    /// Where this process stands.
    zone: Option<Box<str>>,
    state: RefCell<State>,
    /// What its requests pass before an endpoint is chosen.
    pub(crate) admission: Admission,
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
        let admission = Admission::new(&upstream, id, seed, &shared, &reporter);
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
            admission,
        }
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
        self.admission.changed(&state.endpoints);
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
        self.admission.tell(self.budget.counts());
    }

    pub(crate) fn each_endpoint(&self, mut visit: impl FnMut(&EndpointState)) {
        self.state.borrow().endpoints.iter().for_each(|endpoint| visit(endpoint));
    }

    /// Closes every idle connection and says how many there were (descriptors ran out, or a drain began).
    pub fn shed(&self) -> usize {
        self.state.borrow().endpoints.iter().map(|endpoint| endpoint.shed()).sum()
    }
}
