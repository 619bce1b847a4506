//! What a request passes before an endpoint is chosen for it: the limits of the whole upstream, and the breaker.

use crate::breaker::{self, BreakerChange, Verdict};
use crate::concurrency::Concurrency;
use crate::membership::UpstreamKey;
use crate::places::Need;
use crate::report::{Report, Reporter};
use crate::upstream_load::UpstreamLoad;
use narrows_plan::Upstream;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request that an upstream is spared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shed {
    /// Why.
    pub cause: ShedCause,
    /// When it is worth another try, seconds; at least 1.
    pub retry_after: u32,
}

/// Why a request is shed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShedCause {
    /// All endpoints are full, and so is the queue.
    QueueFull,
    /// It has waited for as long as may be.
    QueueTimedOut,
    /// The breaker is open.
    BreakerOpen,
    /// The upstream runs as many requests as it may, or can.
    Overloaded,
}

impl Shed {
    pub(crate) fn new(cause: ShedCause, after: Duration) -> Self {
        let seconds = after.as_millis().div_ceil(1000).max(1);
        Shed { cause, retry_after: u32::try_from(seconds).unwrap_or(u32::MAX) }
    }
}

/// The entrance of one upstream on one worker.
#[derive(Debug)]
pub(crate) struct Entrance {
    id: UpstreamKey,
    load: Arc<UpstreamLoad>,
    requests: Option<u32>,
    concurrency: Option<Concurrency>,
    reporter: Reporter,
}

/// A request that has passed; dropping it ends it. Holds nothing where nothing is limited.
#[derive(Debug)]
#[must_use = "the request ends with it"]
pub struct Entered(Option<Held>);

#[derive(Debug)]
struct Held {
    entrance: Rc<Entrance>,
    /// Whether it counts in `limits.upstream_requests`.
    is_counted: bool,
    is_adaptive: bool,
    breaker: Cell<Option<breaker::Pass>>,
    began: Cell<Instant>,
}

impl Entrance {
    pub(crate) fn new(
        upstream: &Upstream,
        id: UpstreamKey,
        load: &Arc<UpstreamLoad>,
        reporter: &Reporter,
    ) -> Rc<Self> {
        Rc::new(Entrance {
            id,
            load: Arc::clone(load),
            requests: upstream.limits.requests,
            concurrency: upstream.concurrency.map(|rules| Concurrency::new(rules, load.now())),
            reporter: reporter.clone(),
        })
    }

    /// Lets a request, flow or session in. Only requests have an answer time that adaptive concurrency could learn from.
    pub(crate) fn enter(self: &Rc<Self>, need: Need) -> Result<Entered, Shed> {
        let concurrency = self.concurrency.as_ref().filter(|_| need == Need::Request);
        if self.requests.is_none() && concurrency.is_none() && self.load.breaker.is_none() {
            return Ok(Entered(None));
        }
        const SOON: Duration = Duration::from_secs(1);
        let overloaded = || {
            self.load.note_overloaded();
            Shed::new(ShedCause::Overloaded, SOON)
        };
        let mut held = Held {
            entrance: Rc::clone(self),
            is_counted: false,
            is_adaptive: false,
            breaker: Cell::new(None),
            began: Cell::new(Instant::now()),
        };
        if let Some(limit) = self.requests {
            held.is_counted = self.load.take_request(limit);
            if !held.is_counted {
                return Err(overloaded());
            }
        }
        if let Some(concurrency) = concurrency {
            held.is_adaptive = concurrency.enter();
            if !held.is_adaptive {
                return Err(overloaded());
            }
        }
        // Last, so that a probe is not lost to another limit.
        if let Some(breaker) = &self.load.breaker {
            let (entered, change) = breaker.enter(self.load.now());
            self.tell(change);
            let refused = |rest| {
                self.load.note_breaker_refused();
                Shed::new(ShedCause::BreakerOpen, rest)
            };
            held.breaker.set(Some(entered.map_err(refused)?));
        }
        Ok(Entered(Some(held)))
    }

    /// How many requests adaptive concurrency lets run on this worker.
    pub(crate) fn limit(&self) -> Option<u32> {
        self.concurrency.as_ref().map(Concurrency::limit)
    }

    fn tell(&self, change: Option<BreakerChange>) {
        if let Some(change) = change {
            self.reporter.report(Report::Breaker { upstream: self.id, change });
        }
    }

    fn ended(&self, pass: Option<breaker::Pass>, verdict: Verdict) {
        if let (Some(pass), Some(breaker)) = (pass, &self.load.breaker) {
            self.tell(breaker.ended(pass, verdict, self.load.now()));
        }
    }
}

impl Entered {
    /// An endpoint was found: the answer time counts from here, not from when it began to wait for one.
    pub fn begins(&self) {
        if let Some(held) = &self.0
            && held.is_adaptive
        {
            held.began.set(Instant::now());
        }
    }

    /// The answer has begun, or the flow is connected. `status` is 500 or more for a failure; 0 where there is none.
    pub fn answered(&self, status: u16) {
        let Some(held) = &self.0 else { return };
        let verdict = if status >= 500 { Verdict::Failed } else { Verdict::Succeeded };
        held.entrance.ended(held.breaker.take(), verdict);
        if let (true, Some(concurrency)) = (held.is_adaptive, &held.entrance.concurrency) {
            concurrency.answered(held.began.get().elapsed(), held.entrance.load.now());
        }
    }

    /// No endpoint could do it.
    pub fn failed(&self) {
        if let Some(held) = &self.0 {
            held.entrance.ended(held.breaker.take(), Verdict::Failed);
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.entrance.ended(self.breaker.take(), Verdict::Unknown);
        if self.is_counted {
            self.entrance.load.give_request_back();
        }
        if let (true, Some(concurrency)) = (self.is_adaptive, &self.entrance.concurrency) {
            concurrency.left();
        }
    }
}
