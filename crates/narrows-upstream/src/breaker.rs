//! A circuit breaker: an upstream whose requests fail gets none for a while, then a few to see whether it is well again.
//!
//! One for each upstream, shared by all workers without a lock. Closed, it counts in a sliding window; open, it refuses; half-open, it lets a few
//! requests through and waits for all of them to succeed. Each change begins a new generation; what began in an earlier one does
//! not count any more. Time is an argument: since whenever the caller counts from.

use narrows_plan::Breaker as Rules;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Pieces of the window.
const PIECES: u64 = 10;
/// How long a request that finds all probes on their way is asked to wait.
const PROBING: Duration = Duration::from_secs(1);

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    rules: Rules,
    /// A packed [`State`].
    state: AtomicU64,
    /// Milliseconds.
    open_until: AtomicU64,
    window: [AtomicU64; PIECES as usize],
    opened: AtomicU64,
}

/// Whether requests pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerState {
    /// They do.
    Closed,
    /// None does.
    Open,
    /// A few do, to see.
    HalfOpen,
}

/// What happened to a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BreakerChange {
    /// Too many of the requests in the window failed.
    Opened {
        /// Those that failed.
        failures: u32,
        /// All of them.
        requests: u32,
    },
    /// A probe failed.
    Reopened,
    /// It lets probes through.
    HalfOpened,
    /// All probes succeeded.
    Closed,
}

/// A request that was let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pass {
    generation: u32,
    is_probe: bool,
}

/// How a request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    Succeeded,
    Failed,
    /// It says nothing of the upstream: the client left, for instance.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct State {
    kind: BreakerState,
    generation: u32,
    /// Probes that were begun and not called off, and those of them that succeeded.
    begun: u16,
    succeeded: u16,
}

/// A piece of the window: which one, and what was counted in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    number: u64,
    failures: u64,
    requests: u64,
}

impl Breaker {
    pub(crate) fn new(rules: Rules) -> Self {
        let closed = State { kind: BreakerState::Closed, generation: 0, begun: 0, succeeded: 0 };
        Breaker {
            rules,
            state: AtomicU64::new(closed.pack()),
            open_until: AtomicU64::new(0),
            window: Default::default(),
            opened: AtomicU64::new(0),
        }
    }

    /// Whether requests pass.
    pub fn state(&self) -> BreakerState {
        self.now().kind
    }

    /// How often it opened since the start.
    pub fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Lets a request through, or says for how long none is.
    pub(crate) fn enter(&self, now: Duration) -> (Result<Pass, Duration>, Option<BreakerChange>) {
        let mut change = None;
        loop {
            let state = self.now();
            let next = match state.kind {
                BreakerState::Closed => {
                    return (Ok(Pass { generation: state.generation, is_probe: false }), change);
                }
                BreakerState::Open => {
                    let until = Duration::from_millis(self.open_until.load(Ordering::Acquire));
                    if now < until {
                        return (Err(until - now), change);
                    }
                    state.next(BreakerState::HalfOpen)
                }
                BreakerState::HalfOpen if u32::from(state.begun) >= self.probes() => {
                    return (Err(PROBING), change);
                }
                BreakerState::HalfOpen => State { begun: state.begun + 1, ..state },
            };
            if self.replace(state, next) {
                match state.kind {
                    BreakerState::Open => change = Some(BreakerChange::HalfOpened),
                    _ => return (Ok(Pass { generation: next.generation, is_probe: true }), change),
                }
            }
        }
    }

    /// A request that was let through has ended.
    pub(crate) fn ended(&self, pass: Pass, verdict: Verdict, now: Duration) -> Option<BreakerChange> {
        if !pass.is_probe {
            return match verdict {
                Verdict::Unknown => None,
                Verdict::Succeeded => {
                    self.count(now, false);
                    None
                }
                Verdict::Failed => {
                    self.count(now, true);
                    self.judge(pass, now)
                }
            };
        }
        loop {
            let state = self.now();
            if state.generation != pass.generation || state.kind != BreakerState::HalfOpen {
                return None;
            }
            let succeeded = state.succeeded + 1;
            let (next, change) = match verdict {
                Verdict::Failed => (state.next(BreakerState::Open), Some(BreakerChange::Reopened)),
                Verdict::Unknown => (State { begun: state.begun.saturating_sub(1), ..state }, None),
                Verdict::Succeeded if u32::from(succeeded) >= self.probes() => {
                    (state.next(BreakerState::Closed), Some(BreakerChange::Closed))
                }
                Verdict::Succeeded => (State { succeeded, ..state }, None),
            };
            match change {
                Some(BreakerChange::Reopened) => self.set_open_until(now),
                Some(_) => self.forget(),
                None => {}
            }
            if self.replace(state, next) {
                if change == Some(BreakerChange::Reopened) {
                    self.opened.fetch_add(1, Ordering::Relaxed);
                }
                return change;
            }
        }
    }

