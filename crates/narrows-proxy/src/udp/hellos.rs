//! QUIC connections whose client hello is not complete yet.

use super::sessions::FlowKey;
use crate::Fault;
use foldhash::fast::RandomState;
use narrows_quic::{Hello, HelloReader};
use narrows_runtime::{Datagram, Tick};
use narrows_wire::quic::{ConnectionId, initials};
use std::collections::HashMap;

/// Connections that may wait at one time.
const WAITING: usize = 1024;
/// Datagrams that one may hold back: post-quantum hellos take two or three.
const HELD: usize = 6;
/// And their bytes.
const HELD_BYTES: usize = 16 << 10;
/// A client's first datagrams are at least this long (RFC 9000 section 14.1); servers drop shorter ones.
const INITIAL_BYTES: usize = 1200;

/// What a client's first datagrams said.
pub(super) struct Introduction {
    pub(super) server_name: String,
    pub(super) alpn: Vec<String>,
    /// Datagrams that were held back for it, in order.
    pub(super) held: Vec<Box<[u8]>>,
}

struct Waiting {
    first_id: Option<ConnectionId>,
    reader: HelloReader,
    held: Vec<Box<[u8]>>,
    deadline: Tick,
}

/// The connections that wait for the rest of their hello.
#[derive(Default)]
pub(super) struct Hellos {
    waiting: HashMap<FlowKey, Waiting, RandomState>,
}

impl Hellos {
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What the client of a connection that waits made up to call its server.
    pub(super) fn first_id(&self, key: &FlowKey) -> Option<ConnectionId> {
        self.waiting.get(key)?.first_id
    }

    /// Reads a datagram of a client that has no session. `Ok(None)` holds it back.
    ///
    /// # Errors
    /// When it begins nothing that a server could accept; it is to be dropped.
    pub(super) fn read(
        &mut self,
        key: FlowKey,
        datagram: &Datagram<'_>,
        deadline: Tick,
    ) -> Result<Option<Introduction>, Fault> {
        let mut waiting = match self.waiting.remove(&key) {
            Some(waiting) => waiting,
            None => {
                let first = datagram.parts().next().filter(|first| first.len() >= INITIAL_BYTES);
                let reader = first.and_then(HelloReader::new).ok_or(Fault::QuicInitial)?;
                let first_id = first.and_then(|first| initials(first).next());
                let first_id = first_id.and_then(|packet| ConnectionId::new(packet.destination));
                Waiting { first_id, reader, held: Vec::new(), deadline }
            }
        };
        for part in datagram.parts() {
            match waiting.reader.read(part) {
                Hello::Partial => {}
                Hello::Whole { server_name, alpn } => {
                    let server_name = server_name.unwrap_or_default();
                    return Ok(Some(Introduction { server_name, alpn, held: waiting.held }));
                }
                Hello::Sealed => return Err(Fault::QuicInitial),
                Hello::Invalid => return Err(Fault::ClientHello),
            }
        }
        waiting.held.extend(datagram.parts().map(Box::from));
        let bytes: usize = waiting.held.iter().map(|held| held.len()).sum();
        if waiting.held.len() > HELD || bytes > HELD_BYTES {
            return Err(Fault::ClientHello);
        }
        if self.waiting.len() >= WAITING {
            return Err(Fault::SessionLimit);
        }
        self.waiting.insert(key, waiting);
        Ok(None)
    }

    /// Lets go of those whose time is over and says whose they were.
    pub(super) fn expired(&mut self, now: Tick) -> Vec<FlowKey> {
        let over = self.waiting.extract_if(|_, waiting| waiting.deadline <= now);
        over.map(|(key, _)| key).collect()
    }
}

#[cfg(test)]
mod tests;
