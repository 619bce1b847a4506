//! What a worker counts for the metrics. Its cells are found when a configuration comes, so that counting is a look-up and additions.

use crate::configuration::Configuration;
use crate::generation::ListenerKey;
use foldhash::fast::RandomState;
use narrows_observe::AccessRecord;
use narrows_observe::metrics::{ListenerCells, Metrics, OTHER, RouteCells, UpstreamCells, WorkerCells};
use narrows_plan::{Plan, Protocol};
use narrows_tls::TlsFacts;
use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

type ByName<T> = HashMap<Box<str>, T, RandomState>;

/// What one worker counts. Nothing, where the configuration says so.
#[derive(Debug)]
pub(crate) struct Counting {
    worker: usize,
    known: RefCell<Option<Known>>,
}

/// The cells that are known by name. What a configuration has is known from its beginning; what has no name of its own (requests that no route took) comes
/// when it is needed.
#[derive(Debug)]
struct Known {
    metrics: Arc<Metrics>,
    own: Arc<WorkerCells>,
    tells_routes: bool,
    /// By listener, then by route.
    routes: ByName<ByName<Arc<RouteCells>>>,
    upstreams: ByName<Arc<UpstreamCells>>,
    /// By the key of the listener.
    listeners: Vec<Option<Arc<ListenerCells>>>,
}

impl Counting {
    /// Of worker `worker`, for its first configuration.
    pub(crate) fn new(worker: usize, first: &Configuration) -> Self {
        let counting = Counting { worker, known: RefCell::default() };
        counting.renew(first);
        counting
    }

    /// Counts what another configuration has from now on. Cells that both have are the same.
    pub(crate) fn renew(&self, configuration: &Configuration) {
        let known = configuration.metrics.as_ref().map(|metrics| self.known(metrics, configuration));
        // What is known is only forgotten now, so that no cell is without an owner meanwhile.
        *self.known.borrow_mut() = known;
    }

    fn known(&self, metrics: &Arc<Metrics>, configuration: &Configuration) -> Known {
        let plan: &Plan = &configuration.plan;
        let mut known = Known {
            metrics: Arc::clone(metrics),
            own: metrics.worker(self.worker),
            tells_routes: plan.metrics.routes,
            routes: HashMap::default(),
            upstreams: HashMap::default(),
            listeners: Vec::with_capacity(configuration.listeners.len()),
        };
        for place in configuration.listeners.iter() {
            let listener = place.and_then(|place| plan.listeners.get(place));
            let cells = listener.map(|listener| metrics.listener(self.worker, &listener.name));
            known.listeners.push(cells);
        }
        for listener in &plan.listeners {
            let names: Vec<&str> = match &listener.protocol {
                Protocol::Http(http) => {
                    http.routes.iter().chain(http.fallback.as_deref()).map(|route| &*route.name).collect()
                }
                Protocol::Tcp(tcp) => tcp.routes.iter().map(|route| &*route.name).collect(),
                Protocol::Udp(udp) => udp.routes.iter().map(|route| &*route.name).collect(),
            };
            for route in names {
                known.route(self.worker, &listener.name, route);
            }
        }
        for upstream in &plan.upstreams {
            known.upstream(self.worker, &upstream.name);
        }
        known
    }

    /// Something has ended: a request, a flow, a session, or a connection that never carried one.
    pub(crate) fn ended(&self, record: &AccessRecord<'_>) {
        let mut known = self.known.borrow_mut();
        let Some(known) = &mut *known else { return };
        if !record.fault.is_empty() {
            known.own.failed(record.fault);
        }
        if record.status == 0 && matches!(record.method, b"TLS" | b"HTTP2") {
            return;
        }
        let (received, sent, duration) = (record.bytes_received, record.bytes_sent, record.duration);
        let cells = known.route(self.worker, record.listener, record.route);
        cells.ended(record.status, received, sent, duration);
        if let Some(trace) = trace(record.ids.trace).filter(|_| record.ids.is_sampled) {
            cells.seen_in(trace, duration, record.ended.as_secs());
        }
        if !record.upstream.is_empty() {
            let cells = known.upstream(self.worker, record.upstream);
            cells.ended(record.status, received, sent, duration, record.timings.answer);
        }
    }

    /// The cells of a listener's connections.
    pub(crate) fn listener(&self, key: ListenerKey) -> Option<Arc<ListenerCells>> {
        self.known.borrow().as_ref()?.listeners.get(key.0 as usize)?.clone()
    }

    /// A client's handshake of TLS is over; `None` when it failed.
    pub(crate) fn shook_hands(&self, key: ListenerKey, facts: Option<&TlsFacts>) {
        if let Some(cells) = self.listener(key) {
            match facts {
                Some(facts) => cells.shook_hands(facts.version == "1.3", facts.resumed),
                None => cells.handshakes_failed.add(1),
            }
        }
    }

    /// A tick came so much later than it should.
    pub(crate) fn lagged(&self, lag: Duration) {
        if let Some(known) = &*self.known.borrow() {
            known.own.lagged(lag);
        }
    }
}

impl Known {
    fn route(&mut self, worker: usize, listener: &str, route: &str) -> Arc<RouteCells> {
        let route = if self.tells_routes { route } else { OTHER };
        if let Some(cells) = self.routes.get(listener).and_then(|routes| routes.get(route)) {
            return Arc::clone(cells);
        }
        let cells = self.metrics.route(worker, listener, route);
        self.routes.entry(listener.into()).or_default().insert(route.into(), Arc::clone(&cells));
        cells
    }

    fn upstream(&mut self, worker: usize, upstream: &str) -> Arc<UpstreamCells> {
        if let Some(cells) = self.upstreams.get(upstream) {
            return Arc::clone(cells);
        }
        let cells = self.metrics.upstream(worker, upstream);
        self.upstreams.insert(upstream.into(), Arc::clone(&cells));
        cells
    }
}

/// The bytes of a trace's name, 32 hexadecimal digits.
fn trace(text: &str) -> Option<[u8; 16]> {
    if text.len() != 32 {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests;
