//! The state of all upstreams, for people and programs.
//!
//! Counters end in `_total`, count from the start of the process and are as of about a second ago; with thousands of endpoints longer ago, because
//! describing them takes 1 % of the time of a core at most. The names are those of the metrics, which
//! begin with `narrows_upstream_` and `narrows_endpoint_`.
//!
//! | of an upstream | |
//! |---|---|
//! | `retries_total` | attempts after the first one |
//! | `retries_denied_total` | further attempts that the budget or a limit did not allow |
//! | `hedges_total` | attempts beside another one |
//! | `hedges_won_total` | those whose answer was taken |
//! | `mirrors_answered_total` | copies of other upstreams' requests that were answered here |
//! | `mirrors_failed_total` | those that were not |
//! | `mirrors_skipped_total` | requests that were chosen and not copied |
//! | `requests_waiting` | requests and flows in the queue now |
//! | `queued_total` | those that have waited |
//! | `queue_full_total` | those that found the queue full, or that might not wait |
//! | `queue_timed_out_total` | those that waited in vain |
//! | `overloaded_total` | those that a limit of the whole upstream refused |
//! | `breaker` | `closed`, `open`, `half-open`; absent where there is none |
//! | `breaker_opened_total` | how often it opened |
//! | `breaker_refused_total` | requests that it refused |
//!
//! | of an endpoint | |
//! |---|---|
//! | `state`, `reason`, `for_seconds` | its condition, why, and for how long |
//! | `weight`, `priority` | as they are used |
//! | `requests_running` | requests, flows or sessions there now |
//! | `requests_total` | attempts, flows or sessions that were begun there |
//! | `connections_open` | idle ones included |
//! | `connect_failures_total` | attempts that found no connection |
//! | `resets_total` | attempts whose connection broke before an answer |
//! | `timeouts_total` | attempts without an answer in time |
//! | `bad_statuses_total` | attempts answered with a status that is a failure |
//! | `failures_in_a_row` | since the last success |
//! | `ejections_total` | how often its traffic took it out |
//! | `health`, `agent` | what its checks and its agent say, where it has them |

use crate::charge::Charge;
use crate::state::of_upstream;
use narrows_plan::{Action, Plan, Protocol};
use serde_json::json;
use std::rc::Rc;
use std::sync::Arc;

/// Whether a route tells the state.
pub(crate) fn is_wanted(plan: &Plan) -> bool {
    plan.listeners.iter().any(|listener| match &listener.protocol {
        Protocol::Http(http) => http
            .routes
            .iter()
            .chain(http.fallback.as_deref())
            .any(|route| matches!(route.action, Action::Status)),
        Protocol::Tcp(_) | Protocol::Udp(_) => false,
    })
}

/// The state of all upstreams as JSON.
pub(crate) fn describe(charges: &[Rc<Charge>]) -> Arc<str> {
    let upstreams: Vec<_> = charges
        .iter()
        .map(|charge| of_upstream(&charge.upstream(), &charge.roster.borrow(), &charge.load()))
        .collect();
    format!("{:#}\n", json!({ "upstreams": upstreams })).into()
}
