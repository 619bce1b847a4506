//! The endpoints of one upstream: where each came from, how it is, and what that makes of it.

use crate::keeper::Order;
use crate::outliers::{Judged, Outliers, Passive};
use narrows_plan::{Address, AdminState, EndpointLimits, Upstream};
use narrows_upstream::{BreakerChange, Condition, EndpointId, Member, Membership, Report};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

/// An endpoint as discovery found it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Found {
    /// Where it is: a socket address or a Unix socket.
    pub(crate) address: Address,
    /// Name or address as it is written, for TLS and `Host`.
    pub(crate) server_name: Box<str>,
    /// Share of the traffic.
    pub(crate) weight: u32,
    /// 0 goes first.
    pub(crate) priority: u32,
    /// Where it stands.
    pub(crate) zone: Option<Box<str>>,
    /// What routes may ask for.
    pub(crate) labels: Box<[(Box<str>, Box<str>)]>,
    /// What it is meant to do.
    pub(crate) state: AdminState,
    /// What it is given at most.
    pub(crate) limits: EndpointLimits,
}

/// What a new answer of discovery changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Change {
    /// Endpoints that came.
    pub(crate) added: Vec<EndpointId>,
    /// Endpoints that left.
    pub(crate) removed: Vec<EndpointId>,
}

/// The endpoints of one upstream.
#[derive(Debug)]
pub(crate) struct Roster {
    /// In the order of the sources; within a source in the order in which they were found.
    pub(crate) entries: Vec<Entry>,
    /// Where each endpoint stands in `entries`.
    places: HashMap<EndpointId, usize>,
    outliers: Option<Outliers>,
    /// Whether an endpoint has something that time changes.
    is_restless: bool,
    is_changed: bool,
    news: Vec<String>,
}

/// One endpoint: all that is known of it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its identity.
    pub(crate) id: EndpointId,
    /// Which source of the upstream it came from.
    pub(crate) source: usize,
    /// What discovery said.
    pub(crate) found: Found,
    /// What the operator ordered since.
    pub(crate) ordered: Ordered,
    /// What its traffic says.
    pub(crate) passive: Passive,
    /// What was told last.
    pub(crate) member: Arc<Member>,
}

/// What the operator ordered.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Ordered {
    pub(crate) state: Option<AdminState>,
    pub(crate) weight: Option<u32>,
}

impl Roster {
    pub(crate) fn new(upstream: &Upstream) -> Self {
        let outliers = upstream.passive.clone().map(|rules| Outliers::new(rules, Instant::now()));
        Roster { entries: Vec::new(), places: HashMap::new(), outliers, is_restless: false, is_changed: true, news: Vec::new() }
    }

    /// Takes over what a source has now. An endpoint that is known by its address, name and source stays who it is.
    pub(crate) fn set_source(
        &mut self,
        source: usize,
        found: Vec<Found>,
        mut next_id: impl FnMut() -> EndpointId,
    ) -> Change {
        let mut change = Change::default();
        let mut before = Vec::new();
        let mut others = Vec::new();
        for entry in std::mem::take(&mut self.entries) {
            if entry.source == source { before.push(entry) } else { others.push(entry) }
        }
        let mut now: Vec<Entry> = Vec::new();
        for found in found {
            let is_same = |entry: &Entry| {
                entry.found.address == found.address && entry.found.server_name == found.server_name
            };
            if now.iter().any(&is_same) {
                continue;
            }
            match before.iter().position(is_same) {
                Some(position) => {
                    let mut entry = before.swap_remove(position);
                    entry.found = found;
                    now.push(entry);
                }
                None => {
                    let entry = Entry::new(next_id(), source, found);
                    change.added.push(entry.id);
                    now.push(entry);
                }
            }
        }
        change.removed.extend(before.iter().map(|entry| entry.id));
        self.is_changed |= change != Change::default();
        let later = others.iter().position(|entry| entry.source > source).unwrap_or(others.len());
        others.splice(later..later, now);
        self.entries = others;
        self.places = self.entries.iter().enumerate().map(|(place, entry)| (entry.id, place)).collect();
        self.refresh(Instant::now());
        change
    }

    /// The endpoint of that identity.
    pub(crate) fn entry(&mut self, id: EndpointId) -> Option<&mut Entry> {
        let place = *self.places.get(&id)?;
        self.entries.get_mut(place)
    }

