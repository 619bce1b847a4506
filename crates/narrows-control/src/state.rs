//! The state of upstreams and endpoints as data: what `status` routes tell, and what the admin API tells.

use crate::roster::{Entry, Roster};
use narrows_plan::{AdminState, Upstream};
use narrows_upstream::{Totals, UpstreamLoad};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An upstream with its endpoints. Counters count from the start of the process, as of about a second ago.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UpstreamState {
    /// Its name.
    pub upstream: String,
    /// Attempts after the first one.
    pub retries_total: u64,
    /// Further attempts that the budget or a limit did not allow.
    pub retries_denied_total: u64,
    /// Attempts beside another one.
    pub hedges_total: u64,
    /// Those of them whose answer was taken.
    pub hedges_won_total: u64,
    /// Copies of other upstreams' requests that were answered here.
    pub mirrors_answered_total: u64,
    /// Copies that were not.
    pub mirrors_failed_total: u64,
    /// Requests that were chosen and not copied.
    pub mirrors_skipped_total: u64,
    /// Requests and flows in the queue now.
    pub requests_waiting: usize,
    /// Requests and flows that have waited.
    pub queued_total: u64,
    /// Requests and flows that found the queue full, or that might not wait.
    pub queue_full_total: u64,
    /// Requests and flows that waited in vain.
    pub queue_timed_out_total: u64,
    /// Requests that a limit of the whole upstream refused.
    pub overloaded_total: u64,
    /// The breaker, where there is one: `closed`, `open` or `half-open`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<String>,
    /// How often the breaker opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_opened_total: Option<u64>,
    /// Requests that the breaker refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_refused_total: Option<u64>,
    /// Its endpoints.
    pub endpoints: Vec<EndpointState>,
}

/// An endpoint. Counters count from when it came, as of about a second ago.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EndpointState {
    /// Its label: the address.
    pub endpoint: String,
    /// Its condition: `up`, `drain`, `ejected`, `down` or `maintenance`.
    pub state: String,
    /// Why, for people.
    pub reason: String,
    /// For how long.
    pub for_seconds: u64,
    /// The weight as it is used.
    pub weight: u32,
    /// The priority; 0 goes first.
    pub priority: u32,
    /// Requests, flows or sessions there now.
    pub requests_running: u64,
    /// Attempts, flows or sessions that were begun there.
    pub requests_total: u64,
    /// Open connections, idle ones included.
    pub connections_open: u64,
    /// Attempts that found no connection.
    pub connect_failures_total: u64,
    /// Attempts whose connection broke before an answer.
    pub resets_total: u64,
    /// Attempts without an answer in time.
    pub timeouts_total: u64,
    /// Attempts answered with a status that is a failure.
    pub bad_statuses_total: u64,
    /// Failures since the last success.
    pub failures_in_a_row: u32,
    /// How often its traffic took it out.
    pub ejections_total: u64,
    /// What its health checks say, where it has them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<HealthState>,
    /// What its agent says, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentState>,
    /// What the operator ordered since, in place of what the configuration says.
    #[serde(default, skip_serializing_if = "OrderedState::is_nothing")]
    pub ordered: OrderedState,
    /// Whether the operator added it while the process runs: it is gone with a restart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub added: bool,
}

/// What the operator ordered of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OrderedState {
    /// The state: `ready`, `drain` or `maintenance`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight: Option<u32>,
}

impl OrderedState {
    fn is_nothing(&self) -> bool {
        *self == OrderedState::default()
    }
}

/// What health checks say of an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HealthState {
    /// The kind of check.
    pub kind: String,
    /// Checks that passed.
    pub passed_total: u64,
    /// Checks that failed.
    pub failed_total: u64,
    /// The last results of one kind.
    pub in_a_row: u32,
    /// The last check; null before the first.
    pub last: Option<LastCheck>,
}

/// A health check that is over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct LastCheck {
    /// `passed`, or why it failed.
    pub result: String,
    /// How long it took.
    pub milliseconds: f64,
}

/// What an agent says of its endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AgentState {
    /// Answers that were understood.
    pub answers_total: u64,
    /// Questions without one.
    pub failures_total: u64,
    /// The weight that it asks for, per cent of the configured one.
    pub weight_per_cent: Option<u32>,
    /// The most connections that it asks for.
    pub connections: Option<u32>,
    /// The last answer; null before the first.
    pub last: Option<LastAnswer>,
}

/// What came of a question to an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LastAnswer {
    /// It said this.
    Answer(String),
    /// It said nothing that is understood.
    Failure(String),
}

/// The state of an upstream.
pub(crate) fn of_upstream(upstream: &Upstream, roster: &Roster, load: &UpstreamLoad) -> UpstreamState {
    let totals = load.totals();
    let (queued, full, timed_out) = load.queue.totals();
    let breaker = load.breaker.as_ref();
    UpstreamState {
        upstream: upstream.name.to_string(),
        retries_total: totals.retries,
        retries_denied_total: totals.retries_denied,
        hedges_total: totals.hedges,
        hedges_won_total: totals.hedges_won,
        mirrors_answered_total: totals.mirrors_answered,
        mirrors_failed_total: totals.mirrors_failed,
        mirrors_skipped_total: totals.mirrors_skipped,
        requests_waiting: load.queue.waiting(),
        queued_total: queued,
        queue_full_total: full,
        queue_timed_out_total: timed_out,
        overloaded_total: totals.overloaded,
        breaker: breaker.map(|breaker| breaker.state().name().to_owned()),
        breaker_opened_total: breaker.map(|breaker| breaker.opened()),
        breaker_refused_total: breaker.map(|_| totals.breaker_refused),
        endpoints: roster.entries.iter().map(|entry| of_endpoint(upstream, entry)).collect(),
    }
}

/// The state of an endpoint.
pub(crate) fn of_endpoint(upstream: &Upstream, entry: &Entry) -> EndpointState {
    let member = &entry.member;
    let Totals { requests, connect_failures, resets, timeouts, bad_statuses, running, connections } =
        member.load.tally.totals();
    EndpointState {
        endpoint: member.label.to_string(),
        state: member.condition.name().to_owned(),
        reason: member.reason.to_string(),
        for_seconds: member.since.elapsed().as_secs(),
        weight: member.weight,
        priority: member.priority,
        requests_running: running,
        requests_total: requests,
        connections_open: connections,
        connect_failures_total: connect_failures,
        resets_total: resets,
        timeouts_total: timeouts,
        bad_statuses_total: bad_statuses,
        failures_in_a_row: member.load.failures(),
        ejections_total: entry.passive.ejections(),
        health: (entry.health.as_ref())
            .zip(upstream.health.as_ref())
            .map(|(health, check)| health.describe(check.kind.name())),
        agent: entry.agent.as_ref().map(|agent| agent.describe()),
        ordered: OrderedState {
            state: entry.ordered.state.map(AdminState::name).map(str::to_owned),
            weight: entry.ordered.weight,
        },
        added: entry.found.is_added,
    }
}
