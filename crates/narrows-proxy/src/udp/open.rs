//! Opening a session: where it goes, and the next endpoint when one cannot be reached.

use super::Flows;
use super::headers::Told;
use super::hellos::Introduction;
use super::sessions::{Count, Home, QuicIds, Session};
use crate::explain::{Attempted, Trail};
use crate::gate::Arrival;
use crate::preface::datagram_preface;
use crate::wants::Wants;
use crate::worker::OpenConnection;
use crate::{Fault, FlowFacts};
use narrows_observe::Timings;
use narrows_plan::{Address, Subject, UpstreamId};
use narrows_runtime::{DatagramSocket, Tick};
use narrows_upstream::{ConnectFailure, EndpointState, Need, Shed, ShedCause, Tried, Unavailable};
use narrows_wire::quic::{ConnectionId, Header};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

/// The longest first datagram that is kept for another endpoint, bytes.
const KEPT_BYTES: usize = 1500;

impl Flows<'_> {
    /// Opens the session that a datagram begins. `Ok(None)` keeps the datagram until more of the client hello is there.
    ///
    /// # Errors
    /// When no session can be opened.
    pub(super) fn open(&mut self, told: &Told<'_>) -> Result<Option<u32>, Fault> {
        let Told { key, datagram, .. } = told;
        if self.sessions.is_full() {
            return Err(Fault::SessionLimit);
        }
        if key.lane > 0 {
            // What the kernel joins has one address, but need no longer be of one connection.
            self.listener.receive_apart();
        }
        if !self.rules.quic {
            let (route, upstream) = self.route(told, "", &[])?;
            return self.connect(told, Choice::Any(route, upstream), datagram.bytes, "", &[]).map(Some);
        }
        if let Some((home, length)) = self.affinity.find(datagram.bytes, key.client.ip()) {
            let slot = self.connect(told, Choice::Known(home), datagram.bytes, "", &[])?;
            if let Some(session) = self.sessions.get(slot) {
                session.quic.length = length;
            }
            self.learn_from_client(slot, datagram.bytes);
            return Ok(Some(slot));
        }
        if self.rules.peeks
            && matches!(Header::read(datagram.bytes), Some(Header::Long(header)) if is_known(header.version))
        {
            return self.introduce(told);
        }
        let (route, upstream) = self.route(told, "", &[])?;
        self.connect(told, Choice::Any(route, upstream), datagram.bytes, "", &[]).map(Some)
    }

    /// Reads the client hello, and opens the session once it is whole.
    fn introduce(&mut self, told: &Told<'_>) -> Result<Option<u32>, Fault> {
        let deadline = self.rules.timeouts.peek.map_or(Tick::NEVER, |peek| self.watch.after(peek));
        let Some(introduction) = self.hellos.read(told.key, &told.datagram, deadline)? else {
            return Ok(None);
        };
        let Introduction { server_name, alpn, held } = introduction;
        let (route, upstream) = self.route(told, &server_name, &alpn)?;
        let first = held.first().map_or(told.datagram.bytes, |first| first);
        let slot = self.connect(told, Choice::Any(route, upstream), first, &server_name, &alpn)?;
        if let Some(session) = self.sessions.get(slot) {
            for held in &held {
                session.received.add(1, held.len());
                if session.send(held, &mut self.memory).is_err() {
                    session.dropped += 1;
                }
            }
        }
        Ok(Some(slot))
    }

    /// The route and upstream for a client.
    fn route(
        &self,
        told: &Told<'_>,
        server_name: &str,
        alpn: &[String],
    ) -> Result<(Option<usize>, UpstreamId), Fault> {
        let facts = self.facts(told, server_name, alpn);
        let subject = Subject { host: server_name, path: "" };
        match self.rules.table.select(subject, &facts, &mut ()) {
            Some(rule) => Ok((Some(rule), self.rules.routes[rule].upstream)),
            None => self.rules.fallback.map(|upstream| (None, upstream)).ok_or(Fault::NoRoute),
        }
    }

    /// What is known of a session.
    fn facts<'t>(&'t self, told: &Told<'t>, server_name: &'t str, alpn: &'t [String]) -> FlowFacts<'t> {
        FlowFacts {
            source: told.key.client.ip().to_canonical(),
            source_port: told.key.client.port(),
            listener: &self.rules.listener().name,
            local_port: self.destination(told).map_or(self.place.local_port, |address| address.port()),
            tlvs: told.tlvs,
            server_name,
            alpn,
            tls: None,
            unix: self.worker.unix(),
        }
    }

    /// The address that the client sent to, where it is known.
    fn destination(&self, told: &Told<'_>) -> Option<SocketAddr> {
        match (told.key.behind, told.key.local) {
            (Some(behind), _) => Some(behind.destination),
            (None, Some(local)) => Some(SocketAddr::new(local, self.place.local_port)),
            (None, None) => self.address,
        }
    }

    /// Connects a new session and returns its slot; nothing is sent yet.
    fn connect(
        &mut self,
        told: &Told<'_>,
        choice: Choice,
        first: &[u8],
        server_name: &str,
        alpn: &[String],
    ) -> Result<u32, Fault> {
        let (route, upstream) = match choice {
            Choice::Any(route, upstream) => (route, upstream),
            Choice::Known(home) => (home.route, home.upstream),
        };
        let cluster = Rc::clone(self.rules.generation.cluster(upstream));
        let cluster = &*cluster;
        let entered = cluster.enter(Need::Session).map_err(|shed| refusal(shed.cause))?;
        let key = told.key;
        let mut preface = Vec::new();
        if cluster.upstream.proxy_protocol.is_some() {
            let arrival = Arrival::of_datagram(self.place, key.client, self.destination(told), told.tlvs);
            preface = datagram_preface(cluster.upstream.proxy_protocol, &arrival, server_name);
        }
        let token = {
            let slot = self.sessions.next_slot();
            self.sessions.token(slot)
        };
        let mut tried = Tried::default();
        let mut attempts = 0;
        let mut fault = None;
        let facts = self.facts(told, server_name, alpn);
        let wants = Wants::of_flow(&facts, cluster, self.rules.generation.sticky(upstream));
        let started = Instant::now();
        let trail = self.trail(&facts, choice, &cluster.upstream.name);
        while attempts <= cluster.upstream.retry.limit {
            let known = match choice {
                Choice::Known(home) if attempts == 0 => cluster.endpoint(home.endpoint),
                _ => None,
            };
            let known = known.and_then(|known| Some((Rc::clone(&known), known.try_begin(Need::Session)?)));
            if let (Some(trail), None) = (&trail, &known) {
                trail.choosing(cluster, &wants, &tried);
            }
            let reserved = known.map_or_else(|| cluster.reserve(&wants.wanted(&tried), Need::Session), Ok);
            let (endpoint, running) = match reserved {
                Ok(reserved) => reserved,
                // Datagrams are not kept: nobody waits here.
                Err(Unavailable::Full) => {
                    fault.get_or_insert(refusal(ShedCause::QueueFull));
                    break;
                }
                Err(why) => {
                    fault.get_or_insert(why.into());
                    break;
                }
            };
            attempts += 1;
            let dialled = self.dial(&endpoint, token);
            if let Some(trail) = &trail {
                trail.attempted(&Attempted {
                    endpoint: &endpoint.label,
                    connect: None,
                    took: started.elapsed(),
                    status: 0,
                    fault: dialled.as_ref().err().map(|failure| Fault::Connect(*failure)),
                });
            }
            match dialled {
                Ok(socket) => {
                    let has_others = cluster.upstream.retry.limit > 0 && cluster.size() > 1;
                    let is_repeatable = has_others && first.len() <= KEPT_BYTES;
                    wants.reached(&endpoint);
                    let wants = (!wants.is_plain()).then(|| Box::new(wants.into_owned()));
                    let session = Session {
                        key,
                        rules: self.rules.clone(),
                        home: Home { route, upstream, endpoint: endpoint.id() },
                        endpoint: Rc::clone(&endpoint),
                        socket,
                        preface: preface.into(),
                        running,
                        entered,
                        is_unproven: true,
                        open: endpoint.open(),
                        received: Count::default(),
                        sent: Count::default(),
                        dropped: 0,
                        fault: None,
                        attempts,
                        tried,
                        wants,
                        first: is_repeatable.then(|| first.into()),
                        is_stream: false,
                        server_name: server_name.into(),
                        quic: QuicIds { first: self.first_id(first), ..QuicIds::default() },
                        started,
                        trail,
                        _open: OpenConnection::new(self.worker),
                    };
                    return Ok(self.sessions.insert(session, self.expires));
                }
                Err(failure) => {
                    endpoint.not_connected(failure);
                    fault = Some(Fault::Connect(failure));
                }
            }
            tried.add(endpoint.id());
        }
        let fault = fault.unwrap_or(Fault::NoEndpoint);
        if fault == Fault::Connect(ConnectFailure::Exhausted) {
            self.worker.survive_exhaustion();
        }
        if fault.is_upstream() {
            entered.failed();
        }
        if let Some(trail) = trail {
            trail.end(Timings::default(), started.elapsed(), 0, Some(fault), (0, 0));
        }
        Err(fault)
    }

    /// The trail of a session that somebody wants explained.
    fn trail(&self, facts: &FlowFacts<'_>, choice: Choice, upstream: &str) -> Option<Box<Trail>> {
        let trail = self.worker.asked.of_flow("udp", facts)?;
        if let Choice::Any(..) = choice {
            let subject = Subject { host: facts.server_name, path: "" };
            let routes = &self.rules.routes;
            let route = |rule: usize| (&*routes[rule].name, routes[rule].origin);
            // The same facts choose the same rule again.
            trail.select(&self.rules.generation.plan, &self.rules.table, subject, facts, route);
        }
        trail.goes_to(upstream);
        Some(trail)
    }

    /// A watched socket to an endpoint.
    fn dial(&self, endpoint: &EndpointState, token: u64) -> Result<DatagramSocket, ConnectFailure> {
        let Address::Socket(address) = endpoint.address else {
            return Err(ConnectFailure::Unreachable);
        };
        let socket = DatagramSocket::connect(address).map_err(|error| ConnectFailure::from_error(&error))?;
        self.arrivals.add(&socket, token).map_err(|_| ConnectFailure::Exhausted)?;
        Ok(socket)
    }

    /// The endpoint of a session cannot be reached and has not answered: the next one gets the first datagram. Says whether the session lives on.
    pub(super) fn try_next_endpoint(&mut self, slot: u32, failure: ConnectFailure) -> bool {
        let mut failure = failure;
        loop {
            let token = self.sessions.renew(slot);
            let Some(session) = self.sessions.get(slot) else { return false };
            let cluster = session.cluster();
            session.tried.add(session.endpoint.id());
            session.endpoint.not_connected(failure);
            let wanted = session.wanted(&session.tried);
            let next = (session.attempts <= cluster.upstream.retry.limit && session.first.is_some())
                .then(|| cluster.reserve(&wanted, Need::Session).ok())
                .flatten();
            let Some((endpoint, running)) = next else {
                session.entered.failed();
                self.end(slot, Some(Fault::Connect(failure)));
                return false;
            };
            session.attempts += 1;
            session.go_to(Rc::clone(&endpoint), running);
            match self.dial(&endpoint, token) {
                Ok(socket) => {
                    let Some(session) = self.sessions.get(slot) else { return false };
                    session.socket = socket;
                    let first = session.first.as_deref().unwrap_or_default();
                    if session.send(first, &mut self.memory).is_ok() {
                        if let Some(wants) = &session.wants {
                            wants.reached(&session.endpoint);
                        }
                        return true;
                    }
                    failure = ConnectFailure::Unreachable;
                }
                Err(failed) => failure = failed,
            }
        }
    }

    /// A session whose endpoint went down moves to another one where its upstream wants that; says whether it lives on.
    pub(super) fn move_on(&mut self, slot: u32) -> bool {
        let Some(session) = self.sessions.get(slot) else { return false };
        if !session.endpoint.must_end() {
            return true;
        }
        let cluster = session.cluster();
        let mut tried = Tried::default();
        for _ in 0..=cluster.upstream.retry.limit {
            let Some(session) = self.sessions.get(slot) else { return false };
            let reserved = cluster.reserve(&session.wanted(&tried), Need::Session);
            let Ok((endpoint, running)) = reserved else { break };
            let token = self.sessions.renew(slot);
            match self.dial(&endpoint, token) {
                Ok(socket) => {
                    let Some(session) = self.sessions.get(slot) else { return false };
                    session.go_to(endpoint, running);
                    session.socket = socket;
                    session.is_unproven = true;
                    session.is_stream = false;
                    if let Some(wants) = &session.wants {
                        wants.reached(&session.endpoint);
                    }
                    return true;
                }
                Err(failure) => endpoint.not_connected(failure),
            }
            tried.add(endpoint.id());
        }
        self.end(slot, Some(Fault::EndpointDown));
        false
    }

    /// What a client made up to call its server.
    fn first_id(&self, packet: &[u8]) -> Option<ConnectionId> {
        match Header::read(packet).filter(|_| self.rules.quic)? {
            Header::Long(header) => ConnectionId::new(header.destination),
            Header::Short(_) => None,
        }
    }
}

/// Where a session shall go.
#[derive(Clone, Copy)]
enum Choice {
    /// To any endpoint of an upstream, by the route that named it.
    Any(Option<usize>, UpstreamId),
    /// Where its connection has been before.
    Known(Home),
}

/// Why no session is opened. All refusals of one cause are the same: they are counted together.
fn refusal(cause: ShedCause) -> Fault {
    Fault::Shed(Shed { cause, retry_after: 1 })
}

fn is_known(version: u32) -> bool {
    narrows_wire::quic::Version::from_number(version).is_some()
}
