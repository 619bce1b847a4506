//! What is told of an exchange once it is over.

use crate::downstream::Downstream;
use crate::gate::Arrival;
use crate::generation::Generation;
use crate::request::HTTP2;
use crate::worker::{ExchangeMemory, Worker};
use crate::{Fault, client};
use narrows_observe::{AccessRecord, Calendar};
use narrows_plan::HttpListener;
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
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) fault: Option<Fault>,
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
    let Some(log) = &worker.log else { return };
    let (head, bytes) = (&memory.head, &memory.bytes[..]);
    let value = |known| head.field(known).map_or(&[][..], |field| field.value.of(bytes));
    let (client, _) =
        client::address(downstream.arrival.peer.address(), bytes, head, &listener.trusted_proxies);
    log.add(&AccessRecord {
        time: Calendar::from_unix(worker.unix()),
        client,
        listener: generation.listener_name(downstream.arrival.place.listener),
        method: match outcome.fault {
            Some(Fault::TlsOnPlainPort) => b"TLS",
            _ => head.method_span.of(bytes),
        },
        target: head.target.of(bytes),
        version: match head.length {
            0 => "",
            _ if downstream.is_http2() => HTTP2,
            _ => head.version.as_str(),
        },
        host: std::str::from_utf8(head.host.of(bytes)).unwrap_or_default(),
        status: outcome.status,
        bytes_received: outcome.received,
        bytes_sent: outcome.sent,
        duration: started.elapsed(),
        referer: value(FieldName::Referer),
        user_agent: value(FieldName::UserAgent),
        route: outcome.route,
        upstream: outcome.upstream,
        endpoint: outcome.endpoint.as_ref().map_or("", |endpoint| &endpoint.label),
        datagrams: None,
        attempts: outcome.attempts,
        fault: outcome.fault.map_or("", |fault| fault.meaning().code),
    });
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
    let Some(log) = &worker.log else { return };
    log.add(&AccessRecord {
        host: arrival.tls.as_ref().map_or("", |tls| &tls.server_name),
        duration: started.elapsed(),
        fault: fault.meaning().code,
        ..blank(worker, generation, arrival, what)
    });
}

/// A record of something on this connection, in which nothing else is known yet.
pub(crate) fn blank<'a>(
    worker: &Worker,
    generation: &'a Generation,
    arrival: &Arrival,
    what: &'a [u8],
) -> AccessRecord<'a> {
    let listener = generation.listener_name(arrival.place.listener);
    AccessRecord::blank(Calendar::from_unix(worker.unix()), arrival.peer.address(), listener, what)
}
