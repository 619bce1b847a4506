//! The cells of all workers, by what they count.

use super::family::Exemplar;
use super::{Counter, Distribution, Family, Gauge, Histogram, Kind, Scale, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The route of requests that no other series has room for, or where routes are not told apart.
pub const OTHER: &str = "_other";
/// Statuses by their first digit; 0 is none.
const CLASSES: [&str; 6] = ["none", "1xx", "2xx", "3xx", "4xx", "5xx"];

/// What one worker counts of requests, flows and sessions that a route took.
#[derive(Debug)]
pub struct RouteCells {
    classes: [Counter; 6],
    received: Counter,
    sent: Counter,
    duration: Histogram,
    request_size: Histogram,
    response_size: Histogram,
    exemplar: Mutex<Option<Exemplar>>,
}

impl Default for RouteCells {
    fn default() -> Self {
        RouteCells {
            classes: Default::default(),
            received: Counter::default(),
            sent: Counter::default(),
            duration: Histogram::new(Scale::SECONDS),
            request_size: Histogram::new(Scale::BYTES),
            response_size: Histogram::new(Scale::BYTES),
            exemplar: Mutex::default(),
        }
    }
}

impl RouteCells {
    /// One more has ended. `status` is 0 where there is none; sizes are those of bodies, in bytes.
    pub fn ended(&self, status: u16, received: u64, sent: u64, duration: Duration) {
        self.classes[usize::from(status / 100).min(5)].add(1);
        self.received.add(received);
        self.sent.add(sent);
        self.duration.observe(duration.as_secs_f64());
        self.request_size.observe(received as f64);
        self.response_size.observe(sent as f64);
    }

    /// Remembers the trace of one that took so long. Only the latest is kept.
    pub fn seen_in(&self, trace: [u8; 16], duration: Duration, unix: u64) {
        *lock(&self.exemplar) = Some(Exemplar { trace, value: duration.as_secs_f64(), unix });
    }
}

/// What one worker counts of a listener's connections.
#[derive(Debug, Default)]
pub struct ListenerCells {
    /// Connections that were accepted.
    pub accepted: Counter,
    /// Those of them that are closed.
    pub closed: Counter,
    handshakes: [Counter; 4],
    /// Handshakes that failed.
    pub handshakes_failed: Counter,
}

impl ListenerCells {
    /// A handshake of TLS ended well.
    pub fn shook_hands(&self, is_tls13: bool, is_resumed: bool) {
        self.handshakes[usize::from(is_tls13) * 2 + usize::from(is_resumed)].add(1);
    }
}

/// What one worker counts of what an upstream answered.
#[derive(Debug)]
pub struct UpstreamCells {
    classes: [Counter; 6],
    received: Counter,
    sent: Counter,
    head: Histogram,
    duration: Histogram,
}

impl Default for UpstreamCells {
    fn default() -> Self {
        UpstreamCells {
            classes: Default::default(),
            received: Counter::default(),
            sent: Counter::default(),
            head: Histogram::new(Scale::SECONDS),
            duration: Histogram::new(Scale::SECONDS),
        }
    }
}

impl UpstreamCells {
    /// A request, flow or session that went there has ended; `head` is the time from the beginning of its last attempt to the head of the answer.
    pub fn ended(&self, status: u16, received: u64, sent: u64, duration: Duration, head: Option<Duration>) {
        self.classes[usize::from(status / 100).min(5)].add(1);
        self.received.add(received);
        self.sent.add(sent);
        self.duration.observe(duration.as_secs_f64());
        if let Some(head) = head {
            self.head.observe(head.as_secs_f64());
        }
    }
}

/// What one worker counts of itself.
#[derive(Debug)]
pub struct WorkerCells {
    faults: Mutex<BTreeMap<Box<str>, u64>>,
    lag: Histogram,
    /// The last tick, in milliseconds since 1970.
    pub ticked: Gauge,
    /// The longest time that a tick was late, in microseconds.
    pub longest_lag: Gauge,
}

impl Default for WorkerCells {
    fn default() -> Self {
        WorkerCells {
            faults: Mutex::default(),
            lag: Histogram::new(Scale::SECONDS),
            ticked: Gauge::default(),
            longest_lag: Gauge::default(),
        }
    }
}

impl WorkerCells {
    /// Something went wrong, for this cause.
    pub fn failed(&self, fault: &str) {
        let mut faults = lock(&self.faults);
        match faults.get_mut(fault) {
            Some(count) => *count += 1,
            None => drop(faults.insert(fault.into(), 1)),
        }
    }

    /// A tick came so late.
    pub fn lagged(&self, lag: Duration) {
        self.lag.observe(lag.as_secs_f64());
        self.longest_lag.raise(u64::try_from(lag.as_micros()).unwrap_or(u64::MAX));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        self.ticked.set(u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
    }
}

/// All cells of the process.
#[derive(Debug)]
pub struct Metrics {
    workers: Vec<Arc<WorkerCells>>,
    /// Series of routes at most; those that come later are one.
    series: AtomicUsize,
    tables: Mutex<Tables>,
}

/// The cells of each worker, under one name.
#[derive(Debug)]
struct Cells<T> {
    of_workers: Vec<Arc<T>>,
    /// Since when no worker has them any more, as far as anybody looked.
    unused: Option<Instant>,
}

impl<T> Default for Cells<T> {
    fn default() -> Self {
        Cells { of_workers: Vec::new(), unused: None }
    }
}

impl<T> Clone for Cells<T> {
    fn clone(&self) -> Self {
        Cells { of_workers: self.of_workers.clone(), unused: self.unused }
    }
}

impl<T> Cells<T> {
    fn iter(&self) -> std::slice::Iter<'_, Arc<T>> {
        self.of_workers.iter()
    }

    /// Whether somebody has them, or had them `kept` ago.
    fn is_fresh(&mut self, now: Instant, kept: Duration) -> bool {
        if self.iter().any(|cell| Arc::strong_count(cell) > 1) {
            self.unused = None;
        } else if now.saturating_duration_since(*self.unused.get_or_insert(now)) >= kept {
            return false;
        }
        true
    }
}

/// Requests, flows and sessions by listener and route.
pub type Hits = HashMap<(String, String), u64>;

#[derive(Debug, Default, Clone)]
struct Tables {
    /// By listener and route.
    routes: BTreeMap<(Box<str>, Box<str>), Cells<RouteCells>>,
    listeners: BTreeMap<Box<str>, Cells<ListenerCells>>,
    upstreams: BTreeMap<Box<str>, Cells<UpstreamCells>>,
}

impl Metrics {
    /// Cells for so many workers, and for so many routes at most.
    pub fn new(workers: usize, series: usize) -> Arc<Self> {
        Arc::new(Metrics {
            workers: (0..workers).map(|_| Arc::default()).collect(),
            series: AtomicUsize::new(series),
            tables: Mutex::default(),
        })
    }

    /// What a worker counts of itself.
    pub fn worker(&self, worker: usize) -> Arc<WorkerCells> {
        self.workers.get(worker).cloned().unwrap_or_default()
    }

    /// What all workers count of themselves.
    pub fn workers(&self) -> &[Arc<WorkerCells>] {
        &self.workers
    }

    /// A worker's cells of a route. The same over all configurations that have it.
    pub fn route(&self, worker: usize, listener: &str, route: &str) -> Arc<RouteCells> {
        let mut tables = lock(&self.tables);
        let is_full = tables.routes.len() >= self.series.load(Ordering::Relaxed);
        let key = (Box::from(listener), Box::from(route));
        let key = if is_full && !tables.routes.contains_key(&key) { (key.0, OTHER.into()) } else { key };
        self.of(worker, tables.routes.entry(key).or_default())
    }

    /// A worker's cells of a listener.
    pub fn listener(&self, worker: usize, listener: &str) -> Arc<ListenerCells> {
        self.of(worker, lock(&self.tables).listeners.entry(listener.into()).or_default())
    }

    /// A worker's cells of an upstream.
    pub fn upstream(&self, worker: usize, upstream: &str) -> Arc<UpstreamCells> {
        self.of(worker, lock(&self.tables).upstreams.entry(upstream.into()).or_default())
    }

    fn of<T: Default>(&self, worker: usize, cells: &mut Cells<T>) -> Arc<T> {
        if cells.of_workers.is_empty() {
            cells.of_workers.extend((0..self.workers.len()).map(|_| Arc::default()));
        }
        cells.of_workers.get(worker).cloned().unwrap_or_default()
    }

    /// Allows another number of series from now on. Those that there are stay.
    pub fn allow(&self, series: usize) {
        self.series.store(series, Ordering::Relaxed);
    }

    /// Forgets the series that nobody has counted in for as long as `kept`: those of routes, listeners and upstreams that no worker has any more.
    /// Whoever reads them does this afterwards, so that what was counted last is told.
    pub fn sweep(&self, now: Instant, kept: Duration) {
        let mut tables = lock(&self.tables);
        tables.routes.retain(|_, cells| cells.is_fresh(now, kept));
        tables.listeners.retain(|_, cells| cells.is_fresh(now, kept));
        tables.upstreams.retain(|_, cells| cells.is_fresh(now, kept));
    }

    /// Requests that each route took, by listener and route; for the admin API.
    pub fn hits(&self) -> Hits {
        let tables = lock(&self.tables);
        let hits = tables.routes.iter().map(|(key, cells)| {
            let classes = cells.iter().flat_map(|cell| &cell.classes);
            ((key.0.to_string(), key.1.to_string()), classes.map(Counter::get).sum())
        });
        hits.collect()
    }

    /// Everything that was counted.
    pub fn families(&self) -> Vec<Family> {
        // Who looks for cells meanwhile does not wait until all is added up.
        let tables = lock(&self.tables).clone();
        let mut families = self.of_routes(&tables);
        families.extend(of_listeners(&tables));
        families.extend(of_upstreams(&tables));
        families.extend(self.of_workers());
        families
    }

    fn of_routes(&self, tables: &Tables) -> Vec<Family> {
        let mut requests = Family::new(
            "narrows_requests",
            Kind::Counter,
            "Requests, TCP flows and UDP sessions that have ended, by the first digit of the status.",
        );
        let mut received =
            Family::new("narrows_received_bytes", Kind::Counter, "Bytes from clients, without heads.");
        let mut sent = Family::new("narrows_sent_bytes", Kind::Counter, "Bytes to clients, without heads.");
        let mut duration = Family::new(
            "narrows_request_duration_seconds",
            Kind::Histogram,
            "From the first byte of a request to the last of its answer; the life of a flow or session.",
        );
        let mut request_size =
            Family::new("narrows_request_size_bytes", Kind::Histogram, "Bodies of requests.");
        let mut response_size =
            Family::new("narrows_response_size_bytes", Kind::Histogram, "Bodies of answers.");
        for ((listener, route), cells) in &tables.routes {
            let labels = [("listener", &**listener), ("route", &**route)];
            let count = by_class(&mut requests, &labels, cells.iter().map(|cell| &cell.classes));
            if count == 0 {
                continue;
            }
            received.add(&labels, sum(cells.iter().map(|cell| &cell.received)));
            sent.add(&labels, sum(cells.iter().map(|cell| &cell.sent)));
            let exemplar = cells.iter().filter_map(|cell| *lock(&cell.exemplar)).max_by_key(|told| told.unix);
            push(&mut duration, &labels, Scale::SECONDS, cells.iter().map(|cell| &cell.duration), exemplar);
            push(&mut request_size, &labels, Scale::BYTES, cells.iter().map(|cell| &cell.request_size), None);
            push(
                &mut response_size,
                &labels,
                Scale::BYTES,
                cells.iter().map(|cell| &cell.response_size),
                None,
            );
        }
        vec![requests, received, sent, duration, request_size, response_size]
    }

    fn of_workers(&self) -> Vec<Family> {
        let mut faults =
            Family::new("narrows_faults", Kind::Counter, "What went wrong, by the cause (docs/causes.md).");
        let mut all: BTreeMap<Box<str>, u64> = BTreeMap::new();
        let mut lag = Family::new(
            "narrows_worker_lag_seconds",
            Kind::Histogram,
            "How late the event loop of a worker looks at its clock, which it does every 100 ms.",
        );
        for (number, worker) in self.workers.iter().enumerate() {
            lock(&worker.faults)
                .iter()
                .for_each(|(fault, count)| *all.entry(fault.clone()).or_default() += count);
            let labels = [("worker", &*number.to_string())];
            push(&mut lag, &labels, Scale::SECONDS, std::iter::once(&worker.lag), None);
        }
        all.iter().for_each(|(fault, count)| faults.add(&[("fault", fault)], *count as f64));
        let workers = self.workers.len() as f64;
        vec![faults, lag, Family::single("narrows_workers", Kind::Gauge, "Workers.", workers)]
    }
}

fn of_listeners(tables: &Tables) -> Vec<Family> {
    let mut accepted = Family::new("narrows_connections", Kind::Counter, "Connections that were accepted.");
    let mut open =
        Family::new("narrows_connections_open", Kind::Gauge, "Connections of clients that are open.");
    let mut handshakes = Family::new(
        "narrows_tls_handshakes",
        Kind::Counter,
        "Handshakes of TLS with clients, by version and result (full, resumed, failed).",
    );
    for (listener, cells) in &tables.listeners {
        let labels = [("listener", &**listener)];
        let total = |of: fn(&ListenerCells) -> &Counter| cells.iter().map(|cell| of(cell).get()).sum::<u64>();
        let (all, closed) = (total(|cell| &cell.accepted), total(|cell| &cell.closed));
        accepted.add(&labels, all as f64);
        open.add(&labels, all.saturating_sub(closed) as f64);
        for (place, (version, result)) in
            [("1.2", "full"), ("1.2", "resumed"), ("1.3", "full"), ("1.3", "resumed")].into_iter().enumerate()
        {
            let count: u64 = cells.iter().map(|cell| cell.handshakes[place].get()).sum();
            if count > 0 {
                let labels = [labels[0], ("version", version), ("result", result)];
                handshakes.add(&labels, count as f64);
            }
        }
        let failed = total(|cell| &cell.handshakes_failed);
        if failed > 0 {
            handshakes.add(&[labels[0], ("version", ""), ("result", "failed")], failed as f64);
        }
    }
    vec![accepted, open, handshakes]
}

fn of_upstreams(tables: &Tables) -> Vec<Family> {
    let mut requests = Family::new(
        "narrows_upstream_requests",
        Kind::Counter,
        "Requests, flows and sessions that went to an upstream and have ended, by the first digit of the status.",
    );
    let mut sent =
        Family::new("narrows_upstream_sent_bytes", Kind::Counter, "Bytes to the upstream, without heads.");
    let mut received = Family::new(
        "narrows_upstream_received_bytes",
        Kind::Counter,
        "Bytes from the upstream, without heads.",
    );
    let mut duration = Family::new(
        "narrows_upstream_request_duration_seconds",
        Kind::Histogram,
        "The whole duration of what went to an upstream.",
    );
    let mut head = Family::new(
        "narrows_upstream_answer_seconds",
        Kind::Histogram,
        "From when the connection to the endpoint was there to the head of its answer.",
    );
    for (upstream, cells) in &tables.upstreams {
        let labels = [("upstream", &**upstream)];
        let count = by_class(&mut requests, &labels, cells.iter().map(|cell| &cell.classes));
        if count == 0 {
            continue;
        }
        sent.add(&labels, sum(cells.iter().map(|cell| &cell.received)));
        received.add(&labels, sum(cells.iter().map(|cell| &cell.sent)));
        push(&mut duration, &labels, Scale::SECONDS, cells.iter().map(|cell| &cell.duration), None);
        push(&mut head, &labels, Scale::SECONDS, cells.iter().map(|cell| &cell.head), None);
    }
    vec![requests, sent, received, duration, head]
}

fn by_class<'a>(
    family: &mut Family,
    labels: &[(&'static str, &str)],
    cells: impl Iterator<Item = &'a [Counter; 6]> + Clone,
) -> u64 {
    let mut all = 0;
    for (place, class) in CLASSES.into_iter().enumerate() {
        let count: u64 = cells.clone().map(|classes| classes[place].get()).sum();
        all += count;
        if count > 0 {
            let labels: Vec<_> = labels.iter().copied().chain([("class", class)]).collect();
            family.add(&labels, count as f64);
        }
    }
    all
}

fn sum<'a>(counters: impl Iterator<Item = &'a Counter>) -> f64 {
    counters.map(Counter::get).sum::<u64>() as f64
}

fn push<'a>(
    family: &mut Family,
    labels: &[(&'static str, &str)],
    scale: Scale,
    cells: impl Iterator<Item = &'a Histogram>,
    exemplar: Option<Exemplar>,
) {
    let mut distribution = Distribution::new(scale);
    cells.for_each(|cell| distribution.add(cell));
    family.push(labels, Value::Distribution(distribution, exemplar));
}

/// What was written before a panic is numbers all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
