//! The endpoints of one upstream: where each came from, how it is, and what that makes of it.

mod sources;

use crate::agent::Agent;
use crate::health::{Health, Verdict};
use crate::outliers::{Judged, Outliers, Passive};
use narrows_plan::{Address, AdminState, EndpointLimits, StartState, Upstream};
use narrows_upstream::{BreakerChange, Condition, EndpointId, Member, Membership, Report};
use sources::Sources;
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
    /// Whether the operator added it.
    pub(crate) is_added: bool,
}

impl Found {
    /// What makes it the same endpoint as before.
    fn place(&self) -> (&Address, &str) {
        (&self.address, &self.server_name)
    }
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
    sources: Sources,
    /// Where each stands among the entries.
    positions: HashMap<EndpointId, usize>,
    checks: Checks,
    outliers: Option<Outliers>,
    /// Whether an endpoint has something that time changes.
    is_restless: bool,
    /// Whether so many attempts on an endpoint failed that its judgement need not wait for the next tick.
    is_due: bool,
    is_changed: bool,
    news: Vec<String>,
}

/// How the endpoints are checked.
#[derive(Debug, Clone, Copy)]
struct Checks {
    /// What holds before the first health check; `None` without checks.
    health: Option<StartState>,
    /// Whether agents are asked.
    agent: bool,
}

impl Checks {
    fn of(upstream: &Upstream) -> Self {
        Checks { health: upstream.health.as_ref().map(|check| check.start), agent: upstream.agent.is_some() }
    }
}

