//! One source of endpoints: a written endpoint, or a file of them.

use super::collector::Collector;
use super::looker::Looker;
use super::place;
use super::stub::StubResolver;
use crate::roster::Found;
use narrows_plan::{Address, Endpoint};
use narrows_upstream::UpstreamKey;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// Endpoints of one source at most.
pub(super) const LARGEST: usize = 10_000;

/// One source of an upstream's endpoints.
pub(super) struct Source {
    /// Whose.
    pub(super) upstream: UpstreamKey,
    /// Which of them.
    pub(super) index: Cell<usize>,
    /// Whether the collector knows that it has changed.
    pub(super) is_changed: Cell<bool>,
    stub: Rc<StubResolver>,
    collector: Rc<Collector>,
    written: RefCell<Vec<Endpoint>>,
    lookers: RefCell<HashMap<Address, Looker>>,
    is_too_large: Cell<bool>,
}

impl Source {
    /// A source without endpoints.
    pub(super) fn new(
        upstream: UpstreamKey,
        index: usize,
        stub: &Rc<StubResolver>,
        collector: &Rc<Collector>,
    ) -> Rc<Self> {
        Rc::new(Source {
            upstream,
            index: Cell::new(index),
            is_changed: Cell::new(false),
            stub: Rc::clone(stub),
            collector: Rc::clone(collector),
            written: RefCell::default(),
            lookers: RefCell::default(),
            is_too_large: Cell::new(false),
        })
    }

    /// Takes over what is written. Names that were there before go on being looked up as they were; what is
    /// gone is looked up no more.
    pub(super) fn write(self: &Rc<Self>, written: Vec<Endpoint>) {
        let mut before = self.lookers.take();
        let mut lookers = HashMap::new();
        for Endpoint { address, .. } in written.iter().take(LARGEST) {
            if matches!(address, Address::Name(..) | Address::Service(_)) && !lookers.contains_key(address) {
                let looker = before
                    .remove(address)
                    .unwrap_or_else(|| Looker::new(address, &self.stub, self, &self.collector));
                lookers.insert(address.clone(), looker);
            }
        }
        *self.lookers.borrow_mut() = lookers;
        *self.written.borrow_mut() = written;
        self.changed();
    }

    /// Its endpoints have changed.
    pub(super) fn changed(self: &Rc<Self>) {
        self.collector.changed(self);
    }

    /// Its endpoints, in the order in which they are written.
    pub(super) fn endpoints(&self) -> Vec<Found> {
        let lookers = self.lookers.borrow();
        let mut endpoints = Vec::new();
        for written in self.written.borrow().iter() {
            match lookers.get(&written.address) {
                Some(looker) => endpoints.extend(place::at_places(written, &looker.places())),
                None if matches!(written.address, Address::Name(..) | Address::Service(_)) => {}
                None => endpoints.push(place::written(written)),
            }
            if endpoints.len() > LARGEST {
                break;
            }
        }
        let is_too_large = endpoints.len() > LARGEST || self.written.borrow().len() > LARGEST;
        if is_too_large && !self.is_too_large.replace(is_too_large) {
            self.say(&format!(
                "one of its sources has more than {LARGEST} endpoints; the others are left out"
            ));
        }
        self.is_too_large.set(is_too_large);
        endpoints.truncate(LARGEST);
        endpoints
    }

    /// Prints a line for the operator.
    pub(super) fn say(&self, line: &str) {
        self.collector.say(self.upstream, line);
    }
}
