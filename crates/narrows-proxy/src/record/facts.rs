//! What the conditions and templates of a log may ask of a request that is over.

use crate::downstream::Downstream;
use crate::generation::Generation;
use crate::request::{
    ConnectionFacts, Request, RequestFacts, RequestMemory, Response, joined, set_by, tls_flag, tls_texts,
    tlv_text,
};
use crate::worker::{AnswerMemory, ExchangeMemory, Worker};
use narrows_plan::{Fact, Facts, HttpListener};
use narrows_wire::http1::{FieldName, cookie};
use narrows_wire::target;
use std::borrow::Cow;
use std::net::IpAddr;

/// A request that is over. Nothing is computed before it is asked for: most logs ask for nothing.
pub(super) struct ExchangeFacts<'a> {
    pub(super) worker: &'a Worker,
    pub(super) generation: &'a Generation,
    pub(super) listener: &'a HttpListener,
    pub(super) downstream: &'a Downstream,
    pub(super) memory: &'a ExchangeMemory,
    pub(super) client: IpAddr,
    /// Whether an endpoint has answered.
    pub(super) is_answered: bool,
}

impl ExchangeFacts<'_> {
    /// The endpoint's answer, where it was kept.
    fn response(&self) -> Option<Response<'_>> {
        let AnswerMemory { head, head_bytes, .. } = &self.memory.answer;
        let is_there = self.is_answered && !head_bytes.is_empty();
        is_there.then(|| Response { status: head.status, bytes: head_bytes, head: Some(head) })
    }

    /// What the request, understood once more, answers; nothing where it cannot be understood.
    fn ask<T: Default>(&self, question: impl FnOnce(&RequestFacts<'_>) -> T) -> T {
        let ExchangeFacts { memory, downstream, .. } = self;
        let arrival = &downstream.arrival;
        let connection = ConnectionFacts {
            peer: arrival.peer.address(),
            peer_port: arrival.peer.port(),
            listener: self.generation.listener_name(arrival.place.listener),
            local_port: arrival.place.local_port,
            scheme: if arrival.tls.is_some() { "https" } else { "http" },
            is_http2: downstream.is_http2(),
            tls: arrival.tls.as_deref(),
            tlvs: arrival.tlvs(),
            unix: self.worker.unix(),
        };
        let mut texts = RequestMemory::default();
        match Request::admit(&memory.bytes, &memory.head, self.listener, connection, &mut texts) {
            Ok(request) => question(&request.facts(None)),
            Err(_) => T::default(),
        }
    }
}

impl Facts for ExchangeFacts<'_> {
    fn text(&self, fact: Fact) -> Cow<'_, str> {
        let memory = self.memory;
        match fact {
            Fact::Method => String::from_utf8_lossy(memory.head.method_span.of(&memory.bytes)),
            Fact::Target => String::from_utf8_lossy(memory.head.path_and_query.of(&memory.bytes)),
            Fact::Listener => self.generation.listener_name(self.downstream.arrival.place.listener).into(),
            _ => self.ask(|request| request.text(fact).into_owned()).into(),
        }
    }

    fn number(&self, fact: Fact) -> i64 {
        self.ask(|request| request.number(fact))
    }

    fn source(&self) -> IpAddr {
        self.client
    }

    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        joined(&self.memory.head.fields, &self.memory.bytes, name)
    }

    fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        let ExchangeMemory { head, bytes, .. } = self.memory;
        let mut cookies = head.fields.iter().filter(|field| field.known == FieldName::Cookie);
        cookies.find_map(|field| cookie(field.value.of(bytes), name)).map(String::from_utf8_lossy)
    }

    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        let memory = self.memory;
        let (_, query) = target::split_query(memory.head.path_and_query.of(&memory.bytes));
        target::query_parameter(query?, name)
    }

    fn response_header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.response().and_then(|Response { head, bytes, .. }| joined(&head?.fields, bytes, name))
    }

    fn response_cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        set_by(self.response()?, name)
    }

    fn capture(&self, _: usize) -> Option<&str> {
        None
    }

    fn proxy_tlv(&self, kind: u8) -> Option<Cow<'_, str>> {
        tlv_text(self.downstream.arrival.tlvs(), kind)
    }

    fn texts(&self, fact: Fact) -> &[String] {
        tls_texts(fact, self.downstream.arrival.tls.as_deref())
    }

    fn flag(&self, fact: Fact) -> bool {
        tls_flag(fact, self.downstream.arrival.tls.as_deref())
    }
}
