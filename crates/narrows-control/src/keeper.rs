//! What the tasks of the control plane share: the rosters, and the way to the workers.

use crate::control::{Loads, Memberships};
use crate::roster::{Found, Roster};
use crate::schedule::Schedule;
use crate::status;
use narrows_plan::{Plan, Upstream, UpstreamId};
use narrows_runtime::Deadlines;
use narrows_tls::TlsContexts;
use narrows_upstream::{EndpointId, Report, UpstreamLoad};
use std::cell::{Cell, RefCell};
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
    pub(crate) plan: Arc<Plan>,
    pub(crate) tls: TlsContexts,
    /// The clock of deadlines on this thread.
    pub(crate) deadlines: Rc<Deadlines>,
    say: fn(&str),
    rosters: Vec<RefCell<Roster>>,
    schedule: Schedule,
    changed: Notify,
    publish: watch::Sender<Memberships>,
    /// Where the status goes, while a route tells it.
    tell: Option<watch::Sender<Arc<str>>>,
    loads: Loads,
    ticks: Cell<u32>,
    /// Until when the status is not renewed.
    status_rests: Cell<Option<Instant>>,
    next_id: Cell<u64>,
}

impl Keeper {
    pub(crate) fn new(
        plan: Arc<Plan>,
        tls: TlsContexts,
        say: fn(&str),
        publish: watch::Sender<Memberships>,
        tell: Option<watch::Sender<Arc<str>>>,
        loads: Loads,
    ) -> Rc<Self> {
        let rosters = plan.upstreams.iter().map(|upstream| RefCell::new(Roster::new(upstream))).collect();
        Rc::new(Keeper {
            plan,
            tls,
            deadlines: Deadlines::new(),
            say,
            rosters,
            schedule: Schedule::new(),
            changed: Notify::new(),
            publish,
            tell,
            loads,
            ticks: Cell::new(0),
            status_rests: Cell::new(None),
            next_id: Cell::new(1),
        })
    }

    /// All upstreams.
    pub(crate) fn upstreams(&self) -> impl Iterator<Item = (UpstreamId, &Arc<Upstream>)> {
        (0..).map(UpstreamId).zip(&self.plan.upstreams)
    }

    /// Prints a line for the operator.
    pub(crate) fn say(&self, line: &str) {
        (self.say)(line);
    }

    /// When endpoints are checked.
    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// The roster of an upstream.
    pub(crate) fn roster(&self, upstream: UpstreamId) -> &RefCell<Roster> {
        &self.rosters[upstream.0 as usize]
    }

    /// What all workers share of an upstream.
    pub(crate) fn load(&self, upstream: UpstreamId) -> &UpstreamLoad {
        &self.loads[upstream.0 as usize]
    }

    /// Discovery says which endpoints some sources of an upstream have now. The others' stay.
    pub(crate) fn found(self: &Rc<Self>, upstream: UpstreamId, sources: Vec<(usize, Vec<Found>)>) {
        let next_id = || EndpointId(self.next_id.replace(self.next_id.get() + 1));
        let change = self.roster(upstream).borrow_mut().set_sources(sources, next_id);
        change.removed.iter().for_each(|endpoint| self.schedule.end(*endpoint));
        change.added.iter().for_each(|endpoint| self.schedule.begin(self, upstream, *endpoint));
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
        for roster in &self.rosters {
            roster.borrow_mut().tick(now);
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
        if let Some(tell) = &self.tell {
            let begun = Instant::now();
            tell.send_replace(status::describe(&self.plan, &self.rosters, &self.loads));
            self.status_took(begun.elapsed());
        }
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
        self.roster(upstream).borrow_mut().hear(report);
    }

    /// Tells all workers what has changed, and the operator whose condition did. What was heard since the last time is judged first, all of it at
    /// once: a judgement looks at all endpoints of an upstream.
    pub(crate) fn publish(&self) {
        let now = Instant::now();
        let mut changed = false;
        let mut memberships: Vec<_> = self.publish.borrow().iter().cloned().collect();
        for ((upstream, roster), membership) in
            self.plan.upstreams.iter().zip(&self.rosters).zip(&mut memberships)
        {
            let mut roster = roster.borrow_mut();
            roster.judge_if_due(now);
            if let Some(renewed) = roster.renewed() {
                renewed.prepare(upstream.balancing.method, membership);
                *membership = Arc::new(renewed);
                changed = true;
            }
            for line in roster.news() {
                self.say(&format!("upstream {}: {line}", upstream.name));
            }
        }
        if changed {
            self.publish.send_replace(memberships.into());
        }
    }
}
