//! What the tasks of the control plane share: the rosters, and the way to the workers.

use crate::charge::Charge;
use crate::control::{Memberships, Prepared};
use crate::discovery::Discovery;
use crate::roster::Found;
use crate::schedule::Schedule;
use crate::status;
use narrows_plan::{Plan, UpstreamId};
use narrows_runtime::Deadlines;
use narrows_tls::TlsContexts;
use narrows_upstream::{EndpointId, Report, UpstreamKey};
use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::{Notify, watch};

/// Ticks between two renewals of the status.
const STATUS_TICKS: u32 = 10;
/// How many times as long as a renewal of the status took it rests: 1 % of this thread's time at most.
const STATUS_REST: u32 = 100;

/// What the tasks of the control plane share.
pub(crate) struct Keeper {
    /// The clock of deadlines on this thread.
    pub(crate) deadlines: Rc<Deadlines>,
    say: fn(&str),
    /// All upstreams that are served, those of an earlier configuration that still are among them; in the order of their keys.
    charges: RefCell<Vec<Rc<Charge>>>,
    /// Those of the configuration, in its order.
    order: RefCell<Vec<Rc<Charge>>>,
    schedule: Schedule,
    changed: Notify,
    publish: watch::Sender<Memberships>,
    /// Where the status goes.
    tell: watch::Sender<Arc<str>>,
    /// Whether a route tells the status.
    is_told: Cell<bool>,
    ticks: Cell<u32>,
    /// Until when the status is not renewed.
    status_rests: Cell<Option<Instant>>,
    next_id: Cell<u64>,
    next_key: Cell<u32>,
}

impl Keeper {
    /// One that keeps nothing yet.
    pub(crate) fn new(
        say: fn(&str),
        publish: watch::Sender<Memberships>,
        tell: watch::Sender<Arc<str>>,
    ) -> Rc<Self> {
        Rc::new(Keeper {
            deadlines: Deadlines::new(),
            say,
            charges: RefCell::default(),
            order: RefCell::default(),
            schedule: Schedule::new(),
            changed: Notify::new(),
            publish,
            tell,
            is_told: Cell::new(false),
            ticks: Cell::new(0),
            status_rests: Cell::new(None),
            next_id: Cell::new(1),
            next_key: Cell::new(0),
        })
    }

    /// Takes over a plan: upstreams of the same name stay what they are, with their endpoints and all that is known of them. Those that the plan has no more are
    /// served until [`Keeper::forget_others`].
    pub(crate) fn take(
        self: &Rc<Self>,
        plan: &Plan,
        tls: &TlsContexts,
        discovery: &Rc<Discovery>,
    ) -> Prepared {
        let known: HashMap<Box<str>, Rc<Charge>> = self
            .charges
            .borrow()
            .iter()
            .map(|charge| (charge.upstream().name.clone(), Rc::clone(charge)))
            .collect();
        let mut order = Vec::with_capacity(plan.upstreams.len());
        for (id, upstream) in (0..).map(UpstreamId).zip(&plan.upstreams) {
            let charge = match known.get(&upstream.name) {
                Some(charge) => {
                    let renewal = charge.renew(upstream, tls.probe(id));
                    if renewal.moves {
                        discovery.follow(charge.key, upstream);
                    }
                    if renewal.checks {
                        self.check_anew(charge);
                    }
                    Rc::clone(charge)
                }
                None => {
                    let key = UpstreamKey(self.next_key.replace(self.next_key.get() + 1));
                    let charge = Rc::new(Charge::new(key, upstream, tls.probe(id)));
                    self.charges.borrow_mut().push(Rc::clone(&charge));
                    discovery.follow(key, upstream);
                    charge
                }
            };
            order.push(charge);
        }
        let keys = order.iter().map(|charge| charge.key).collect();
        let loads = order.iter().map(|charge| charge.load()).collect();
        self.is_told.set(status::is_wanted(plan));
        *self.order.borrow_mut() = order;
        Prepared { keys, loads }
    }

    /// No worker serves an earlier configuration any more: upstreams that only it had are gone.
    pub(crate) fn forget_others(&self, discovery: &Discovery) {
        let kept: HashSet<UpstreamKey> = self.order.borrow().iter().map(|charge| charge.key).collect();
        let mut charges = self.charges.borrow_mut();
        let before = charges.len();
        for charge in charges.extract_if(.., |charge| !kept.contains(&charge.key)) {
            discovery.forget(charge.key);
            charge.roster.borrow().entries.iter().for_each(|entry| self.schedule.end(entry.id));
        }
        if charges.len() < before {
            drop(charges);
            self.tell_workers();
        }
    }

