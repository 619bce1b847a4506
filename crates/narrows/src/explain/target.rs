//! An upstream that may get the traffic, and the choice among its endpoints.

use super::outcome::percent;
use super::safeguards;
use narrows_plan::{
    Address, CookieMode, CookieValue, Plan, ProxyProtocolVersion, RetryPolicy, StickBy, Upstream, UpstreamId,
};
use narrows_proxy::{Choice, StickyChoice};
use narrows_upstream::{Candidate, Condition, Score};
use serde_json::{Value, json};

/// An upstream that may get the request.
#[derive(Debug)]
pub(super) struct Target {
    /// Share of the requests, percent.
    share: f64,
    name: String,
    place: String,
    balance: &'static str,
    attempts: u32,
    /// Version of the PROXY protocol header that it gets.
    proxy_protocol: Option<&'static str>,
    /// What a hash method hashes.
    key: Option<String>,
    labels: Vec<(String, String)>,
    /// How the client is known again, and what comes of that.
    sticky: Option<(String, String)>,
    endpoints: Vec<Written>,
    endpoint_file: Option<String>,
    is_certain: bool,
    /// What guards it, by name.
    safeguards: Vec<(&'static str, String)>,
}

/// An endpoint as it is written.
#[derive(Debug)]
struct Written {
    address: String,
    weight: u32,
    /// Part of the upstream's requests that it would get now, percent.
    share: f64,
    place: String,
    /// `None` where only a running process knows its addresses.
    candidate: Option<Candidate>,
}

impl Target {
    /// What the plan says of an upstream, which gets `weight` of `total` requests, and how it would be chosen among its endpoints. `retry` is what its
    /// route says of attempts.
    pub(super) fn new(
        plan: &Plan,
        id: UpstreamId,
        (weight, total): (u32, u32),
        choice: Choice,
        retry: Option<&RetryPolicy>,
    ) -> Self {
        let upstream = plan.upstream(id);
        let retry = retry.unwrap_or(&upstream.retry);
        Target {
            share: percent(weight, total),
            name: upstream.name.to_string(),
            place: plan.locate(upstream.origin),
            balance: upstream.balancing.method.name(),
            attempts: retry.limit.saturating_add(1),
            proxy_protocol: upstream.proxy_protocol.map(ProxyProtocolVersion::name),
            sticky: choice.sticky.as_ref().map(|sticky| (sticks_by(upstream), finds(sticky))),
            endpoints: endpoints(plan, upstream, &choice.candidates),
            endpoint_file: upstream.endpoint_file.as_ref().map(|path| path.display().to_string()),
            is_certain: choice.is_certain,
            key: choice.key,
            labels: choice.labels,
            safeguards: safeguards::of(upstream, retry),
        }
    }

    /// Whether it is the upstream of that name.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name == name
    }

    /// The address of the endpoint that would be chosen; of the first one where that is left to chance.
    pub(super) fn endpoint(&self) -> Option<&str> {
        let chosen = self.endpoints.iter().find(|one| self.is_certain && one.is_chosen());
        chosen.or_else(|| self.endpoints.first()).map(|one| &*one.address)
    }

    pub(super) fn write(&self, shows_share: bool, lines: &mut Vec<String>) {
        let Target { share, name, place, balance, attempts, proxy_protocol, .. } = self;
        let share = if shows_share { format!("{share:.1} % to ") } else { String::new() };
        let header = proxy_protocol.map(|version| format!(", PROXY protocol {version}")).unwrap_or_default();
        lines.push(format!(
            "{share}upstream {name} ({place}), {balance}, at most {attempts} attempts{header}"
        ));
        if let Some(key) = &self.key {
            let by_chance = if key.is_empty() { ": empty, left to chance" } else { "" };
            lines.push(format!("  hash key {key:?}{by_chance}"));
        }
        if !self.labels.is_empty() {
            let labels: Vec<_> =
                self.labels.iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
            lines.push(format!("  only endpoints with {}", labels.join(", ")));
        }
        if let Some((by, found)) = &self.sticky {
            lines.push(format!("  sticks by {by}: {found}"));
        }
        lines.push("  candidates, as configured:".to_owned());
        lines.extend(self.endpoints.iter().map(|endpoint| format!("    {}", endpoint.line(self.is_certain))));
        if let Some(path) = &self.endpoint_file {
            lines.push(format!("    and those in {path}, which only a running process knows"));
        }
        if !self.safeguards.is_empty() {
            let all: Vec<_> = self.safeguards.iter().map(|(name, text)| format!("{name} {text}")).collect();
            lines.push(format!("  {}", all.join("; ")));
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let endpoints: Vec<_> = self.endpoints.iter().map(|one| one.to_json(self.is_certain)).collect();
        let safeguards: serde_json::Map<_, _> =
            self.safeguards.iter().map(|(name, text)| ((*name).to_owned(), json!(text))).collect();
        let labels: serde_json::Map<_, _> =
            self.labels.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "name": self.name,
            "place": self.place,
            "share_percent": self.share,
            "balance": self.balance,
            "attempts": self.attempts,
            "proxy_protocol": self.proxy_protocol,
            "hash_key": self.key,
            "labels": labels,
            "sticky": self.sticky.as_ref().map(|(by, found)| json!({ "by": by, "found": found })),
            "state": "as configured",
            "endpoints": endpoints,
            "endpoint_file": self.endpoint_file,
            "safeguards": safeguards,
        })
    }
}

