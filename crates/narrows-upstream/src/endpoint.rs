//! One endpoint as one worker sees it.

use crate::counts::Counts;
use crate::load::{Load, Place};
use crate::membership::{Condition, EndpointId, Member};
use crate::multiplexed::Multiplexed;
use crate::pool::{Connection, Pool};
use crate::report::{AttemptFailure, Report, Reporter, Seen};
use crate::upstream_load::UpstreamLoad;
use crate::ConnectFailure;
use narrows_plan::{Address, EndpointLimits, Upstream, UpstreamId, UpstreamProtocol, WhenDown};
use narrows_runtime::Tick;
use narrows_tls::Connector;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Failures in a row that are all reported; of the further ones, one in as many.
const TOLD_FAILURES: u32 = 64;

/// One endpoint as one worker sees it. It lives as long as something runs there, also after it was removed.
#[derive(Debug)]
pub struct EndpointState {
    /// What is known of it in the whole process.
    member: RefCell<Arc<Member>>,
    /// Where it is; never a name.
    pub address: Address,
    /// The address as text, for logs and errors.
    pub label: Box<str>,
    id: EndpointId,
    upstream: UpstreamId,
    /// Idle connections.
    pub(crate) pool: Pool,
    /// Connections that carry many requests at once.
    pub(crate) multiplexed: Multiplexed,
    pub(crate) connector: Option<Arc<Connector>>,
    pub(crate) protocol: UpstreamProtocol,
    /// Name or address as it is written, for TLS.
    pub(crate) server_name: Box<str>,
    condition: Cell<Condition>,
    /// Whether it still belongs to the upstream.
    is_member: Cell<bool>,
    weight: Cell<u32>,
    running: Cell<u32>,
    /// Open connections; shared with their guards, so that an idle connection does not keep its endpoint.
    open: Rc<Cell<u32>>,
    reporter: Reporter,
    /// What the process has running there.
    load: Arc<Load>,
    /// What all workers share of the upstream.
    shared: Arc<UpstreamLoad>,
    /// The number of this worker.
    worker: usize,
    /// What it is given at most, over all workers.
    limits: Cell<EndpointLimits>,
    /// What it is given where its member says nothing.
    usual_limits: EndpointLimits,
    /// Places for connections that were taken and have no connection yet; it begins at once.
    spare: RefCell<Vec<Slot>>,
    /// The place of a pooled connection that was of no use, for the one that is made instead of it.
    discarded: RefCell<Option<Open>>,
    counts: Counts,
    /// Whether what is bound to it ends when it goes down, and who is to be told.
    ends_when_down: bool,
    went_down: Notify,
    /// What was seen since it was told last, where rates are judged.
    seen: Option<Cell<Seen>>,
}

/// What all endpoints of a cluster are made with.
#[derive(Debug, Clone)]
pub(crate) struct Making {
    pub(crate) upstream: Arc<Upstream>,
    pub(crate) id: UpstreamId,
    pub(crate) connector: Option<Arc<Connector>>,
    pub(crate) reporter: Reporter,
    pub(crate) shared: Arc<UpstreamLoad>,
    pub(crate) worker: usize,
}

impl EndpointState {
    pub(crate) fn new(member: &Arc<Member>, making: &Making) -> Rc<Self> {
        let upstream = &making.upstream;
        let judges_rates = upstream
            .passive
            .as_ref()
            .is_some_and(|passive| passive.success_rate.is_some() || passive.latency.is_some());
        Rc::new(EndpointState {
            member: RefCell::new(Arc::clone(member)),
            address: member.address.clone(),
            label: member.label.clone(),
            id: member.id,
            upstream: making.id,
            pool: Pool::new(upstream.pool),
            multiplexed: Multiplexed::new(upstream),
            connector: making.connector.clone(),
            protocol: upstream.protocol,
            server_name: member.server_name.clone(),
            condition: Cell::new(member.condition),
            is_member: Cell::new(true),
            weight: Cell::new(member.weight),
            running: Cell::new(0),
            open: Rc::default(),
            reporter: making.reporter.clone(),
            load: Arc::clone(&member.load),
            shared: Arc::clone(&making.shared),
            worker: making.worker,
            limits: Cell::new(limits(member, upstream.limits.endpoint)),
            usual_limits: upstream.limits.endpoint,
            spare: RefCell::default(),
            discarded: RefCell::default(),
            counts: Counts::default(),
            ends_when_down: upstream.when_down == WhenDown::Close,
            went_down: Notify::new(),
            seen: judges_rates.then(Cell::default),
        })
    }

    /// Takes over what has changed.
    pub(crate) fn update(&self, member: &Arc<Member>) {
        self.condition.set(member.condition);
        self.weight.set(member.weight);
        self.limits.set(limits(member, self.usual_limits));
        if self.must_end() {
            self.went_down.notify_waiters();
        }
        *self.member.borrow_mut() = Arc::clone(member);
    }

