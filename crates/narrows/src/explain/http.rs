//! `explain` at layer 7.

use super::{Arguments, Report, Trace, Url, upstream_lines, why_skipped};
use narrows_plan::{Action, HttpListener, Listener, Plan, Route, Subject};
use narrows_proxy::{ConnectionFacts, Fault, Request, RequestMemory, preview_request_head};
use narrows_wire::http1::{HeadLimits, RequestHead, parse_request};
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn explain(
    plan: &Plan,
    listener: &Listener,
    http: &HttpListener,
    url: &Url,
    arguments: &Arguments,
) -> Report {
    let binds: Vec<_> = listener.binds.iter().map(|(bind, _)| bind.to_string()).collect();
    let mut report = Report {
        listener: format!(
            "{} ({}), http on {}",
            listener.name,
            plan.locate(listener.origin),
            binds.join(", ")
        ),
        lists_skipped: arguments.all,
        ..Report::default()
    };
    let bytes = head_text(url, arguments).into_bytes();
    let mut head = RequestHead::default();
    let limits = HeadLimits {
        head_bytes: http.limits.head_bytes,
        fields: http.limits.header_fields,
        target_bytes: http.limits.uri_bytes,
    };
    if let Err(error) = parse_request(&bytes, &limits, &mut head) {
        report.action = vec![format!("refused with {}: {error}", error.status())];
        return report;
    }
    let local_port = url.port.unwrap_or(if url.scheme == "https" { 443 } else { 80 });
    let connection = ConnectionFacts {
        peer: arguments.source,
        peer_port: 0,
        listener: &listener.name,
        local_port,
        scheme: if url.scheme == "https" { "https" } else { "http" },
        unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let mut memory = RequestMemory::default();
    let mut request = match Request::admit(&bytes, &head, http, connection, &mut memory) {
        Ok(request) => request,
        Err(fault) => {
            report.action = vec![refusal(fault)];
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
    let looked_at = trace.candidates.clone();
    report.compared = trace.compared(plan, rules, chosen, name, &request.facts(None));
    report.skipped = (0..rules.len())
        .filter(|rule| !looked_at.contains(rule))
        .map(|rule| {
            let why = why_skipped(&rules[rule], request.host, request.path);
            (name(rule), plan.locate(rules[rule].origin), why)
        })
        .collect();

    let route = chosen.map(|rule| &http.routes[rule]).or(http.fallback.as_deref());
    let Some(route) = route else {
        report.action = vec![refusal(Fault::NoRoute)];
        return report;
    };
    report.is_taken = true;
    if let Some(pattern) = &route.captures {
        request.capture(pattern);
    }
    let prefix = chosen.and_then(|rule| rules[rule].matched_prefix(request.path));
    report.action = action(plan, http, route, chosen.is_none(), prefix, &request);
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

fn refusal(fault: Fault) -> String {
    let meaning = fault.meaning();
    format!("refused with {} {}: {}", meaning.status, meaning.code, meaning.sentence)
}

fn action(
    plan: &Plan,
    http: &HttpListener,
    route: &Route,
    is_fallback: bool,
    prefix: Option<&str>,
    request: &Request<'_>,
) -> Vec<String> {
    let mut lines = Vec::new();
    if is_fallback {
        lines.push("no route takes it: the listener's own `upstream` does".to_owned());
    } else {
        lines.push(format!("route {} ({})", route.name, plan.locate(route.origin)));
    }
    let facts = request.facts(None);
    let render = |template: &narrows_plan::Template| {
        let mut text = String::new();
        template.render(&facts, &mut text);
        text
    };
    let upstream = match &route.action {
        Action::Respond(fixed) => {
            lines.push(format!("answers {} {}: {:?}", fixed.status, fixed.content_type, render(&fixed.body)));
            None
        }
        Action::Redirect(redirect) => {
            lines.push(format!("redirects with {} to {}", redirect.status, render(&redirect.to)));
            None
        }
        Action::Upstream(id) => {
            lines.extend(upstream_lines(plan, plan.upstream(*id)));
            Some(*id)
        }
        Action::Split(split) => {
            for (id, weight) in &split.shares {
                let percent = f64::from(*weight) * 100.0 / f64::from(split.total.max(1));
                lines.push(format!("{percent:.1} % of the requests:"));
                lines.extend(
                    upstream_lines(plan, plan.upstream(*id)).into_iter().map(|line| format!("  {line}")),
                );
            }
            split.shares.iter().find(|(_, weight)| *weight > 0).map(|(id, _)| *id)
        }
    };
    if let Some(endpoint) = upstream.and_then(|id| plan.upstream(id).endpoints.first()) {
        let head = preview_request_head(request, http, route, prefix, &endpoint.address.to_string());
        lines.push("sent as:".to_owned());
        lines.extend(
            String::from_utf8_lossy(&head)
                .lines()
                .filter(|line| !line.is_empty())
                .map(|line| format!("  {line}")),
        );
    }
    for edit in &route.response_edits {
        lines.push(match edit {
            narrows_plan::HeaderEdit::Remove(name) => format!("response header {name} removed"),
            narrows_plan::HeaderEdit::Set(name, _) => format!("response header {name} set"),
            narrows_plan::HeaderEdit::Add(name, _) => format!("response header {name} added"),
        });
    }
    lines
}
