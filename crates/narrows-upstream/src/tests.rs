//! Choosing endpoints, as one cluster does it.

mod candidates;
mod changes;
mod even;
mod full;
mod keyed;
mod simulation;
mod tiers;
mod times;

use crate::membership::UpstreamKey;
use crate::{
    Cluster, Condition, EndpointId, EndpointState, Member, Membership, Reporter, Running, Tried, Unavailable,
    Wanted,
};
use narrows_plan::{Address, Balance, Balancing, Origin, Upstream};
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// A client, for balancers that do not care.
const CLIENT: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

const ALL: [Balance; 9] = [
    Balance::RoundRobin,
    Balance::LeastRequest,
    Balance::LeastConnections,
    Balance::Random,
    Balance::PeakEwma,
    Balance::Hash,
    Balance::ConsistentHash,
    Balance::Ketama,
    Balance::Maglev,
];

/// A cluster and what its control plane would know.
pub(crate) struct Site {
    cluster: Cluster,
    pub(crate) members: Vec<Arc<Member>>,
    next_id: u64,
}

impl Site {
    pub(crate) fn new(balance: Balance, weights: &[u32]) -> Self {
        Site::with(Balancing { method: balance, ..Balancing::default() }, weights)
    }

    fn with(balancing: Balancing, weights: &[u32]) -> Self {
        Site::made(upstream(balancing), 0, weights)
    }

    fn made(upstream: Upstream, worker: usize, weights: &[u32]) -> Self {
        let (reporter, _) = Reporter::new();
        let cluster = Cluster::new(Arc::new(upstream), UpstreamKey(0), worker, None, reporter, Some("here"));
        let mut site = Site { cluster, members: Vec::new(), next_id: 0 };
        weights.iter().for_each(|weight| site.add(*weight));
        site.publish();
        site
    }

    /// Adds an endpoint; its identity is how many were added before.
    fn add(&mut self, weight: u32) {
        let id = self.next_id;
        self.next_id += 1;
        let ip = Ipv4Addr::from(0x0a01_0000 + id as u32);
        let address = Address::Socket((ip, 8080).into());
        self.members.push(Arc::new(Member { weight, ..Member::new(EndpointId(id), address) }));
    }

    /// Changes a member without telling the cluster yet.
    fn change(&mut self, id: u64, change: impl FnOnce(&mut Member)) {
        let position = self.members.iter().position(|member| member.id == EndpointId(id)).expect("a member");
        change(Arc::make_mut(&mut self.members[position]));
    }

    fn remove(&mut self, id: u64) {
        self.members.retain(|member| member.id != EndpointId(id));
        self.publish();
    }

    fn publish(&self) {
        self.cluster.update(&Arc::new(Membership::new(self.members.clone())));
    }

    /// Lets exactly these endpoints be full: nothing may run there.
    fn fill(&mut self, ids: impl IntoIterator<Item = u64>) {
        let full: Vec<EndpointId> = ids.into_iter().map(EndpointId).collect();
        for member in &mut self.members {
            let requests = full.contains(&member.id).then_some(0);
            Arc::make_mut(member).limits.requests = requests;
        }
        self.publish();
    }

    fn set(&mut self, id: u64, condition: Condition) {
        self.change(id, |member| member.condition = condition);
        self.publish();
    }

    fn pick(&self) -> u64 {
        self.pick_for(&Wanted::new(CLIENT, &Tried::default())).expect("an endpoint")
    }

    fn pick_for(&self, wanted: &Wanted<'_>) -> Result<u64, Unavailable> {
        self.cluster.pick(wanted).map(|endpoint| endpoint.id().0)
    }

    fn picks(&self, count: usize) -> Vec<u64> {
        (0..count).map(|_| self.pick()).collect()
    }

    /// Picks for a key.
    fn owner(&self, key: &str) -> u64 {
        self.pick_for(&Wanted::new(CLIENT, &Tried::default()).with_key(Some(key))).expect("an endpoint")
    }

    fn owners(&self, keys: usize) -> Vec<u64> {
        (0..keys).map(|key| self.owner(&format!("key-{key}"))).collect()
    }

    /// The endpoint of a site with one.
    pub(crate) fn only_endpoint(&self) -> Rc<EndpointState> {
        self.endpoint(self.pick())
    }

    fn endpoint(&self, id: u64) -> Rc<EndpointState> {
        self.cluster.endpoint(EndpointId(id)).expect("a member")
    }

    /// Picks and begins, as a request does.
    fn begin(&self) -> (u64, Running) {
        let id = self.pick();
        (id, self.endpoint(id).begin())
    }
}

fn upstream(balancing: Balancing) -> Upstream {
    Upstream { balancing, ..Upstream::new("test", Origin::default()) }
}

/// How often each identity below `length` comes.
fn counts(picks: &[u64], length: usize) -> Vec<usize> {
    let mut counts = vec![0; length];
    picks.iter().for_each(|pick| counts[*pick as usize] += 1);
    counts
}

/// The shares that weights stand for.
fn shares(weights: &[u32]) -> Vec<f64> {
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    weights.iter().map(|weight| f64::from(*weight) / total as f64).collect()
}
