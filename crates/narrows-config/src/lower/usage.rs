//! What is wrong with an upstream because of who uses it.

use super::Lowering;
use super::balancing::REQUEST;
use super::mirrors::answer_deadline;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{self, Configuration, Retries, Stickiness, Upstream};
use crate::shape::{OrOff, OrTable, Switch, TextOr};
use crate::source::Place;
use crate::template;
use crate::tree::Text;
use narrows_plan::{Action, Plan, Protocol, UpstreamId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Duration;

/// Keys of an upstream that only requests know.
const REQUEST_KEYS: [&str; 3] = ["adaptive_concurrency", "grpc_web", "protocol"];
/// Keys of retries that only requests know.
const REQUEST_RETRIES: [&str; 5] = ["on", "try_timeout", "replay", "unsafe_methods", "hedge"];

/// Who uses an upstream.
#[derive(Debug, Default, Clone)]
struct Users {
    /// A listener of layer 4, with its protocol's name.
    flows: Option<(Box<str>, &'static str)>,
    /// Whether an HTTP listener forwards or mirrors to it.
    requests: bool,
    /// When answers must have begun, for each HTTP route without retries of its own.
    deadlines: Vec<Option<Duration>>,
}

impl Lowering<'_> {
    pub(super) fn check_usage(&mut self, files: &[(Configuration, PathBuf)], plan: &Plan) {
        let users = users(plan);
        let listeners = files.iter().flat_map(|(file, _)| &file.listeners).flat_map(|all| &all.entries);
        let places: HashMap<&str, Place> =
            listeners.clone().map(|(name, _)| (name.text.as_str(), name.place)).collect();
        let upstreams = files.iter().flat_map(|(file, _)| &file.upstreams).flat_map(|all| &all.entries);
        for (name, written) in upstreams {
            let Some(UpstreamId(id)) = self.names.get(&name.text).map(|(id, _)| *id) else { continue };
            let (Some(users), Some(upstream)) = (users.get(id as usize), plan.upstreams.get(id as usize))
            else {
                continue;
            };
            if let Some((listener, protocol)) = &users.flows {
                let place = places.get(&**listener).copied();
                self.refuse_request_facts(written, protocol, place);
                if !users.requests {
                    self.warn_request_keys(written, protocol);
                }
            }
            self.warn_zone(written, upstream, plan);
            if let (Some(retries), Some(bound)) = (&written.retries, longest(&users.deadlines)) {
                self.check_try_deadlines(retries, &upstream.retry, Some(bound));
            }
        }
        for (name, listener) in listeners {
            self.check_subsets(name, listener, plan);
        }
    }

    fn check_subsets(&mut self, name: &Text, listener: &model::Listener, plan: &Plan) {
        let lowered = plan.listeners.iter().find(|lowered| *lowered.name == *name.text);
        let Some(Protocol::Http(http)) = lowered.map(|lowered| &lowered.protocol) else { return };
        for written in listener.routes.iter().flat_map(|routes| &routes.0) {
            let origin = self.reporter.sources.origin(written.place);
            if written.has("subset")
                && let Some(route) = http.routes.iter().find(|route| route.origin.is_at(origin))
            {
                self.check_subset(written, route, plan);
            }
        }
    }

    /// Flows know nothing of requests, so what an upstream asks of them must be there for both.
    fn refuse_request_facts(&mut self, written: &Upstream, protocol: &str, place: Option<Place>) {
        let stickiness = match &written.stickiness {
            Some(TextOr::Long(table)) => table.key.as_ref(),
            _ => None,
        };
        for text in written.hash_key.iter().chain(stickiness) {
            let Err(problems) = template::parse(&text.text, Scope { tcp: true, ..REQUEST }) else { continue };
            for problem in problems.into_iter().filter(|problem| problem.code == Code::NotAtThisLayer) {
                let at = text.at(problem.range, self.reporter);
                let help = "flows know `connection.*`, `tls.*`, `proxy_protocol.*` and `time.*`; give the listener an upstream of its own";
                let mut finding = Finding::error(problem.code, at, problem.message);
                if let Some(place) = place {
                    finding = finding.label(place, format!("this {protocol} listener uses the upstream"));
                }
                self.reporter.report(finding.help(help));
            }
        }
    }

    /// Warns of keys that only requests know, where only flows come.
    fn warn_request_keys(&mut self, written: &Upstream, protocol: &str) {
        let mut useless: Vec<(&str, Place)> = Vec::new();
        let own = written.keys.iter().filter(|(key, _)| REQUEST_KEYS.contains(key)).copied();
        useless.extend(own.filter(|(key, _)| match *key {
            "adaptive_concurrency" => !matches!(written.adaptive_concurrency, Some(Switch::Off)),
            "grpc_web" => written.grpc_web.is_some_and(|flag| flag.0),
            _ => true,
        }));
        if let Some(OrTable::Long(retries)) = &written.retries {
            useless.extend(request_retries(retries));
        }
        match &written.stickiness {
            Some(TextOr::Short(word)) if word.text == "cookie" => useless.push(("cookie", word.place)),
            Some(TextOr::Long(table)) => useless.extend(request_stickiness(table)),
            _ => {}
        }
        if let Some(Switch::Set(passive)) = &written.passive {
            let of_answers = passive.keys.iter().filter(|(key, _)| *key == "statuses");
            useless.extend(of_answers.copied().filter(|_| matches!(passive.statuses, Some(OrOff::On(_)))));
        }
        for (key, place) in useless {
            let message = format!("`{key}` has no effect: only {protocol} listeners use this upstream");
            let help =
                "it is about HTTP requests; remove it, or give http listeners an upstream of their own";
            self.reporter.defer(Finding::warning(Code::NoEffect, place, message).help(help));
        }
    }

    /// Warns of a preference for a zone that nobody is in.
    fn warn_zone(&mut self, written: &Upstream, upstream: &narrows_plan::Upstream, plan: &Plan) {
        if !upstream.balancing.prefers_zone {
            return;
        }
        let (message, help) = if plan.settings.zone.is_none() {
            (
                "`prefer_zone` has no effect: this process does not know its zone",
                "write `settings: { zone: ... }`",
            )
        } else if upstream.endpoint_file.is_none() && upstream.endpoints.iter().all(|one| one.zone.is_none())
        {
            (
                "`prefer_zone` has no effect: no endpoint here has a `zone`",
                "write `{ address: ..., zone: ... }`",
            )
        } else {
            return;
        };
        let finding = Finding::warning(Code::NoEffect, written.key("prefer_zone"), message);
        self.reporter.defer(finding.help(help));
    }
}

fn request_retries(retries: &Retries) -> impl Iterator<Item = (&'static str, Place)> {
    retries.keys.iter().filter(|(key, _)| REQUEST_RETRIES.contains(key)).copied()
}

fn request_stickiness(table: &Stickiness) -> impl Iterator<Item = (&'static str, Place)> {
    table.keys.iter().filter(|(key, _)| matches!(*key, "cookie" | "learn")).copied()
}

/// The longest of some deadlines; `None` when there are none, or one of them is off.
fn longest(deadlines: &[Option<Duration>]) -> Option<Duration> {
    deadlines.iter().copied().collect::<Option<Vec<_>>>()?.into_iter().max()
}

fn users(plan: &Plan) -> Vec<Users> {
    let mut users = vec![Users::default(); plan.upstreams.len()];
    for listener in &plan.listeners {
        let mut of_flows = |id: UpstreamId, protocol| {
            if let Some(user) = users.get_mut(id.0 as usize) {
                user.flows.get_or_insert((listener.name.clone(), protocol));
            }
        };
        match &listener.protocol {
            Protocol::Tcp(tcp) => {
                let routes = tcp.routes.iter().map(|route| route.upstream);
                routes.chain(tcp.fallback).for_each(|id| of_flows(id, "tcp"));
            }
            Protocol::Udp(udp) => {
                let routes = udp.routes.iter().map(|route| route.upstream);
                routes.chain(udp.fallback).for_each(|id| of_flows(id, "udp"));
            }
            Protocol::Http(http) => {
                for route in http.routes.iter().chain(http.fallback.as_deref()) {
                    let targets: Vec<UpstreamId> = match &route.action {
                        Action::Upstream(id) => vec![*id],
                        Action::Split(split) => split.shares.iter().map(|(id, _)| *id).collect(),
                        Action::Respond(_) | Action::Redirect(_) | Action::Status => Vec::new(),
                    };
                    for id in &targets {
                        let Some(user) = users.get_mut(id.0 as usize) else { continue };
                        user.requests = true;
                        if route.retry.is_none() {
                            user.deadlines.push(answer_deadline(&route.timeouts));
                        }
                    }
                    for mirror in &route.mirrors {
                        if let Some(user) = users.get_mut(mirror.upstream.0 as usize) {
                            user.requests = true;
                        }
                    }
                }
            }
        }
    }
    users
}
