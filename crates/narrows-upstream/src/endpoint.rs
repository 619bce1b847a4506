//! One endpoint as one worker sees it.

use crate::answer_time::AnswerTime;
use crate::clock::Clock;
use crate::counts::Counts;
use crate::membership::UpstreamKey;
use crate::membership::{Condition, EndpointId, Member};
use crate::multiplexed::Multiplexed;
use crate::places::{Idle, Places, Slot};
use crate::pool::{Connection, Pool};
use crate::report::{AttemptFailure, Report, Reporter, Seen};
use crate::upstream_load::UpstreamLoad;
use narrows_plan::{Address, Balance, Upstream, UpstreamProtocol, WhenDown};
use narrows_runtime::Tick;
use narrows_tls::Connector;
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
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
    upstream: UpstreamKey,
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
    /// What runs on the endpoints that it is balanced with, it included, where the balancer asks.
    shared_load: RefCell<Option<Rc<Cell<u64>>>>,
    /// Where the balancer asks for it.
    answer_time: Option<AnswerTime>,
    clock: Rc<Clock>,
    reporter: Reporter,
    /// What its limits leave.
    pub(crate) places: Places,
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
    pub(crate) id: UpstreamKey,
    pub(crate) connector: Option<Arc<Connector>>,
    pub(crate) reporter: Reporter,
    pub(crate) clock: Rc<Clock>,
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
            shared_load: RefCell::default(),
            answer_time: (upstream.balancing.method == Balance::PeakEwma)
                .then(|| AnswerTime::new(making.clock.now())),
            clock: Rc::clone(&making.clock),
            reporter: making.reporter.clone(),
            places: Places::new(member, making),
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
        self.places.update(member);
        if self.must_end() {
            self.went_down.notify_waiters();
        }
        *self.member.borrow_mut() = Arc::clone(member);
    }

    /// It belongs to the upstream no more: its idle connections close, and those that come back later.
    pub(crate) fn leave(&self) {
        self.is_member.set(false);
        self.share_load(None);
        self.shed();
    }

    /// Gives a connection back after a request that left it in a known state. One of an endpoint that left is closed.
    pub fn release(&self, connection: Connection, now: Tick) {
        if !self.is_member.get() {
            return;
        }
        match self.places.may_idle() {
            Idle::Kept => self.pool.put(connection, now),
            Idle::Offered => {
                self.pool.put(connection, now);
                self.places.offer();
            }
            Idle::Closed => {}
        }
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
        self.running.set(self.running.get() + 1);
        self.counts.begun();
        self.change_shared_load(|load| load + 1);
        Running { endpoint: Rc::clone(self), is_limited: false }
    }

    /// Connections that this worker has open there or is making, idle ones included.
    pub fn connections(&self) -> u32 {
        self.open.get()
    }

    /// Counts one more connection until the guard is dropped.
    pub fn open(&self) -> Open {
        self.count_open(None)
    }

    /// The same for a connection that takes a place.
    pub(crate) fn count_open(&self, slot: Option<Slot>) -> Open {
        self.open.set(self.open.get() + 1);
        Open { _counted: Rc::new(Counted { open: Rc::clone(&self.open), _slot: slot }) }
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
        if let (Some(answer_time), Some(took)) = (&self.answer_time, took) {
            answer_time.answered(took, self.clock.now());
        }
        if self.places.load.succeeded() {
            self.reporter.report(Report::Recovered { upstream: self.upstream, endpoint: self.id });
        }
        self.count(1, 0, took.unwrap_or_default());
    }

    /// An attempt failed.
    pub fn failed(&self, failure: AttemptFailure) {
        if let Some(answer_time) = &self.answer_time {
            answer_time.failed(self.clock.now());
        }
        self.counts.failed(failure);
        let in_a_row = self.places.load.failed();
        // The control plane counts for itself once it has been told; it need not be flooded.
        if in_a_row <= TOLD_FAILURES || in_a_row.is_multiple_of(TOLD_FAILURES) {
            self.reporter.report(Report::Failed { upstream: self.upstream, endpoint: self.id, failure });
        }
        self.count(1, 1, Duration::ZERO);
    }

    /// The moving average of its answer times in seconds, where the balancer asks for it and there was an answer.
    pub(crate) fn answer_seconds(&self, now: Instant) -> Option<f64> {
        self.answer_time.as_ref().and_then(|time| time.seconds(now))
    }

    /// When it came back from being away.
    pub(crate) fn returned(&self) -> Option<Instant> {
        self.member.borrow().returned
    }

    /// Counts what runs here among what runs on others as well, and no longer where it was counted before.
    pub(crate) fn share_load(&self, load: Option<&Rc<Cell<u64>>>) {
        let running = u64::from(self.running.get());
        self.change_shared_load(|load| load.saturating_sub(running));
        *self.shared_load.borrow_mut() = load.cloned();
        self.change_shared_load(|load| load + running);
    }

    fn change_shared_load(&self, change: impl FnOnce(u64) -> u64) {
        if let Some(load) = &*self.shared_load.borrow() {
            load.set(change(load.get()));
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
        self.counts.tell(self.running.get(), self.open.get(), &self.places.load.tally);
    }

    /// Closes idle connections that have been idle or alive for too long.
    pub(crate) fn prune(&self, now: Tick) {
        self.pool.prune(now);
        self.multiplexed.prune(now);
        self.places.give_up_spare();
    }

    /// Closes every idle connection and says how many there were.
    pub(crate) fn shed(&self) -> usize {
        self.pool.shed() + self.multiplexed.shed()
    }
}

/// A running request, flow or session; dropping it ends it.
#[derive(Debug)]
pub struct Running {
    pub(crate) endpoint: Rc<EndpointState>,
    /// Whether it takes one of the places that the process has for requests there.
    pub(crate) is_limited: bool,
}

impl Drop for Running {
    fn drop(&mut self) {
        let endpoint = &self.endpoint;
        endpoint.running.set(endpoint.running.get().saturating_sub(1));
        endpoint.change_shared_load(|load| load.saturating_sub(1));
        endpoint.places.ended(self.is_limited);
    }
}

impl Drop for EndpointState {
    fn drop(&mut self) {
        // What it still ran when it left has ended.
        self.counts.tell(0, 0, &self.places.load.tally);
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