    /// Opens when too many have failed.
    fn judge(&self, pass: Pass, now: Duration) -> Option<BreakerChange> {
        let state = self.now();
        if state.kind != BreakerState::Closed || state.generation != pass.generation {
            return None;
        }
        let (failures, requests) = self.counted(now);
        let is_judged = requests >= u64::from(self.rules.requests);
        if !is_judged || failures * 100 < requests * u64::from(self.rules.failure_rate) {
            return None;
        }
        self.set_open_until(now);
        if !self.replace(state, state.next(BreakerState::Open)) {
            return None;
        }
        self.opened.fetch_add(1, Ordering::Relaxed);
        Some(BreakerChange::Opened { failures: failures as u32, requests: requests as u32 })
    }

    /// Several may write this at the same moment and nearly the same number; one of them opens.
    fn set_open_until(&self, now: Duration) {
        let until = (now + self.rules.open).as_millis() as u64;
        self.open_until.store(until, Ordering::Release);
    }

    fn probes(&self) -> u32 {
        self.rules.probes.clamp(1, u32::from(u16::MAX))
    }

    fn piece_of(&self, now: Duration) -> u64 {
        let length = (self.rules.window.as_millis() as u64 / PIECES).max(1);
        (now.as_millis() as u64 / length) & Piece::NUMBERS
    }

    fn count(&self, now: Duration, failed: bool) {
        let number = self.piece_of(now);
        let cell = &self.window[(number % PIECES) as usize];
        let _ = cell.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |packed| {
            let mut piece = Piece::unpack(packed);
            if piece.number != number {
                piece = Piece { number, failures: 0, requests: 0 };
            }
            // A piece that is full stands for what comes after it as well.
            (piece.requests < Piece::MOST).then(|| {
                piece.requests += 1;
                piece.failures += u64::from(failed);
                piece.pack()
            })
        });
    }

    /// Failures and requests within the window.
    fn counted(&self, now: Duration) -> (u64, u64) {
        let last = self.piece_of(now);
        let pieces = self.window.iter().map(|cell| Piece::unpack(cell.load(Ordering::Relaxed)));
        pieces
            .filter(|piece| last.wrapping_sub(piece.number) & Piece::NUMBERS < PIECES)
            .fold((0, 0), |(failures, requests), piece| {
                (failures + piece.failures, requests + piece.requests)
            })
    }

    fn forget(&self) {
        self.window.iter().for_each(|cell| cell.store(0, Ordering::Relaxed));
    }

    fn now(&self) -> State {
        State::unpack(self.state.load(Ordering::Acquire))
    }

    fn replace(&self, state: State, next: State) -> bool {
        let (state, next) = (state.pack(), next.pack());
        self.state.compare_exchange(state, next, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl BreakerState {
    /// The word in logs and metrics.
    pub fn name(self) -> &'static str {
        match self {
            BreakerState::Closed => "closed",
            BreakerState::Open => "open",
            BreakerState::HalfOpen => "half-open",
        }
    }
}

impl State {
    const GENERATIONS: u32 = (1 << 30) - 1;

    fn next(self, kind: BreakerState) -> State {
        State { kind, generation: (self.generation + 1) & State::GENERATIONS, begun: 0, succeeded: 0 }
    }

    fn pack(self) -> u64 {
        let kind = match self.kind {
            BreakerState::Closed => 0,
            BreakerState::Open => 1,
            BreakerState::HalfOpen => 2,
        };
        u64::from(self.generation) << 34
            | kind << 32
            | u64::from(self.begun) << 16
            | u64::from(self.succeeded)
    }

    fn unpack(packed: u64) -> State {
        let kind = match packed >> 32 & 3 {
            0 => BreakerState::Closed,
            1 => BreakerState::Open,
            _ => BreakerState::HalfOpen,
        };
        let (begun, succeeded) = ((packed >> 16) as u16, packed as u16);
        State { kind, generation: (packed >> 34) as u32, begun, succeeded }
    }
}

impl Piece {
    const NUMBERS: u64 = (1 << 24) - 1;
    const MOST: u64 = (1 << 20) - 1;

    fn pack(self) -> u64 {
        self.number << 40 | self.failures << 20 | self.requests
    }

    fn unpack(packed: u64) -> Piece {
        Piece { number: packed >> 40, failures: packed >> 20 & Piece::MOST, requests: packed & Piece::MOST }
    }
}

#[cfg(test)]
mod tests;
