//! What a worker owns and its tasks share, whatever the configuration.

use crate::configuration::Configuration;
use crate::counting::Counting;
use crate::explain::Asked;
use crate::generation::{Generation, ListenerKey};
use crate::mirror::Mirrors;
use crate::request::RequestMemory;
use crate::say::say;
use crate::tracing::{Ids, Outbox};
use narrows_control::{Link, Memberships};
use narrows_observe::metrics::ListenerCells;
use narrows_observe::{Calendar, SpanSink, WorkerLogs};
use narrows_runtime::{Buffers, Deadlines, Tick};
use narrows_upstream::{Chance, Cluster, Membership, UpstreamKey};
use narrows_wire::http1::{RequestHead, ResponseHead};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::{Rc, Weak};
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
    /// The access logs of the configuration in force.
    pub(crate) logs: RefCell<WorkerLogs>,
    /// What is counted for the metrics.
    pub(crate) counting: Counting,
    number: usize,
    generation: RefCell<Rc<Generation>>,
    /// Listeners that are gone, as they were: what was accepted there is served until it ends, or the drain is over.
    gone: RefCell<HashMap<ListenerKey, Gone>>,
    /// Clusters of earlier generations on which something may still run.
    former: RefCell<Vec<(UpstreamKey, Weak<Cluster>)>>,
    /// What was told of endpoints last.
    told: RefCell<Memberships>,
    /// Which requests are copied.
    pub(crate) mirrors: Mirrors,
    /// What is to be explained.
    pub(crate) asked: Asked,
    /// What the control plane says.
    pub(crate) link: Link,
    draining: Cell<bool>,
    /// Whether another process has the listening sockets.
    replaced: Cell<bool>,
    open: Cell<usize>,
    all_closed: Notify,
    unix: Cell<u64>,
    date: RefCell<Rc<str>>,
    split_point: Cell<u32>,
    /// Makes names for requests and traces.
    pub(crate) ids: Ids,
    /// What is told of traces.
    pub(crate) spans: Outbox,
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
    /// The bytes of `head`, where an access log asks for it.
    pub(crate) head_bytes: Vec<u8>,
}

/// A listener that is gone.
struct Gone {
    generation: Rc<Generation>,
    until: Tick,
}

/// Where a connection was accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    /// The listener.
    pub(crate) listener: ListenerKey,
    /// Port; 0 for a Unix socket.
    pub(crate) local_port: u16,
}

impl AnswerMemory {
    /// Keeps the bytes of the head where somebody will ask for it when the answer is over.
    pub(crate) fn keep_head(&mut self, bytes: &[u8], worker: &Worker) {
        self.head_bytes.clear();
        if worker.logs.borrow().ask_for_response() {
            self.head_bytes.extend_from_slice(&bytes[..self.head.length.min(bytes.len())]);
        }
    }
}

impl Worker {
    /// The state of worker `number` at its beginning.
    pub(crate) fn new(
        number: usize,
        first: &Configuration,
        link: Link,
        spans: Option<Arc<dyn SpanSink>>,
    ) -> Self {
        let generation = Generation::new(number, first, &link.reporter, None);
        let worker = Worker {
            number,
            generation: RefCell::new(Rc::new(generation)),
            gone: RefCell::default(),
            former: RefCell::default(),
            told: RefCell::default(),
            deadlines: Deadlines::new(),
            buffers: Buffers::new(),
            logs: RefCell::new(first.logs.worker_logs()),
            counting: Counting::new(number, first),
            mirrors: Mirrors::new(number as u32),
            asked: Asked::default(),
            link,
            draining: Cell::new(false),
            replaced: Cell::new(false),
            open: Cell::new(0),
            all_closed: Notify::new(),
            unix: Cell::new(0),
            date: RefCell::new("".into()),
            split_point: Cell::new(number as u32),
            ids: Ids::new(),
            spans: Outbox::new(spans),
            chance: Chance::unseeded(),
            memories: RefCell::default(),
            warned: Cell::new(None),
        };
        worker.look_at_the_clock();
        worker
    }

