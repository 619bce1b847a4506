//! The end of sessions and what is told of it.

use super::Flows;
use super::sessions::{Count, Session};
use crate::Fault;
use crate::say::say;
use crate::termination::{Progress, termination};
use crate::{FlowFacts, record};
use narrows_observe::{AccessRecord, Datagrams, Timings};
use narrows_runtime::Tick;
use narrows_upstream::AttemptFailure;
use narrows_wire::proxy_protocol::Tlvs;
use std::net::IpAddr;
use std::time::Duration;

/// The shortest time between two reports of the same reason to refuse datagrams: a stranger can send a million a second.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// Datagrams that opened no session, counted by the reason.
#[derive(Default)]
pub(super) struct Refusals {
    reasons: Vec<Refused>,
}

struct Refused {
    fault: Fault,
    client: IpAddr,
    count: Count,
    reported: Option<Tick>,
}

impl Refusals {
    /// Counts datagrams; the first client is remembered for the report.
    pub(super) fn add(&mut self, fault: Fault, client: IpAddr, datagrams: u64, bytes: usize) {
        let reason = match self.reasons.iter().position(|reason| reason.fault == fault) {
            Some(known) => &mut self.reasons[known],
            None => {
                let count = Count::default();
                self.reasons.push(Refused { fault, client, count, reported: None });
                let last = self.reasons.len() - 1;
                &mut self.reasons[last]
            }
        };
        if reason.count.datagrams == 0 {
            reason.client = client;
        }
        reason.count.add(datagrams, bytes);
    }

    /// Whether something is to be reported.
    pub(super) fn are_waiting(&self) -> bool {
        self.reasons.iter().any(|reason| reason.count.datagrams > 0)
    }

    /// What is due for a report now.
    fn due(&mut self, now: Tick) -> Vec<(Fault, IpAddr, Count)> {
        let mut due = Vec::new();
        for reason in &mut self.reasons {
            let rested = reason.reported.is_none_or(|last| now.since(last) >= REPORT_EVERY);
            if reason.count.datagrams > 0 && rested {
                reason.reported = Some(now);
                due.push((reason.fault, reason.client, std::mem::take(&mut reason.count)));
            }
        }
        due
    }
}

impl Flows<'_> {
    /// Ends a session and records it.
    pub(super) fn end(&mut self, slot: u32, fault: Option<Fault>) {
        let Some(session) = self.sessions.remove(slot) else { return };
        let fault = fault.or(session.fault);
        self.record_session(&session, fault);
        if let Some(trail) = session.trail {
            let moved = (session.received.bytes, session.sent.bytes);
            trail.end(Timings::default(), session.started.elapsed(), 0, fault, moved);
        }
        drop(session.running);
    }

    /// Ends a session on which nothing moved: the usual end, unless an answer is missing that was expected. An endpoint that gave none at
    /// all has failed.
    pub(super) fn end_idle(&mut self, slot: u32) {
        let is_unanswered = self.rules.sessions.answers.is_some();
        if let Some(session) = self.sessions.get(slot) {
            match is_unanswered && session.is_unproven {
                // One that drains is not given the time that an answer may take.
                true if self.is_draining => {}
                true => {
                    session.endpoint.failed(AttemptFailure::Timeout);
                    session.entered.failed();
                }
                // Nothing was awaited of a silent one; what the first answer said of another one stands.
                false => session.entered.answered(0),
            }
        }
        self.end(slot, is_unanswered.then_some(Fault::IdleTimedOut));
    }

    pub(super) fn expire_hellos(&mut self, now: Tick) {
        for key in self.hellos.expired(now) {
            self.refusals.add(Fault::PeekTimedOut, key.client.ip(), 1, 0);
        }
    }

    /// Counts datagrams that did not fit into their place and were dropped.
    pub(super) fn note_cut(&mut self, cut: u64) {
        if cut > 0 {
            self.refusals.add(Fault::DatagramTooLarge, IpAddr::from([0, 0, 0, 0]), cut, 0);
        }
    }

    /// Says what was refused, now and then: a record for each reason, with the number of datagrams.
    pub(super) fn report_refusals(&mut self, now: Tick) {
        let rules = self.rules.clone();
        let listener = &rules.listener().name;
        for (fault, client, count) in self.refusals.due(now) {
            if fault == Fault::SessionLimit {
                let datagrams = count.datagrams;
                say(&format!(
                    "listener {listener}: all sessions are taken; {datagrams} datagrams of new clients were dropped \
                     (sessions.limit)"
                ));
            }
            let place = self.place;
            let facts = FlowFacts { source: client, listener, ..self.no_facts(place.local_port) };
            record::tell(
                self.worker,
                &AccessRecord {
                    fault: fault.meaning().code,
                    termination: termination(Some(fault), Progress::default()),
                    bytes_received: count.bytes,
                    datagrams: Some(Datagrams {
                        received: count.datagrams,
                        sent: 0,
                        dropped: count.datagrams,
                    }),
                    ..self.blank(client, 0, &facts)
                },
            );
        }
    }

    fn record_session(&self, session: &Session, fault: Option<Fault>) {
        let cluster = session.cluster();
        let client = session.key.client;
        let server_name = &session.server_name;
        let facts = FlowFacts {
            source: client.ip().to_canonical(),
            source_port: client.port(),
            listener: &session.rules.listener().name,
            server_name,
            ..self.no_facts(self.place.local_port)
        };
        let is_answered = session.sent.datagrams > 0;
        let progress = Progress { attempts: session.attempts, is_connected: true, is_answered };
        record::tell(
            self.worker,
            &AccessRecord {
                host: server_name,
                bytes_received: session.received.bytes,
                bytes_sent: session.sent.bytes,
                duration: session.started.elapsed(),
                route: session.home.route.map_or("", |route| &session.rules.routes[route].name),
                upstream: &cluster.upstream.name,
                endpoint: &session.endpoint.label,
                datagrams: Some(Datagrams {
                    received: session.received.datagrams,
                    sent: session.sent.datagrams,
                    dropped: session.dropped,
                }),
                attempts: session.attempts,
                fault: fault.map_or("", |fault| fault.meaning().code),
                termination: termination(fault, progress),
                ..self.blank(client.ip(), client.port(), &facts)
            },
        );
    }

    fn no_facts(&self, local_port: u16) -> FlowFacts<'static> {
        FlowFacts {
            source: IpAddr::from([0, 0, 0, 0]),
            source_port: 0,
            listener: "",
            local_port,
            tlvs: Tlvs::default(),
            server_name: "",
            alpn: &[],
            tls: None,
            unix: self.worker.unix(),
        }
    }

    fn blank<'a>(&'a self, client: IpAddr, port: u16, facts: &'a FlowFacts<'a>) -> AccessRecord<'a> {
        let listener = &self.rules.listener().name;
        let (method, protocol): (&[u8], _) =
            if self.rules.quic { (b"QUIC", "quic") } else { (b"UDP", "udp") };
        AccessRecord {
            peer_port: port,
            local_port: facts.local_port,
            protocol,
            ..AccessRecord::blank(self.worker.precise(), client.to_canonical(), listener, method, facts)
        }
    }
}