/// How clients are known again.
fn sticks_by(upstream: &Upstream) -> String {
    let Some(rules) = upstream.stickiness.as_deref() else { return String::new() };
    let by = match &rules.by {
        StickBy::Cookie(cookie) => {
            let mode = match cookie.mode {
                CookieMode::Insert => "inserted",
                CookieMode::Rewrite => "rewritten",
                CookieMode::Prefix => "prefixed",
            };
            let value = match cookie.value {
                CookieValue::Signed { .. } => "signed",
                CookieValue::Address => "an address",
            };
            format!("cookie {} ({mode}, {value})", cookie.name)
        }
        StickBy::Key { key: None, .. } => "the client's address".to_owned(),
        StickBy::Key { key: Some(_), .. } => "a key".to_owned(),
        StickBy::Learned { .. } => "what answers told".to_owned(),
    };
    let over = if rules.fails_over { "" } else { ", does not fail over" };
    let back = if rules.returns { ", returns" } else { "" };
    format!("{by}{over}{back}")
}

/// What comes of what a request brings.
fn finds(sticky: &StickyChoice) -> String {
    let Some(brought) = &sticky.brought else { return "the request brings nothing".to_owned() };
    let known = match sticky.is_known {
        Some(true) => "which names an endpoint",
        Some(false) => "which names no endpoint",
        None => "which only the running process knows",
    };
    format!("{brought:?}, {known}")
}

fn endpoints(plan: &Plan, upstream: &Upstream, candidates: &[Candidate]) -> Vec<Written> {
    let of_position =
        |position: usize| candidates.iter().find(|candidate| candidate.id.0 == position as u64 + 1);
    let all: u32 = upstream.endpoints.iter().fold(0, |sum, one| sum.saturating_add(one.weight));
    let are_written =
        upstream.endpoints.iter().all(|one| matches!(one.address, Address::Socket(_) | Address::Unix(_)));
    let written = upstream.endpoints.iter().enumerate().map(|(position, endpoint)| {
        let candidate = of_position(position);
        Written {
            address: endpoint.address.to_string(),
            weight: endpoint.weight,
            share: match candidate.filter(|_| are_written) {
                Some(candidate) => share(candidate, candidates),
                // Nobody knows how many endpoints a name is.
                None => percent(endpoint.weight, all),
            },
            place: plan.locate(endpoint.origin),
            candidate: candidate.cloned(),
        }
    });
    written.collect()
}

/// Per cent of the traffic that a candidate gets now: its part of what its tier takes.
fn share(candidate: &Candidate, all: &[Candidate]) -> f64 {
    let Some(tier) = candidate.tier else { return 0.0 };
    let takes = |one: &&Candidate| one.tier == Some(tier) && (one.condition == Condition::Up || one.panics);
    let weight = |one: &Candidate| u64::from(one.weight) * u64::from(one.part);
    let total: u64 = all.iter().filter(takes).map(weight).sum();
    match takes(&candidate) && total > 0 {
        true => weight(candidate) as f64 / total as f64 * f64::from(candidate.portion),
        false => 0.0,
    }
}

impl Written {
    fn is_chosen(&self) -> bool {
        self.candidate.as_ref().is_some_and(|candidate| candidate.is_chosen)
    }

    /// Its rank for a key. What other methods go by is known to a running process: turns, load, times.
    fn score(&self) -> Option<Score> {
        let score = self.candidate.as_ref().and_then(|candidate| candidate.score);
        score.filter(|score| matches!(score, Score::Rank(_)))
    }

    fn line(&self, is_certain: bool) -> String {
        let Written { address, weight, share, place, candidate } = self;
        let mut line = format!("endpoint {address} weight {weight} ({share:.0} %)");
        match candidate {
            None => line.push_str(", its addresses are known to the running process"),
            Some(candidate) => {
                if candidate.condition != Condition::Up {
                    line.push_str(&format!(", {} ({})", candidate.condition, candidate.reason));
                }
                match candidate.tier {
                    Some(0) => {}
                    Some(tier) => line.push_str(&format!(", tier {}", tier + 1)),
                    None => line.push_str(", lacks the labels"),
                }
                if let Some(score) = self.score() {
                    line.push_str(&format!(", {score}"));
                }
                if candidate.is_chosen && is_certain {
                    line.push_str(", CHOSEN");
                }
            }
        }
        format!("{line}  {place}")
    }

    fn to_json(&self, is_certain: bool) -> Value {
        let candidate = self.candidate.as_ref();
        json!({
            "address": self.address,
            "weight": self.weight,
            "share_percent": self.share,
            "place": self.place,
            "state": candidate.map(|one| one.condition.name()),
            "reason": candidate.map(|one| &*one.reason),
            "priority": candidate.map(|one| one.priority),
            "tier": candidate.and_then(|one| one.tier).map(|tier| tier + 1),
            "score": self.score().map(|score| score.to_string()),
            "chosen": is_certain.then(|| self.is_chosen()),
        })
    }
}