    /// Follows what the control plane says of endpoints.
    pub(crate) fn hear(&self, now: &Memberships) {
        let before = self.told.replace(Arc::clone(now));
        let generation = self.generation();
        let news: HashMap<UpstreamKey, &Arc<Membership>> = now
            .iter()
            .filter(|(key, told)| is_news(&before, *key, told))
            .map(|(key, told)| (*key, told))
            .collect();
        if news.is_empty() {
            return;
        }
        for (index, key) in generation.keys.iter().enumerate() {
            if let Some(membership) = news.get(key) {
                generation.clusters[index].update(membership);
                if let Some(sticky) = &generation.sticky[index] {
                    sticky.update(membership);
                }
            }
        }
        for (key, cluster) in &*self.former.borrow() {
            if let (Some(membership), Some(cluster)) = (news.get(key), cluster.upgrade()) {
                cluster.update(membership);
            }
        }
    }

    /// Serves another configuration from now on.
    pub(crate) fn adopt(&self, configuration: &Configuration) {
        self.counting.renew(configuration);
        let before = self.generation();
        let generation = Generation::new(self.number, configuration, &self.link.reporter, Some(&before));
        let told = self.told.borrow();
        for (index, key) in generation.keys.iter().enumerate() {
            let known = told.binary_search_by_key(key, |(known, _)| *known);
            if let Ok(place) = known {
                generation.clusters[index].update(&told[place].1);
                if let Some(sticky) = &generation.sticky[index] {
                    sticky.update(&told[place].1);
                }
            }
        }
        drop(told);
        // What has gathered for the former ones is handed over when they are let go of.
        self.logs.replace(configuration.logs.worker_logs());
        self.keep_former(&before, &generation);
        let until = self.deadlines.watch().after(configuration.plan.settings.drain);
        let mut gone = self.gone.borrow_mut();
        gone.retain(|key, _| generation.listener(*key).is_none());
        for key in before.listener_keys().filter(|key| generation.listener(*key).is_none()) {
            gone.insert(key, Gone { generation: Rc::clone(&before), until });
        }
        let some_are_gone = !gone.is_empty();
        drop(gone);
        *self.generation.borrow_mut() = Rc::new(generation);
        if some_are_gone {
            // Idle connections of theirs are to close.
            self.deadlines.wake_all();
        }
    }

    /// Clusters that the next generation does not have are followed as long as something runs there; what is idle there closes.
    fn keep_former(&self, before: &Generation, next: &Generation) {
        let kept: HashSet<*const Cluster> = next.clusters.iter().map(Rc::as_ptr).collect();
        let mut former = self.former.borrow_mut();
        former.retain(|(_, cluster)| cluster.strong_count() > 0);
        for (key, cluster) in before.keys.iter().zip(&before.clusters) {
            if !kept.contains(&Rc::as_ptr(cluster)) {
                cluster.shed();
                former.push((*key, Rc::downgrade(cluster)));
            }
        }
    }

    /// Every cluster on which something may run.
    fn for_each_cluster(&self, mut work: impl FnMut(&Cluster)) {
        self.generation().clusters.iter().for_each(|cluster| work(cluster));
        self.former
            .borrow()
            .iter()
            .filter_map(|(_, cluster)| cluster.upgrade())
            .for_each(|cluster| work(&cluster));
    }

    /// What is done every tick; `ticks` counts them.
    pub(crate) fn tick(&self, ticks: u32) {
        self.deadlines.sweep();
        self.look_at_the_clock();
        self.logs.borrow().flush();
        self.spans.flush();
        self.for_each_cluster(Cluster::tick);
        if ticks.is_multiple_of(PRUNE_TICKS) {
            let now = self.now();
            self.for_each_cluster(|cluster| cluster.prune(now));
            self.gone.borrow_mut().retain(|_, gone| gone.until > now);
        }
    }

