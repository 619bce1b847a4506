//! `explain` at layer 4: TCP connections, UDP sessions, QUIC connections that pass through.

use super::outcome::{Outcome, duration};
use super::target::Target;
use super::{Arguments, Report, Trace, gate, headline, local_port, skipped};
use narrows_plan::{Listener, Plan, RouteTable, Subject, TcpListener, TcpRoute, UdpListener, UpstreamId};
use narrows_proxy::{ChoicePreview, FlowFacts};
use narrows_wire::proxy_protocol::Tlvs;
use std::time::{SystemTime, UNIX_EPOCH};

/// What TCP and UDP listeners have in common.
struct Rules<'a> {
    table: &'a RouteTable,
    routes: &'a [TcpRoute],
    fallback: Option<UpstreamId>,
    /// Name and value of what holds on the way.
    limits: Vec<(&'static str, String)>,
    /// What happens when nothing takes it.
    refusal: &'static str,
}

pub(super) fn explain_tcp(
    choices: &ChoicePreview<'_>,
    plan: &Plan,
    listener: &Listener,
    tcp: &TcpListener,
    arguments: &Arguments,
) -> Report {
    let rules = Rules {
        table: &tcp.table,
        routes: &tcp.routes,
        fallback: tcp.fallback,
        limits: vec![
            ("connect", duration(tcp.timeouts.connect)),
            ("idle", duration(tcp.timeouts.idle)),
            ("peek", duration(if tcp.peeks { tcp.timeouts.peek } else { None })),
        ],
        refusal: "the connection is closed: no route takes it and the listener has no `upstream`",
    };
    let server_name = arguments.sni.as_deref().unwrap_or_default().to_ascii_lowercase();
    let mut report = report(choices, plan, listener, rules, &server_name, &arguments.alpn, arguments);
    report.notes.extend(gate(listener));
    let peeks = match (&listener.tls, tcp.peeks) {
        (Some(_), _) => "no, TLS ends here",
        (None, true) => "yes, for the client hello",
        (None, false) => "no",
    };
    report.subject = vec![
        ("sni", none_or(&server_name)),
        ("alpn", none_or(&arguments.alpn.join(", "))),
        ("source", arguments.source.to_string()),
        ("peeks", peeks.to_owned()),
    ];
    report
}

pub(super) fn explain_udp(
    choices: &ChoicePreview<'_>,
    plan: &Plan,
    listener: &Listener,
    udp: &UdpListener,
    arguments: &Arguments,
) -> Report {
    let answers = udp.sessions.answers;
    let rules = Rules {
        table: &udp.table,
        routes: &udp.routes,
        fallback: udp.fallback,
        limits: vec![
            ("idle", duration(udp.timeouts.idle)),
            ("peek", duration(if udp.peeks { udp.timeouts.peek } else { None })),
            ("sessions", udp.sessions.limit.to_string()),
            ("answers", answers.map_or("any number".to_owned(), |answers| answers.to_string())),
        ],
        refusal: "the datagram is dropped: no route takes it and the listener has no `upstream`",
    };
    let server_name = arguments.sni.as_deref().filter(|_| udp.quic).unwrap_or_default().to_ascii_lowercase();
    let alpn: &[String] = if udp.quic { &arguments.alpn } else { &[] };
    let mut report = report(choices, plan, listener, rules, &server_name, alpn, arguments);
    report.notes.extend(gate(listener));
    if udp.quic {
        report.subject = vec![("sni", none_or(&server_name)), ("alpn", none_or(&alpn.join(", ")))];
        let note = "explained for a new connection: one that was seen before stays with its endpoint";
        report.notes.push(note.to_owned());
    } else if arguments.sni.is_some() || !arguments.alpn.is_empty() {
        let note = "--sni and --alpn mean nothing here: the listener is not `quic: true`";
        report.notes.push(note.to_owned());
    }
    report.subject.push(("source", arguments.source.to_string()));
    report
}

/// Everything but the subject and the notes.
fn report(
    choices: &ChoicePreview<'_>,
    plan: &Plan,
    listener: &Listener,
    rules: Rules<'_>,
    server_name: &str,
    alpn: &[String],
    arguments: &Arguments,
) -> Report {
    let facts = FlowFacts {
        source: arguments.source,
        source_port: 0,
        listener: &listener.name,
        local_port: local_port(listener, &arguments.url),
        tlvs: Tlvs::default(),
        server_name,
        alpn,
        tls: None,
        unix: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()),
    };
    let Rules { table, routes, fallback, limits, refusal } = rules;
    let mut trace = Trace::default();
    let subject = Subject { host: server_name, path: "" };
    let chosen = table.select(subject, &facts, &mut trace);
    let name = |rule: usize| routes[rule].name.to_string();
    let outcome = match chosen.map(|rule| routes[rule].upstream).or(fallback) {
        Some(id) => Outcome {
            kind: "forward",
            route: chosen.map(|rule| (name(rule), plan.locate(routes[rule].origin))),
            targets: vec![Target::new(plan, id, (1, 1), choices.of_flow(&facts, id), None)],
            limits,
            ..Outcome::default()
        },
        None => Outcome::refuse(refusal.to_owned()),
    };
    Report {
        listener: headline(plan, listener),
        skipped: skipped(plan, table.rules(), &trace, name, subject),
        lists_skipped: arguments.all,
        outcome,
        compared: trace.compared(plan, table.rules(), chosen, name, subject, &facts),
        ..Report::default()
    }
}

fn none_or(text: &str) -> String {
    if text.is_empty() { "none".to_owned() } else { text.to_owned() }
}
