//! The table of sessions: found by the client's address, named by a slot, ended by a deadline.

use crate::Fault;
use crate::explain::Trail;
use crate::generation::UdpRules;
use crate::wants::Wants;
use crate::worker::OpenConnection;
use foldhash::fast::RandomState;
use narrows_plan::UpstreamId;
use narrows_runtime::{DatagramSocket, Outbox, Tick};
use narrows_upstream::{Cluster, EndpointId, EndpointState, Entered, Open, Running, Tried, Wanted};
use narrows_wire::quic::ConnectionId;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Instant;

/// What makes datagrams one session: where they come from, and to which of our addresses they go where we listen on all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct FlowKey {
    pub(super) client: SocketAddr,
    pub(super) local: Option<IpAddr>,
    /// Where a PROXY protocol header named the client.
    pub(super) behind: Option<Behind>,
    /// Tells QUIC connections apart that have one socket; 0 but for the further ones.
    pub(super) lane: u8,
}

impl FlowKey {
    /// Where answers go.
    pub(super) fn peer(&self) -> SocketAddr {
        self.behind.map_or(self.client, |behind| behind.proxy)
    }
}

/// The proxy in front that passed a client's datagrams on, and what it says that the client sent them to. Part of the key, so that answers go
/// to the socket that the question came from, and upstreams are told the right address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Behind {
    pub(super) proxy: SocketAddr,
    pub(super) destination: SocketAddr,
}

/// Where a session goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Home {
    /// Index of the route; `None` is the listener's own upstream.
    pub(super) route: Option<usize>,
    pub(super) upstream: UpstreamId,
    pub(super) endpoint: EndpointId,
}

impl Home {
    /// The same home in another configuration; `None` when its route or its upstream is gone.
    pub(super) fn translate(&self, old: &UdpRules, new: &UdpRules) -> Option<Home> {
        let route = match self.route {
            None => None,
            Some(route) => {
                let name = &old.routes.get(route)?.name;
                Some(new.routes.iter().position(|route| route.name == *name)?)
            }
        };
        let key = old.generation.keys.get(self.upstream.0 as usize)?;
        Some(Home { route, upstream: new.generation.upstream_of(*key)?, endpoint: self.endpoint })
    }
}

/// Datagrams and their bytes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Count {
    pub(super) datagrams: u64,
    pub(super) bytes: u64,
}

impl Count {
    pub(super) fn add(&mut self, datagrams: u64, bytes: usize) {
        self.datagrams += datagrams;
        self.bytes += bytes as u64;
    }
}

/// A client and its endpoint.
pub(super) struct Session {
    pub(super) key: FlowKey,
    /// What it began with; its home is meant there.
    pub(super) rules: UdpRules,
    pub(super) home: Home,
    pub(super) endpoint: Rc<EndpointState>,
    pub(super) socket: DatagramSocket,
    /// The PROXY protocol header in front of each datagram to the endpoint; empty where the upstream wants none.
    pub(super) preface: Box<[u8]>,
    pub(super) running: Running,
    /// Its place among what the upstream runs.
    pub(super) entered: Entered,
    /// Its socket counts as a connection to the endpoint.
    pub(super) open: Open,
    /// From the client.
    pub(super) received: Count,
    /// To the client.
    pub(super) sent: Count,
    /// Datagrams that could not be passed on.
    pub(super) dropped: u64,
    pub(super) fault: Option<Fault>,
    pub(super) attempts: u32,
    pub(super) tried: Tried,
    /// What it wants of its endpoint besides; boxed, because few want anything.
    pub(super) wants: Option<Box<Wants<'static>>>,
    /// The first datagram, for another endpoint, until something was answered.
    pub(super) first: Option<Box<[u8]>>,
    /// Whether the endpoint has not answered yet.
    pub(super) is_unproven: bool,
    pub(super) is_stream: bool,
    pub(super) server_name: Box<str>,
    pub(super) quic: QuicIds,
    pub(super) started: Instant,
    /// Where somebody wants it explained.
    pub(super) trail: Option<Box<Trail>>,
    pub(super) _open: OpenConnection,
}

impl Session {
    /// The cluster that it belongs to.
    pub(super) fn cluster(&self) -> Rc<Cluster> {
        Rc::clone(self.rules.generation.cluster(self.home.upstream))
    }

    /// What the next attempt wants of an endpoint.
    pub(super) fn wanted<'w>(&'w self, tried: &'w Tried) -> Wanted<'w> {
        match &self.wants {
            Some(wants) => wants.wanted(tried),
            None => Wanted::new(self.key.client.ip(), tried),
        }
    }

    /// The session is at another endpoint now, with a place there.
    pub(super) fn go_to(&mut self, endpoint: Rc<EndpointState>, running: Running) {
        self.home.endpoint = endpoint.id();
        self.open = endpoint.open();
        self.endpoint = endpoint;
        self.running = running;
    }

    /// Sends a datagram of the client to the endpoint. `memory` is for the header and the datagram behind it.
    pub(super) fn send(&self, bytes: &[u8], memory: &mut Vec<u8>) -> io::Result<()> {
        if self.preface.is_empty() {
            return Outbox::send_one(&self.socket, bytes);
        }
        memory.clear();
        memory.extend_from_slice(&self.preface);
        memory.extend_from_slice(bytes);
        Outbox::send_one(&self.socket, memory)
    }
}

