//! Places at an endpoint: what its limits leave for another request, flow or connection.
//!
//! Limits hold over all workers, so that what is taken is counted in [`Load`]. A connection takes its place when it begins to be made and keeps it while it is
//! idle. Only the worker that has an idle connection can use it. So when somebody waits for an endpoint, a connection that becomes idle
//! there is offered if the first who waits is on the same worker, and closed if not; and idle connections that other workers keep are given
//! up with the next tick.

use crate::ConnectFailure;
use crate::endpoint::{EndpointState, Making, Open, Running};
use crate::load::{Load, Place};
use crate::membership::{EndpointId, Member};
use crate::upstream_load::UpstreamLoad;
use narrows_plan::{EndpointLimits, UpstreamProtocol};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// The places of one endpoint as one worker sees them.
#[derive(Debug)]
pub(crate) struct Places {
    /// What the process has running there.
    pub(crate) load: Arc<Load>,
    shared: Arc<UpstreamLoad>,
    endpoint: EndpointId,
    /// The number of this worker.
    worker: usize,
    /// What it is given at most, over all workers.
    limits: Cell<EndpointLimits>,
    /// The same where its member says nothing.
    usual: EndpointLimits,
    /// Places for connections that were taken and have no connection yet; it begins at once.
    spare: RefCell<Vec<Slot>>,
    /// The place of a pooled connection that was of no use, for the one that is made instead of it.
    discarded: RefCell<Option<Open>>,
}

/// What is wanted of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// A request: it may go on a connection that is there.
    Request,
    /// A TCP flow: a connection of its own.
    Flow,
    /// A UDP session: no connection.
    Session,
}

/// What becomes of a connection that has nothing to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Idle {
    /// It is kept.
    Kept,
    /// It is kept for somebody who waits.
    Offered,
    /// It is closed: somebody on another worker waits for its place.
    Closed,
}

/// A place among the connections that the process may have to an endpoint.
#[derive(Debug)]
pub(crate) struct Slot {
    load: Arc<Load>,
    shared: Arc<UpstreamLoad>,
    endpoint: EndpointId,
}

impl Places {
    pub(crate) fn new(member: &Member, making: &Making) -> Self {
        let usual = making.upstream.limits.endpoint;
        Places {
            load: Arc::clone(&member.load),
            shared: Arc::clone(&making.shared),
            endpoint: member.id,
            worker: making.worker,
            limits: Cell::new(limits(member, usual)),
            usual,
            spare: RefCell::default(),
            discarded: RefCell::default(),
        }
    }

    /// Takes over what has changed.
    pub(crate) fn update(&self, member: &Member) {
        self.limits.set(limits(member, self.usual));
    }

    /// Whether anything is limited.
    pub(crate) fn are_limited(&self) -> bool {
        self.limits.get() != EndpointLimits::default()
    }

    /// Whether a connection that has nothing to do is kept.
    pub(crate) fn may_idle(&self) -> Idle {
        if self.limits.get().connections.is_none() || self.shared.queue.waiting() == 0 {
            Idle::Kept
        } else if self.shared.queue.begins_with(self.worker) {
            Idle::Offered
        } else {
            Idle::Closed
        }
    }

    /// Something became free that is not counted: the first who waits is called.
    pub(crate) fn offer(&self) {
        self.shared.queue.freed(self.endpoint);
    }

    /// A request, flow or session has ended; `was_counted`: it had a place.
    pub(crate) fn ended(&self, was_counted: bool) {
        if was_counted {
            self.load.give_back(Place::Request);
        }
        // On a shared connection, a request that ends makes room although no place was taken for it.
        if was_counted || self.are_limited() {
            self.offer();
        }
    }

    /// Lets go of places for connections that nobody made.
    pub(crate) fn give_up_spare(&self) {
        if !self.spare.borrow().is_empty() || self.discarded.borrow().is_some() {
            let spare = (self.spare.take(), self.discarded.take());
            drop(spare);
        }
    }

    /// A pooled connection was of no use.
    pub(crate) fn discard(&self, open: Open) {
        if self.limits.get().connections.is_some() {
            self.discarded.replace(Some(open));
        }
    }

    fn take_connection(&self, limit: u32) -> Option<Slot> {
        self.load.take(Place::Connection, limit).then(|| Slot {
            load: Arc::clone(&self.load),
            shared: Arc::clone(&self.shared),
            endpoint: self.endpoint,
        })
    }
}

impl EndpointState {
    /// Whether another request, flow or session may go there as far as its limits are concerned. A look: somebody else may be faster.
    pub fn has_room(&self) -> bool {
        let places = &self.places;
        let limits = places.limits.get();
        if limits == EndpointLimits::default() {
            return true;
        }
        let fits = |limit: Option<u32>, place| limit.is_none_or(|limit| places.load.taken(place) < limit);
        fits(limits.requests, Place::Request)
            && (self.has_connection() || fits(limits.connections, Place::Connection))
    }

    /// Counts one more until the guard is dropped, unless a limit is reached. A place for the connection that it needs is
    /// kept until `connect`, which has to begin before anything else is waited for.
    pub fn try_begin(self: &Rc<Self>, need: Need) -> Option<Running> {
        let places = &self.places;
        let limits = places.limits.get();
        if limits == EndpointLimits::default() {
            return Some(self.begin());
        }
        let needs_connection = match need {
            Need::Request => !self.has_connection(),
            Need::Flow => true,
            Need::Session => false,
        };
        let connections = limits.connections.filter(|_| needs_connection);
        // A look before anything is taken: what is given back again calls the next who waits, and two could call each other for ever.
        if connections.is_some_and(|limit| places.load.taken(Place::Connection) >= limit)
            || limits.requests.is_some_and(|limit| !places.load.take(Place::Request, limit))
        {
            return None;
        }
        if let Some(limit) = connections {
            match places.take_connection(limit) {
                Some(slot) => places.spare.borrow_mut().push(slot),
                None => {
                    places.ended(limits.requests.is_some());
                    return None;
                }
            }
        }
        let mut running = self.begin();
        running.is_limited = limits.requests.is_some();
        Some(running)
    }

    /// The connection of `open` was dead: the one that is made instead of it, at once, gets its place.
    pub fn hand_on(&self, open: Open) {
        self.places.discard(open);
    }

    /// Counts one more connection that is about to be made, unless the limit is reached.
    pub(crate) fn open_within_limit(&self) -> Result<Open, ConnectFailure> {
        let places = &self.places;
        let Some(limit) = places.limits.get().connections else { return Ok(self.open()) };
        if let Some(open) = places.discarded.take() {
            return Ok(open);
        }
        let kept = places.spare.borrow_mut().pop();
        let slot = kept.or_else(|| places.take_connection(limit)).ok_or(ConnectFailure::Full)?;
        Ok(self.count_open(Some(slot)))
    }

    /// Somebody waits: idle connections that keep places are closed, and so are places that nobody uses.
    pub(crate) fn relieve(&self) {
        if self.places.limits.get().connections.is_some() {
            self.shed();
            self.places.give_up_spare();
        }
    }

    /// Whether a request can do without a new connection.
    fn has_connection(&self) -> bool {
        self.pool.has_any() || self.protocol != UpstreamProtocol::Http1 && self.multiplexed.has_room()
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.load.give_back(Place::Connection);
        self.shared.queue.freed(self.endpoint);
    }
}

/// The limits of a member, with the usual ones where it has none.
fn limits(member: &Member, usual: EndpointLimits) -> EndpointLimits {
    EndpointLimits {
        connections: member.limits.connections.or(usual.connections),
        requests: member.limits.requests.or(usual.requests),
    }
}
