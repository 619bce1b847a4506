//! From clients to endpoints.

use super::Flows;
use super::headers::Told;
use crate::Fault;
use narrows_runtime::{BATCH, Datagram, Inbox, Message};
use narrows_upstream::ConnectFailure;
use narrows_wire::quic::Header;
use std::io;

/// Datagrams after which a session is taken for a stream, and its socket gets large buffers.
const STREAM_AFTER: u64 = 64;
/// Bytes for datagrams behind their headers that are kept from one batch to the next.
const KEPT_MEMORY: usize = 256 << 10;

impl Flows<'_> {
    /// Passes on what is in the inbox.
    pub(super) fn forward(&mut self, inbox: &Inbox) {
        let rules = self.rules.clone();
        match &rules.listener().proxy_protocol {
            None => self.forward_all(inbox.iter().filter_map(Told::plain)),
            Some(expected) => {
                let read = self.read_headers(expected, inbox);
                self.forward_all(read.iter().copied());
            }
        }
    }

    fn forward_all<'a>(&mut self, all: impl Iterator<Item = Told<'a>> + Clone) {
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        slots.extend(all.clone().map(|told| self.session_of(told)));
        let mut start = 0;
        for run in slots.chunk_by(|one, next| one == next) {
            if let Some(slot) = run[0] {
                let datagrams = all.clone().skip(start).take(run.len());
                self.forward_run(slot, datagrams.map(|told| told.datagram));
            }
            start += run.len();
        }
        self.slots = slots;
    }

    /// The session of a datagram, which is opened when there is none.
    fn session_of(&mut self, mut told: Told<'_>) -> Option<u32> {
        if self.rules.quic {
            told.key = self.lane(told.key, told.datagram.bytes);
        }
        let Told { key, datagram, .. } = told;
        if let Some(slot) = self.sessions.find(&key) {
            if self.moves && !self.move_on(slot) {
                return None;
            }
            if self.rules.quic {
                self.learn_from_client(slot, datagram.bytes);
            }
            return Some(slot);
        }
        if self.is_draining {
            return None;
        }
        match self.open(&told) {
            Ok(slot) => slot,
            Err(fault) => {
                self.refusals.add(fault, key.client.ip(), datagram.count(), datagram.bytes.len());
                None
            }
        }
    }

    /// Remembers what a client calls its server in packets with short headers, under which it may come from elsewhere.
    pub(super) fn learn_from_client(&mut self, slot: u32, packet: &[u8]) {
        let Some(session) = self.sessions.get(slot) else { return };
        if let Some(Header::Short(header)) = Header::read(packet)
            && let Some(id) = header.destination(session.quic.length)
            && session.quic.used != Some(id)
        {
            session.quic.used = Some(id);
            self.affinity.learn(id, session.home);
        }
    }

    /// Passes on datagrams of one session that came in a row.
    fn forward_run<'a>(&mut self, slot: u32, datagrams: impl Iterator<Item = Datagram<'a>> + Clone) {
        let Some(session) = self.sessions.get(slot) else { return };
        let mut alone = None;
        for (number, datagram) in datagrams.clone().enumerate() {
            session.received.add(datagram.count(), datagram.bytes.len());
            alone = (number == 0 && datagram.segment.is_none()).then_some(datagram);
        }
        if let Some(datagram) = alone {
            // The usual case, and the cheapest system call for it.
            if let Err(error) = session.send(datagram.bytes, &mut self.memory) {
                self.not_sent(slot, &datagram, &error);
            }
        } else if !session.preface.is_empty() {
            // Each gets a header of its own, and those of one size are joined again with theirs.
            let mut parts: Vec<Datagram<'_>> = Vec::new();
            for datagram in datagrams {
                parts.extend(datagram.parts().map(|bytes| Datagram { bytes, segment: None, ..datagram }));
            }
            self.forward_many(slot, parts.iter().copied());
        } else {
            self.forward_many(slot, datagrams);
        }
        self.sessions.touch(slot, self.expires);
        self.watch_for_stream(slot);
    }

    fn forward_many<'a>(&mut self, slot: u32, mut datagrams: impl Iterator<Item = Datagram<'a>> + Clone) {
        // Headers take apart what the kernel had joined, so that there can be more than are sent with one call.
        while datagrams.clone().next().is_some() {
            self.forward_batch(slot, datagrams.clone().take(BATCH));
            datagrams.by_ref().take(BATCH).for_each(drop);
        }
    }

    fn forward_batch<'a>(&mut self, slot: u32, datagrams: impl Iterator<Item = Datagram<'a>> + Clone) {
        let Some(session) = self.sessions.get(slot) else { return };
        let preface = &session.preface;
        self.memory.clear();
        if !preface.is_empty() {
            for datagram in datagrams.clone() {
                self.memory.extend_from_slice(preface);
                self.memory.extend_from_slice(datagram.bytes);
            }
        }
        let mut written = &self.memory[..];
        let messages = datagrams.clone().map(|datagram| {
            let mut bytes = datagram.bytes;
            if !preface.is_empty() {
                (bytes, written) = written.split_at(preface.len() + bytes.len());
            }
            Message { to: None, from: None, bytes, segment: datagram.segment }
        });
        let mut failures: Vec<(usize, io::Error)> = Vec::new();
        let sent =
            self.outbox.send(&session.socket, messages, |number, error| failures.push((number, error)));
        if sent.blocked {
            session.dropped +=
                datagrams.clone().skip(sent.messages).map(|datagram| datagram.count()).sum::<u64>();
        }
        self.memory.shrink_to(KEPT_MEMORY);
        for (number, error) in failures {
            if let Some(datagram) = datagrams.clone().nth(number) {
                self.not_sent(slot, &datagram, &error);
            }
        }
    }

    /// What the system said of a datagram. An error that ICMP brought is about an earlier one, and this one was not sent.
    fn not_sent(&mut self, slot: u32, datagram: &Datagram<'_>, error: &io::Error) {
        let Some(session) = self.sessions.get(slot) else { return };
        match failure(error) {
            Failure::NoRoom => session.dropped += datagram.count(),
            Failure::TooLarge => {
                session.dropped += datagram.count();
                session.fault.get_or_insert(Fault::DatagramTooLarge);
            }
            Failure::Endpoint(failure) => {
                if session.sent.datagrams > 0 {
                    session.endpoint.not_connected(failure);
                    self.end(slot, Some(Fault::Connect(failure)));
                } else if self.try_next_endpoint(slot, failure) {
                    self.send_again(slot, datagram);
                }
            }
        }
    }

    /// Sends a datagram to the endpoint that took the place of another, unless it is the first one, which was sent there.
    fn send_again(&mut self, slot: u32, datagram: &Datagram<'_>) {
        let Some(session) = self.sessions.get(slot) else { return };
        if session.first.as_deref() == Some(datagram.bytes) {
            return;
        }
        for part in datagram.parts() {
            if session.send(part, &mut self.memory).is_err() {
                session.dropped += 1;
            }
        }
    }

    pub(super) fn watch_for_stream(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot) else { return };
        if !session.is_stream && session.received.datagrams + session.sent.datagrams >= STREAM_AFTER {
            session.is_stream = true;
            session.socket.expect_stream();
        }
    }
}

/// Why a datagram was not sent.
pub(super) enum Failure {
    /// The socket's buffer is full: lost, as it would be in a router.
    NoRoom,
    /// Larger than UDP or the way takes.
    TooLarge,
    /// The endpoint cannot be reached.
    Endpoint(ConnectFailure),
}

pub(super) fn failure(error: &io::Error) -> Failure {
    match error.raw_os_error() {
        // EAGAIN, ENOBUFS, ENOMEM
        Some(11 | 105 | 12) => Failure::NoRoom,
        // EMSGSIZE, EINVAL (longer than an IP packet)
        Some(90 | 22) => Failure::TooLarge,
        Some(111) => Failure::Endpoint(ConnectFailure::Refused),
        _ => Failure::Endpoint(ConnectFailure::Unreachable),
    }
}