/// The connection ids of a QUIC session that were seen last, so that each is learned once and not with every packet.
#[derive(Default)]
pub(super) struct QuicIds {
    /// What the client made up for the server.
    pub(super) first: Option<ConnectionId>,
    /// What the server calls itself.
    pub(super) server: Option<ConnectionId>,
    /// The length of what the server calls itself; 0 when that is not known yet.
    pub(super) length: usize,
    /// What the client calls the server in packets with short headers.
    pub(super) used: Option<ConnectionId>,
}

#[derive(Default)]
struct Slot {
    /// Counts the sessions that were here, so that what was said of an earlier one is not taken for this one.
    generation: u32,
    session: Option<Session>,
}

/// The sessions of a listener on one worker.
pub(super) struct Sessions {
    slots: Vec<Slot>,
    /// Apart from the sessions, so that a look at all of them touches little memory.
    deadlines: Vec<Tick>,
    free: Vec<u32>,
    by_flow: HashMap<FlowKey, u32, RandomState>,
    /// What was found last: datagrams of one client come in a row.
    last: Option<(FlowKey, u32)>,
    limit: usize,
}

impl Sessions {
    pub(super) fn new(limit: usize) -> Self {
        Sessions {
            slots: Vec::new(),
            deadlines: Vec::new(),
            free: Vec::new(),
            by_flow: HashMap::default(),
            last: None,
            limit,
        }
    }

    /// So many may there be from now on; those that there are stay.
    pub(super) fn allow(&mut self, limit: usize) {
        self.limit = limit;
    }

    pub(super) fn len(&self) -> usize {
        self.by_flow.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.by_flow.len() >= self.limit
    }

    /// The slot of a client's session.
    pub(super) fn find(&mut self, key: &FlowKey) -> Option<u32> {
        if let Some((last, slot)) = &self.last
            && last == key
        {
            return Some(*slot);
        }
        let slot = *self.by_flow.get(key)?;
        self.last = Some((*key, slot));
        Some(slot)
    }

    /// As `find`, and remembers nothing.
    pub(super) fn peek(&self, key: &FlowKey) -> Option<u32> {
        self.by_flow.get(key).copied()
    }

    /// Where the session in a slot goes.
    pub(super) fn home(&self, slot: u32) -> Option<Home> {
        Some(self.slots.get(slot as usize)?.session.as_ref()?.home)
    }

    /// What the client of the session in a slot made up to call its server.
    pub(super) fn first_id(&self, slot: u32) -> Option<ConnectionId> {
        self.slots.get(slot as usize)?.session.as_ref()?.quic.first
    }

    /// The session in a slot.
    pub(super) fn get(&mut self, slot: u32) -> Option<&mut Session> {
        self.slots.get_mut(slot as usize)?.session.as_mut()
    }

    /// Prepares a slot; `insert` must follow.
    pub(super) fn next_slot(&mut self) -> u32 {
        self.free.last().copied().unwrap_or_else(|| {
            let slot = self.slots.len() as u32;
            self.slots.push(Slot::default());
            self.deadlines.push(Tick::NEVER);
            self.free.push(slot);
            slot
        })
    }

    /// Puts a session into the slot that `next_slot` gave.
    pub(super) fn insert(&mut self, session: Session, deadline: Tick) -> u32 {
        let slot = self.next_slot();
        self.free.pop();
        self.by_flow.insert(session.key, slot);
        self.deadlines[slot as usize] = deadline;
        self.slots[slot as usize].session = Some(session);
        slot
    }

    /// Takes a session out.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Session> {
        let place = self.slots.get_mut(slot as usize)?;
        let session = place.session.take()?;
        place.generation = place.generation.wrapping_add(1);
        self.deadlines[slot as usize] = Tick::NEVER;
        self.by_flow.remove(&session.key);
        self.last = None;
        self.free.push(slot);
        Some(session)
    }

    /// What names the present socket of a slot to the kernel.
    pub(super) fn token(&self, slot: u32) -> u64 {
        let generation = self.slots.get(slot as usize).map_or(0, |place| place.generation);
        u64::from(generation) << 32 | u64::from(slot)
    }

    /// The slot that a token names, unless its socket is gone.
    pub(super) fn slot_of(&self, token: u64) -> Option<u32> {
        let slot = token as u32;
        (self.token(slot) == token).then_some(slot)
    }

    /// The socket of a slot was replaced: tokens of the old one no longer count.
    pub(super) fn renew(&mut self, slot: u32) -> u64 {
        if let Some(place) = self.slots.get_mut(slot as usize) {
            place.generation = place.generation.wrapping_add(1);
        }
        self.token(slot)
    }

    /// Something moved: the session lives until `deadline` at least.
    pub(super) fn touch(&mut self, slot: u32, deadline: Tick) {
        if let Some(entry) = self.deadlines.get_mut(slot as usize) {
            *entry = deadline;
        }
    }

    /// No session lives longer than until `deadline` unless something moves.
    pub(super) fn shorten(&mut self, deadline: Tick) {
        for (entry, slot) in self.deadlines.iter_mut().zip(&self.slots) {
            if slot.session.is_some() {
                *entry = (*entry).min(deadline);
            }
        }
    }

    /// The slots whose deadline has passed.
    pub(super) fn expired(&self, now: Tick) -> Vec<u32> {
        let slots = self.deadlines.iter().zip(0..);
        slots.filter(|(deadline, _)| **deadline <= now).map(|(_, slot)| slot).collect()
    }

    /// Every session that is there.
    pub(super) fn all(&self) -> Vec<u32> {
        self.slots.iter().zip(0..).filter(|(slot, _)| slot.session.is_some()).map(|(_, slot)| slot).collect()
    }
}