    /// It belongs to the upstream no more: its idle connections close, and those that come back later.
    pub(crate) fn leave(&self) {
        self.is_member.set(false);
        self.shed();
    }

    /// Gives a connection back after a request that left it in a known state. One of an endpoint that left is closed.
    pub fn release(&self, connection: Connection, now: Tick) {
        if !self.is_member.get() {
            return;
        }
        if self.limits.get().connections.is_some() && self.shared.queue.waiting() > 0 {
            // Idle, it would keep a place that somebody waits for; only the same worker could use it.
            if self.shared.queue.begins_with(self.worker) {
                self.pool.put(connection, now);
                self.shared.queue.freed(self.id);
            }
            return;
        }
        self.pool.put(connection, now);
    }

    /// Its identity.
    pub fn id(&self) -> EndpointId {
        self.id
    }

    /// What is known of it in the whole process, as of the last news.
    pub fn member(&self) -> Arc<Member> {
        Arc::clone(&self.member.borrow())
    }

    /// Whether it is taken, as of the last news.
    pub fn condition(&self) -> Condition {
        self.condition.get()
    }

    /// Share of the traffic, as of the last news.
    pub fn weight(&self) -> u32 {
        self.weight.get()
    }

    /// Requests (layer 7), flows or sessions (layer 4) that this worker has running there.
    pub fn running(&self) -> u32 {
        self.running.get()
    }

    /// Counts one more until the guard is dropped, whatever the limits.
    pub fn begin(self: &Rc<Self>) -> Running {
        self.count_in(false)
    }

    /// Counts one more until the guard is dropped, unless a limit is reached. A place for the connection that it needs is
    /// kept until `connect`, which has to begin before anything else is waited for.
    pub fn try_begin(self: &Rc<Self>, need: Need) -> Option<Running> {
        let limits = self.limits.get();
        if limits == EndpointLimits::default() {
            return Some(self.count_in(false));
        }
        if let Some(limit) = limits.connections
            && need.is_connection()
            && !(need == Need::Request && self.has_connection())
        {
            self.spare.borrow_mut().push(self.take_slot(limit)?);
        }
        let is_limited = limits.requests.is_some();
        if let Some(limit) = limits.requests
            && !self.load.take(Place::Request, limit)
        {
            self.give_up_spare();
            return None;
        }
        Some(self.count_in(is_limited))
    }

    fn count_in(self: &Rc<Self>, is_limited: bool) -> Running {
        self.running.set(self.running.get() + 1);
        self.counts.begun();
        Running { endpoint: Rc::clone(self), is_limited }
    }

    /// Whether a request can do without a new connection.
    fn has_connection(&self) -> bool {
        self.pool.has_any() || self.protocol != UpstreamProtocol::Http1 && self.multiplexed.has_room()
    }

    fn take_slot(&self, limit: u32) -> Option<Slot> {
        self.load.take(Place::Connection, limit).then(|| Slot {
            load: Arc::clone(&self.load),
            shared: Arc::clone(&self.shared),
            endpoint: self.id,
        })
    }

    /// Lets go of places for connections that nobody made.
    fn give_up_spare(&self) {
        let spare = (self.spare.take(), self.discarded.take());
        drop(spare);
    }

    /// A pooled connection was of no use.
    pub(crate) fn discard(&self, open: Open) {
        if self.limits.get().connections.is_some() {
            self.discarded.replace(Some(open));
        }
    }

    /// Connections that this worker has open there or is making, idle ones included.
    pub fn connections(&self) -> u32 {
        self.open.get()
    }

    /// Counts one more connection until the guard is dropped.
    pub fn open(&self) -> Open {
        self.count_open(None)
    }

    /// The same for a connection that is about to be made, where connections may be limited.
    pub(crate) fn open_within_limit(&self) -> Result<Open, ConnectFailure> {
        let Some(limit) = self.limits.get().connections else { return Ok(self.open()) };
        if let Some(open) = self.discarded.take() {
            return Ok(open);
        }
        let kept = self.spare.borrow_mut().pop();
        let slot = kept.or_else(|| self.take_slot(limit)).ok_or(ConnectFailure::Full)?;
        Ok(self.count_open(Some(slot)))
    }

    fn count_open(&self, slot: Option<Slot>) -> Open {
        self.open.set(self.open.get() + 1);
        Open { _counted: Rc::new(Counted { open: Rc::clone(&self.open), _slot: slot }) }
    }

    /// Whether another request, flow or session may go there as far as its limits are concerned. A look: somebody else may be faster.
    pub fn has_room(&self) -> bool {
        let limits = self.limits.get();
        if limits == EndpointLimits::default() {
            return true;
        }
        let fits = |limit: Option<u32>, place| limit.is_none_or(|limit| self.load.taken(place) < limit);
        fits(limits.requests, Place::Request)
            && (self.has_connection() || fits(limits.connections, Place::Connection))
    }

