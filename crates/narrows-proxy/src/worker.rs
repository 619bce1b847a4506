//! What a worker owns and its tasks share, whatever the configuration.

use crate::generation::{Generation, ListenerKey};
use crate::mirror::Mirrors;
use crate::request::RequestMemory;
use crate::say::say;
use crate::sticky::StickyStores;
use narrows_control::Link;
use narrows_observe::{AccessLog, Calendar};
use narrows_plan::Plan;
use narrows_runtime::{Buffers, Deadlines, Tick};
use narrows_tls::TlsContexts;
use narrows_upstream::{Chance, Membership};
use narrows_wire::http1::{RequestHead, ResponseHead};
use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::sync::Notify;

/// How many ticks lie between two looks through the idle upstream connections.
const PRUNE_TICKS: u32 = 10;
/// The shortest time between two warnings of the same kind.
const WARN_EVERY: Duration = Duration::from_secs(10);
/// How many sets of exchange memory are kept.
const KEPT_MEMORIES: usize = 256;

/// Everything that the tasks of one worker share.
pub(crate) struct Worker {
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) buffers: Rc<Buffers>,
    pub(crate) log: Option<AccessLog>,
    generation: RefCell<Rc<Generation>>,
    /// Which requests are copied.
    pub(crate) mirrors: Mirrors,
    /// What the control plane says.
    pub(crate) link: Link,
    draining: Cell<bool>,
    open: Cell<usize>,
    all_closed: Notify,
    unix: Cell<u64>,
    date: RefCell<Rc<str>>,
    split_point: Cell<u32>,
    /// For pauses that shall not be all the same.
    pub(crate) chance: Chance,
    #[allow(clippy::vec_box, reason = "a box moves in and out of an exchange, its content does not")]
    memories: RefCell<Vec<Box<ExchangeMemory>>>,
    warned: Cell<Option<Tick>>,
}

/// Memory that an exchange needs while it runs, reused by the next one.
#[derive(Default)]
pub(crate) struct ExchangeMemory {
    pub(crate) bytes: Vec<u8>,
    pub(crate) head: RequestHead,
    pub(crate) request: RequestMemory,
    pub(crate) answer: AnswerMemory,
}

/// The part that serves the answer: the response's head, bytes on their way out, and bytes of the request's body that may have to be sent
/// again.
#[derive(Default)]
pub(crate) struct AnswerMemory {
    pub(crate) head: ResponseHead,
    pub(crate) out: Vec<u8>,
    pub(crate) kept: Vec<u8>,
}

/// What all workers are given alike.
#[derive(Debug, Clone)]
pub(crate) struct Common {
    pub(crate) plan: Arc<Plan>,
    pub(crate) tls: TlsContexts,
    pub(crate) link: Link,
    pub(crate) stores: StickyStores,
}

/// Where a connection was accepted.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    /// The listener.
    pub(crate) listener: ListenerKey,
    /// Port; 0 for a Unix socket.
    pub(crate) local_port: u16,
}

impl Worker {
    /// The state of worker `number` at its beginning.
    pub(crate) fn new(number: usize, common: Common, log: Option<AccessLog>) -> Self {
        let link = common.link.clone();
        let worker = Worker {
            generation: RefCell::new(Rc::new(Generation::new(number, common))),
            deadlines: Deadlines::new(),
            buffers: Buffers::new(),
            log,
            mirrors: Mirrors::new(number as u32),
            link,
            draining: Cell::new(false),
            open: Cell::new(0),
            all_closed: Notify::new(),
            unix: Cell::new(0),
            date: RefCell::new("".into()),
            split_point: Cell::new(number as u32),
            chance: Chance::unseeded(),
            memories: RefCell::default(),
            warned: Cell::new(None),
        };
        worker.look_at_the_clock();
        worker
    }

    /// Follows what the control plane says of endpoints. Never returns while it is there.
    pub(crate) async fn follow(&self) {
        let mut memberships = self.link.memberships.clone();
        memberships.mark_changed();
        let mut known: Vec<Arc<Membership>> = Vec::new();
        while memberships.changed().await.is_ok() {
            let now = Arc::clone(&memberships.borrow_and_update());
            let generation = self.generation();
            for (index, (cluster, membership)) in generation.clusters.iter().zip(&*now).enumerate() {
                if known.get(index).is_none_or(|known| !Arc::ptr_eq(known, membership)) {
                    cluster.update(membership);
                    if let Some(sticky) = &generation.sticky[index] {
                        sticky.update(membership);
                    }
                }
            }
            known = now.to_vec();
        }
    }

