//! The life of a name: it is looked up, and again when its answer is too old.

use super::answer::Answer;
use super::collector::Collector;
use super::name;
use super::news::News;
use super::place::Place;
use super::service::{Targets, places};
use super::source::Source;
use super::stub::StubResolver;
use narrows_plan::{Address, Resolver};
use std::cell::{Cell, RefCell};
use std::net::{IpAddr, SocketAddr};
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};
use tokio::task::{AbortHandle, JoinSet, spawn_local};

/// The trouble with a service whose only target is the root.
const CLOSED: &str = "the service says that it is not there";

/// A name that is looked up as long as this exists.
pub(super) struct Looker {
    /// The last good answer.
    found: Rc<RefCell<Rc<[Place]>>>,
    task: AbortHandle,
}

impl Drop for Looker {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Looker {
    /// Begins to look up a name or a service for `source`, which hears of each change.
    pub(super) fn new(
        address: &Address,
        stub: &Rc<StubResolver>,
        source: &Rc<Source>,
        collector: &Rc<Collector>,
    ) -> Looker {
        let found: Rc<RefCell<Rc<[Place]>>> = Rc::new(RefCell::new(Rc::from([])));
        let life = Life {
            address: address.clone(),
            stub: Rc::clone(stub),
            found: Rc::clone(&found),
            source: Rc::downgrade(source),
            awaited: Awaited::new(collector),
            news: RefCell::default(),
        };
        Looker { found, task: spawn_local(life.run()).abort_handle() }
    }

    /// The last good answer.
    pub(super) fn places(&self) -> Rc<[Place]> {
        Rc::clone(&self.found.borrow())
    }
}

/// Somebody who has not answered yet; the start waits for him. Dropping it means that nothing will come.
pub(super) struct Awaited {
    collector: Rc<Collector>,
    is_awaited: Cell<bool>,
}

impl Awaited {
    pub(super) fn new(collector: &Rc<Collector>) -> Self {
        collector.expect();
        Awaited { collector: Rc::clone(collector), is_awaited: Cell::new(true) }
    }

    /// He has answered.
    pub(super) fn heard(&self) {
        if self.is_awaited.replace(false) {
            self.collector.heard();
        }
    }
}

impl Drop for Awaited {
    fn drop(&mut self) {
        self.heard();
    }
}

struct Life {
    address: Address,
    stub: Rc<StubResolver>,
    found: Rc<RefCell<Rc<[Place]>>>,
    source: Weak<Source>,
    awaited: Awaited,
    news: RefCell<News>,
}

impl Life {
    async fn run(self) {
        let mut system = self.stub.system().map(|system| system.watch());
        let mut targets = Targets::new();
        loop {
            if let Some(system) = &mut system {
                system.mark_unchanged();
            }
            let (answer, kept) = self.look(std::mem::take(&mut targets)).await;
            targets = kept;
            let pause = self.take(answer);
            self.awaited.heard();
            let changed = async {
                let heard = match &mut system {
                    Some(system) => system.changed().await.is_ok(),
                    None => false,
                };
                // Who is gone will never say anything.
                if !heard {
                    std::future::pending().await
                }
            };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = changed => {}
            }
        }
    }

    /// Looks once, in a task of its own: should an answer from outside make it panic, the name is asked for
    /// again as after any other failure.
    async fn look(&self, targets: Targets) -> (Answer<Vec<Place>>, Targets) {
        let mut task = JoinSet::new();
        let (stub, mut known) = (Rc::clone(&self.stub), targets.clone());
        match self.address.clone() {
            Address::Name(host, port) => {
                let before: Vec<IpAddr> =
                    self.found.borrow().iter().map(|place| place.address.ip()).collect();
                task.spawn_local(async move {
                    let answer = match name::addresses(&stub, &host, &before).await {
                        Answer::Found { what, ttl } => {
                            let place = |address| Place::equal(SocketAddr::new(address, port));
                            Answer::Found { what: what.into_iter().map(place).collect(), ttl }
                        }
                        Answer::Nothing { why, ttl } => Answer::Nothing { why, ttl },
                        Answer::Failed { why } => Answer::Failed { why },
                    };
                    (answer, known)
                });
            }
            Address::Service(service) => {
                task.spawn_local(async move {
                    let answer = places(&stub, &service, &mut known).await;
                    (answer, known)
                });
            }
            // What is no name is never looked up.
            Address::Socket(_) | Address::Unix(_) => {}
        }
        match task.join_next().await {
            Some(Ok(looked)) => looked,
            _ => (Answer::Failed { why: "the answer could not be read".to_owned() }, targets),
        }
    }

    /// Uses an answer; returns when to look again. Only what was found replaces what is known.
    fn take(&self, answer: Answer<Vec<Place>>) -> Duration {
        let settings = &self.stub.settings;
        let (pause, trouble) = match answer {
            Answer::Found { what, ttl } => {
                let is_closed = what.is_empty();
                if **self.found.borrow() != *what {
                    *self.found.borrow_mut() = what.into();
                    if let Some(source) = self.source.upgrade() {
                        source.changed();
                    }
                }
                (again(Some(ttl), settings), is_closed.then(|| CLOSED.to_owned()))
            }
            Answer::Nothing { why, ttl } => (again(ttl, settings), Some(why.to_owned())),
            Answer::Failed { why } => (again(None, settings), Some(why)),
        };
        let (subject, is_service) = match &self.address {
            Address::Service(name) => (name, true),
            Address::Name(name, _) => (name, false),
            _ => return pause,
        };
        let places = self.found.borrow();
        let labels = places.iter().map(|place| match is_service {
            true => place.address.to_string(),
            false => place.address.ip().to_string(),
        });
        let line = self.news.borrow_mut().line(Instant::now(), subject, labels, trouble.as_deref());
        if let (Some(line), Some(source)) = (line, self.source.upgrade()) {
            source.say(&line);
        }
        pause
    }
}

/// After what time a name is looked up again; `ttl` is how long the answer holds, `None` after a failure.
pub(super) fn again(ttl: Option<Duration>, settings: &Resolver) -> Duration {
    let longest = settings.maximum_ttl.max(settings.minimum_ttl);
    ttl.map_or(settings.retry, |ttl| ttl.clamp(settings.minimum_ttl, longest))
}
