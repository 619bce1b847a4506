//! What all sources found, on its way to the rosters.

use super::source::Source;
use crate::keeper::Keeper;
use narrows_upstream::UpstreamKey;
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
    changed: RefCell<Vec<Rc<Source>>>,
    /// Sources that an upstream has no more.
    gone: RefCell<Vec<(UpstreamKey, usize)>>,
    /// Whether what changes has to wait.
    is_held: Cell<bool>,
    /// Who has not answered yet.
    awaited: Cell<usize>,
    work: Notify,
    all_heard: Notify,
}

impl Collector {
    pub(super) fn new(keeper: &Rc<Keeper>) -> Rc<Self> {
        Rc::new(Collector {
            keeper: Rc::clone(keeper),
            changed: RefCell::default(),
            gone: RefCell::default(),
            is_held: Cell::new(false),
            awaited: Cell::new(0),
            work: Notify::new(),
            all_heard: Notify::new(),
        })
    }

    /// Holds back what changes, or lets it go on.
    pub(super) fn hold(&self, is_held: bool) {
        self.is_held.set(is_held);
    }

    /// An upstream has these sources no more.
    pub(super) fn gone(&self, upstream: UpstreamKey, sources: impl Iterator<Item = usize>) {
        self.gone.borrow_mut().extend(sources.map(|source| (upstream, source)));
        self.work.notify_one();
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
        if self.is_held.get() {
            return;
        }
        let mut upstreams = BTreeMap::<UpstreamKey, Vec<_>>::new();
        for (upstream, index) in self.gone.take() {
            upstreams.entry(upstream).or_default().push((index, Vec::new()));
        }
        for source in self.changed.take() {
            source.is_changed.set(false);
            upstreams.entry(source.upstream).or_default().push((source.index.get(), source.endpoints()));
        }
        for (upstream, sources) in upstreams {
            self.keeper.found(upstream, sources);
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
    pub(super) fn say(&self, upstream: UpstreamKey, line: &str) {
        if let Some(charge) = self.keeper.charge(upstream) {
            self.keeper.say(&format!("upstream {}: {line}", charge.upstream().name));
        }
    }
}
