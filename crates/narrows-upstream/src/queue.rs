//! Who waits for an endpoint that has room: one queue for each upstream, shared by all workers.
//!
//! A place that becomes free *calls* the first who waits. Who is called tries to take a place; who cannot use it (another subset, an endpoint that
//! was tried) passes the call on to the next one behind, so that nobody blocks those behind. A call ends when the place is taken, or when
//! nobody wants it. Calls skip those who are called already, who then look once more before they pass theirs on: that is what keeps a place
//! from staying free while somebody waits for it.
//!
//! Workers touch the mutex only when somebody waits. A request that comes while somebody waits goes behind.

use crate::membership::EndpointId;
use narrows_plan::QueueLimits;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Who waits for an endpoint of an upstream that has room.
#[derive(Debug)]
pub struct Queue {
    limits: QueueLimits,
    /// How many wait, for a look without the mutex.
    waiting: AtomicUsize,
    line: Mutex<Line>,
    entered: AtomicU64,
    full: AtomicU64,
    timed_out: AtomicU64,
}

/// Priority, then arrival.
type Rank = (i32, u64);

#[derive(Debug, Default)]
struct Line {
    waiters: BTreeMap<Rank, Waiter>,
    /// Those who came while calls were on their way and have not tried since.
    untried: BTreeSet<Rank>,
    /// Calls on their way.
    calls: usize,
    next: u64,
}

#[derive(Debug)]
struct Waiter {
    waker: Option<Waker>,
    call: Option<Call>,
    /// Another call came by meanwhile: try again before passing this one on.
    again: bool,
    worker: usize,
}

/// What somebody is called for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    /// This endpoint has a place.
    Place(EndpointId),
    /// Just to try.
    Try,
    /// Everybody shall try: endpoints have changed.
    All,
}

/// As many wait as may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QueueIsFull;

/// A place in the queue. Dropping it gives it up.
#[derive(Debug)]
pub struct Ticket {
    queue: Arc<Queue>,
    rank: Rank,
}

impl Queue {
    pub(crate) fn new(limits: QueueLimits) -> Arc<Self> {
        Arc::new(Queue {
            limits,
            waiting: AtomicUsize::new(0),
            line: Mutex::default(),
            entered: AtomicU64::new(0),
            full: AtomicU64::new(0),
            timed_out: AtomicU64::new(0),
        })
    }

    /// How long one waits at most.
    pub fn timeout(&self) -> Duration {
        self.limits.timeout
    }

    /// How many wait now.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::SeqCst)
    }

    /// How many have waited, found the queue full, and waited in vain, since the start.
    pub fn totals(&self) -> (u64, u64, u64) {
        let total = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        (total(&self.entered), total(&self.full), total(&self.timed_out))
    }

    /// Somebody waited in vain.
    pub fn note_timed_out(&self) {
        self.timed_out.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a place behind those of the same `priority`; lower priorities go first. `worker` is who asks.
    ///
    /// # Errors
    /// When as many wait as may.
    pub fn enter(self: &Arc<Self>, priority: i32, worker: usize) -> Result<Ticket, QueueIsFull> {
        let mut line = self.lock();
        if line.waiters.len() >= self.limits.length as usize {
            self.full.fetch_add(1, Ordering::Relaxed);
            return Err(QueueIsFull);
        }
        let rank = (priority, line.next);
        line.next += 1;
        // A place that became free just before is seen by the first try, one that becomes free from now on sees who waits.
        line.waiters.insert(rank, Waiter { waker: None, call: None, again: false, worker });
        line.untried.insert(rank);
        self.leave(line, None);
        self.entered.fetch_add(1, Ordering::Relaxed);
        Ok(Ticket { queue: Arc::clone(self), rank })
    }

    /// An endpoint has a place more. To be called after it was given back.
    pub(crate) fn freed(&self, endpoint: EndpointId) {
        fence(Ordering::SeqCst);
        if self.waiting() > 0 {
            self.start(Call::Place(endpoint));
        }
    }

    /// Endpoints came, or have another condition or limit: everybody tries, in order.
    pub(crate) fn stir(&self) {
        fence(Ordering::SeqCst);
        if self.waiting() > 0 {
            self.start(Call::All);
        }
    }

    /// Whether the first one waits on that worker.
    pub(crate) fn begins_with(&self, worker: usize) -> bool {
        self.lock().waiters.first_key_value().is_some_and(|(_, first)| first.worker == worker)
    }

    fn start(&self, call: Call) {
        let mut line = self.lock();
        line.calls += 1;
        let woken = line.pass(Bound::Unbounded, call);
        self.leave(line, woken);
    }

    fn lock(&self) -> MutexGuard<'_, Line> {
        // Nothing in here panics between two changes that belong together.
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go of the mutex, then wakes.
    fn leave(&self, mut line: MutexGuard<'_, Line>, woken: Option<Waker>) {
        let tried = line.call_untried();
        debug_assert!(line.is_sound());
        self.waiting.store(line.waiters.len(), Ordering::SeqCst);
        drop(line);
        fence(Ordering::SeqCst);
        for waker in woken.into_iter().chain(tried) {
            waker.wake();
        }
    }
}

