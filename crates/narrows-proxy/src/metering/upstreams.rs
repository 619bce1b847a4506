//! The metrics of upstreams and their endpoints: what the control plane and all workers share of them.

use crate::configuration::Configuration;
use narrows_control::Memberships;
use narrows_observe::metrics::{Family, Kind};
use narrows_plan::Upstream;
use narrows_upstream::{BreakerState, Member, Totals, UpstreamLoad, UpstreamTotals};

/// Reads a number of an upstream.
type OfUpstream = fn(&UpstreamTotals, &UpstreamLoad) -> f64;
/// Reads a number of an endpoint.
type OfEndpoint = fn(&Totals, &Member) -> f64;

const UPSTREAM: [(&str, Kind, &str, OfUpstream); 12] = [
    ("narrows_upstream_retries", Kind::Counter, "Attempts after the first one.", |totals, _| {
        totals.retries as f64
    }),
    (
        "narrows_upstream_retries_denied",
        Kind::Counter,
        "Further attempts that the budget or a limit did not allow.",
        |totals, _| totals.retries_denied as f64,
    ),
    ("narrows_upstream_hedges", Kind::Counter, "Attempts beside another one.", |totals, _| {
        totals.hedges as f64
    }),
    ("narrows_upstream_hedges_won", Kind::Counter, "Those of them whose answer was taken.", |totals, _| {
        totals.hedges_won as f64
    }),
    (
        "narrows_upstream_mirrors_answered",
        Kind::Counter,
        "Copies of other upstreams' requests that were answered here.",
        |totals, _| totals.mirrors_answered as f64,
    ),
    ("narrows_upstream_mirrors_failed", Kind::Counter, "Copies that were not.", |totals, _| {
        totals.mirrors_failed as f64
    }),
    (
        "narrows_upstream_mirrors_skipped",
        Kind::Counter,
        "Requests that were chosen to be copied and were not.",
        |totals, _| totals.mirrors_skipped as f64,
    ),
    ("narrows_upstream_requests_waiting", Kind::Gauge, "Requests and flows in the queue.", |_, load| {
        load.queue.waiting() as f64
    }),
    ("narrows_upstream_queued", Kind::Counter, "Requests and flows that have waited.", |_, load| {
        load.queue.totals().0 as f64
    }),
    (
        "narrows_upstream_queue_full",
        Kind::Counter,
        "Requests and flows that found the queue full, or that might not wait.",
        |_, load| load.queue.totals().1 as f64,
    ),
    (
        "narrows_upstream_queue_timed_out",
        Kind::Counter,
        "Requests and flows that waited in vain.",
        |_, load| load.queue.totals().2 as f64,
    ),
    (
        "narrows_upstream_overloaded",
        Kind::Counter,
        "Requests that a limit of the whole upstream refused.",
        |totals, _| totals.overloaded as f64,
    ),
];

const ENDPOINT: [(&str, Kind, &str, OfEndpoint); 10] = [
    (
        "narrows_endpoint_requests",
        Kind::Counter,
        "Attempts, flows or sessions that began there.",
        |totals, _| totals.requests as f64,
    ),
    ("narrows_endpoint_requests_running", Kind::Gauge, "Requests, flows or sessions there.", |totals, _| {
        totals.running as f64
    }),
    ("narrows_endpoint_connections_open", Kind::Gauge, "Connections, idle ones included.", |totals, _| {
        totals.connections as f64
    }),
    (
        "narrows_endpoint_connect_failures",
        Kind::Counter,
        "Attempts that found no connection.",
        |totals, _| totals.connect_failures as f64,
    ),
    (
        "narrows_endpoint_resets",
        Kind::Counter,
        "Attempts whose connection broke before an answer.",
        |totals, _| totals.resets as f64,
    ),
    ("narrows_endpoint_timeouts", Kind::Counter, "Attempts without an answer in time.", |totals, _| {
        totals.timeouts as f64
    }),
    (
        "narrows_endpoint_bad_statuses",
        Kind::Counter,
        "Attempts answered with a status that is a failure.",
        |totals, _| totals.bad_statuses as f64,
    ),
    ("narrows_endpoint_failures_in_a_row", Kind::Gauge, "Failures since the last success.", |_, member| {
        f64::from(member.load.failures())
    }),
    ("narrows_endpoint_ejections", Kind::Counter, "How often its traffic took it out.", |_, member| {
        member.load.ejections() as f64
    }),
    ("narrows_endpoint_weight", Kind::Gauge, "The weight as it is used.", |_, member| {
        f64::from(member.weight)
    }),
];

/// The families of upstreams and endpoints. Endpoints beyond `metrics.series` are left out.
pub(super) fn families(configuration: &Configuration, memberships: &Memberships) -> Vec<Family> {
    let plan = &configuration.plan;
    let of_upstreams = plan.upstreams.iter().zip(configuration.prepared.loads.iter());
    let mut families = of_loads(of_upstreams.map(|(upstream, load)| (&**upstream, &**load)));
    let mut left = if plan.metrics.endpoints { plan.metrics.series } else { 0 };
    let mut of_endpoints: Vec<_> =
        ENDPOINT.iter().map(|(name, kind, help, _)| Family::new(name, *kind, help)).collect();
    let mut states =
        Family::new("narrows_endpoint_state", Kind::Gauge, "1 for the condition that the endpoint is in.");
    for (upstream, key) in plan.upstreams.iter().zip(configuration.prepared.keys.iter()) {
        let Ok(place) = memberships.binary_search_by_key(key, |(known, _)| *known) else { continue };
        for member in memberships[place].1.members.iter().take(left) {
            left -= 1;
            let labels = [("upstream", &*upstream.name), ("endpoint", &*member.label)];
            let totals = member.load.tally.totals();
            for (family, (.., read)) in of_endpoints.iter_mut().zip(&ENDPOINT) {
                family.add(&labels, read(&totals, member));
            }
            states.add(&[labels[0], labels[1], ("state", member.condition.name())], 1.0);
        }
    }
    families.extend(of_endpoints);
    families.push(states);
    families
}

fn of_loads<'a>(loads: impl Iterator<Item = (&'a Upstream, &'a UpstreamLoad)>) -> Vec<Family> {
    let mut families: Vec<_> =
        UPSTREAM.iter().map(|(name, kind, help, _)| Family::new(name, *kind, help)).collect();
    let mut state =
        Family::new("narrows_upstream_breaker_state", Kind::Gauge, "1 for the state that the breaker is in.");
    let mut opened =
        Family::new("narrows_upstream_breaker_opened", Kind::Counter, "How often the breaker opened.");
    let mut refused = Family::new(
        "narrows_upstream_breaker_refused",
        Kind::Counter,
        "Requests that an open breaker refused.",
    );
    for (upstream, load) in loads {
        let labels = [("upstream", &*upstream.name)];
        let totals = load.totals();
        for (family, (.., read)) in families.iter_mut().zip(&UPSTREAM) {
            family.add(&labels, read(&totals, load));
        }
        if let Some(breaker) = &load.breaker {
            for one in [BreakerState::Closed, BreakerState::Open, BreakerState::HalfOpen] {
                let is_it = if breaker.state() == one { 1.0 } else { 0.0 };
                state.add(&[labels[0], ("state", one.name())], is_it);
            }
            opened.add(&labels, breaker.opened() as f64);
            refused.add(&labels, totals.breaker_refused as f64);
        }
    }
    families.extend([state, opened, refused]);
    families
}
