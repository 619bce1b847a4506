//! Where QUIC connections live, by what their packets show.

use super::sessions::Home;
use foldhash::fast::RandomState;
use narrows_wire::quic::{CONNECTION_ID_BYTES, ConnectionId, Header};
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;

/// Entries of one generation; there are at most twice as many. About 100 bytes each.
const GENERATION: usize = 65_536;

/// A bounded map that forgets what was not asked for longest, by the half: entries live in the younger of two maps; when
/// that is full it becomes the older one, and what is found there moves up again.
struct Generations<K> {
    younger: HashMap<K, Home, RandomState>,
    older: HashMap<K, Home, RandomState>,
}

impl<K: Hash + Eq + Copy> Generations<K> {
    fn new() -> Self {
        Generations { younger: HashMap::default(), older: HashMap::default() }
    }

    fn find(&mut self, key: &K) -> Option<Home> {
        if let Some(home) = self.younger.get(key) {
            return Some(*home);
        }
        let home = self.older.remove(key)?;
        self.put(*key, home);
        Some(home)
    }

    fn put(&mut self, key: K, home: Home) {
        if self.younger.len() >= GENERATION {
            self.older = std::mem::take(&mut self.younger);
        }
        self.younger.insert(key, home);
    }
}

impl<K: Hash + Eq + Copy> Generations<K> {
    fn translate(&mut self, translate: &impl Fn(&Home) -> Option<Home>) {
        for homes in [&mut self.younger, &mut self.older] {
            homes.retain(|_, home| match translate(home) {
                Some(translated) => {
                    *home = translated;
                    true
                }
                None => false,
            });
        }
    }
}

/// Which endpoint a QUIC connection belongs to, learned from the packets that pass.
///
/// A packet with a new address makes a new session to the endpoint that its connection id was seen with: the endpoint sees that the path
/// changed and validates it (RFC 9000 section 9), so that nobody can turn answers away by writing another's address.
pub(super) struct Affinity {
    by_id: Generations<ConnectionId>,
    by_client: Generations<IpAddr>,
    /// The lengths that servers were seen to use, bit by bit: short headers do not say theirs.
    lengths: u32,
}

impl Affinity {
    pub(super) fn new() -> Self {
        Affinity { by_id: Generations::new(), by_client: Generations::new(), lengths: 0 }
    }

    /// Homes are meant in another configuration from now on; those that it has no more are forgotten.
    pub(super) fn translate(&mut self, translate: impl Fn(&Home) -> Option<Home>) {
        self.by_id.translate(&translate);
        self.by_client.translate(&translate);
    }

    /// A server calls itself so.
    pub(super) fn learn_server(&mut self, id: ConnectionId, home: Home) {
        self.lengths |= 1 << id.as_bytes().len();
        self.learn(id, home);
    }

    /// A client calls its server so. What is known of an id is not changed: the first to use it was the one who got it.
    pub(super) fn learn(&mut self, id: ConnectionId, home: Home) {
        if self.by_id.find(&id).is_none() {
            self.by_id.put(id, home);
        }
    }

    /// A server answered this client.
    pub(super) fn learn_client(&mut self, client: IpAddr, home: Home) {
        self.by_client.put(client.to_canonical(), home);
    }

    /// The home of a packet from an address that has no session, and the length of the ids that its server uses, 0 when that
    /// is not known.
    pub(super) fn find(&mut self, packet: &[u8], client: IpAddr) -> Option<(Home, usize)> {
        let known = self.find_id(packet);
        if known.is_none() && matches!(Header::read(packet), Some(Header::Short(_))) {
            // The id was given under encryption: the client's other connection is the best guess, right when only its port changed.
            return Some((self.by_client.find(&client.to_canonical())?, self.only_length()));
        }
        known
    }

    /// The same by its connection id alone.
    pub(super) fn find_id(&mut self, packet: &[u8]) -> Option<(Home, usize)> {
        match Header::read(packet)? {
            Header::Long(header) => Some((self.by_id.find(&ConnectionId::new(header.destination)?)?, 0)),
            Header::Short(header) => {
                let lengths = self.lengths;
                let mut known = (1..=CONNECTION_ID_BYTES).rev().filter(|length| lengths & (1 << length) != 0);
                known.find_map(|length| Some((self.by_id.find(&header.destination(length)?)?, length)))
            }
        }
    }

    /// The length that all servers use; 0 when they differ.
    fn only_length(&self) -> usize {
        if self.lengths.count_ones() == 1 { self.lengths.trailing_zeros() as usize } else { 0 }
    }
}

#[cfg(test)]
mod tests;
