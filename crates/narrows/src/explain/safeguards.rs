//! What keeps an upstream and its clients well, in short: a name and a few words for each part that is on.

use super::outcome::{duration, size};
use narrows_plan::{
    AdaptiveConcurrency, Breaker, CheckKind, HealthCheck, Mirror, PassiveCheck, Plan, RetryConditions,
    RetryPolicy, Upstream, UpstreamLimits,
};

/// What guards `upstream`, where attempts are made by `retry`.
pub(super) fn of(upstream: &Upstream, retry: &RetryPolicy) -> Vec<(&'static str, String)> {
    let all = [
        ("retries", (retry.limit > 0).then(|| retries(retry))),
        ("limits", limits(&upstream.limits)),
        ("breaker", upstream.breaker.as_ref().map(breaker)),
        ("adaptive concurrency", upstream.concurrency.as_ref().map(concurrency)),
        ("health", upstream.health.as_deref().map(health)),
        ("passive", upstream.passive.as_ref().and_then(passive)),
        ("slow start", upstream.slow_start.map(|time| duration(Some(time)))),
    ];
    all.into_iter().filter_map(|(name, text)| Some((name, text?))).collect()
}

/// Where copies of a request go, a line each.
pub(super) fn mirror(plan: &Plan, mirror: &Mirror) -> String {
    let name = &plan.upstream(mirror.upstream).name;
    let share = f64::from(mirror.share) / 100.0;
    let body = size(Some(mirror.body as u64));
    format!("{share} % mirrored to upstream {name}, bodies up to {body}")
}

fn retries(retry: &RetryPolicy) -> String {
    let mut parts = vec![format!("{} on {}", retry.limit, conditions(&retry.on))];
    parts.extend(retry.try_timeout.map(|time| format!("each within {}", duration(Some(time)))));
    parts.extend((!retry.backoff.is_zero()).then(|| format!("after {}", duration(Some(retry.backoff)))));
    parts.extend(retry.budget.map(|budget| format!("budget {budget} %")));
    parts.extend(retry.hedge.map(|time| format!("hedged after {}", duration(Some(time)))));
    parts.extend(retry.unsafe_methods.then(|| "unsafe methods too".to_owned()));
    parts.join(", ")
}

fn conditions(on: &RetryConditions) -> String {
    let words = [
        (on.connect_failure, "connect-failure"),
        (on.refused_stream, "refused-stream"),
        (on.reset, "reset"),
        (on.timeout, "timeout"),
    ];
    let words = words.iter().filter(|(is_on, _)| *is_on).map(|(_, word)| (*word).to_owned());
    let statuses = on.statuses.iter().map(range);
    let grpc = on.grpc_statuses.iter().map(|status| format!("grpc-{status}"));
    words.chain(statuses).chain(grpc).collect::<Vec<_>>().join(" ")
}

fn range(&(first, last): &(u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

fn limits(limits: &UpstreamLimits) -> Option<String> {
    let numbers = [
        ("requests of the upstream", limits.requests),
        ("requests of an endpoint", limits.endpoint.requests),
        ("connections of an endpoint", limits.endpoint.connections),
        ("retries", limits.retries),
    ];
    let mut parts: Vec<_> =
        numbers.into_iter().filter_map(|(what, number)| Some(format!("{} {what}", number?))).collect();
    if parts.is_empty() {
        return None;
    }
    let queue = limits.queue;
    parts.push(match queue.length {
        0 => "no queue".to_owned(),
        length => format!("{length} wait for {}", duration(Some(queue.timeout))),
    });
    Some(parts.join(", "))
}

fn breaker(breaker: &Breaker) -> String {
    let Breaker { failure_rate, requests, window, open, probes } = breaker;
    let (window, open) = (duration(Some(*window)), duration(Some(*open)));
    format!("opens for {open} at {failure_rate} % of {requests} requests in {window}, {probes} probes")
}

fn concurrency(concurrency: &AdaptiveConcurrency) -> String {
    format!("{} to {} a worker", concurrency.minimum, concurrency.maximum)
}

fn health(check: &HealthCheck) -> String {
    let kind = match &check.kind {
        CheckKind::Http(http) => {
            return format!("http {} every {}", http.path, duration(Some(check.interval)));
        }
        other => other.name(),
    };
    format!("{kind} every {}", duration(Some(check.interval)))
}

fn passive(passive: &PassiveCheck) -> Option<String> {
    let mut parts = Vec::new();
    parts.extend(passive.failures.map(|failures| format!("{failures} failures in a row")));
    parts.extend(passive.success_rate.map(|_| "success rate".to_owned()));
    parts.extend(passive.latency.map(|_| "answer time".to_owned()));
    let ejection = duration(Some(passive.ejection));
    (!parts.is_empty()).then(|| format!("ejects for {ejection} by {}", parts.join(", ")))
}
