//! What is told of an exchange once it is over. [`tell`] is the one place that every record passes.

mod facts;

use crate::downstream::Downstream;
use crate::gate::Arrival;
use crate::generation::Generation;
use crate::request::HTTP2;
use crate::termination::{Progress, termination};
use crate::tracing::{self, Correlation};
use crate::worker::{ExchangeMemory, Worker};
use crate::{Fault, FlowFacts, client};
use facts::ExchangeFacts;
use narrows_observe::{AccessRecord, Timings, TlsRecord};
use narrows_plan::{Facts, HttpListener};
use narrows_tls::TlsFacts;
use narrows_upstream::EndpointState;
use narrows_wire::http1::FieldName;
use std::rc::Rc;
use std::time::Instant;

/// What happened, for the record.
#[derive(Debug, Default)]
pub(crate) struct Outcome<'a> {
    pub(crate) route: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) endpoint: Option<Rc<EndpointState>>,
    pub(crate) attempts: u32,
    pub(crate) status: u16,
    /// What the endpoint answered with.
    pub(crate) upstream_status: u16,
    pub(crate) received: u64,
    /// Bytes of the answer's head.
    pub(crate) head_sent: u64,
    pub(crate) sent: u64,
    pub(crate) timings: Timings,
    pub(crate) fault: Option<Fault>,
    /// The names by which others know it.
    pub(crate) correlation: Option<Rc<Correlation>>,
}

/// Tells everybody who listens of what is over.
pub(crate) fn tell(worker: &Worker, record: &AccessRecord<'_>) {
    worker.counting.ended(record);
    worker.logs.borrow().add(record);
}

/// Adds the record of an exchange that `started` then.
pub(crate) fn add(
    worker: &Worker,
    generation: &Generation,
    listener: &HttpListener,
    downstream: &Downstream,
    memory: &ExchangeMemory,
    started: Instant,
    outcome: &Outcome<'_>,
) {
    let (head, bytes, arrival) = (&memory.head, &memory.bytes[..], &downstream.arrival);
    let value = |known| head.field(known).map_or(&[][..], |field| field.value.of(bytes));
    let (client, _) = client::address(arrival.peer.address(), bytes, head, &listener.trusted_proxies);
    let is_answered = outcome.upstream_status > 0;
    let facts = ExchangeFacts { worker, generation, listener, downstream, memory, client, is_answered };
    let is_connected = is_answered || !matches!(outcome.fault, Some(Fault::Connect(_)));
    let attempts = outcome.attempts;
    let progress = Progress { attempts, is_connected: is_connected && attempts > 0, is_answered };
    let record = AccessRecord {
        client,
        ids: outcome.correlation.as_deref().map(Correlation::ids).unwrap_or_default(),
        protocol: "http",
        target: head.target.of(bytes),
        version: match head.length {
            0 => "",
            _ if downstream.is_http2() => HTTP2,
            _ => head.version.as_str(),
        },
        host: std::str::from_utf8(head.host.of(bytes)).unwrap_or_default(),
        status: outcome.status,
        upstream_status: outcome.upstream_status,
        head_received: head.length as u64,
        bytes_received: outcome.received,
        head_sent: outcome.head_sent,
        bytes_sent: outcome.sent,
        duration: started.elapsed(),
        timings: outcome.timings,
        referer: value(FieldName::Referer),
        user_agent: value(FieldName::UserAgent),
        route: outcome.route,
        upstream: outcome.upstream,
        endpoint: outcome.endpoint.as_ref().map_or("", |endpoint| &endpoint.label),
        attempts,
        fault: outcome.fault.map_or("", |fault| fault.meaning().code),
        termination: termination(outcome.fault, progress),
        ..blank(
            worker,
            generation,
            arrival,
            match outcome.fault {
                Some(Fault::TlsOnPlainPort) => b"TLS",
                _ => head.method_span.of(bytes),
            },
            &facts,
        )
    };
    tell(worker, &record);
    if let Some(correlation) = &outcome.correlation {
        correlation.end(worker, generation, arrival, &record);
    }
}

/// Adds the record of a connection that failed before it carried a request; `what` stands where the method stands else. The host is
/// the one that the client asked for in its TLS handshake.
pub(crate) fn add_refused(
    worker: &Worker,
    generation: &Generation,
    arrival: &Arrival,
    started: Instant,
    what: &[u8],
    fault: Fault,
) {
    let facts = flow_facts(worker, generation, arrival);
    let record = AccessRecord {
        host: facts.server_name,
        duration: started.elapsed(),
        fault: fault.meaning().code,
        termination: termination(Some(fault), Progress::default()),
        ..blank(worker, generation, arrival, what, &facts)
    };
    tell(worker, &record);
    if matches!(fault, Fault::Handshake(_)) {
        tracing::tell_handshake(worker, generation, &record);
    }
}

/// A record of something on this connection, in which nothing else is known yet.
pub(crate) fn blank<'a>(
    worker: &Worker,
    generation: &'a Generation,
    arrival: &'a Arrival,
    what: &'a [u8],
    facts: &'a dyn Facts,
) -> AccessRecord<'a> {
    let listener = generation.listener(arrival.place.listener);
    let name = listener.map_or("", |listener| &*listener.name);
    AccessRecord {
        peer_port: arrival.peer.port(),
        local_port: arrival.place.local_port,
        protocol: listener.map_or("", |listener| listener.protocol.name()),
        tls: arrival.tls.as_deref().map(tls_record),
        ..AccessRecord::blank(worker.precise(), arrival.peer.address(), name, what, facts)
    }
}

/// What is known of a connection as a flow.
pub(crate) fn flow_facts<'a>(
    worker: &Worker,
    generation: &'a Generation,
    arrival: &'a Arrival,
) -> FlowFacts<'a> {
    FlowFacts {
        source: arrival.peer.address(),
        source_port: arrival.peer.port(),
        listener: generation.listener_name(arrival.place.listener),
        local_port: arrival.place.local_port,
        tlvs: arrival.tlvs(),
        server_name: arrival.tls.as_ref().map_or("", |tls| &tls.server_name),
        alpn: &[],
        tls: arrival.tls.as_deref(),
        unix: worker.unix(),
    }
}

fn tls_record(tls: &TlsFacts) -> TlsRecord<'_> {
    TlsRecord {
        version: tls.version,
        cipher: tls.cipher,
        server_name: &tls.server_name,
        protocol: &tls.protocol,
        resumed: tls.resumed,
    }
}
