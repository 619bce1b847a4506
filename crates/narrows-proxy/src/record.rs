//! What is told of an exchange once it is over.

use crate::downstream::Downstream;
use crate::worker::{ExchangeMemory, Worker};
use crate::{Fault, client};
use narrows_observe::{AccessRecord, Calendar};
use narrows_plan::HttpListener;
use narrows_wire::http1::FieldName;
use std::time::Instant;

/// What happened, for the record.
#[derive(Debug, Default)]
pub(crate) struct Outcome<'a> {
    pub(crate) route: &'a str,
    pub(crate) upstream: &'a str,
    pub(crate) endpoint: &'a str,
    pub(crate) attempts: u32,
    pub(crate) status: u16,
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) fault: Option<Fault>,
}

/// Adds the record of an exchange that `started` then.
pub(crate) fn add(
    worker: &Worker,
    listener: &HttpListener,
    downstream: &Downstream,
    memory: &ExchangeMemory,
    started: Instant,
    outcome: &Outcome<'_>,
) {
    let Some(log) = &worker.log else { return };
    let (head, bytes) = (&memory.head, &memory.bytes[..]);
    let value = |known| head.field(known).map_or(&[][..], |field| field.value.of(bytes));
    let (client, _) = client::address(downstream.peer.address(), bytes, head, &listener.trusted_proxies);
    log.add(&AccessRecord {
        time: Calendar::from_unix(worker.unix()),
        client,
        listener: &worker.plan.listeners[downstream.place.listener].name,
        method: head.method_span.of(bytes),
        target: head.target.of(bytes),
        version: if head.length == 0 { "" } else { head.version.as_str() },
        host: std::str::from_utf8(head.host.of(bytes)).unwrap_or_default(),
        status: outcome.status,
        bytes_received: outcome.received,
        bytes_sent: outcome.sent,
        duration: started.elapsed(),
        referer: value(FieldName::Referer),
        user_agent: value(FieldName::UserAgent),
        route: outcome.route,
        upstream: outcome.upstream,
        endpoint: outcome.endpoint,
        datagrams: None,
        attempts: outcome.attempts,
        fault: outcome.fault.map_or("", |fault| fault.meaning().code),
    });
}