/// One endpoint: all that is known of it.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its identity.
    pub(crate) id: EndpointId,
    /// What discovery said.
    pub(crate) found: Found,
    /// What the operator ordered since.
    pub(crate) ordered: Ordered,
    /// What its traffic says.
    pub(crate) passive: Passive,
    /// What its checks have shown, where it is checked.
    pub(crate) health: Option<Health>,
    /// What its agent has said, where it has one.
    pub(crate) agent: Option<Agent>,
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
        let checks = Checks::of(upstream);
        Roster {
            entries: Vec::new(),
            sources: Sources::default(),
            positions: HashMap::new(),
            checks,
            outliers: upstream.passive.clone().map(|rules| Outliers::new(rules, Instant::now())),
            is_restless: false,
            is_due: false,
            is_changed: true,
            news: Vec::new(),
        }
    }

    /// Takes over another configuration. What was ordered and what checks have shown stays, where they still check.
    pub(crate) fn renew(&mut self, upstream: &Upstream, before: &Upstream, now: Instant) {
        let checks = Checks::of(upstream);
        for entry in &mut self.entries {
            entry.check_as(checks);
        }
        self.checks = checks;
        if upstream.passive != before.passive {
            self.outliers = upstream.passive.clone().map(|rules| Outliers::new(rules, now));
            if self.outliers.is_none() {
                self.entries.iter_mut().for_each(|entry| entry.passive = Passive::default());
            }
        }
        self.refresh(now);
    }

    /// Takes over what some sources have now. An endpoint is known by its address and name, whatever its source: it stays who it is when it moves from one to
    /// another, and what two sources have is one endpoint, with what the first of them says of it.
    pub(crate) fn set_sources(
        &mut self,
        renewed: impl IntoIterator<Item = (usize, Vec<Found>)>,
        mut next_id: impl FnMut() -> EndpointId,
    ) -> Change {
        let mut change = Change::default();
        if !self.sources.take(renewed) {
            return change;
        }
        let before = std::mem::take(&mut self.entries);
        let order: Vec<EndpointId> = before.iter().map(|entry| entry.id).collect();
        let merged = self.sources.merge(&before);
        let mut before: Vec<Option<Entry>> = before.into_iter().map(Some).collect();
        for (found, known) in merged {
            let found = found.clone();
            let entry = match known.and_then(|position| before[position].take()) {
                Some(entry) => Entry { found, ..entry },
                None => {
                    let entry = Entry::new(next_id(), found, self.checks);
                    change.added.push(entry.id);
                    entry
                }
            };
            self.entries.push(entry);
        }
        change.removed.extend(before.iter().flatten().map(|entry| entry.id));
        change.removed.sort_unstable();
        self.positions = self.entries.iter().map(|entry| entry.id).zip(0..).collect();
        self.is_changed |= !self.entries.iter().map(|entry| entry.id).eq(order);
        self.refresh(Instant::now());
        change
    }

    /// Takes over what one source has now.
    #[cfg(test)]
    pub(crate) fn set_source(
        &mut self,
        source: usize,
        found: Vec<Found>,
        next_id: impl FnMut() -> EndpointId,
    ) -> Change {
        self.set_sources([(source, found)], next_id)
    }

    /// The endpoint of that identity.
    pub(crate) fn entry(&mut self, id: EndpointId) -> Option<&mut Entry> {
        self.entries.get_mut(*self.positions.get(&id)?)
    }

    /// What passes with time.
    pub(crate) fn tick(&mut self, now: Instant) {
        self.is_due = false;
        let Some(outliers) = &mut self.outliers else { return };
        if !self.is_restless && !outliers.is_due(now) {
            return;
        }
        let loads: Vec<_> = self.entries.iter().map(|entry| Arc::clone(&entry.member.load)).collect();
        let in_service = |entry: &Entry| entry.member.condition != Condition::Maintenance;
        let (places, mut judged): (Vec<usize>, Vec<Judged<'_>>) = self
            .entries
            .iter_mut()
            .enumerate()
            .filter(|(_, entry)| in_service(entry))
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

    /// Judges the endpoints when what was heard since the last judgement asks for it.
    pub(crate) fn judge_if_due(&mut self, now: Instant) {
        if self.is_due {
            self.tick(now);
        }
    }

    /// A worker has noticed something. It is noted, not judged yet: there may be thousands more.
    pub(crate) fn hear(&mut self, report: Report) {
        match report {
            Report::Failed { endpoint, failure, .. } => {
                if let Some(entry) = self.entry(endpoint) {
                    entry.passive.failed(failure);
                    let (failures, condition) = (entry.member.load.failures(), entry.member.condition);
                    self.is_restless = true;
                    let is_too_many = self.outliers.as_ref().is_some_and(|one| one.is_too_many(failures));
                    // Further requests should not go there any more.
                    self.is_due |= is_too_many && condition == Condition::Up;
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

    /// The operator has ordered something of an endpoint, or takes it back.
    pub(crate) fn order(
        &mut self,
        label: &str,
        state: Option<Option<AdminState>>,
        weight: Option<Option<u32>>,
        now: Instant,
    ) {
        for entry in self.entries.iter_mut().filter(|entry| *entry.member.label == *label) {
            let Ordered { state: old_state, weight: old_weight } = entry.ordered;
            entry.ordered =
                Ordered { state: state.unwrap_or(old_state), weight: weight.unwrap_or(old_weight) };
        }
        self.refresh(now);
    }

    /// What a source has now.
    pub(crate) fn source(&self, source: usize) -> &[Found] {
        self.sources.of(source)
    }

    /// Finds out whose condition or weight has changed. To be called after each change of an entry.
    pub(crate) fn refresh(&mut self, now: Instant) {
        for place in 0..self.entries.len() {
            self.refresh_at(place, now);
        }
    }

    /// The same for one endpoint, when no other has changed.
    pub(crate) fn refresh_one(&mut self, id: EndpointId, now: Instant) {
        if let Some(place) = self.positions.get(&id) {
            self.refresh_at(*place, now);
        }
    }

    fn refresh_at(&mut self, place: usize, now: Instant) {
        let entry = &mut self.entries[place];
        let before = Arc::clone(&entry.member);
        if !entry.refresh(now) {
            return;
        }
        self.is_changed = true;
        let Member { condition, reason, label, .. } = &*entry.member;
        // Who stays down for another reason is news too: the first check of one that was waited for.
        let is_other_reason = *condition == Condition::Down && *reason != before.reason;
        if *condition != before.condition || is_other_reason {
            let because = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            self.news.push(format!("endpoint {label} is {condition}{because}"));
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
    fn new(id: EndpointId, found: Found, checks: Checks) -> Self {
        let ordered = Ordered::default();
        let health = checks.health.map(Health::new);
        let agent = checks.agent.then(Agent::default);
        let passive = Passive::default();
        let (condition, reason) = judge(&found, ordered, health.as_ref(), agent.as_ref(), &passive);
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
        Entry { id, found, ordered, health, agent, passive, member: Arc::new(member) }
    }

    /// It is checked in another way from now on. One that was not checked before is taken for well until a check says otherwise.
    fn check_as(&mut self, checks: Checks) {
        match (checks.health, &self.health) {
            (Some(_), None) => self.health = Some(Health::new(StartState::Up)),
            (None, Some(_)) => self.health = None,
            _ => {}
        }
        match (checks.agent, &self.agent) {
            (true, None) => self.agent = Some(Agent::default()),
            (false, Some(_)) => self.agent = None,
            _ => {}
        }
    }

    /// Whether it is taken out, and its checks rest.
    pub(crate) fn is_resting(&self) -> bool {
        intended(&self.found, self.ordered, self.agent.as_ref()).0 == AdminState::Maintenance
    }

    /// Makes a new member when something that workers know has changed; says whether.
    fn refresh(&mut self, now: Instant) -> bool {
        self.member.load.note_ejections(self.passive.ejections());
        let agent = self.agent.as_ref();
        let (condition, reason) =
            judge(&self.found, self.ordered, self.health.as_ref(), agent, &self.passive);
        let Found { priority, zone, labels, limits, weight, .. } = &self.found;
        let weight = agent.map_or(*weight, |agent| agent.weigh(*weight));
        let weight = self.ordered.weight.unwrap_or(weight);
        let mut limits = *limits;
        limits.connections = agent.and_then(Agent::connections).or(limits.connections);
        let old = &*self.member;
        let is_same = old.condition == condition
            && old.reason == reason
            && old.weight == weight
            && old.priority == *priority
            && old.zone == *zone
            && old.labels == *labels
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
            priority: *priority,
            zone: zone.clone(),
            labels: labels.clone(),
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
fn judge(
    found: &Found,
    ordered: Ordered,
    health: Option<&Health>,
    agent: Option<&Agent>,
    passive: &Passive,
) -> (Condition, Arc<str>) {
    let (state, who) = intended(found, ordered, agent);
    if state == AdminState::Maintenance {
        return (Condition::Maintenance, who);
    }
    if let Some(reason) = agent.and_then(Agent::down) {
        return (Condition::Down, Arc::clone(reason));
    }
    // Before draining: what sticks to an endpoint that is dead has to leave it too.
    if let Some(health) = health.filter(|health| health.verdict() != Verdict::Up) {
        return (Condition::Down, Arc::clone(health.reason()));
    }
    if state == AdminState::Drain {
        return (Condition::Drain, who);
    }
    if let Some(reason) = passive.ejected() {
        return (Condition::Ejected, Arc::clone(reason));
    }
    (Condition::Up, health.map_or_else(Arc::default, |health| Arc::clone(health.reason())))
}

/// What an endpoint is meant to do, and who means it: the operator above all; of the configuration and the agent the stricter one.
fn intended(found: &Found, ordered: Ordered, agent: Option<&Agent>) -> (AdminState, Arc<str>) {
    if let Some(state) = ordered.state {
        return (state, "ordered".into());
    }
    match (found.state, agent.and_then(Agent::state)) {
        (AdminState::Ready, Some((state, reason))) => (*state, Arc::clone(reason)),
        (AdminState::Drain, Some((AdminState::Maintenance, reason))) => {
            (AdminState::Maintenance, Arc::clone(reason))
        }
        (configured, _) => (configured, "configured".into()),
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

#[cfg(test)]
mod tests;