    /// The endpoints of an upstream are checked as it is configured now.
    fn check_anew(self: &Rc<Self>, charge: &Rc<Charge>) {
        let endpoints: Vec<EndpointId> =
            charge.roster.borrow().entries.iter().map(|entry| entry.id).collect();
        for endpoint in endpoints {
            self.schedule.end(endpoint);
            self.schedule.begin(self, charge, endpoint);
        }
        self.touch();
    }

    /// Prints a line for the operator.
    pub(crate) fn say(&self, line: &str) {
        (self.say)(line);
    }

    /// When endpoints are checked.
    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// All upstreams that are served, in the order of their keys.
    pub(crate) fn charges(&self) -> Vec<Rc<Charge>> {
        self.charges.borrow().clone()
    }

    /// Those of the configuration, in its order.
    pub(crate) fn order(&self) -> Vec<Rc<Charge>> {
        self.order.borrow().clone()
    }

    /// The upstream of that identity; `None` once it is gone.
    pub(crate) fn charge(&self, key: UpstreamKey) -> Option<Rc<Charge>> {
        let charges = self.charges.borrow();
        let place = charges.binary_search_by_key(&key, |charge| charge.key).ok()?;
        Some(Rc::clone(&charges[place]))
    }

    /// Discovery says which endpoints some sources of an upstream have now. The others' stay.
    pub(crate) fn found(self: &Rc<Self>, upstream: UpstreamKey, sources: Vec<(usize, Vec<Found>)>) {
        let Some(charge) = self.charge(upstream) else { return };
        let next_id = || EndpointId(self.next_id.replace(self.next_id.get() + 1));
        let change = charge.roster.borrow_mut().set_sources(sources, next_id);
        change.removed.iter().for_each(|endpoint| self.schedule.end(*endpoint));
        change.added.iter().for_each(|endpoint| self.schedule.begin(self, &charge, *endpoint));
        self.changed.notify_one();
    }

    /// Something about the endpoint changed that its roster has noted.
    pub(crate) fn touch(&self) {
        self.changed.notify_one();
    }

    /// Returns once something has changed. Cancel safe.
    pub(crate) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What is done every tick.
    pub(crate) fn tick(&self) {
        self.deadlines.sweep();
        let now = Instant::now();
        for charge in self.charges.borrow().iter() {
            charge.roster.borrow_mut().tick(now);
        }
        let ticks = self.ticks.get().wrapping_add(1);
        self.ticks.set(ticks);
        let rests = self.status_rests.get().is_some_and(|until| now < until);
        if ticks.is_multiple_of(STATUS_TICKS) && !rests {
            self.renew_status();
        }
    }

    /// Describes the state of all upstreams anew, while a route tells it.
    pub(crate) fn renew_status(&self) {
        if self.is_told.get() {
            let begun = Instant::now();
            self.tell.send_replace(status::describe(&self.order.borrow()));
            self.status_took(begun.elapsed());
        }
    }

    /// As if a route told the status.
    #[cfg(test)]
    pub(crate) fn tell_status(&self) {
        self.is_told.set(true);
    }

    /// A renewal of the status took so long.
    pub(crate) fn status_took(&self, took: Duration) {
        self.status_rests.set(Some(Instant::now() + took * STATUS_REST));
    }

    /// A worker has noticed something.
    pub(crate) fn hear(&self, report: Report) {
        let (Report::Failed { upstream, .. }
        | Report::Recovered { upstream, .. }
        | Report::Seen { upstream, .. }
        | Report::Breaker { upstream, .. }) = report;
        if let Some(charge) = self.charge(upstream) {
            charge.roster.borrow_mut().hear(report);
        }
    }

    /// Tells all workers what has changed, and the operator whose condition did. What was heard since the last time is judged first, all of it at
    /// once: a judgement looks at all endpoints of an upstream.
    pub(crate) fn publish(&self) {
        let now = Instant::now();
        let mut changed = false;
        for charge in self.charges.borrow().iter() {
            let (is_changed, lines) = charge.news(now);
            changed |= is_changed;
            for line in lines {
                self.say(&format!("upstream {}: {line}", charge.upstream().name));
            }
        }
        if changed {
            self.tell_workers();
        }
    }

    fn tell_workers(&self) {
        let charges = self.charges.borrow();
        self.publish.send_replace(charges.iter().map(|charge| (charge.key, charge.membership())).collect());
    }
}
