//! Limits, queue, breaker and adaptive concurrency of an upstream.

use super::Lowering;
use super::upstream::short;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::{self, Upstream};
use crate::shape::{OrOff, Percent, Switch};
use narrows_plan::{AdaptiveConcurrency, Breaker, EndpointLimits, QueueLimits, UpstreamLimits, defaults};

impl Lowering<'_> {
    pub(super) fn upstream_limits(
        &mut self,
        written: &Upstream,
        upstream: &narrows_plan::Upstream,
    ) -> UpstreamLimits {
        let Some(table) = &written.limits else { return UpstreamLimits::default() };
        let limits = UpstreamLimits {
            endpoint: EndpointLimits {
                connections: table.connections.map(short),
                requests: table.requests.map(short),
            },
            requests: table.upstream_requests.map(short),
            retries: table.retries.map(short),
            queue: match &table.queue {
                None => QueueLimits::default(),
                Some(OrOff::Off) => QueueLimits { length: 0, ..QueueLimits::default() },
                Some(OrOff::On(queue)) => QueueLimits {
                    length: queue.length.map_or(defaults::QUEUE_LENGTH, short),
                    timeout: self.some_time(queue.timeout, queue.key("timeout"), defaults::QUEUE_TIMEOUT),
                },
            },
        };
        let is_limited = |limits: &EndpointLimits| limits.connections.is_some() || limits.requests.is_some();
        let may_be_full = written.has("endpoint_file")
            || is_limited(&limits.endpoint)
            || upstream.endpoints.iter().any(|endpoint| is_limited(&endpoint.limits));
        if matches!(table.queue, Some(OrOff::On(_))) && !may_be_full {
            let message = "nobody will wait: no endpoint has a limit that it could reach";
            let help = "add `connections` or `requests` here or to an endpoint";
            let finding = Finding::warning(Code::NoEffect, table.key("queue"), message);
            self.reporter.defer(finding.help(help));
        }
        if let (Some(one), Some(all)) = (limits.endpoint.requests, limits.requests)
            && one > all
        {
            let message =
                "one endpoint may run more requests than the whole upstream, so it never reaches its limit";
            let finding = Finding::warning(Code::NoEffect, table.key("requests"), message);
            let finding = finding.label(table.key("upstream_requests"), "the whole upstream's limit is here");
            self.reporter.defer(finding);
        }
        limits
    }

    pub(super) fn breaker(&mut self, written: Option<&Switch<model::Breaker>>) -> Option<Breaker> {
        let breaker = Breaker {
            failure_rate: defaults::BREAKER_FAILURE_RATE,
            requests: defaults::BREAKER_REQUESTS,
            window: defaults::BREAKER_WINDOW,
            open: defaults::BREAKER_OPEN,
            probes: defaults::BREAKER_PROBES,
        };
        match written? {
            Switch::Off => None,
            Switch::On => Some(breaker),
            Switch::Set(table) => Some(Breaker {
                failure_rate: table.failure_rate.map_or(breaker.failure_rate, |Percent(percent)| percent),
                requests: table.requests.map_or(breaker.requests, short),
                window: self.some_time(table.window, table.key("window"), breaker.window),
                open: self.some_time(table.open, table.key("open"), breaker.open),
                probes: table.probes.map_or(breaker.probes, short),
            }),
        }
    }

    pub(super) fn concurrency(
        &mut self,
        written: Option<&Switch<model::AdaptiveConcurrency>>,
    ) -> Option<AdaptiveConcurrency> {
        let (minimum, maximum) = defaults::CONCURRENCY;
        let mut concurrency =
            AdaptiveConcurrency { minimum, maximum, baseline: defaults::CONCURRENCY_BASELINE };
        match written? {
            Switch::Off => return None,
            Switch::On => {}
            Switch::Set(table) => {
                concurrency.minimum = table.minimum.map_or(minimum, short);
                concurrency.maximum = table.maximum.map_or(maximum, short);
                concurrency.baseline =
                    self.some_time(table.baseline, table.key("baseline"), concurrency.baseline);
                if concurrency.minimum > concurrency.maximum {
                    let key = if table.has("minimum") { "minimum" } else { "maximum" };
                    let message = format!(
                        "`minimum` ({}) is above `maximum` ({})",
                        concurrency.minimum, concurrency.maximum
                    );
                    self.reporter.report(Finding::error(Code::NumberOutOfRange, table.key(key), message));
                }
            }
        }
        Some(concurrency)
    }
}
