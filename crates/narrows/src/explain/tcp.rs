//! `explain` at layer 4.

use super::outcome::{Outcome, Target, duration};
use super::{Arguments, Report, Trace, gate, headline, local_port, skipped};
use narrows_plan::{Listener, Plan, Subject, TcpListener};
use narrows_proxy::FlowFacts;
use narrows_wire::proxy_protocol::Tlvs;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn explain(plan: &Plan, listener: &Listener, tcp: &TcpListener, arguments: &Arguments) -> Report {
    let url = &arguments.url;
    let server_name = arguments.sni.as_deref().unwrap_or_default().to_ascii_lowercase();
    let facts = FlowFacts {
        source: arguments.source,
        source_port: 0,
        listener: &listener.name,
        local_port: local_port(listener, url),
        tlvs: Tlvs::default(),
        server_name: &server_name,
        alpn: &arguments.alpn,
        tls: None,
        unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let mut trace = Trace::default();
    let subject = Subject { host: &server_name, path: "" };
    let chosen = tcp.table.select(subject, &facts, &mut trace);
    let rules = tcp.table.rules();
    let name = |rule: usize| tcp.routes[rule].name.to_string();
    let upstream = chosen.map(|rule| tcp.routes[rule].upstream).or(tcp.fallback);
    let outcome = match upstream {
        Some(id) => Outcome {
            kind: "forward",
            route: chosen.map(|rule| (name(rule), plan.locate(tcp.routes[rule].origin))),
            targets: vec![Target::new(plan, plan.upstream(id), 1, 1)],
            limits: vec![
                ("connect", duration(tcp.timeouts.connect)),
                ("idle", duration(tcp.timeouts.idle)),
                ("peek", duration(if tcp.peeks { tcp.timeouts.peek } else { None })),
            ],
            ..Outcome::default()
        },
        None => Outcome::refuse(
            "the connection is closed: no route takes it and the listener has no `upstream`".to_owned(),
        ),
    };
    Report {
        listener: headline(plan, listener),
        notes: gate(listener).into_iter().collect(),
        subject: vec![
            ("sni", if server_name.is_empty() { "none".to_owned() } else { server_name.clone() }),
            ("alpn", if arguments.alpn.is_empty() { "none".to_owned() } else { arguments.alpn.join(", ") }),
            ("source", arguments.source.to_string()),
            (
                "peeks",
                if listener.tls.is_some() {
                    "no, TLS ends here".to_owned()
                } else if tcp.peeks {
                    "yes, for the client hello".to_owned()
                } else {
                    "no".to_owned()
                },
            ),
        ],
        skipped: skipped(plan, rules, &trace, name, subject),
        lists_skipped: arguments.all,
        outcome,
        compared: trace.compared(plan, rules, chosen, name, subject, &facts),
    }
}
