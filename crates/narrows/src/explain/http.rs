//! `explain` at layer 7.

use super::outcome::{Outcome, duration, pages, size};
use super::target::Target;
use super::{Arguments, Report, Trace, Url, gate, headline, local_port, safeguards, skipped};
use narrows_plan::{
    Action, FixedResponse, HeaderEdit, HttpListener, Listener, Part, Plan, Route, Subject, Template,
    UpstreamId,
};
use narrows_proxy::{ChoicePreview, ConnectionFacts, Fault, Meaning, Request, RequestMemory, Response};
use narrows_tls::TlsFacts;
use narrows_wire::http1::{HeadLimits, Progress, RequestHead, parse_request};
use narrows_wire::proxy_protocol::Tlvs;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn explain(
    choices: &ChoicePreview<'_>,
    plan: &Plan,
    listener: &Listener,
    http: &HttpListener,
    arguments: &Arguments,
) -> Report {
    let url = &arguments.url;
    let mut report =
        Report { listener: headline(plan, listener), lists_skipped: arguments.all, ..Report::default() };
    let is_tls = listener.tls.is_some();
    if (url.scheme == "https") != is_tls {
        let speaks = if is_tls { "TLS" } else { "plain HTTP" };
        report.notes.push(format!("this listener speaks {speaks}: explained so"));
    }
    let (host, _) = narrows_wire::target::split_host_port(url.authority.as_bytes()).unwrap_or_default();
    let tls = is_tls.then(|| TlsFacts {
        server_name: arguments.sni.clone().unwrap_or_else(|| host.to_ascii_lowercase()),
        ..TlsFacts::default()
    });
    report.notes.extend(gate(listener));
    let bytes = head_text(url, arguments).into_bytes();
    let mut head = RequestHead::default();
    let limits = HeadLimits {
        head_bytes: http.limits.head_bytes,
        fields: http.limits.header_fields,
        target_bytes: http.limits.uri_bytes,
    };
    match parse_request(&bytes, &limits, &mut head) {
        Ok(Progress::Complete) => {}
        Ok(Progress::Partial) => {
            report.outcome = Outcome::refuse("this is no whole request head".to_owned());
            return report;
        }
        Err(error) => {
            report.outcome = Outcome::refuse(format!("refused with {}: {error}", error.status()));
            return report;
        }
    }
    let connection = ConnectionFacts {
        peer: arguments.source,
        peer_port: 0,
        listener: &listener.name,
        local_port: local_port(listener, url),
        scheme: if is_tls { "https" } else { "http" },
        is_http2: false,
        tls: tls.as_ref(),
        tlvs: Tlvs::default(),
        unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let mut memory = RequestMemory::default();
    let mut request = match Request::admit(&bytes, &head, http, connection, &mut memory) {
        Ok(request) => request,
        Err(fault) => {
            report.outcome = refusal(fault, http);
            return report;
        }
    };
    report.subject = vec![
        ("method", String::from_utf8_lossy(head.method_span.of(&bytes)).into_owned()),
        ("host", request.host.to_owned()),
        ("path", request.path.to_owned()),
        ("client", request.client.to_string()),
    ];

    let mut trace = Trace::default();
    let subject = Subject { host: request.host, path: request.path };
    let chosen = http.table.select(subject, &request.facts(None), &mut trace);
    let name = |rule: usize| http.routes[rule].name.to_string();
    let rules = http.table.rules();
    report.skipped = skipped(plan, rules, &trace, name, subject);
    report.compared = trace.compared(plan, rules, chosen, name, subject, &request.facts(None));

    let route = chosen.map(|rule| &http.routes[rule]).or(http.fallback.as_deref());
    let Some(route) = route else {
        report.outcome = refusal(Fault::NoRoute, http);
        return report;
    };
    if let Some(pattern) = &route.captures {
        request.capture(pattern);
    }
    let prefix = chosen.and_then(|rule| rules[rule].matched_prefix(request.path));
    report.outcome = outcome(choices, plan, http, route, chosen.is_none(), prefix, &request);
    report
}

/// The request as a client would write it.
fn head_text(url: &Url, arguments: &Arguments) -> String {
    let Url { authority, path_and_query, .. } = url;
    let mut text = format!("{} {path_and_query} HTTP/1.1\r\n", arguments.method);
    let names_host =
        |line: &&String| line.split(':').next().is_some_and(|name| name.trim().eq_ignore_ascii_case("host"));
    if !arguments.headers.iter().any(|line| names_host(&line)) {
        text.push_str(&format!("Host: {authority}\r\n"));
    }
    for header in &arguments.headers {
        text.push_str(header);
        text.push_str("\r\n");
    }
    text + "\r\n"
}

fn refusal(fault: Fault, http: &HttpListener) -> Outcome {
    let Meaning { status, code, sentence, .. } = fault.meaning();
    let page = match http.error_pages.find(status) {
        Some(page) => format!(" The listener's own page for it is sent ({}).", page.content_type),
        None => String::new(),
    };
    Outcome::refuse(format!("refused with {status} {code}: {sentence}{page}"))
}

fn outcome(
    choices: &ChoicePreview<'_>,
    plan: &Plan,
    http: &HttpListener,
    route: &Route,
    is_fallback: bool,
    prefix: Option<&str>,
    request: &Request<'_>,
) -> Outcome {
    let mut outcome = Outcome {
        route: (!is_fallback).then(|| (route.name.to_string(), plan.locate(route.origin))),
        ..Outcome::default()
    };
    let target = |id: UpstreamId, weight, total| {
        let choice = choices.of_request(request, &route.subset, id);
        Target::new(plan, id, (weight, total), choice, route.retry.as_deref())
    };
    let (kind, own_status, upstream) = match &route.action {
        Action::Respond(FixedResponse { status, body, content_type }) => {
            let own = Response { status: *status, bytes: &[], head: None };
            let body = render(body, request, Some(own));
            outcome.sentence = format!("answers {status} {content_type}: {body:?}");
            ("respond", Some(*status), None)
        }
        Action::Redirect(redirect) => {
            let to = render(&redirect.to, request, None);
            outcome.sentence = format!("redirects with {} to {to}", redirect.status);
            ("redirect", Some(redirect.status), None)
        }
        Action::Status => {
            outcome.sentence = "answers with the state of all upstreams, in JSON".to_owned();
            ("respond", Some(200), None)
        }
        Action::Upstream(id) => {
            outcome.targets.push(target(*id, 1, 1));
            ("forward", None, Some(*id))
        }
        Action::Split(split) => {
            outcome.targets.extend(split.shares.iter().map(|&(id, weight)| target(id, weight, split.total)));
            let first = split.shares.iter().find(|(_, weight)| *weight > 0);
            ("forward", None, first.map(|(id, _)| *id))
        }
    };
    outcome.kind = kind;
    if let Some(id) = upstream {
        let name = &plan.upstream(id).name;
        let target = outcome.targets.iter().find(|target| target.is(name));
        let endpoint = target.and_then(Target::endpoint).unwrap_or("the endpoint");
        let head = choices.request_head(request, http, route, prefix, id, endpoint);
        let head = String::from_utf8_lossy(&head).into_owned();
        outcome.sent = head.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        outcome.mirrors = route.mirrors.iter().map(|mirror| safeguards::mirror(plan, mirror)).collect();
        outcome.limits = limits(route);
        outcome.error_pages = pages(&route.error_pages);
    }
    outcome.response_edits =
        route.response_edits.iter().map(|edit| response_edit(edit, request, own_status)).collect();
    outcome
}

fn limits(route: &Route) -> Vec<(&'static str, String)> {
    let timeouts = &route.timeouts;
    let all = [
        ("connect", timeouts.connect),
        ("response_head", timeouts.response_head),
        ("response_idle", timeouts.response_idle),
        ("body_idle", timeouts.body_idle),
        ("write_idle", timeouts.write_idle),
        ("request", timeouts.request),
        ("tunnel_idle", timeouts.tunnel_idle),
    ];
    let mut limits: Vec<_> = all.into_iter().map(|(name, limit)| (name, duration(limit))).collect();
    limits.push(("body", size(route.body_limit)));
    limits
}

/// An edit with its value, where that does not wait for the upstream's response.
fn response_edit(edit: &HeaderEdit, request: &Request<'_>, own_status: Option<u16>) -> String {
    let (verb, name, value) = match edit {
        HeaderEdit::Remove(name) => return format!("remove {name}"),
        HeaderEdit::Set(name, value) => ("set", name, value),
        HeaderEdit::Add(name, value) => ("add", name, value),
    };
    let response = own_status.map(|status| Response { status, bytes: &[], head: None });
    let facts = request.facts(response);
    let awaited: Vec<String> = value
        .parts
        .iter()
        .filter_map(|part| match part {
            Part::Expression(expression) => Some(expression.observed(&facts)),
            Part::Text(_) => None,
        })
        .flatten()
        .map(|(seen, _)| seen)
        .filter(|seen| seen.contains("response."))
        .collect();
    if own_status.is_none() && !awaited.is_empty() {
        return format!("{verb} {name}: known with the response ({})", awaited.join(", "));
    }
    format!("{verb} {name}: {}", render(value, request, response))
}

fn render(template: &Template, request: &Request<'_>, response: Option<Response<'_>>) -> String {
    let mut text = String::new();
    template.render(&request.facts(response), &mut text);
    text
}
