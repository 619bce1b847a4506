//! What all sources found, on its way to the rosters.

use super::source::Source;
use crate::keeper::Keeper;
use narrows_plan::UpstreamId;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::sleep;

/// How long changes are collected before they are passed on: a roster of thousands is not set up anew with each
/// answer of thousands.
const GATHER: Duration = Duration::from_millis(20);

/// Collects changes, so that those that come together reach a roster in one go: an endpoint that moves from
/// one source to another never is away.
pub(super) struct Collector {
    keeper: Rc<Keeper>,
    /// Sources that nobody else keeps.
    sources: RefCell<Vec<Rc<Source>>>,
    changed: RefCell<Vec<Rc<Source>>>,
    /// Who has not answered yet.
    awaited: Cell<usize>,
    work: Notify,
    all_heard: Notify,
}

impl Collector {
    pub(super) fn new(keeper: &Rc<Keeper>) -> Rc<Self> {
        Rc::new(Collector {
            keeper: Rc::clone(keeper),
            sources: RefCell::default(),
            changed: RefCell::default(),
            awaited: Cell::new(0),
            work: Notify::new(),
            all_heard: Notify::new(),
        })
    }

    /// Keeps a source, and its look-ups with it.
    pub(super) fn keep(&self, source: Rc<Source>) {
        self.sources.borrow_mut().push(source);
    }

    /// The endpoints of a source have changed.
    pub(super) fn changed(&self, source: &Rc<Source>) {
        if !source.is_changed.replace(true) {
            self.changed.borrow_mut().push(Rc::clone(source));
        }
        self.work.notify_one();
    }

    /// Passes on what has changed.
    pub(super) fn pass_on(&self) {
        let mut upstreams = BTreeMap::<u32, Vec<_>>::new();
        for source in self.changed.take() {
            source.is_changed.set(false);
            upstreams.entry(source.upstream.0).or_default().push((source.index, source.endpoints()));
        }
        for (upstream, sources) in upstreams {
            self.keeper.found(UpstreamId(upstream), sources);
        }
    }

    /// Passes on what changes, for ever.
    pub(super) async fn life(self: Rc<Self>) {
        loop {
            self.work.notified().await;
            sleep(GATHER).await;
            self.pass_on();
        }
    }

    /// One more has to answer.
    pub(super) fn expect(&self) {
        self.awaited.set(self.awaited.get() + 1);
    }

    /// One has answered.
    pub(super) fn heard(&self) {
        self.awaited.set(self.awaited.get().saturating_sub(1));
        if self.awaited.get() == 0 {
            self.all_heard.notify_one();
        }
    }

    /// Returns once everybody has answered. Cancel safe.
    pub(super) async fn all_heard(&self) {
        while self.awaited.get() > 0 {
            self.all_heard.notified().await;
        }
    }

    /// Prints a line about an upstream for the operator.
    pub(super) fn say(&self, upstream: UpstreamId, line: &str) {
        let name = &self.keeper.plan.upstreams[upstream.0 as usize].name;
        self.keeper.say(&format!("upstream {name}: {line}"));
    }
}
