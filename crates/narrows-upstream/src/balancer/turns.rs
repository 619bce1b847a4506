//! Each in turn, in proportion to the weights.

use super::Balancer;
use crate::candidate::Score;
use crate::chance::{GOLDEN, unit};
use crate::members::{Asking, Members};
use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Weighted round robin. Endpoints of equal weight take turns. Otherwise each has a turn as often as its weight says: of the turns that are due the
/// earliest is next (earliest deadline first), a logarithm of steps for a choice. The first turns are spread over the period, so that weights 5, 1, 1
/// give something like a a b a a c a instead of a a a a a b c.
#[derive(Debug, Clone)]
pub(super) struct Turns {
    seed: u64,
    /// Where equal endpoints go on.
    next: Cell<usize>,
    /// `None` while the weights are equal.
    queue: Option<RefCell<Queue>>,
}

/// The next turn of each endpoint that is taken.
#[derive(Debug, Clone)]
struct Queue {
    /// Some are out of date: those of endpoints whose turn is another one by now.
    turns: BinaryHeap<Reverse<Turn>>,
    /// When the turn of each is due; [`NEVER`] of one that is not taken.
    due: Vec<u64>,
    /// When the last turn was due.
    now: f64,
    /// Turns that a choice passed over; kept for its memory.
    passed: Vec<Turn>,
}

const NEVER: u64 = u64::MAX;

/// Ordered by when it is due: bits of numbers that are not negative compare as the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Turn {
    due: u64,
    member: u32,
}

impl Turns {
    pub(super) fn new(members: &Members, seed: usize) -> Self {
        let mut turns = Turns { seed: seed as u64, next: Cell::new(members.start(seed)), queue: None };
        turns.changed(members, None);
        turns
    }

    /// How much of a period passes before the first turn of a member: different for neighbours and for workers.
    fn phase(&self, member: usize) -> f64 {
        let step = GOLDEN.wrapping_mul(member as u64 + 1);
        0.02 + 0.96 * unit(step.wrapping_add(self.seed.wrapping_mul(GOLDEN.rotate_left(17))))
    }

    /// When the first turn of a member is due.
    fn first(&self, members: &Members, member: usize, now: f64) -> f64 {
        now + self.phase(member) / members.weight_now(member).max(f64::MIN_POSITIVE)
    }

    fn queue(&self, members: &Members, now: f64) -> Queue {
        let mut queue = Queue {
            turns: BinaryHeap::with_capacity(members.taken().count()),
            due: vec![NEVER; members.endpoints().len()],
            now,
            passed: Vec::new(),
        };
        members.taken().iter().for_each(|member| queue.set(member, self.first(members, member, now)));
        queue
    }

    fn rotate(&self, asking: &Asking<'_>) -> Option<usize> {
        let length = asking.members.endpoints().len().max(1);
        let chosen = asking
            .members
            .taken()
            .rotation(self.next.get() % length)
            .find(|member| asking.accepts(*member))?;
        self.next.set(chosen + 1);
        Some(chosen)
    }
}

impl Balancer for Turns {
    fn pick(&self, asking: &Asking<'_>) -> Option<usize> {
        match &self.queue {
            Some(queue) => queue.borrow_mut().pick(asking),
            None => self.rotate(asking),
        }
    }

    fn changed(&mut self, members: &Members, member: Option<usize>) {
        if members.are_even() {
            self.queue = None;
        } else if let (Some(queue), Some(member)) = (&self.queue, member) {
            let mut queue = queue.borrow_mut();
            let first = self.first(members, member, queue.now);
            if !members.taken().contains(member) {
                queue.due[member] = NEVER;
            } else if first.to_bits() < queue.due[member] {
                // It is new, or it weighs more than before.
                queue.set(member, first);
            }
            if queue.turns.len() > 2 * queue.due.len() + 64 {
                queue.forget_old();
            }
        } else {
            self.queue = Some(RefCell::new(self.queue(members, 0.0)));
        }
    }

    fn scores(&self, asking: &Asking<'_>) -> Vec<Option<Score>> {
        let members = asking.members;
        let mut scores = vec![None; members.endpoints().len()];
        match &self.queue {
            None => {
                let ahead = members.taken().rotation(self.next.get() % scores.len().max(1));
                ahead.enumerate().for_each(|(ahead, member)| scores[member] = Some(Score::Turn(ahead)));
            }
            Some(queue) => {
                let due = queue.borrow().due.clone();
                let mut ahead: Vec<usize> = members.taken().iter().collect();
                ahead.sort_by_key(|member| (due[*member], *member));
                ahead
                    .into_iter()
                    .enumerate()
                    .for_each(|(ahead, member)| scores[member] = Some(Score::Turn(ahead)));
            }
        }
        scores
    }

    fn copied(&self) -> Box<dyn Balancer> {
        Box::new(self.clone())
    }
}

impl Queue {
    fn pick(&mut self, asking: &Asking<'_>) -> Option<usize> {
        let mut chosen = None;
        while let Some(Reverse(turn)) = self.turns.pop() {
            let member = turn.member as usize;
            if self.due[member] != turn.due {
                continue;
            }
            if asking.accepts(member) {
                self.now = f64::from_bits(turn.due);
                chosen = Some(member);
                break;
            }
            self.passed.push(turn);
        }
        let after = |member: usize| 1.0 / asking.members.weight_now(member).max(f64::MIN_POSITIVE);
        if let Some(member) = chosen {
            self.set(member, self.now + after(member));
        }
        while let Some(turn) = self.passed.pop() {
            let member = turn.member as usize;
            // One that was tried keeps its turn; one that is full misses it, so that it is not met again at once.
            if chosen.is_none() || asking.was_tried(member) {
                self.turns.push(Reverse(turn));
            } else {
                self.set(member, self.now + after(member));
            }
        }
        chosen
    }

    fn set(&mut self, member: usize, due: f64) {
        let due = due.to_bits();
        self.due[member] = due;
        self.turns.push(Reverse(Turn { due, member: member as u32 }));
    }

    /// Lets go of turns that are out of date.
    fn forget_old(&mut self) {
        let Queue { turns, due, .. } = self;
        turns.retain(|Reverse(turn)| due[turn.member as usize] == turn.due);
    }
}
