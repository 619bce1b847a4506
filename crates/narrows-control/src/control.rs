//! The life of the control plane, and what a worker holds of it.

use crate::discovery;
use crate::keeper::Keeper;
use crate::orders::{self, Asked, Operator};
use crate::status;
use narrows_plan::Plan;
use narrows_runtime::{Phase, PhaseControl, PhaseWatch, SpawnError, TICK, phases, spawn_thread};
use narrows_tls::TlsContexts;
use narrows_upstream::{Membership, Report, Reporter, UpstreamLoad};
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep_until};

/// How long the start waits for the first answers about names.
const FIRST_ANSWERS: Duration = Duration::from_secs(3);
/// Between two publications. Workers set up their balancers anew with each: a change that follows another waits for the next tick, so that
/// thousands of endpoints that go down together are one change.
const PAUSE: Duration = Duration::from_millis(20);
/// Reports that are heard at most before anything else is looked at again. Workers can make them faster than they are heard.
const HEARD_AT_ONCE: usize = 256;

/// The endpoints of all upstreams, in the order of the plan.
pub type Memberships = Arc<[Arc<Membership>]>;

/// What all workers share of each upstream, in the order of the plan.
pub type Loads = Arc<[Arc<UpstreamLoad>]>;

/// The running control plane. Dropping it ends its thread.
#[derive(Debug)]
pub struct Control {
    phase: PhaseControl,
    thread: Option<JoinHandle<io::Result<()>>>,
    link: Link,
    operator: Operator,
}

/// What a worker holds of the control plane.
#[derive(Debug, Clone)]
pub struct Link {
    /// The endpoints, as of now and whenever they change.
    pub memberships: watch::Receiver<Memberships>,
    /// The state of all upstreams as JSON, renewed while somebody can ask for it.
    pub status: watch::Receiver<Arc<str>>,
    /// Where it reports what it notices.
    pub reporter: Reporter,
    /// What all workers share of each upstream.
    pub loads: Loads,
}

/// Why the control plane did not start.
pub type ControlError = SpawnError;

impl Control {
    /// Starts it and waits until it is known where the endpoints are; names that have no answer by then come later. `say` prints a line for the operator.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(plan: Arc<Plan>, tls: TlsContexts, say: fn(&str)) -> Result<Control, ControlError> {
        let (phase, watched) = phases();
        let unknown: Memberships = plan.upstreams.iter().map(|_| Arc::default()).collect();
        let (publish, memberships) = watch::channel(unknown);
        let (tell, status) = watch::channel(Arc::from("{}"));
        let tell = status::is_wanted(&plan).then_some(tell);
        let (reporter, reports) = Reporter::new();
        let (operator, asked) = Operator::new();
        let (known, is_known) = std::sync::mpsc::sync_channel(1);
        let loads: Loads = plan.upstreams.iter().map(|upstream| UpstreamLoad::new(upstream)).collect();
        let shared = Arc::clone(&loads);
        let life = move || async move {
            let keeper = Keeper::new(plan, tls, say, publish, tell, shared);
            life(keeper, reports, asked, watched, known).await
        };
        let thread = spawn_thread("control", life)?;
        // A thread that has ended already has nothing more to say.
        let _ = is_known.recv();
        Ok(Control {
            phase,
            thread: Some(thread),
            link: Link { memberships, status, reporter, loads },
            operator,
        })
    }

    /// What a worker holds of it.
    pub fn link(&self) -> Link {
        self.link.clone()
    }

    /// The operator's way to it.
    pub fn operator(&self) -> Operator {
        self.operator.clone()
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.phase.enter(Phase::Stopped);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The life of the control plane.
async fn life(
    keeper: Rc<Keeper>,
    mut reports: mpsc::Receiver<Report>,
    mut asked: mpsc::Receiver<Asked>,
    mut phase: PhaseWatch,
    known: std::sync::mpsc::SyncSender<()>,
) -> io::Result<()> {
    let first = async {
        discovery::begin(&keeper).await;
        keeper.schedule().decided(&keeper).await;
    };
    let mut first = pin!(tokio::time::timeout(FIRST_ANSWERS, first));
    let mut known = Some(known);
    let mut published = Instant::now();
    let mut has_news = false;
    let mut ticking = interval(TICK);
    ticking.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // However many reports wait, the end, the time and the operator come before them.
            biased;
            () = phase.stopped() => return Ok(()),
            _ = ticking.tick() => keeper.tick(),
            _ = &mut first, if known.is_some() => {
                keeper.publish();
                keeper.renew_status();
                let _ = known.take().map(|known| known.send(()));
            }
            Some(asked) = asked.recv() => orders::answer(&keeper, asked),
            Some(report) = reports.recv() => {
                if hear(&keeper, report, &mut reports) {
                    // Checks and discovery run on this thread too.
                    yield_now().await;
                }
            }
            () = keeper.changed() => {}
            () = sleep_until((published + PAUSE).into()), if has_news => {}
        }
        has_news = published.elapsed() < PAUSE;
        if !has_news {
            keeper.publish();
            published = Instant::now();
        }
    }
}

/// Hears what workers have noticed, so much of it as is heard at once; says whether there may be more.
fn hear(keeper: &Keeper, first: Report, reports: &mut mpsc::Receiver<Report>) -> bool {
    keeper.hear(first);
    for _ in 1..HEARD_AT_ONCE {
        let Ok(report) = reports.try_recv() else { return false };
        keeper.hear(report);
    }
    true
}

#[cfg(test)]
mod tests;