impl Line {
    /// Gives a call to the first behind `rank` who has none; it ends when there is nobody.
    fn pass(&mut self, behind: Bound<Rank>, call: Call) -> Option<Waker> {
        for (rank, waiter) in self.waiters.range_mut((behind, Bound::Unbounded)) {
            if waiter.call.is_some() {
                waiter.again = true;
                continue;
            }
            waiter.call = Some(call);
            self.untried.remove(rank);
            return waiter.waker.take();
        }
        self.calls -= 1;
        None
    }

    /// Lets the first of those try who came while calls were on their way, once none is.
    fn call_untried(&mut self) -> Option<Waker> {
        if self.calls > 0 {
            return None;
        }
        let rank = self.untried.pop_first()?;
        let waiter = self.waiters.get_mut(&rank)?;
        waiter.call = Some(Call::Try);
        self.calls += 1;
        waiter.waker.take()
    }

    fn is_sound(&self) -> bool {
        self.calls == self.waiters.values().filter(|waiter| waiter.call.is_some()).count()
            && self.untried.iter().all(|rank| self.waiters.get(rank).is_some_and(|one| one.call.is_none()))
    }
}

impl Ticket {
    /// Ready when it is this one's turn to try; [`served`](Ticket::served) or [`passed`](Ticket::passed) must follow.
    pub fn poll_called(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut line = self.queue.lock();
        let Some(waiter) = line.waiters.get_mut(&self.rank) else { return Poll::Ready(()) };
        if waiter.call.is_some() {
            return Poll::Ready(());
        }
        if !waiter.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            waiter.waker = Some(context.waker().clone());
        }
        Poll::Pending
    }

    /// There was nothing for this one: the next is called, and this one waits on.
    pub fn passed(&mut self) {
        let mut line = self.queue.lock();
        let Some(waiter) = line.waiters.get_mut(&self.rank) else { return };
        if std::mem::take(&mut waiter.again) {
            return;
        }
        let Some(call) = waiter.call.take() else { return };
        let woken = line.pass(Bound::Excluded(self.rank), call);
        self.queue.leave(line, woken);
    }

    /// A place was taken at `endpoint`.
    pub fn served(self, endpoint: EndpointId) {
        self.go(Some(endpoint));
    }

    fn go(&self, served: Option<EndpointId>) {
        let mut line = self.queue.lock();
        let Some(waiter) = line.waiters.remove(&self.rank) else { return };
        line.untried.remove(&self.rank);
        let woken = match (waiter.call, served) {
            (None, _) => None,
            // The place that it was called for is taken, or it found one by itself.
            (Some(Call::Try), Some(_)) => {
                line.calls -= 1;
                None
            }
            (Some(Call::Place(place)), Some(taken)) if place == taken => {
                line.calls -= 1;
                None
            }
            (Some(call), _) => line.pass(Bound::Excluded(self.rank), call),
        };
        self.queue.leave(line, woken);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.go(None);
    }
}

#[cfg(test)]
mod tests;