    /// What passes with time.
    pub(crate) fn tick(&mut self, now: Instant) {
        let Some(outliers) = &mut self.outliers else { return };
        if !self.is_restless && !outliers.is_due(now) {
            return;
        }
        let loads: Vec<_> = self.entries.iter().map(|entry| Arc::clone(&entry.member.load)).collect();
        let in_service = |entry: &&mut Entry| entry.member.condition != Condition::Maintenance;
        let (places, mut judged): (Vec<usize>, Vec<Judged<'_>>) = self
            .entries
            .iter_mut()
            .enumerate()
            .filter(|(_, entry)| in_service(&entry))
            .map(|(place, entry)| {
                let is_up = entry.member.condition == Condition::Up;
                (place, Judged { passive: &mut entry.passive, failures: loads[place].failures(), is_up })
            })
            .unzip();
        let changed = outliers.judge(now, &mut judged, |index| loads[places[index]].forget_failures());
        self.is_restless = self.entries.iter().any(|entry| entry.passive.is_restless());
        if changed {
            self.refresh(now);
        }
    }

    /// A worker has noticed something.
    pub(crate) fn hear(&mut self, report: Report, now: Instant) {
        match report {
            Report::Failed { endpoint, failure, .. } => {
                if let Some(entry) = self.entry(endpoint) {
                    entry.passive.failed(failure);
                    let (failures, condition) = (entry.member.load.failures(), entry.member.condition);
                    self.is_restless = true;
                    let is_too_many = self.outliers.as_ref().is_some_and(|one| one.is_too_many(failures));
                    // The next request should not go there any more.
                    if is_too_many && condition == Condition::Up {
                        self.tick(now);
                    }
                }
            }
            Report::Recovered { endpoint, .. } => {
                if let Some(entry) = self.entry(endpoint) {
                    entry.passive.recovered();
                }
            }
            Report::Seen { endpoint, seen, .. } => {
                if let Some(entry) = self.entry(endpoint) {
                    entry.passive.saw(seen);
                }
            }
            Report::Breaker { change, .. } => self.news.push(news_of(change)),
        }
    }

    /// The operator has ordered something.
    pub(crate) fn obey(&mut self, order: &Order, now: Instant) {
        let (Order::State { endpoint, .. } | Order::Weight { endpoint, .. }) = order;
        for entry in self.entries.iter_mut().filter(|entry| entry.member.label == *endpoint) {
            match order {
                Order::State { state, .. } => entry.ordered.state = Some(*state),
                Order::Weight { weight, .. } => entry.ordered.weight = *weight,
            }
        }
        self.refresh(now);
    }

    /// Finds out whose condition or weight has changed. To be called after each change of an entry.
    pub(crate) fn refresh(&mut self, now: Instant) {
        for entry in &mut self.entries {
            let before = entry.member.condition;
            if entry.refresh(now) {
                self.is_changed = true;
                let Member { condition, reason, label, .. } = &*entry.member;
                if *condition != before {
                    let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
                    self.news.push(format!("endpoint {label} is {condition}{because}"));
                }
            }
        }
    }

    /// The membership to tell the workers, when it has changed since the last one.
    pub(crate) fn renewed(&mut self) -> Option<Membership> {
        std::mem::take(&mut self.is_changed)
            .then(|| Membership::new(self.entries.iter().map(|entry| Arc::clone(&entry.member)).collect()))
    }

    /// Lines for the operator since the last time.
    pub(crate) fn news(&mut self) -> Vec<String> {
        std::mem::take(&mut self.news)
    }
}

impl Entry {
    fn new(id: EndpointId, source: usize, found: Found) -> Self {
        let ordered = Ordered::default();
        let passive = Passive::default();
        let (condition, reason) = judge(&found, ordered, &passive);
        let member = Member {
            id,
            address: found.address.clone(),
            label: found.address.to_string().into(),
            server_name: found.server_name.clone(),
            weight: found.weight,
            priority: found.priority,
            zone: found.zone.clone(),
            labels: found.labels.clone(),
            limits: found.limits,
            load: Arc::default(),
            condition,
            reason,
            since: Instant::now(),
            returned: None,
        };
        Entry { id, source, found, ordered, passive, member: Arc::new(member) }
    }

    /// Makes a new member when something that workers know has changed; says whether.
    fn refresh(&mut self, now: Instant) -> bool {
        let (condition, reason) = judge(&self.found, self.ordered, &self.passive);
        let Found { priority, zone, labels, limits, .. } = self.found.clone();
        let weight = self.ordered.weight.unwrap_or(self.found.weight);
        let old = &*self.member;
        let is_same = old.condition == condition
            && old.reason == reason
            && old.weight == weight
            && old.priority == priority
            && old.zone == zone
            && old.labels == labels
            && old.limits == limits;
        if is_same {
            return false;
        }
        let (mut since, mut returned) = (old.since, old.returned);
        if old.condition != condition {
            since = now;
            let was_away =
                matches!(old.condition, Condition::Down | Condition::Ejected | Condition::Maintenance);
            returned = (was_away && condition == Condition::Up).then_some(now);
        }
        let renewed = Member {
            weight,
            priority,
            zone,
            labels,
            limits,
            condition,
            reason,
            since,
            returned,
            ..old.clone()
        };
        self.member = Arc::new(renewed);
        true
    }
}

/// What all that is known of an endpoint makes of it, and why.
fn judge(found: &Found, ordered: Ordered, passive: &Passive) -> (Condition, Arc<str>) {
    let (state, who) = match ordered.state {
        Some(state) => (state, "ordered"),
        None => (found.state, "configured"),
    };
    match state {
        AdminState::Maintenance => (Condition::Maintenance, who.into()),
        AdminState::Drain => (Condition::Drain, who.into()),
        AdminState::Ready => match passive.ejected() {
            Some(reason) => (Condition::Ejected, Arc::clone(reason)),
            None => (Condition::Up, "".into()),
        },
    }
}

/// What happened to a breaker, for the operator.
fn news_of(change: BreakerChange) -> String {
    match change {
        BreakerChange::Opened { failures, requests } => {
            format!("the breaker is open ({failures} of {requests} requests failed)")
        }
        BreakerChange::Reopened => "the breaker is open again (a probe failed)".to_owned(),
        BreakerChange::HalfOpened => "the breaker is half-open (probes go through)".to_owned(),
        BreakerChange::Closed => "the breaker is closed (all probes succeeded)".to_owned(),
    }
}
