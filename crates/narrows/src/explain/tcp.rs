//! `explain` at layer 4.

use super::{Arguments, Report, Trace, Url, upstream_lines, why_skipped};
use narrows_plan::{Listener, Plan, Subject, TcpListener};
use narrows_proxy::TcpFacts;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn explain(
    plan: &Plan,
    listener: &Listener,
    tcp: &TcpListener,
    url: &Url,
    arguments: &Arguments,
) -> Report {
    let binds: Vec<_> = listener.binds.iter().map(|(bind, _)| bind.to_string()).collect();
    let server_name = arguments.sni.as_deref().unwrap_or_default().to_ascii_lowercase();
    let facts = TcpFacts {
        source: arguments.source,
        source_port: 0,
        listener: &listener.name,
        local_port: url.port.unwrap_or(0),
        server_name: &server_name,
        alpn: &arguments.alpn,
        unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let mut trace = Trace::default();
    let subject = Subject { host: &server_name, path: "" };
    let chosen = tcp.table.select(subject, &facts, &mut trace);
    let rules = tcp.table.rules();
    let name = |rule: usize| tcp.routes[rule].name.to_string();
    let looked_at = trace.candidates.clone();
    let skipped = (0..rules.len()).filter(|rule| !looked_at.contains(rule)).map(|rule| {
        let why = match why_skipped(&rules[rule], &server_name, "") {
            "the host differs" => "the server name differs",
            why => why,
        };
        (name(rule), plan.locate(rules[rule].origin), why)
    });
    let upstream = chosen.map(|rule| tcp.routes[rule].upstream).or(tcp.fallback);
    let action = match (chosen, upstream) {
        (Some(rule), Some(id)) => {
            let route = &tcp.routes[rule];
            let mut lines = vec![format!("route {} ({})", route.name, plan.locate(route.origin))];
            lines.extend(upstream_lines(plan, plan.upstream(id)));
            lines
        }
        (None, Some(id)) => {
            let mut lines = vec!["no route takes it: the listener's own `upstream` does".to_owned()];
            lines.extend(upstream_lines(plan, plan.upstream(id)));
            lines
        }
        (_, None) => {
            vec!["the connection is closed: no route takes it and the listener has no `upstream`".to_owned()]
        }
    };
    Report {
        listener: format!(
            "{} ({}), tcp on {}",
            listener.name,
            plan.locate(listener.origin),
            binds.join(", ")
        ),
        subject: vec![
            ("sni", if server_name.is_empty() { "none".to_owned() } else { server_name.clone() }),
            ("alpn", if arguments.alpn.is_empty() { "none".to_owned() } else { arguments.alpn.join(", ") }),
            ("source", arguments.source.to_string()),
            ("peeks", if tcp.peeks { "yes, for the client hello".to_owned() } else { "no".to_owned() }),
        ],
        skipped: skipped.collect(),
        lists_skipped: arguments.all,
        action,
        is_taken: upstream.is_some(),
        compared: trace.compared(plan, rules, chosen, name, &facts),
    }
}
