//! Routes of http listeners.

use super::Lowering;
use super::listener::override_with;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{self, Protocol, Rewrite};
use crate::precedence::{Precedence, precedence};
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{
    Action, Condition, FixedResponse, HostPattern, HttpListener, PathPattern, PathRewrite, Pattern, Redirect,
    Route, RouteTable, Rule, Split, Template, UpstreamId,
};
use std::collections::{BTreeMap, HashMap};

/// Keys of a route that only tcp knows.
const TCP_KEYS: [&str; 2] = ["sni", "alpn"];
/// Keys of a route that say what to do.
const ACTIONS: [&str; 5] = ["upstream", "split", "respond", "redirect", "status"];
/// Most pairs of a host and a path that one route may have.
const MAXIMUM_PAIRS: usize = 10_000;

/// What a route matches, before it is ranked.
pub(super) struct Matched {
    pub(super) hosts: Vec<HostPattern>,
    pub(super) paths: Vec<PathPattern>,
    pub(super) conditions: Vec<Condition>,
    pub(super) place: Place,
}

impl Lowering<'_> {
    pub(super) fn http_routes(
        &mut self,
        name: &Text,
        written: &model::Listener,
        listener: &mut HttpListener,
    ) {
        let mut matched = Vec::new();
        let mut routes = Vec::new();
        for (index, route) in written.routes.iter().flat_map(|routes| &routes.0).enumerate() {
            for (key, place) in route.keys.iter().filter(|(key, _)| TCP_KEYS.contains(key)) {
                self.refuse_key(key, *place, &[Protocol::Tcp, Protocol::Udp], Protocol::Http);
            }
            let what = self.matched(route, listener);
            let captures = match what.paths.as_slice() {
                [PathPattern::Regex(pattern)] => Some(pattern.clone()),
                _ => None,
            };
            let Some(lowered) = self.route(name, index, route, &what, captures, listener) else { continue };
            matched.push(what);
            routes.push(lowered);
        }
        let (rules, owners) = self.ranked(matched);
        listener.routes = owners.iter().map(|owner| routes[*owner].clone()).collect();
        listener.table = self.table(name, rules);
        if let Some(upstream) = &written.upstream
            && let Some(id) = self.upstream_named(upstream)
        {
            listener.fallback = Some(Box::new(Route {
                name: name.text.as_str().into(),
                origin: self.reporter.sources.origin(upstream.place),
                action: Action::Upstream(id),
                request_edits: Vec::new(),
                response_edits: Vec::new(),
                path_rewrite: None,
                host_rewrite: None,
                captures: None,
                error_pages: listener.error_pages.clone(),
                timeouts: listener.timeouts,
                body_limit: listener.limits.body_bytes,
                retry: None,
                subset: Vec::new(),
                queue_priority: 0,
                mirrors: Vec::new(),
            }));
        }
    }

    fn matched(&mut self, route: &model::Route, listener: &HttpListener) -> Matched {
        let hosts = route.host.iter().flat_map(|hosts| &hosts.0);
        let hosts = hosts.filter_map(|host| self.host_pattern(host, Code::BadHost)).collect();
        let paths = route.path.iter().flat_map(|paths| &paths.0);
        let paths = paths.filter_map(|path| self.path_pattern(path, listener.path_matching)).collect();
        let place = route.place.first_line(&self.reporter.sources);
        Matched { hosts, paths, conditions: self.conditions(route, false), place }
    }

    fn route(
        &mut self,
        listener_name: &Text,
        index: usize,
        written: &model::Route,
        matched: &Matched,
        captures: Option<Pattern>,
        listener: &HttpListener,
    ) -> Option<Route> {
        let scope = Scope {
            tcp: false,
            response: false,
            record: false,
            condition: false,
            captures: captures.as_ref(),
        };
        let in_response = Scope { response: true, ..scope };
        let action = self.action(written, scope);
        let request_edits = self.header_edits(written.request_headers.as_ref(), scope);
        let response_edits = self.header_edits(written.response_headers.as_ref(), in_response);
        let (path_rewrite, host_rewrite) = match &written.rewrite {
            Some(rewrite) => self.rewrite(rewrite, matched, scope),
            None => (None, None),
        };
        let error_pages = self.error_pages(written.error_pages.as_ref(), scope, &listener.error_pages);
        let mut timeouts = listener.timeouts;
        if let Some(given) = &written.timeouts {
            override_with(&mut timeouts.connect, given.connect);
            override_with(&mut timeouts.response_head, given.response_head);
            override_with(&mut timeouts.response_idle, given.response_idle);
            override_with(&mut timeouts.request, given.request);
            override_with(&mut timeouts.tunnel_idle, given.tunnel_idle);
        }
        let forwarding = self.forwarding(written, action.as_ref(), &timeouts, scope);
        let body = written.limits.as_ref().and_then(|limits| limits.body);
        let name = match &written.name {
            Some(name) => name.text.as_str().into(),
            None => format!("{}[{index}]", listener_name.text).into(),
        };
        Some(Route {
            name,
            origin: self.reporter.sources.origin(written.place),
            action: action?,
            request_edits,
            response_edits,
            path_rewrite,
            host_rewrite,
            captures,
            error_pages,
            timeouts,
            body_limit: body.map_or(listener.limits.body_bytes, |body| body.on().map(|size| size.bytes)),
            retry: forwarding.retry,
            subset: forwarding.subset,
            queue_priority: forwarding.priority,
            mirrors: forwarding.mirrors,
        })
    }

    fn action(&mut self, written: &model::Route, scope: Scope<'_>) -> Option<Action> {
        self.one_action(&written.keys, written.place, Protocol::Http)?;
        if let Some(name) = &written.upstream {
            return self.upstream_named(name).map(Action::Upstream);
        }
        if let Some(shares) = &written.split {
            return self.split(&shares.0, written.key("split"));
        }
        if let Some(respond) = &written.respond {
            let body =
                respond.body.as_ref().map_or(Some(Template::default()), |body| self.template(body, scope));
            let content_type = match &respond.content_type {
                Some(text) => self.header_text(text)?,
                None => "text/plain; charset=utf-8".into(),
            };
            let status = respond.status.map_or(200, |status| status.number);
            let status = u16::try_from(status).unwrap_or(200);
            return Some(Action::Respond(FixedResponse { status, body: body?, content_type }));
        }
        if written.status.is_some() {
            return Some(Action::Status);
        }
        let redirect = written.redirect.as_ref()?;
        let status = redirect.status.map_or(308, |status| status.number);
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            let place = redirect.status.map_or(redirect.place, |status| status.place);
            let message = format!("{status} is not the status of a redirection");
            let help = "write 301 or 308 (for good), 302 or 307 (for now), or 303 (see other, with GET)";
            self.reporter.report(Finding::error(Code::BadStatus, place, message).help(help));
        }
        let to = self.value_template(redirect.to.as_ref()?, scope)?;
        Some(Action::Redirect(Redirect { to, status: u16::try_from(status).unwrap_or(308) }))
    }

    /// Refuses routes without an action, or with several.
    pub(super) fn one_action(
        &mut self,
        keys: &[(&'static str, Place)],
        route: Place,
        protocol: Protocol,
    ) -> Option<()> {
        let actions: Vec<_> = keys.iter().filter(|(key, _)| ACTIONS.contains(key)).collect();
        match actions.as_slice() {
            [_] => return Some(()),
            [] => {
                let place = route.first_line(&self.reporter.sources);
                let message = "this route does not say what to do";
                let help = match protocol {
                    Protocol::Http => "add one of `upstream`, `split`, `respond`, `redirect` and `status`",
                    Protocol::Tcp | Protocol::Udp => "add `upstream`",
                };
                self.reporter.report(Finding::error(Code::NoAction, place, message).help(help));
            }
            [(first, place), (second, other), ..] => {
                let message = format!("this route has two actions, `{first}` and `{second}`");
                let finding = Finding::error(Code::SeveralActions, *other, message);
                let finding = finding.label(*place, "the first is here");
                self.reporter
                    .report(finding.help("keep one; to share traffic between upstreams, use `split`"));
            }
        }
        None
    }

    fn split(&mut self, shares: &[model::Share], key: Place) -> Option<Action> {
        if shares.is_empty() {
            let message = "a split needs at least one upstream";
            self.reporter.report(Finding::error(Code::EmptyList, key, message));
            return None;
        }
        let mut lowered: Vec<(UpstreamId, u32)> = Vec::new();
        for share in shares {
            let weight = share.weight.map_or(1, |weight| weight.number);
            let upstream = share.upstream.as_ref().and_then(|name| self.upstream_named(name));
            lowered.extend(upstream.map(|id| (id, u32::try_from(weight).unwrap_or(u32::MAX))));
        }
        let total = lowered.iter().try_fold(0u32, |sum, (_, weight)| sum.checked_add(*weight))?;
        if total == 0 && lowered.len() == shares.len() {
            let message = "all weights of this split are 0, so nothing could take a request";
            self.reporter.report(Finding::error(Code::NoWeight, key, message));
        }
        (total > 0).then_some(Action::Split(Split { shares: lowered, total }))
    }

    fn rewrite(
        &mut self,
        written: &Rewrite,
        matched: &Matched,
        scope: Scope<'_>,
    ) -> (Option<PathRewrite>, Option<Template>) {
        let host = written.host.as_ref().and_then(|host| self.value_template(host, scope));
        if written.has("path") && written.has("prefix") {
            let message = "a rewrite has either `path` or `prefix`";
            let finding = Finding::error(Code::NotExactlyOne, written.key("prefix"), message);
            self.reporter.report(finding.label(written.key("path"), "and here is `path`"));
            return (None, host);
        }
        if let Some(path) = &written.path {
            self.must_be_path(path);
            return (self.value_template(path, scope).map(PathRewrite::Whole), host);
        }
        let Some(prefix) = &written.prefix else { return (None, host) };
        self.must_be_path(prefix);
        let all_prefixes = matched.paths.iter().all(|path| matches!(path, PathPattern::Prefix(_)));
        if matched.paths.is_empty() || !all_prefixes {
            let message = "`rewrite.prefix` replaces a prefix, but this route does not match by one";
            let help = "write `path: /something/*`, or rewrite the whole path with `rewrite: { path: ... }`";
            self.reporter.report(Finding::error(Code::NoPrefix, written.key("prefix"), message).help(help));
        }
        let without_slash = prefix.text.strip_suffix('/').unwrap_or(&prefix.text);
        (Some(PathRewrite::Prefix(without_slash.into())), host)
    }

    fn must_be_path(&mut self, text: &Text) {
        if !text.text.starts_with('/') && !text.text.starts_with("${") {
            let message = format!("the new path `{}` does not begin with `/`", text.text);
            let place = text.place.first_line(&self.reporter.sources);
            self.reporter.report(Finding::error(Code::BadPath, place, message));
        }
    }

    /// Rules in the order of the table, and for each the number of its route. A route whose hosts or paths differ in
    /// precedence has several rules.
    pub(super) fn ranked(&mut self, matched: Vec<Matched>) -> (Vec<Rule>, Vec<usize>) {
        self.report_shadowed(&matched);
        let mut keyed: Vec<(Precedence, Rule, usize)> = Vec::new();
        for (order, route) in matched.into_iter().enumerate() {
            let mut groups: BTreeMap<Precedence, (Vec<HostPattern>, Vec<PathPattern>)> = BTreeMap::new();
            for host in options(&route.hosts) {
                for path in options(&route.paths) {
                    let key = precedence(host, path, route.conditions.len(), order);
                    let (hosts, paths) = groups.entry(key).or_default();
                    hosts.extend(host.filter(|host| !hosts.contains(host)).cloned());
                    paths.extend(path.filter(|path| !paths.contains(path)).cloned());
                }
            }
            let origin = self.reporter.sources.origin(route.place);
            for (key, (hosts, paths)) in groups {
                let conditions = route.conditions.clone();
                keyed.push((key, Rule { origin, rank: 0, hosts, paths, conditions }, order));
            }
        }
        keyed.sort_by(|one, two| one.0.cmp(&two.0));
        let ranked = keyed.into_iter().zip(0u32..);
        ranked.map(|((_, rule, owner), rank)| (Rule { rank, ..rule }, owner)).unzip()
    }

    pub(super) fn table(&mut self, name: &Text, rules: Vec<Rule>) -> RouteTable {
        RouteTable::new(rules).unwrap_or_else(|error| {
            let message = format!("the routes of `{}` cannot be compiled: {error}", name.text);
            self.reporter.report(Finding::error(Code::TooManyPatterns, name.place, message));
            RouteTable::default()
        })
    }

    /// Warns of routes that match nothing that an earlier one with the same conditions would not take first.
    fn report_shadowed(&mut self, matched: &[Matched]) {
        let mut seen: HashMap<String, Place> = HashMap::new();
        for route in matched {
            let mut conditions: Vec<&str> =
                route.conditions.iter().map(|condition| &*condition.written).collect();
            conditions.sort_unstable();
            if route.hosts.len().max(1) * route.paths.len().max(1) > MAXIMUM_PAIRS {
                continue;
            }
            let mut taken_by = Some(route.place);
            for host in options(&route.hosts) {
                for path in options(&route.paths) {
                    let pair = format!("{host:?} {path:?} {conditions:?}");
                    match seen.get(&pair) {
                        Some(first) => taken_by = taken_by.map(|_| *first),
                        None => {
                            taken_by = None;
                            seen.insert(pair, route.place);
                        }
                    }
                }
            }
            if let Some(first) = taken_by.filter(|first| *first != route.place) {
                let message = "this route is never reached";
                let finding = Finding::warning(Code::Shadowed, route.place, message);
                let finding = finding.label(first, "this one has the same conditions and comes first");
                self.reporter.defer(finding);
            }
        }
    }
}

/// Each pattern, or none at all where there is no pattern.
fn options<T>(patterns: &[T]) -> Vec<Option<&T>> {
    if patterns.is_empty() { vec![None] } else { patterns.iter().map(Some).collect() }
}
