//! Which endpoints there are: those with an address at once, names and services as DNS says, files as they
//! are written.
//!
//! A source is a written endpoint or a file. What it found last stays until something else is found: an
//! answer that is empty, or that never comes, removes nothing.

mod answer;
mod collector;
mod file;
mod looker;
mod name;
mod news;
mod place;
mod service;
mod source;
mod stamp;
mod stub;
mod system;
mod transport;

#[cfg(test)]
mod dns_server;
#[cfg(test)]
mod tests;

use crate::keeper::Keeper;
use collector::Collector;
use file::Load;
use looker::Awaited;
use narrows_plan::{Address, Upstream};
use narrows_upstream::UpstreamKey;
pub(crate) use place::written as found_at;
use source::Source;
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::path::PathBuf;
use std::rc::{Rc, Weak};
use std::time::Duration;
use stub::StubResolver;
use system::System;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{MissedTickBehavior, interval};

/// Between two looks at the system's files.
const LOOK: Duration = Duration::from_secs(1);

/// Looks for the endpoints of all upstreams.
pub(crate) struct Discovery {
    collector: Rc<Collector>,
    system: Rc<System>,
    /// Whether the system's files are looked at.
    watches: Cell<bool>,
    load: Load,
    stubs: RefCell<Vec<Weak<StubResolver>>>,
    followed: RefCell<HashMap<UpstreamKey, Followed>>,
}

/// Where the endpoints of one upstream are found.
#[derive(Default)]
struct Followed {
    stub: Option<Rc<StubResolver>>,
    /// How many sources it has.
    count: usize,
    /// Those that are looked up.
    names: HashMap<Address, Vec<Rc<Source>>>,
    file: Option<Watched>,
}

/// A file that is watched as long as this exists.
struct Watched {
    path: PathBuf,
    source: Rc<Source>,
    task: AbortHandle,
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Discovery {
    /// One that looks for nothing yet; what it finds goes to the keeper.
    pub(crate) fn new(keeper: &Rc<Keeper>) -> Rc<Self> {
        Discovery::with(keeper, System::new(), narrows_config::load_endpoints)
    }

    fn with(keeper: &Rc<Keeper>, system: Rc<System>, load: Load) -> Rc<Self> {
        let collector = Collector::new(keeper);
        spawn_local(Rc::clone(&collector).life());
        Rc::new(Discovery {
            collector,
            system,
            watches: Cell::new(false),
            load,
            stubs: RefCell::default(),
            followed: RefCell::default(),
        })
    }

    /// Looks for the endpoints of an upstream, or does it as it is configured now: names that it had before go on being looked up as they were.
    pub(crate) fn follow(&self, key: UpstreamKey, upstream: &Upstream) {
        let stub = self.stub(upstream);
        let mut before = self.followed.borrow_mut().remove(&key).unwrap_or_default();
        let count = before.count;
        if before.stub.as_ref().is_none_or(|before| !Rc::ptr_eq(before, &stub)) {
            before = Followed::default();
        }
        let mut now = Followed { count: upstream.endpoints.len(), ..Followed::default() };
        let is_name = |address: &Address| matches!(address, Address::Name(..) | Address::Service(_));
        for (index, endpoint) in upstream.endpoints.iter().enumerate() {
            let known = before.names.get_mut(&endpoint.address).and_then(Vec::pop);
            let source = known.unwrap_or_else(|| Source::new(key, index, &stub, &self.collector));
            source.index.set(index);
            source.write(vec![endpoint.clone()]);
            if is_name(&endpoint.address) {
                now.names.entry(endpoint.address.clone()).or_default().push(source);
            }
        }
        if let Some(path) = &upstream.endpoint_file {
            let index = now.count;
            now.count += 1;
            let known = before.file.take().filter(|file| file.path == *path);
            let file = known.unwrap_or_else(|| {
                let source = Source::new(key, index, &stub, &self.collector);
                let awaited = Awaited::new(&self.collector);
                let life = file::life(path.clone(), self.load, Rc::clone(&source), awaited);
                Watched { path: path.clone(), source, task: spawn_local(life).abort_handle() }
            });
            file.source.index.set(index);
            file.source.changed();
            now.file = Some(file);
        }
        if stub.system().is_some()
            && !(now.names.is_empty() && now.file.is_none())
            && !self.watches.replace(true)
        {
            spawn_local(watch(Rc::clone(&self.system)));
        }
        self.collector.gone(key, now.count..count);
        now.stub = Some(stub);
        self.followed.borrow_mut().insert(key, now);
    }

    /// An upstream is gone.
    pub(crate) fn forget(&self, key: UpstreamKey) {
        self.followed.borrow_mut().remove(&key);
    }

    /// Holds back what is found, so that what takes the place of something else has been found before that goes.
    pub(crate) fn hold(&self) {
        self.collector.hold(true);
    }

    /// Passes on what was found, and from now on what will be.
    pub(crate) fn pass_on(&self) {
        self.collector.hold(false);
        self.collector.pass_on();
    }

    /// Returns when each source has answered once. Cancel safe.
    pub(crate) async fn all_heard(&self) {
        self.collector.all_heard().await;
    }

    /// Who is asked for an upstream's names; upstreams that ask alike share it.
    fn stub(&self, upstream: &Upstream) -> Rc<StubResolver> {
        let mut stubs = self.stubs.borrow_mut();
        stubs.retain(|stub| stub.strong_count() > 0);
        let known = stubs.iter().filter_map(Weak::upgrade).find(|stub| stub.settings == upstream.resolver);
        known.unwrap_or_else(|| {
            let stub = StubResolver::new(upstream.resolver.clone(), Rc::clone(&self.system));
            stubs.push(Rc::downgrade(&stub));
            stub
        })
    }
}

/// Looks at the system's files from time to time, for ever.
async fn watch(system: Rc<System>) {
    let mut looking = interval(LOOK);
    looking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        looking.tick().await;
        system.look();
    }
}