    /// Whether something limits what it is given.
    pub(crate) fn is_limited(&self) -> bool {
        self.limits.get() != EndpointLimits::default()
    }

    /// Whether flows, tunnels and sessions there are to end: it is down or in maintenance, and the upstream wants that.
    pub fn must_end(&self) -> bool {
        self.ends_when_down && matches!(self.condition.get(), Condition::Down | Condition::Maintenance)
    }

    /// Returns once they are to end; at once when they are. Cancel safe. `None` when they never are.
    pub fn ending(&self) -> Option<impl Future<Output = ()> + '_> {
        self.ends_when_down.then_some(async move {
            let notified = self.went_down.notified();
            if !self.must_end() {
                notified.await;
            }
        })
    }

    /// An attempt ended well; `took` is the time until its answer began, where somebody asks for times.
    pub fn succeeded(&self, took: Option<Duration>) {
        if self.load.succeeded() {
            self.reporter.report(Report::Recovered { upstream: self.upstream, endpoint: self.id });
        }
        self.count(1, 0, took.unwrap_or_default());
    }

    /// An attempt failed.
    pub fn failed(&self, failure: AttemptFailure) {
        self.counts.failed(failure);
        let in_a_row = self.load.failed();
        // The control plane counts for itself once it has been told; it need not be flooded.
        if in_a_row <= TOLD_FAILURES || in_a_row.is_multiple_of(TOLD_FAILURES) {
            self.reporter.report(Report::Failed { upstream: self.upstream, endpoint: self.id, failure });
        }
        self.count(1, 1, Duration::ZERO);
    }

    /// No connection could be made. What this process lacks itself is not the endpoint's failure.
    pub fn not_connected(&self, failure: ConnectFailure) {
        if !matches!(failure, ConnectFailure::Exhausted | ConnectFailure::Full) {
            self.failed(AttemptFailure::Connect);
        }
    }

    fn count(&self, attempts: u64, failures: u64, time: Duration) {
        if let Some(seen) = &self.seen {
            let before = seen.get();
            seen.set(Seen {
                attempts: before.attempts + attempts,
                failures: before.failures + failures,
                time: before.time + time,
            });
        }
    }

    /// Tells what was seen since the last time.
    pub(crate) fn tell(&self) {
        let seen = self.seen.as_ref().map(Cell::take).unwrap_or_default();
        if seen.attempts > 0 {
            self.reporter.report(Report::Seen { upstream: self.upstream, endpoint: self.id, seen });
        }
        self.counts.tell(self.running.get(), self.open.get(), &self.load.tally);
    }

    /// Somebody waits: idle connections that keep places are closed, and so are places that nobody uses.
    pub(crate) fn relieve(&self) {
        if self.limits.get().connections.is_some() {
            self.shed();
            self.give_up_spare();
        }
    }

    /// Closes idle connections that have been idle or alive for too long.
    pub(crate) fn prune(&self, now: Tick) {
        self.pool.prune(now);
        self.multiplexed.prune(now);
        if !self.spare.borrow().is_empty() || self.discarded.borrow().is_some() {
            self.give_up_spare();
        }
    }

    /// Closes every idle connection and says how many there were.
    pub(crate) fn shed(&self) -> usize {
        self.pool.shed() + self.multiplexed.shed()
    }
}

/// A running request, flow or session; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    endpoint: Rc<EndpointState>,
    /// Whether it takes one of the places that the process has for requests there.
    is_limited: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let endpoint = &self.endpoint;
        endpoint.running.set(endpoint.running.get().saturating_sub(1));
        if self.is_limited {
            endpoint.load.give_back(Place::Request);
        }
        // On a shared connection, a request that ends makes room although no place was taken for it.
        if self.is_limited || endpoint.is_limited() {
            endpoint.shared.queue.freed(endpoint.id);
        }
    }
}

impl Drop for EndpointState {
    fn drop(&mut self) {
        // What it still ran when it left has ended.
        self.counts.tell(0, 0, &self.load.tally);
    }
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

impl Need {
    fn is_connection(self) -> bool {
        self != Need::Session
    }
}

/// A place among the connections that the process may have to an endpoint.
#[derive(Debug)]
struct Slot {
    load: Arc<Load>,
    shared: Arc<UpstreamLoad>,
    endpoint: EndpointId,
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

/// A connection to an endpoint that is being made, in use or idle. Its clones are the same connection; dropping the last one counts it out.
#[derive(Debug, Clone)]
pub struct Open {
    _counted: Rc<Counted>,
}

#[derive(Debug)]
struct Counted {
    open: Rc<Cell<u32>>,
    _slot: Option<Slot>,
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.open.set(self.open.get().saturating_sub(1));
    }
}