    /// Moves what depends on the time of day.
    fn look_at_the_clock(&self) {
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        if unix != self.unix.replace(unix) {
            *self.date.borrow_mut() = Calendar::from_unix(unix).http_date().into();
        }
    }

    /// Begins to drain: idle connections close; where another process has the sockets, they close after their next request.
    pub(crate) fn drain(&self, is_replaced: bool) {
        self.draining.set(true);
        self.replaced.set(is_replaced);
        self.shed();
        self.deadlines.wake_all();
    }

    /// Closes idle upstream connections and says how many.
    fn shed(&self) -> usize {
        let mut closed = 0;
        self.for_each_cluster(|cluster| closed += cluster.shed());
        closed
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

    /// Whether connections end on which nothing was asked for yet: the process ends. After an upgrade there is time, and a request may be on its way.
    pub(crate) fn is_hurrying(&self) -> bool {
        self.draining.get() && !self.replaced.get()
    }

    /// The configuration in force.
    pub(crate) fn generation(&self) -> Rc<Generation> {
        Rc::clone(&self.generation.borrow())
    }

    /// Whether this is the configuration in force.
    pub(crate) fn is_present(&self, generation: &Rc<Generation>) -> bool {
        Rc::ptr_eq(&self.generation.borrow(), generation)
    }

    /// The configuration that holds for what was accepted at a listener: the one in force, or the last one that had the listener.
    pub(crate) fn generation_of(&self, listener: ListenerKey) -> Rc<Generation> {
        let present = self.generation();
        if present.listener(listener).is_some() {
            return present;
        }
        match self.gone.borrow().get(&listener) {
            Some(gone) => Rc::clone(&gone.generation),
            None => present,
        }
    }

    /// Whether what was accepted there is to end as soon as nothing runs on it: the worker drains, or the listener is gone.
    pub(crate) fn is_leaving(&self, place: Place) -> bool {
        self.is_draining() || self.generation.borrow().listener(place.listener).is_none()
    }

    /// Whether an idle connection that was accepted there is to end now, without another request.
    pub(crate) fn is_dismissing(&self, place: Place) -> bool {
        self.is_hurrying() || self.generation.borrow().listener(place.listener).is_none()
    }

    /// The last tick.
    pub(crate) fn now(&self) -> Tick {
        self.deadlines.now()
    }

    /// Since 1970, as of now.
    pub(crate) fn precise(&self) -> Duration {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
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
            memory.answer.head_bytes.shrink_to(16 << 10);
            memories.push(memory);
        }
    }
}

/// Whether what is told of an upstream is another thing than before.
fn is_news(before: &Memberships, key: UpstreamKey, told: &Arc<Membership>) -> bool {
    match before.binary_search_by_key(&key, |(known, _)| *known) {
        Ok(place) => !Arc::ptr_eq(&before[place].1, told),
        Err(_) => true,
    }
}

/// An open downstream connection; a drain waits until all are dropped.
pub(crate) struct OpenConnection(Rc<Worker>, Option<Arc<ListenerCells>>);

impl OpenConnection {
    pub(crate) fn new(worker: &Rc<Worker>) -> Self {
        worker.open.set(worker.open.get() + 1);
        OpenConnection(Rc::clone(worker), None)
    }

    /// One that was accepted at a listener, which is counted there.
    pub(crate) fn accepted(worker: &Rc<Worker>, listener: ListenerKey) -> Self {
        let mut open = OpenConnection::new(worker);
        open.1 = worker.counting.listener(listener);
        open.1.iter().for_each(|cells| cells.accepted.add(1));
        open
    }
}

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.1.iter().for_each(|cells| cells.closed.add(1));
        let open = self.0.open.get() - 1;
        self.0.open.set(open);
        if open == 0 {
            self.0.all_closed.notify_one();
        }
    }
}
