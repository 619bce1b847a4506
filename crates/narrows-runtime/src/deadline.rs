//! Coarse deadlines that cost a store to set and nothing to keep.
//!
//! A proxy changes a deadline several times per request and almost none of them expires. So there is no entry in a timer
//! wheel: a deadline is one number in an array that the worker looks through every [`TICK`]. Setting it costs a store;
//! a look at ten thousand of them costs a few microseconds.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// The distance between two looks: a deadline expires at most this much late (two of them when it is set right after a look), never early.
pub const TICK: Duration = Duration::from_millis(100);
const TICKS_PER_SECOND: u64 = 1_000_000_000 / TICK.subsec_nanos() as u64;

/// A moment in [`TICK`]s since the worker began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tick(u32);

impl Tick {
    /// A moment that never comes.
    pub const NEVER: Tick = Tick(u32::MAX);

    /// Ticks from `earlier` to this moment; 0 when it is later.
    pub fn since(self, earlier: Tick) -> Duration {
        TICK * self.0.saturating_sub(earlier.0)
    }
}

/// The deadlines of one worker.
#[derive(Debug)]
pub struct Deadlines {
    began: Instant,
    now: Cell<u32>,
    slots: RefCell<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    deadlines: Vec<u32>,
    wakers: Vec<Option<Waker>>,
    free: Vec<u32>,
}

impl Deadlines {
    /// No deadline yet; the clock begins now.
    pub fn new() -> Rc<Self> {
        Rc::new(Deadlines { began: Instant::now(), now: Cell::new(0), slots: RefCell::default() })
    }

    /// The last tick.
    pub fn now(&self) -> Tick {
        Tick(self.now.get())
    }

    /// A deadline for one task, not set yet.
    pub fn watch(self: &Rc<Self>) -> Watch {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.free.pop().unwrap_or_else(|| {
            slots.deadlines.push(0);
            slots.wakers.push(None);
            (slots.deadlines.len() - 1) as u32
        });
        slots.deadlines[slot as usize] = Tick::NEVER.0;
        Watch { deadlines: Rc::clone(self), slot }
    }

    /// Advances the clock and wakes the tasks whose deadline has passed. The worker calls it every [`TICK`].
    pub fn sweep(&self) {
        let now = u32::try_from(self.began.elapsed().as_millis() / TICK.as_millis()).unwrap_or(u32::MAX - 1);
        self.now.set(now);
        self.wake(|deadline| deadline <= now);
    }

    /// Wakes every task that waits, expired or not, so that it looks around (a drain began).
    pub fn wake_all(&self) {
        self.wake(|_| true);
    }

    fn wake(&self, due: impl Fn(u32) -> bool) {
        let mut woken = Vec::new();
        let mut slots = self.slots.borrow_mut();
        let Slots { deadlines, wakers, .. } = &mut *slots;
        for (deadline, waker) in deadlines.iter().zip(wakers) {
            if due(*deadline) {
                woken.extend(waker.take());
            }
        }
        drop(slots);
        woken.into_iter().for_each(Waker::wake);
    }
}

/// The one deadline of a task. Dropping it gives the slot back.
#[derive(Debug)]
pub struct Watch {
    deadlines: Rc<Deadlines>,
    slot: u32,
}

impl Watch {
    /// Another deadline of the same worker, not set yet.
    pub fn another(&self) -> Watch {
        self.deadlines.watch()
    }

    /// Sets the deadline `timeout` from now; `None` never expires.
    pub fn set(&self, timeout: Option<Duration>) {
        let tick = timeout.map_or(Tick::NEVER, |timeout| self.after(timeout));
        self.set_at(tick);
    }

    /// Sets the deadline to a moment.
    pub fn set_at(&self, tick: Tick) {
        self.deadlines.slots.borrow_mut().deadlines[self.slot as usize] = tick.0;
    }

    /// The moment `timeout` from now, rounded up.
    pub fn after(&self, timeout: Duration) -> Tick {
        // In parts, because a division of 128 bits costs more than everything else here.
        let part = u64::from(timeout.subsec_nanos().div_ceil(TICK.subsec_nanos()));
        let ticks = timeout.as_secs().saturating_mul(TICKS_PER_SECOND).saturating_add(part + 1);
        let ticks = u32::try_from(ticks).unwrap_or(u32::MAX / 2);
        Tick(self.deadlines.now.get().saturating_add(ticks).min(Tick::NEVER.0 - 1))
    }

    /// A moment that never comes.
    pub fn never(&self) -> Tick {
        Tick::NEVER
    }

    /// The last tick of the worker's clock.
    pub fn now(&self) -> Tick {
        self.deadlines.now()
    }

    /// Ready once the deadline has passed. Wakes the task of `context` at the next look after that; keeps one task only.
    pub fn poll_expired(&self, context: &mut Context<'_>) -> Poll<()> {
        let mut slots = self.deadlines.slots.borrow_mut();
        if slots.deadlines[self.slot as usize] <= self.deadlines.now.get() {
            return Poll::Ready(());
        }
        let waker = &mut slots.wakers[self.slot as usize];
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut slots = self.deadlines.slots.borrow_mut();
        slots.deadlines[self.slot as usize] = Tick::NEVER.0;
        let waker = slots.wakers[self.slot as usize].take();
        slots.free.push(self.slot);
        drop(slots);
        drop(waker);
    }
}

#[cfg(test)]
mod tests;
