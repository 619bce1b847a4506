//! What a route says of the upstream that it forwards to: retries, subset, priority, mirrors.

use super::Lowering;
use super::retries::MOST_KEPT;
use super::upstream::short;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model;
use crate::nearest::nearest;
use crate::shape::{OneOrMany, TextOr};
use crate::tree::Text;
use narrows_plan::{
    Action, HttpTimeouts, Mirror, Part, Plan, RetryPolicy, Template, Upstream, UpstreamId, defaults,
};
use std::time::Duration;

/// Keys that say how requests are forwarded.
const FORWARDING: [&str; 4] = ["retries", "subset", "priority", "mirror"];
/// A mirror of all requests.
const WHOLE: u32 = 10_000;

/// What a route says of the upstream that it forwards to.
#[derive(Default)]
pub(super) struct Forwarding {
    pub(super) retry: Option<Box<RetryPolicy>>,
    pub(super) subset: Vec<(Box<str>, Template)>,
    pub(super) priority: i32,
    pub(super) mirrors: Vec<Mirror>,
}

impl Lowering<'_> {
    pub(super) fn forwarding(
        &mut self,
        written: &model::Route,
        action: Option<&Action>,
        timeouts: &HttpTimeouts,
        scope: Scope<'_>,
    ) -> Forwarding {
        if let Some(Action::Respond(_) | Action::Redirect(_) | Action::Status) = action {
            for (key, place) in written.keys.iter().filter(|(key, _)| FORWARDING.contains(key)) {
                let message = format!("`{key}` has no effect: this route forwards nothing");
                self.refuse_useless(*place, message, "remove it, or forward to an `upstream`");
            }
            return Forwarding::default();
        }
        let retry = written.retries.as_ref().map(|retries| {
            let policy = self.retries(retries);
            self.check_try_deadlines(retries, &policy, answer_deadline(timeouts));
            Box::new(policy)
        });
        let mut subset = Vec::new();
        for (label, value) in written.subset.iter().flat_map(|subset| &subset.entries) {
            if let Some(value) = self.template(value, scope) {
                subset.push((label.text.as_str().into(), value));
            }
        }
        let mirrors = written.mirror.as_ref().map(|mirrors| self.mirrors(mirrors, action));
        Forwarding {
            retry,
            subset,
            priority: written.priority.map_or(0, |priority| priority.0),
            mirrors: mirrors.unwrap_or_default(),
        }
    }

    fn mirrors(
        &mut self,
        written: &OneOrMany<TextOr<model::Mirror>>,
        action: Option<&Action>,
    ) -> Vec<Mirror> {
        let mut mirrors: Vec<Mirror> = Vec::new();
        for one in &written.0 {
            let (name, table) = match one {
                TextOr::Short(name) => (name, None),
                TextOr::Long(table) => match &table.upstream {
                    Some(name) => (name, Some(table)),
                    None => continue,
                },
            };
            let Some(upstream) = self.upstream_named(name) else { continue };
            let mirror = self.mirror(upstream, table);
            if mirrors.iter().any(|other| other.upstream == upstream) {
                let message = format!("requests are mirrored to `{}` twice", name.text);
                self.reporter.report(Finding::warning(Code::NoEffect, name.place, message));
            }
            let is_target = match action {
                Some(Action::Upstream(target)) => *target == upstream,
                Some(Action::Split(split)) => split.shares.iter().any(|(target, _)| *target == upstream),
                _ => false,
            };
            if is_target {
                let message = format!("requests go to `{}` already; it would get them twice", name.text);
                let help = "mirror to an upstream of its own";
                self.reporter.report(Finding::warning(Code::MirrorToItself, name.place, message).help(help));
            }
            mirrors.push(mirror);
        }
        mirrors
    }

    fn mirror(&mut self, upstream: UpstreamId, table: Option<&model::Mirror>) -> Mirror {
        let mut mirror = Mirror {
            upstream,
            share: WHOLE,
            body: defaults::MIRROR_BYTES,
            running: defaults::MIRROR_RUNNING,
            timeout: defaults::MIRROR_TIMEOUT,
        };
        let Some(table) = table else { return mirror };
        if let Some(share) = table.share {
            mirror.share = share.hundredths;
            if share.hundredths == 0 {
                let message = "no request is mirrored";
                self.reporter.report(Finding::warning(Code::NoEffect, table.key("share"), message));
            }
        }
        if let Some(body) = table.body {
            mirror.body = self.size_between(body, 0, MOST_KEPT);
        }
        mirror.running = table.running.map_or(mirror.running, short);
        mirror.timeout = self.some_time(table.timeout, table.key("timeout"), mirror.timeout);
        mirror
    }

    /// Warns of labels that no endpoint of the route's upstreams has.
    pub(super) fn check_subset(&mut self, written: &model::Route, route: &narrows_plan::Route, plan: &Plan) {
        let targets: Vec<UpstreamId> = match &route.action {
            Action::Upstream(id) => vec![*id],
            Action::Split(split) => split.shares.iter().map(|(id, _)| *id).collect(),
            _ => return,
        };
        for upstream in targets.iter().filter_map(|id| plan.upstreams.get(id.0 as usize)) {
            // Nobody knows yet what stands in the file when it is needed.
            if upstream.endpoint_file.is_some() {
                continue;
            }
            let labels = written.subset.iter().flat_map(|subset| &subset.entries);
            for ((label, value), (_, template)) in labels.zip(&route.subset) {
                if let Some(finding) = missing_label(upstream, label, value, template) {
                    self.reporter.defer(finding);
                }
            }
        }
    }
}

fn missing_label(upstream: &Upstream, label: &Text, value: &Text, template: &Template) -> Option<Finding> {
    let endpoints = &upstream.endpoints;
    let all = || endpoints.iter().flat_map(|endpoint| &endpoint.labels);
    let mut values: Vec<&str> =
        all().filter(|(name, _)| **name == label.text).map(|(_, value)| &**value).collect();
    if values.is_empty() {
        let message = format!("no endpoint of `{}` has the label `{}`", upstream.name, label.text);
        let known: Vec<&str> = all().map(|(name, _)| &**name).collect();
        let help = match nearest(&label.text, &known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write it at the endpoints: `labels: {{ {}: ... }}`", label.text),
        };
        return Some(Finding::warning(Code::NoSuchLabel, label.place, message).help(help));
    }
    let is_literal = template.parts.iter().all(|part| matches!(part, Part::Text(_)));
    let literal = template.as_literal().filter(|text| is_literal && !text.is_empty())?;
    if values.contains(&literal) {
        return None;
    }
    values.sort_unstable();
    values.dedup();
    values.truncate(12);
    let message = format!("no endpoint of `{}` has `{}: {literal}`", upstream.name, label.text);
    let help = format!("values there are: {}", values.join(", "));
    Some(Finding::warning(Code::NoSuchLabel, value.place, message).help(help))
}

/// When an answer must have begun at the latest.
pub(super) fn answer_deadline(timeouts: &HttpTimeouts) -> Option<Duration> {
    match (timeouts.response_head, timeouts.request) {
        (Some(head), Some(request)) => Some(head.min(request)),
        (head, request) => head.or(request),
    }
}
