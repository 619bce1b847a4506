//! Who belongs to an upstream and how everybody is: what the control plane tells all workers.

use crate::load::Load;
use crate::table::{Tables, are_alike};
use narrows_plan::{Address, AdminState, Balance, Endpoint, EndpointLimits, Upstream};
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// One upstream in this process, over all its configurations: one of the same name has the same key. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UpstreamKey(pub u32);

/// One endpoint in this process, from its discovery to its removal. Never used again for another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EndpointId(pub u64);

/// The endpoints of an upstream at one moment. Immutable: a change is a new one, in which members that did not change are the same `Arc`.
#[derive(Debug, Default)]
pub struct Membership {
    /// In the order of the configuration; addresses of one name in ascending order.
    pub members: Vec<Arc<Member>>,
    /// What hash methods look keys up in, made by whoever needs it first.
    tables: OnceLock<Arc<Tables>>,
}

impl Membership {
    /// A membership of these endpoints, in the order of the configuration.
    pub fn new(members: Vec<Arc<Member>>) -> Self {
        Membership { members, tables: OnceLock::new() }
    }

    /// The endpoints of an upstream as they are written, those that are named only excepted: nobody has looked for them. For who asks what would be.
    pub fn configured(upstream: &Upstream) -> Self {
        let members = upstream.endpoints.iter().zip(1..);
        Membership::new(
            members.filter_map(|(endpoint, id)| Member::configured(endpoint, EndpointId(id))).collect(),
        )
    }

    /// Makes what the workers need to choose by `method`, or takes it over from the membership before when only conditions have changed. Large
    /// hash tables take milliseconds: who publishes a membership does this first, so that no worker has to.
    pub fn prepare(&self, method: Balance, before: &Membership) {
        match before.tables.get() {
            Some(tables) if are_alike(self, before) => drop(self.tables.set(Arc::clone(tables))),
            _ => drop(self.tables(method)),
        }
    }

    /// The tables of a hash method; none for other methods.
    pub(crate) fn tables(&self, method: Balance) -> Arc<Tables> {
        Arc::clone(self.tables.get_or_init(|| Arc::new(Tables::new(method, self))))
    }
}

/// One endpoint as everybody in the process knows it.
#[derive(Debug, Clone)]
pub struct Member {
    /// Stays while the endpoint is a member.
    pub id: EndpointId,
    /// Where it is: a socket address or a Unix socket, never a name.
    pub address: Address,
    /// The address as text, for logs, errors and hashing.
    pub label: Box<str>,
    /// Name or address as it is written, for TLS and `Host`.
    pub server_name: Box<str>,
    /// Share of the traffic; 0 gets only what sticks to it.
    pub weight: u32,
    /// 0 goes first.
    pub priority: u32,
    /// Where it stands.
    pub zone: Option<Box<str>>,
    /// What routes may ask for, by name.
    pub labels: Box<[(Box<str>, Box<str>)]>,
    /// What it is given at most, over all workers.
    pub limits: EndpointLimits,
    /// What runs there; the same in each renewal.
    pub load: Arc<Load>,
    /// Whether it is taken.
    pub condition: Condition,
    /// Why it is in this condition, for people: `3 checks failed: connection refused`.
    pub reason: Arc<str>,
    /// When it became so.
    pub since: Instant,
    /// When it came back from being down or ejected, for slow start; `None` when it was always up.
    pub returned: Option<Instant>,
}

impl Member {
    /// An endpoint that is up and in which everything but its place is the default.
    pub fn new(id: EndpointId, address: Address) -> Self {
        let server_name = match &address {
            Address::Socket(address) => address.ip().to_string(),
            other => other.to_string(),
        };
        Member {
            id,
            label: address.to_string().into(),
            address,
            server_name: server_name.into(),
            weight: 1,
            priority: 0,
            zone: None,
            labels: Box::default(),
            limits: EndpointLimits::default(),
            load: Arc::default(),
            condition: Condition::Up,
            reason: "".into(),
            since: Instant::now(),
            returned: None,
        }
    }

    /// An endpoint as it is written; `None` when it is named only.
    fn configured(endpoint: &Endpoint, id: EndpointId) -> Option<Arc<Self>> {
        let server_name = match &endpoint.address {
            Address::Socket(address) => address.ip().to_string().into(),
            Address::Unix(_) => "localhost".into(),
            Address::Name(..) | Address::Service(_) => return None,
        };
        let condition = match endpoint.state {
            AdminState::Ready => Condition::Up,
            AdminState::Drain => Condition::Drain,
            AdminState::Maintenance => Condition::Maintenance,
        };
        let made = Member::new(id, endpoint.address.clone());
        Some(Arc::new(Member {
            server_name,
            weight: endpoint.weight,
            priority: endpoint.priority,
            zone: endpoint.zone.clone(),
            labels: endpoint.labels.clone(),
            limits: endpoint.limits,
            condition,
            reason: "configured".into(),
            ..made
        }))
    }
}

/// Whether an endpoint is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Condition {
    /// It takes traffic.
    Up,
    /// It takes what sticks to it and what runs there, nothing new.
    Drain,
    /// Its traffic failed: it is taken only when nothing else is left.
    Ejected,
    /// Its health check failed.
    Down,
    /// The operator has taken it out.
    Maintenance,
}

impl Condition {
    /// Whether new traffic goes there.
    pub fn takes_new(self) -> bool {
        self == Condition::Up
    }

    /// Whether traffic that sticks there may go there.
    pub fn takes_sticky(self) -> bool {
        matches!(self, Condition::Up | Condition::Drain)
    }

    /// The word in logs, metrics and the admin API.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Up => "up",
            Condition::Drain => "drain",
            Condition::Ejected => "ejected",
            Condition::Down => "down",
            Condition::Maintenance => "maintenance",
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