    /// What is done every tick; `ticks` counts them.
    pub(crate) fn tick(&self, ticks: u32) {
        self.deadlines.sweep();
        self.look_at_the_clock();
        if let Some(log) = &self.log {
            log.flush();
        }
        let generation = self.generation();
        generation.clusters.iter().for_each(|cluster| cluster.tick());
        if ticks.is_multiple_of(PRUNE_TICKS) {
            let now = self.now();
            generation.clusters.iter().for_each(|cluster| cluster.prune(now));
        }
    }

    /// Moves what depends on the time of day.
    fn look_at_the_clock(&self) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if unix != self.unix.replace(unix) {
            *self.date.borrow_mut() = Calendar::from_unix(unix).http_date().into();
        }
    }

    /// Begins to drain: idle connections close.
    pub(crate) fn drain(&self) {
        self.draining.set(true);
        self.shed();
        self.deadlines.wake_all();
    }

    /// Closes idle upstream connections and says how many.
    fn shed(&self) -> usize {
        self.generation().clusters.iter().map(|cluster| cluster.shed()).sum()
    }

    /// No descriptor is left: lets go of what can be spared, and says so, but not all the time.
    pub(crate) fn survive_exhaustion(&self) {
        let closed = self.shed();
        let now = self.now();
        if self.warned.get().is_none_or(|last| now.since(last) >= WARN_EVERY) {
            self.warned.set(Some(now));
            say(&format!(
                "no descriptor left to accept a connection; closed {closed} idle upstream connections \
                 (raise the limit: ulimit -n)"
            ));
        }
    }

    /// Returns once no downstream connection is open. Cancel safe.
    pub(crate) async fn closed(&self) {
        while self.open.get() > 0 {
            self.all_closed.notified().await;
        }
    }

    /// Whether no new request is wanted.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// The configuration in force.
    pub(crate) fn generation(&self) -> Rc<Generation> {
        Rc::clone(&self.generation.borrow())
    }

    /// The configuration that holds for a listener: the one in force.
    pub(crate) fn generation_of(&self, _listener: ListenerKey) -> Rc<Generation> {
        self.generation()
    }

    /// Whether what was accepted there is to end as soon as nothing runs on it: the worker drains.
    pub(crate) fn is_leaving(&self, _place: Place) -> bool {
        self.is_draining()
    }

    /// The last tick.
    pub(crate) fn now(&self) -> Tick {
        self.deadlines.now()
    }

    /// Seconds since 1970, as of the last tick.
    pub(crate) fn unix(&self) -> u64 {
        self.unix.get()
    }

    /// Today as HTTP writes it, as of the last tick.
    pub(crate) fn date(&self) -> Rc<str> {
        Rc::clone(&self.date.borrow())
    }

    /// The next point for a weighted split of `total`: steps of the golden ratio visit all shares evenly.
    pub(crate) fn split_point(&self, total: u32) -> u32 {
        let point = self.split_point.get().wrapping_add(0x9E37_79B9);
        self.split_point.set(point);
        ((u64::from(point) * u64::from(total)) >> 32) as u32
    }

    /// Memory for an exchange.
    pub(crate) fn take_memory(&self) -> Box<ExchangeMemory> {
        self.memories.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes the memory of an exchange back.
    pub(crate) fn keep_memory(&self, mut memory: Box<ExchangeMemory>) {
        let mut memories = self.memories.borrow_mut();
        if memories.len() < KEPT_MEMORIES {
            memory.bytes.clear();
            memory.answer.out.clear();
            memory.bytes.shrink_to(16 << 10);
            memory.answer.out.shrink_to(32 << 10);
            memories.push(memory);
        }
    }
}

/// An open downstream connection; a drain waits until all are dropped.
pub(crate) struct OpenConnection(Rc<Worker>);

impl OpenConnection {
    pub(crate) fn new(worker: &Rc<Worker>) -> Self {
        worker.open.set(worker.open.get() + 1);
        OpenConnection(Rc::clone(worker))
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        let open = self.0.open.get() - 1;
        self.0.open.set(open);
        if open == 0 {
            self.0.all_closed.notify_one();
        }
    }
}
