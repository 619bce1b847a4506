//! Who asks for explanations.

use super::explanation::Explanation;
use super::hide::hide;
use narrows_plan::{Expression, Facts};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Those who may ask at one time.
const TAPS: usize = 16;
/// Explanations that wait for a reader; further ones are left out and counted.
const WAITING: usize = 256;

/// What somebody asks for.
#[derive(Debug, Clone)]
pub struct Ask {
    /// Which requests and flows, by what is known when they begin; `None`: all.
    pub when: Option<Expression>,
    /// After so many it is over; 0: never.
    pub limit: u64,
    /// How long it is asked.
    pub period: Duration,
    /// One of so many is told; 0 and 1: each.
    pub every: u64,
    /// Whether credentials are told.
    pub shows_secrets: bool,
}

/// Too many ask already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{TAPS} others are listening already")]
pub struct TooManyTaps;

/// Somebody who asks, as workers see it.
#[derive(Debug)]
pub(crate) struct Tap {
    ask: Ask,
    to: mpsc::Sender<Explanation>,
    /// Matching ones so far.
    seen: AtomicU64,
    /// Those that may still be told.
    left: AtomicU64,
    is_counted: bool,
    lost: AtomicU64,
    is_over: AtomicBool,
}

impl Tap {
    /// Whether this one is to be told. Takes its place among those that may.
    pub(super) fn wants<F: Facts>(&self, facts: &F) -> bool {
        if self.is_over.load(Ordering::Relaxed) {
            return false;
        }
        if self.ask.when.as_ref().is_some_and(|when| when.truth(facts) != Some(true)) {
            return false;
        }
        let number = self.seen.fetch_add(1, Ordering::Relaxed);
        number.is_multiple_of(self.ask.every.max(1)) && self.takes_place()
    }

    fn takes_place(&self) -> bool {
        let take = |left: u64| left.checked_sub(1);
        !self.is_counted || self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    /// Tells it; a reader that is too slow loses it.
    pub(super) fn tell(&self, explanation: &Explanation) {
        let mut explanation = explanation.clone();
        if !self.ask.shows_secrets {
            hide(&mut explanation);
        }
        if self.to.try_send(explanation).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// All who ask.
#[derive(Debug, Clone)]
pub(crate) struct Taps {
    publish: Arc<watch::Sender<Arc<[Arc<Tap>]>>>,
}

impl Default for Taps {
    fn default() -> Self {
        Taps { publish: Arc::new(watch::channel(Arc::default()).0) }
    }
}

impl Taps {
    /// Follows who asks.
    pub(crate) fn follow(&self) -> watch::Receiver<Arc<[Arc<Tap>]>> {
        self.publish.subscribe()
    }

    /// Asks, until the result is dropped.
    pub(crate) fn ask(&self, ask: Ask) -> Result<Listening, TooManyTaps> {
        let (to, from) = mpsc::channel(WAITING);
        let ends = Instant::now() + ask.period;
        let tap = Arc::new(Tap {
            left: AtomicU64::new(ask.limit),
            is_counted: ask.limit > 0,
            to,
            seen: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            ask,
        });
        let added = self.publish.send_if_modified(|taps| {
            let has_room = taps.len() < TAPS;
            if has_room {
                *taps = taps.iter().chain([&tap]).cloned().collect();
            }
            has_room
        });
        match added {
            true => Ok(Listening { taps: self.clone(), tap, from, ends, told: 0, reported: 0 }),
            false => Err(TooManyTaps),
        }
    }
}

/// What a listener hears.
#[derive(Debug)]
pub enum Heard {
    /// An explanation.
    Explained(Box<Explanation>),
    /// So many more were left out, because the reader was too slow.
    Lost(u64),
}

/// Somebody listens; dropping it ends that at once.
#[derive(Debug)]
pub struct Listening {
    taps: Taps,
    tap: Arc<Tap>,
    from: mpsc::Receiver<Explanation>,
    ends: Instant,
    told: u64,
    reported: u64,
}

impl Listening {
    /// The next thing to be heard; `None` once the limit or the time is reached. Cancel safe.
    pub async fn next(&mut self) -> Option<Heard> {
        let lost = self.tap.lost.load(Ordering::Relaxed);
        if lost > self.reported {
            let news = lost - self.reported;
            self.reported = lost;
            return Some(Heard::Lost(news));
        }
        if self.tap.is_counted && self.told + self.reported >= self.tap.ask.limit {
            return None;
        }
        let heard = tokio::time::timeout_at(self.ends, self.from.recv()).await.ok().flatten()?;
        self.told += 1;
        Some(Heard::Explained(Box::new(heard)))
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.tap.is_over.store(true, Ordering::Relaxed);
        self.taps.publish.send_modify(|taps| {
            *taps = taps.iter().filter(|tap| !Arc::ptr_eq(tap, &self.tap)).cloned().collect();
        });
    }
}

#[cfg(test)]
mod tests;
