//! The life of one kind of telemetry: gather, send, again where that may help.

use crate::collector::{Collector, Service, Target};
use crate::exporter::{Counters, Queued};
use crate::messages::Resource;
use crate::requests;
use crate::verdict::Verdict;
use narrows_runtime::{Deadlines, PhaseWatch};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout_at};

/// Items of one request at most.
const BATCH: usize = 512;
/// How long the first item of a request waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// The first pause before another try; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause, unless the collector asks for more.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// How long a batch is tried.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a process that ends still sends.
const FAREWELL: Duration = Duration::from_secs(2);

/// What a delivery works with.
pub(crate) struct Delivery<T> {
    pub(crate) queue: mpsc::Receiver<Queued<T>>,
    pub(crate) targets: watch::Receiver<Option<Arc<Target>>>,
    pub(crate) counters: Arc<Counters>,
    pub(crate) service: Service,
    pub(crate) encode: fn(&Resource, Vec<T>) -> Vec<u8>,
    pub(crate) deadlines: Rc<Deadlines>,
    pub(crate) phase: PhaseWatch,
    pub(crate) say: fn(&str),
    /// Such as `spans`.
    pub(crate) what: &'static str,
}

impl<T> Delivery<T> {
    /// Until nobody is left who could give anything, or the process ends.
    pub(crate) async fn life(mut self) {
        let mut collector: Option<Collector> = None;
        let mut is_failing = false;
        while let Some(items) = self.gather().await {
            let target = self.targets.borrow_and_update().clone();
            let Some(target) = target else {
                // It was given before the collector was taken away.
                self.counters.lost(items.len());
                continue;
            };
            if collector.as_ref().is_none_or(|known| !Arc::ptr_eq(known.target(), &target)) {
                collector = Some(Collector::new(Arc::clone(&target), Rc::clone(&self.deadlines)));
            }
            if let Some(collector) = &mut collector {
                self.deliver(collector, items, &mut is_failing).await;
            }
        }
    }

    /// Waits for items, then a moment for others. `None` once nothing will come.
    async fn gather(&mut self) -> Option<Vec<T>> {
        let first = tokio::select! {
            biased;
            queued = self.queue.recv() => queued,
            () = self.phase.stopped() => None,
        };
        let mut items = self.take(first?);
        let until = Instant::now() + GATHER;
        while items.len() < BATCH {
            let queued = tokio::select! {
                biased;
                queued = timeout_at(until, self.queue.recv()) => queued.ok().flatten(),
                () = self.phase.stopped() => None,
            };
            match queued {
                Some(queued) => items.append(&mut self.take(queued)),
                None => break,
            }
        }
        Some(items)
    }

    fn take(&self, queued: Queued<T>) -> Vec<T> {
        self.counters.taken(queued.0.len());
        queued.0
    }

    async fn deliver(&mut self, collector: &mut Collector, items: Vec<T>, is_failing: &mut bool) {
        let count = items.len();
        let resource = requests::resource(&collector.target().otlp);
        let message = (self.encode)(&resource, items);
        let began = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            let mut phase = self.phase.clone();
            let verdict = tokio::select! {
                biased;
                verdict = collector.send(self.service, &message) => verdict,
                () = async { phase.stopped().await; sleep(FAREWELL).await } => {
                    self.counters.lost(count);
                    return;
                }
            };
            let (why, after) = match verdict {
                Verdict::Taken { rejected, why } => {
                    let rejected = usize::try_from(rejected).unwrap_or(usize::MAX).min(count);
                    self.counters.exported(count - rejected);
                    self.counters.refused(rejected);
                    if rejected > 0 {
                        self.tell(is_failing, &format!("has no use for {rejected} of {count}: {why}"));
                    } else if std::mem::take(is_failing) {
                        (self.say)(&format!("telemetry: {} are exported again", self.what));
                    }
                    return;
                }
                Verdict::Lost { why } => {
                    self.counters.refused(count);
                    self.tell(is_failing, &why);
                    return;
                }
                Verdict::Again { after, why } => (why, after),
            };
            self.tell(is_failing, &why);
            let wait = after.unwrap_or_else(|| jittered(pause));
            if began.elapsed() + wait > PATIENCE.max(after.unwrap_or_default()) {
                self.counters.lost(count);
                return;
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
            tokio::select! {
                () = sleep(wait) => {}
                // Another collector takes this batch no more: it may be the reason for the change.
                Ok(()) = self.targets.changed() => {
                    self.counters.lost(count);
                    return;
                }
                () = phase.stopped() => {
                    self.counters.lost(count);
                    return;
                }
            }
        }
    }

    /// Says once that it does not work.
    fn tell(&self, is_failing: &mut bool, why: &str) {
        if !std::mem::replace(is_failing, true) {
            (self.say)(&format!(
                "telemetry: {} cannot be exported: {why}; traffic goes on, losses are counted",
                self.what
            ));
        }
    }
}

/// Between half of a pause and all of it, so that many proxies do not come back at once.
fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher, RandomState};
    let chance = RandomState::new().hash_one(0_u8) % 512;
    pause / 2 + pause * u32::try_from(chance).unwrap_or(0) / 1024
}
