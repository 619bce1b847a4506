//! The life of the control plane, and what a worker holds of it.

use crate::discovery::Discovery;
use crate::keeper::Keeper;
use crate::orders::{self, Asked, Operator};
use narrows_plan::Plan;
use narrows_runtime::{Phase, PhaseControl, PhaseWatch, SpawnError, TICK, phases, spawn_thread};
use narrows_tls::TlsContexts;
use narrows_upstream::{Membership, Report, Reporter, UpstreamKey, UpstreamLoad};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, watch};
use tokio::task::{spawn_local, yield_now};
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

/// How long a configuration waits for the first answers about names and the first checks.
const FIRST_ANSWERS: Duration = Duration::from_secs(3);
/// Between two publications. Workers set up their balancers anew with each: a change that follows another waits for the next tick, so that
/// thousands of endpoints that go down together are one change.
const PAUSE: Duration = Duration::from_millis(20);
/// Reports that are heard at most before anything else is looked at again. Workers can make them faster than they are heard.
const HEARD_AT_ONCE: usize = 256;

/// The endpoints of every upstream that is served, in the order of their keys.
pub type Memberships = Arc<[(UpstreamKey, Arc<Membership>)]>;

/// What all workers share of each upstream, in the order of the plan.
pub type Loads = Arc<[Arc<UpstreamLoad>]>;

/// What the control plane made of a plan: it knows where the endpoints are.
#[derive(Debug, Clone)]
pub struct Prepared {
    /// The identity of each upstream, in the order of the plan.
    pub keys: Arc<[UpstreamKey]>,
    /// What all workers share of each, in the same order.
    pub loads: Loads,
}

/// What happens to the configuration.
enum Change {
    /// Another plan is about to be served.
    Prepare { plan: Arc<Plan>, tls: TlsContexts, done: SyncSender<Prepared> },
    /// It is served.
    Settle,
}

/// The running control plane. Dropping it ends its thread.
#[derive(Debug)]
pub struct Control {
    phase: PhaseControl,
    thread: Option<JoinHandle<io::Result<()>>>,
    link: Link,
    operator: Operator,
    changes: mpsc::UnboundedSender<Change>,
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
}

/// Why the control plane did not start.
pub type ControlError = SpawnError;

impl Control {
    /// Starts it, with nothing to care for yet. `say` prints a line for the operator.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(say: fn(&str)) -> Result<Control, ControlError> {
        let (phase, watched) = phases();
        let (publish, memberships) = watch::channel(Memberships::default());
        let (tell, status) = watch::channel(Arc::from("{}"));
        let (reporter, reports) = Reporter::new();
        let (operator, asked) = Operator::new();
        let (changes, changed) = mpsc::unbounded_channel();
        let life = move || async move {
            let keeper = Keeper::new(say, publish, tell);
            life(keeper, reports, asked, changed, watched).await
        };
        let thread = spawn_thread("control", life)?;
        let link = Link { memberships, status, reporter };
        Ok(Control { phase, thread: Some(thread), link, operator, changes })
    }

    /// Takes over a plan and waits until it is known where its endpoints are; names that have no answer by then come later. Upstreams of the same name keep
    /// their endpoints and all that is known of them; those of the plan before are served until [`Control::settle`]. `None` when the control plane has ended.
    ///
    /// Blocks for up to three seconds: not to be called by a worker.
    pub fn prepare(&self, plan: Arc<Plan>, tls: TlsContexts) -> Option<Prepared> {
        let (done, prepared) = std::sync::mpsc::sync_channel(1);
        self.changes.send(Change::Prepare { plan, tls, done }).ok()?;
        prepared.recv().ok()
    }

    /// The plan that was prepared last is served: what only earlier ones had is forgotten.
    pub fn settle(&self) {
        // A control plane that has ended has nothing left to forget.
        let _ = self.changes.send(Change::Settle);
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
    mut changes: mpsc::UnboundedReceiver<Change>,
    mut phase: PhaseWatch,
) -> io::Result<()> {
    let discovery = Discovery::new(&keeper);
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
            Some(change) = changes.recv() => match change {
                Change::Prepare { plan, tls, done } => {
                    spawn_local(prepare(Rc::clone(&keeper), Rc::clone(&discovery), plan, tls, done));
                }
                Change::Settle => keeper.forget_others(&discovery),
            },
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

/// Takes over a plan, and says so once it is known where its endpoints are and which of them are well.
async fn prepare(
    keeper: Rc<Keeper>,
    discovery: Rc<Discovery>,
    plan: Arc<Plan>,
    tls: TlsContexts,
    done: SyncSender<Prepared>,
) {
    // At the start nobody is served yet: what is known already can be checked while names are looked up.
    let is_first = keeper.charges().is_empty();
    if !is_first {
        discovery.hold();
    }
    let prepared = keeper.take(&plan, &tls, &discovery);
    if is_first {
        discovery.pass_on();
    }
    let first = async {
        discovery.all_heard().await;
        discovery.pass_on();
        keeper.schedule().decided(&keeper).await;
    };
    // Who has not answered by then comes later.
    let _ = timeout(FIRST_ANSWERS, first).await;
    discovery.pass_on();
    keeper.publish();
    keeper.renew_status();
    // Who asked may have gone.
    let _ = done.send(prepared);
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
