//! From endpoints to clients.

use super::Flows;
use super::forward::{Failure, failure};
use crate::Fault;
use narrows_runtime::{Inbox, Message};
use narrows_upstream::ConnectFailure;
use narrows_wire::quic::{ConnectionId, Header};
use std::io;
use std::time::Duration;

/// How long sending rests when the listener's socket has no room, and how often for one batch.
const REST: Duration = Duration::from_millis(1);
const RESTS: u32 = 20;

impl Flows<'_> {
    /// Receives from the sockets that have something, and passes it on.
    pub(super) async fn answer(&mut self, inbox: &mut Inbox) {
        inbox.clear();
        let tokens = std::mem::take(&mut self.tokens);
        for &token in &tokens {
            let Some(slot) = self.sessions.slot_of(token) else { continue };
            let Some(session) = self.sessions.get(slot) else { continue };
            match inbox.receive(&session.socket, u64::from(slot)) {
                Ok(_) => {
                    if inbox.is_full() {
                        self.arrivals.again(token);
                        self.send_answers(inbox).await;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => {
                    // What was received before goes out before anything ends.
                    self.send_answers(inbox).await;
                    self.endpoint_failed(slot, token, &error);
                }
            }
        }
        self.tokens = tokens;
        self.send_answers(inbox).await;
    }

    /// What ICMP or the system reported of a session's endpoint.
    fn endpoint_failed(&mut self, slot: u32, token: u64, error: &io::Error) {
        // A session that ended with its last answer has no endpoint any more.
        if self.sessions.slot_of(token) != Some(slot) {
            return;
        }
        let Some(session) = self.sessions.get(slot) else { return };
        match failure(error) {
            Failure::NoRoom => self.arrivals.again(token),
            Failure::TooLarge => {
                session.dropped += 1;
                session.fault.get_or_insert(Fault::DatagramTooLarge);
            }
            Failure::Endpoint(failure) if session.sent.datagrams > 0 => {
                session.endpoint.not_connected(failure);
                self.end(slot, Some(Fault::Connect(failure)));
            }
            Failure::Endpoint(failure) => drop(self.try_next_endpoint(slot, failure)),
        }
    }

    /// Sends what is in the inbox to its clients, all of them with few system calls.
    async fn send_answers(&mut self, inbox: &mut Inbox) {
        let mut failures: Vec<(usize, Failure)> = Vec::new();
        let mut done = 0;
        let mut rests = 0;
        let all = inbox.iter().len();
        while done < all {
            let sessions = &mut self.sessions;
            let messages = inbox.iter().skip(done).map(|datagram| {
                let key = sessions.get(datagram.tag as u32).map(|session| session.key);
                let (bytes, segment) = (datagram.bytes, datagram.segment);
                Message { to: key.map(|key| key.peer()), from: key.and_then(|key| key.local), bytes, segment }
            });
            let sent = self.outbox.send(&self.listener, messages, |number, error| {
                failures.push((done + number, failure(&error)));
            });
            done += sent.messages;
            if sent.blocked {
                rests += 1;
                if rests > RESTS {
                    failures.extend((done..all).map(|number| (number, Failure::NoRoom)));
                    break;
                }
                tokio::time::sleep(REST).await;
            }
        }
        for (number, datagram) in inbox.iter().enumerate() {
            let slot = datagram.tag as u32;
            let failed = failures.iter().find(|(failed, _)| *failed == number).map(|(_, failure)| failure);
            self.count_answer(slot, datagram.count(), datagram.bytes, failed);
        }
        inbox.clear();
    }

    /// Notes that something was answered, and ends the session when that was all that is awaited.
    fn count_answer(&mut self, slot: u32, datagrams: u64, bytes: &[u8], failed: Option<&Failure>) {
        self.sessions.touch(slot, self.expires);
        let Some(session) = self.sessions.get(slot) else { return };
        match failed {
            None => session.sent.add(datagrams, bytes.len()),
            Some(failure) => {
                session.dropped += datagrams;
                let fault = match failure {
                    Failure::NoRoom => Fault::Connect(ConnectFailure::Exhausted),
                    Failure::TooLarge => Fault::DatagramTooLarge,
                    Failure::Endpoint(_) => Fault::ClientGone,
                };
                session.fault.get_or_insert(fault);
            }
        }
        session.first = None;
        if std::mem::take(&mut session.is_unproven) {
            session.endpoint.succeeded(None);
            session.entered.answered(0);
        }
        if self.rules.quic {
            return self.learn_from_server(slot, bytes);
        }
        if let Some(answers) = self.rules.sessions.answers {
            let awaited = u64::from(answers).saturating_mul(session.received.datagrams);
            if session.sent.datagrams + session.dropped >= awaited {
                return self.end(slot, None);
            }
        }
        self.watch_for_stream(slot);
    }

    /// Remembers what a server calls itself, and where its client is.
    fn learn_from_server(&mut self, slot: u32, packet: &[u8]) {
        let Some(session) = self.sessions.get(slot) else { return };
        let home = session.home;
        if let Some(Header::Long(header)) = Header::read(packet)
            && let Some(id) = ConnectionId::new(header.source)
            && session.quic.server != Some(id)
        {
            session.quic.server = Some(id);
            session.quic.length = id.as_bytes().len();
            self.affinity.learn_server(id, home);
            self.affinity.learn_client(session.key.client.ip(), home);
            if let Some(first) = session.quic.first {
                self.affinity.learn(first, home);
            }
        }
        self.watch_for_stream(slot);
    }
}
