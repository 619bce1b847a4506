//! What expressions of a log may ask: what the request knew, and what became of it.

use crate::AccessRecord;
use narrows_plan::{Fact, Facts};
use std::borrow::Cow;
use std::net::IpAddr;

/// The facts of a record.
pub(crate) struct RecordFacts<'a>(pub(crate) &'a AccessRecord<'a>);

impl Facts for RecordFacts<'_> {
    fn text(&self, fact: Fact) -> Cow<'_, str> {
        let record = self.0;
        Cow::Borrowed(match fact {
            Fact::RecordProtocol => record.protocol,
            Fact::RecordRoute => record.route,
            Fact::RecordUpstream => record.upstream,
            Fact::RecordEndpoint => record.endpoint,
            Fact::RecordFault => record.fault,
            Fact::RecordRequestId => record.ids.request,
            Fact::RecordTraceId => record.ids.trace,
            Fact::Listener => record.listener,
            _ => return record.facts.text(fact),
        })
    }

    fn number(&self, fact: Fact) -> i64 {
        let record = self.0;
        match fact {
            Fact::ResponseStatus => record.status.into(),
            Fact::RecordUpstreamStatus => record.upstream_status.into(),
            Fact::RecordAttempts => record.attempts.into(),
            Fact::RecordBytesReceived => whole(record.bytes_received),
            Fact::RecordBytesSent => whole(record.bytes_sent),
            Fact::RecordDurationMs => i64::try_from(record.duration.as_millis()).unwrap_or(i64::MAX),
            _ => record.facts.number(fact),
        }
    }

    fn source(&self) -> IpAddr {
        self.0.client
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.facts.header(name)
    }

    fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.facts.cookie(name)
    }

    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.facts.parameter(name)
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.facts.response_header(name)
    }

    fn response_cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.facts.response_cookie(name)
    }

    fn capture(&self, group: usize) -> Option<&str> {
        self.0.facts.capture(group)
    }

    fn texts(&self, fact: Fact) -> &[String] {
        self.0.facts.texts(fact)
    }

    fn flag(&self, fact: Fact) -> bool {
        self.0.facts.flag(fact)
    }

    fn proxy_tlv(&self, kind: u8) -> Option<Cow<'_, str>> {
        self.0.facts.proxy_tlv(kind)
    }
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
