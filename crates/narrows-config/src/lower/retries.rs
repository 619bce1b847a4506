//! Retries of upstreams and routes.

use super::Lowering;
use super::upstream::short;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::{self, Retries, RetryReason};
use crate::shape::{Number, OrOff, OrTable, Percent};
use narrows_plan::{RetryConditions, RetryPolicy, defaults};

/// Most bytes of a request body that are kept, for a retry or for a mirror.
pub(super) const MOST_KEPT: u64 = 16 << 20;

/// Retries as they are written.
pub(super) type Written = OrTable<OrOff<Number<0, 100>>, Retries>;

impl Lowering<'_> {
    pub(super) fn retries(&mut self, written: &Written) -> RetryPolicy {
        let mut policy = RetryPolicy::default();
        let table = match written {
            OrTable::Short(limit) => return RetryPolicy { limit: limit.on().map_or(0, short), ..policy },
            OrTable::Long(table) => table,
        };
        policy.limit = table.limit.map_or(defaults::RETRIES, short);
        policy.try_timeout = table.try_timeout.and_then(OrOff::on).map(|duration| duration.0);
        policy.hedge = table.hedge.and_then(OrOff::on).map(|duration| duration.0);
        policy.backoff = table.backoff.map_or(policy.backoff, |duration| duration.0);
        policy.unsafe_methods = table.unsafe_methods.is_some_and(|flag| flag.0);
        if let Some(budget) = table.budget {
            policy.budget = budget.on().map(|Percent(percent)| percent);
        }
        if let Some(replay) = table.replay {
            policy.replay = self.size_between(replay, 0, MOST_KEPT);
        }
        // Who limits a try wants another one.
        policy.on.timeout = policy.try_timeout.is_some();
        if let Some(reasons) = &table.on {
            policy.on = conditions(&reasons.0);
        }
        self.check_retries(table, &policy);
        policy
    }

    fn check_retries(&mut self, table: &Retries, policy: &RetryPolicy) {
        if policy.limit == 0 {
            let needs_retries = ["on", "backoff", "budget", "replay", "unsafe_methods"];
            if let Some((key, place)) = table.keys.iter().find(|(key, _)| needs_retries.contains(key)) {
                let message = format!("`{key}` has no effect: there are no further attempts");
                let finding = Finding::warning(Code::NoEffect, *place, message);
                let finding = finding.label(table.key("limit"), "the limit is here");
                self.reporter.defer(finding.help("for no retries at all, write `retries: 0`"));
            }
            return;
        }
        if let (Some(_), false, true) = (policy.try_timeout, policy.on.timeout, table.on.is_some()) {
            let message = "a try that takes too long is not repeated: `on` does not say `timeout`";
            let finding = Finding::warning(Code::NoEffect, table.key("try_timeout"), message);
            let finding = finding.label(table.key("on"), "the reasons are here");
            self.reporter.defer(finding.help("add `timeout` to `on`"));
        }
        if let (Some(hedge), Some(try_timeout)) = (policy.hedge, policy.try_timeout)
            && hedge >= try_timeout
        {
            let message = "the second attempt never begins: the try has failed before";
            let finding = Finding::warning(Code::NeverPasses, table.key("hedge"), message);
            let label = format!("a try ends after {}", model::time(try_timeout));
            self.reporter
                .defer(finding.label(table.key("try_timeout"), label).help("write a shorter `hedge`"));
        }
    }

    /// Warns of deadlines of a try that another one of the route, `bound`, always comes before.
    pub(super) fn check_try_deadlines(
        &mut self,
        written: &Written,
        policy: &RetryPolicy,
        bound: Option<std::time::Duration>,
    ) {
        let (OrTable::Long(table), Some(bound)) = (written, bound) else { return };
        for (key, deadline) in [("try_timeout", policy.try_timeout), ("hedge", policy.hedge)] {
            if deadline.is_some_and(|deadline| deadline >= bound) {
                let message = format!(
                    "`{key}` never passes: the answer must begin within {} (`timeouts.response_head` or `request`)",
                    model::time(bound)
                );
                let finding = Finding::warning(Code::NeverPasses, table.key(key), message);
                self.reporter.defer(finding.help("write a shorter time here, or a longer one there"));
            }
        }
    }
}

fn conditions(reasons: &[RetryReason]) -> RetryConditions {
    let has = |reason| reasons.contains(&reason);
    let statuses = reasons.iter().filter_map(|reason| match reason {
        RetryReason::Statuses(range) => Some((range.first, range.last)),
        _ => None,
    });
    let grpc = reasons.iter().filter_map(|reason| match reason {
        RetryReason::Grpc(status) => Some(*status),
        _ => None,
    });
    RetryConditions {
        connect_failure: has(RetryReason::ConnectFailure),
        refused_stream: has(RetryReason::RefusedStream),
        reset: has(RetryReason::Reset),
        timeout: has(RetryReason::Timeout),
        statuses: statuses.collect(),
        grpc_statuses: grpc.collect(),
    }
}
