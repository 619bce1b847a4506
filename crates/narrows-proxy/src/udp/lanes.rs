//! QUIC connections that share one address and port of a client.
//!
//! Some clients have one socket for all that they connect to. Connections to different names then differ by their connection
//! ids only: each gets a lane of its own beside the first.

use super::Flows;
use super::sessions::FlowKey;
use narrows_wire::quic::{ConnectionId, Header, initials};

/// Connections from one address and port that are told apart. A further one shares the way of the first.
const LANES: u8 = 8;

impl Flows<'_> {
    /// The lane of the connection that a packet belongs to.
    pub(super) fn lane(&mut self, key: FlowKey, packet: &[u8]) -> FlowKey {
        let Some(slot) = self.sessions.find(&key) else {
            // Nobody is here, or somebody whose hello is not complete.
            return if self.hellos.is_empty() { key } else { self.lane_of_hello(key, packet) };
        };
        let Some(session) = self.sessions.get(slot) else { return key };
        let id = match Header::read(packet) {
            Some(Header::Long(header)) => ConnectionId::new(header.destination),
            Some(Header::Short(header)) => header.destination(session.quic.length),
            None => None,
        };
        let Some(id) = id else { return key };
        if [session.quic.used, session.quic.server, session.quic.first].contains(&Some(id)) {
            return key;
        }
        let home = session.home;
        match self.affinity.find_id(packet) {
            Some((known, _)) if known == home => key,
            Some((known, _)) => self
                .lanes(key)
                .find(|(_, slot)| slot.is_none_or(|slot| self.sessions.home(slot) == Some(known)))
                .map_or(key, |(lane, _)| lane),
            None => self.lane_of_hello(key, packet),
        }
    }

    /// The lane in which a client's first packet with this id was seen, or one that is free for it.
    fn lane_of_hello(&self, key: FlowKey, packet: &[u8]) -> FlowKey {
        let Some(id) = initials(packet).next().and_then(|first| ConnectionId::new(first.destination)) else {
            return key;
        };
        let begun = |lane: &FlowKey, slot: Option<u32>| {
            slot.map_or_else(|| self.hellos.first_id(lane), |slot| self.sessions.first_id(slot))
        };
        let mut free = None;
        for (lane, slot) in self.lanes(key) {
            match begun(&lane, slot) {
                Some(first) if first == id => return lane,
                None if slot.is_none() => free = free.or(Some(lane)),
                _ => {}
            }
        }
        free.unwrap_or(key)
    }

    /// All lanes beside each other, with their sessions.
    fn lanes(&self, key: FlowKey) -> impl Iterator<Item = (FlowKey, Option<u32>)> {
        (0..LANES).map(move |lane| {
            let key = FlowKey { lane, ..key };
            (key, self.sessions.peek(&key))
        })
    }
}
