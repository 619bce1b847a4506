//! `explain` for datagrams.

use super::outcome::{Outcome, Target, duration};
use super::{Arguments, Report, Trace, headline, local_port, skipped};
use narrows_plan::{Listener, Plan, Subject, UdpListener};
use narrows_proxy::FlowFacts;
use narrows_wire::proxy_protocol::Tlvs;
use std::time::{SystemTime, UNIX_EPOCH};

pub(super) fn explain(plan: &Plan, listener: &Listener, udp: &UdpListener, arguments: &Arguments) -> Report {
    let url = &arguments.url;
    let server_name = arguments.sni.as_deref().filter(|_| udp.quic).unwrap_or_default().to_ascii_lowercase();
    let alpn: &[String] = if udp.quic { &arguments.alpn } else { &[] };
    let facts = FlowFacts {
        source: arguments.source,
        source_port: 0,
        listener: &listener.name,
        local_port: local_port(listener, url),
        tlvs: Tlvs::default(),
        server_name: &server_name,
        alpn,
        tls: None,
        unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let mut trace = Trace::default();
    let subject = Subject { host: &server_name, path: "" };
    let chosen = udp.table.select(subject, &facts, &mut trace);
    let rules = udp.table.rules();
    let name = |rule: usize| udp.routes[rule].name.to_string();
    let upstream = chosen.map(|rule| udp.routes[rule].upstream).or(udp.fallback);
    let outcome = match upstream {
        Some(id) => Outcome {
            kind: "forward",
            route: chosen.map(|rule| (name(rule), plan.locate(udp.routes[rule].origin))),
            targets: vec![Target::new(plan, plan.upstream(id), 1, 1)],
            limits: vec![
                ("idle", duration(udp.timeouts.idle)),
                ("peek", duration(if udp.peeks { udp.timeouts.peek } else { None })),
                ("sessions", udp.sessions.limit.to_string()),
                (
                    "answers",
                    udp.sessions.answers.map_or("any number".to_owned(), |answers| answers.to_string()),
                ),
            ],
            ..Outcome::default()
        },
        None => Outcome::refuse(
            "the datagram is dropped: no route takes it and the listener has no `upstream`".to_owned(),
        ),
    };
    let none_or = |text: &str| if text.is_empty() { "none".to_owned() } else { text.to_owned() };
    let mut subject_lines = vec![("source", arguments.source.to_string())];
    let mut notes = Vec::new();
    if udp.quic {
        subject_lines.insert(0, ("alpn", none_or(&alpn.join(", "))));
        subject_lines.insert(0, ("sni", none_or(&server_name)));
        notes.push(
            "explained for a new connection: one that was seen before stays with its endpoint".to_owned(),
        );
    } else if arguments.sni.is_some() || !arguments.alpn.is_empty() {
        notes.push("--sni and --alpn mean nothing here: the listener is not `quic: true`".to_owned());
    }
    Report {
        listener: headline(plan, listener),
        notes,
        subject: subject_lines,
        skipped: skipped(plan, rules, &trace, name, subject),
        lists_skipped: arguments.all,
        outcome,
        compared: trace.compared(plan, rules, chosen, name, subject, &facts),
    }
}
