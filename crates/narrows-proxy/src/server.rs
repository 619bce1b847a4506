//! From a plan to running workers, and from one plan to the next.

use crate::configuration::{Configuration, ListenerKeys};
use crate::explain::{Ask, BadKey, ExplainKey, Listening, Taps, TooManyTaps};
use crate::metering::{self, Reloads};
use crate::pulse::Pulse;
use crate::run::{self, Given};
use crate::say::say;
use crate::sockets::Sockets;
use crate::sticky::{BadSecret, StickyStores};
use narrows_control::{Control, Operator};
use narrows_observe::metrics::Hits;
use narrows_observe::{CannotOpen, LogLoss, LogSinks, OtlpLogs, SpanSink};
use narrows_plan::Plan;
use narrows_runtime::{
    BindError, Identity, Passed, Passing, Phase, PhaseControl, SpawnError, phases, spawn_thread,
};
use narrows_tls::{Reloading, TlsContexts};
use socket2::Socket;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::SystemTime;
use tokio::sync::watch;

/// Who takes telemetry for an OpenTelemetry collector, where anybody does.
#[derive(Clone, Default)]
pub struct Telemetry {
    /// Spans.
    pub spans: Option<Arc<dyn SpanSink>>,
    /// Records of the access logs that go there.
    pub logs: Option<Arc<dyn OtlpLogs>>,
}

impl Telemetry {
    /// Who takes log records, where the plan has a collector.
    fn logs_of(&self, plan: &Plan) -> Option<&dyn OtlpLogs> {
        self.logs.as_deref().filter(|_| plan.otlp.is_some())
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Telemetry { spans, logs } = self;
        write!(formatter, "Telemetry {{ spans: {}, logs: {} }}", spans.is_some(), logs.is_some())
    }
}

/// A plan with all its sockets open; nothing is accepted yet.
#[derive(Debug)]
pub struct Server {
    plan: Arc<Plan>,
    tls: TlsContexts,
    stores: StickyStores,
    explain: Option<Arc<ExplainKey>>,
    logs: LogSinks,
    workers: usize,
    keys: ListenerKeys,
    listeners: Arc<[Option<usize>]>,
    sockets: Sockets,
    passed: Sockets,
    telemetry: Telemetry,
}

/// Where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// Name of the listener.
    pub listener: String,
    /// `http`, `tcp`, `udp` or `quic`.
    pub protocol: &'static str,
    /// The address, with the real port where 0 was asked for.
    pub address: String,
}

impl fmt::Display for Bound {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bound { listener, protocol, address } = self;
        write!(formatter, "{address} (listener {listener}, {protocol})")
    }
}

/// Why a plan could not be started. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("{place}: listener {listener}: {source}")]
    Bind {
        /// `file:line:column`.
        place: String,
        /// The listener.
        listener: String,
        /// The address and what the system said.
        source: BindError,
    },
    /// The access log cannot be opened.
    #[error("cannot open the access log {path}: {source}")]
    AccessLog {
        /// The destination.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The key of signed cookies cannot be had.
    #[error(transparent)]
    Secret(#[from] BadSecret),
    /// The key of headers that let a request be explained cannot be had.
    #[error("{place}: explain: {}: {source}", .path.display())]
    ExplainKey {
        /// `file:line:column`.
        place: String,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: BadKey,
    },
    /// The system gives no thread to look at the files of certificates.
    #[error("cannot watch the certificates: {0}")]
    Reloading(#[source] io::Error),
    /// More than one of these.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
    Several(Vec<StartError>),
    /// The system gives no thread.
    #[error(transparent)]
    Thread(#[from] SpawnError),
    /// The control plane has ended, which it never should.
    #[error("the control plane has ended")]
    ControlEnded,
}

impl StartError {
    /// All of them as one; nothing, where there is none.
    pub(crate) fn of_all(mut all: Vec<StartError>) -> Result<(), StartError> {
        match all.len() {
            0 => Ok(()),
            1 => all.pop().map_or(Ok(()), Err),
            _ => Err(StartError::Several(all)),
        }
    }
}

impl Server {
    /// Opens the access log and binds every address for `workers` workers. `tls` was loaded from the plan.
    ///
    /// # Errors
    /// What cannot be had: of files all, then of addresses all. Everything else is let go of.
    pub fn bind(plan: Plan, tls: TlsContexts, workers: usize) -> Result<Server, StartError> {
        Server::bind_with(plan, tls, workers, Vec::new(), Telemetry::default())
    }

    /// The same with sockets that were passed on to this process: those that the plan listens on are used, the others stay as they are until
    /// [`Running::own_sockets`].
    ///
    /// # Errors
    /// As for [`Server::bind`]; whoever passed the sockets on can go on with them.
    pub fn bind_with(
        plan: Plan,
        tls: TlsContexts,
        workers: usize,
        passed: Vec<Passed>,
        telemetry: Telemetry,
    ) -> Result<Server, StartError> {
        let stores = StickyStores::new(&plan, None).map_err(StartError::from);
        let explain = explain_key(&plan);
        let logs = LogSinks::open(&plan.settings, telemetry.logs_of(&plan)).map_err(StartError::from);
        let (stores, explain, logs) = match (stores, explain, logs) {
            (Ok(stores), Ok(explain), Ok(logs)) => (stores, explain, logs),
            (stores, explain, logs) => {
                let all = [stores.err(), explain.err(), logs.err()];
                return Err(StartError::Several(all.into_iter().flatten().collect()));
            }
        };
        let workers = workers.max(1);
        let mut keys = ListenerKeys::default();
        let named = keys.of(&plan);
        let mut passed = Sockets::of_passed(passed);
        let sockets = passed.renew(&plan, &named, workers)?;
        passed.forget_shared();
        let sockets = sockets.settle(&plan, workers);
        let listeners = keys.places(&named);
        Ok(Server {
            plan: Arc::new(plan),
            tls,
            stores,
            explain,
            logs,
            workers,
            keys,
            listeners,
            sockets,
            passed,
            telemetry,
        })
    }

    /// Gives every socket to a user, so that a process of that user can bind further ones beside them.
    ///
    /// # Errors
    /// What the system said.
    pub fn give_sockets(&self, identity: &Identity) -> io::Result<()> {
        self.sockets.give_to(identity)
    }

    /// Where the listeners listen, in the order of the configuration.
    pub fn bound(&self) -> Vec<Bound> {
        self.sockets.bound()
    }

    /// Starts the control plane and the workers, once it is known where the endpoints are.
    ///
    /// # Errors
    /// When the system gives no thread; workers that had started are stopped.
    pub fn start(self) -> Result<Running, StartError> {
        let Server { plan, tls, stores, explain, logs, workers, keys, listeners, sockets, passed, telemetry } =
            self;
        let (phases, phase) = phases();
        let control = Control::start(say)?;
        let prepared = control.prepare(Arc::clone(&plan), tls.clone()).ok_or(StartError::ControlEnded)?;
        let reloading = tls.reload_on_change(&plan, say).map_err(StartError::Reloading)?;
        let metrics = metering::metrics(&plan, workers, None);
        let present = Arc::new(Configuration {
            number: 1,
            plan,
            tls,
            stores,
            explain,
            prepared,
            listeners,
            sockets,
            logs,
            metrics,
            since: SystemTime::now(),
        });
        let (publish, configurations) = watch::channel(present);
        let link = control.link();
        let running = Running {
            phases,
            control,
            threads: Mutex::default(),
            workers,
            publish,
            taps: Taps::default(),
            changing: Mutex::new(Changing { keys, _reloading: reloading }),
            pulse: Pulse::new(workers),
            passed: Mutex::new(Some(passed)),
            reloads: Reloads::default(),
            telemetry,
        };
        for number in 0..workers {
            let (configurations, link, phase) = (configurations.clone(), link.clone(), phase.clone());
            let (pulse, taps) = (running.pulse.clone(), running.taps.clone());
            let spans = running.telemetry.spans.clone();
            let given = Given { number, workers, configurations, link, taps, pulse, phase, spans };
            let life = move || run::life(given);
            let thread = spawn_thread(&format!("worker-{number}"), life)?;
            running.threads().push(thread);
        }
        Ok(running)
    }
}

/// The key of headers that let a request be explained, where one is named.
fn explain_key(plan: &Plan) -> Result<Option<Arc<ExplainKey>>, StartError> {
    let Some(explain) = &plan.explain else { return Ok(None) };
    let bad = |source| StartError::ExplainKey {
        place: plan.locate(explain.secret.origin),
        path: explain.secret.path.clone(),
        source,
    };
    Ok(Some(Arc::new(ExplainKey::read(&explain.secret.path).map_err(bad)?)))
}

/// Running workers. Dropping it stops them at once and waits for them.
#[derive(Debug)]
pub struct Running {
    phases: PhaseControl,
    control: Control,
    threads: Mutex<Vec<JoinHandle<io::Result<()>>>>,
    workers: usize,
    publish: watch::Sender<Arc<Configuration>>,
    taps: Taps,
    changing: Mutex<Changing>,
    pulse: Pulse,
    /// Sockets that were passed on and that nobody here listens with.
    passed: Mutex<Option<Sockets>>,
    reloads: Reloads,
    telemetry: Telemetry,
}

/// What only a change of the configuration touches.
#[derive(Debug)]
struct Changing {
    keys: ListenerKeys,
    _reloading: Reloading,
}

impl Running {
    /// Serves another plan from now on. New requests, flows and sessions belong to it, what runs ends as it began; idle connections stay where their listener does.
    /// Upstreams keep their endpoints with all that is known of them, and those that workers use alike keep connections and queues. `tls` was loaded from the plan.
    ///
    /// Blocks until the endpoints of new upstreams are known, for three seconds at most. Two changes at one time follow each other. The number of workers stays.
    ///
    /// # Errors
    /// What cannot be had; then nothing has changed.
    pub fn apply(&self, plan: Arc<Plan>, tls: TlsContexts) -> Result<(), StartError> {
        let mut changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let before = Arc::clone(&self.publish.borrow());
        let stores = StickyStores::new(&plan, Some((&before.plan, &before.stores)))?;
        let explain = explain_key(&plan)?;
        let named = changing.keys.of(&plan);
        let sockets = before.sockets.renew(&plan, &named, self.workers)?;
        let listeners = changing.keys.places(&named);
        let reloading = tls.reload_on_change(&plan, say).map_err(StartError::Reloading)?;
        let logs = before.logs.renew(&plan.settings, self.telemetry.logs_of(&plan))?;
        let prepared =
            self.control.prepare(Arc::clone(&plan), tls.clone()).ok_or(StartError::ControlEnded)?;
        let metrics = metering::metrics(&plan, self.workers, before.metrics.as_ref());
        self.publish.send_replace(Arc::new(Configuration {
            number: before.number + 1,
            plan,
            tls,
            stores,
            explain,
            prepared,
            listeners,
            sockets,
            logs,
            metrics,
            since: SystemTime::now(),
        }));
        self.control.settle();
        changing._reloading = reloading;
        Ok(())
    }

    /// The sockets, for a process that is to take over.
    pub fn passing(&self) -> Vec<Passing<Arc<Socket>>> {
        self.publish.borrow().sockets.passing()
    }

    /// The sockets are this process' alone: the one that had passed them on has stopped to use them. Those that nobody listens with are closed.
    pub fn own_sockets(&self) {
        let unused = self.passed.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.publish.borrow().sockets.own();
        if let Some(unused) = unused {
            unused.own();
        }
    }

    /// Another process has taken over: no new connection and no datagram of a client any more, and the files of Unix sockets stay. Running work is finished
    /// within the plan's `drain`, idle connections end with their next request.
    pub fn hand_over(&self) {
        self.publish.borrow().sockets.disown();
        self.phases.enter(Phase::Replaced);
    }

    /// Whether the workers live.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }

    /// Opens the files of the access logs anew, for who moved them away.
    pub fn reopen_logs(&self) {
        self.publish.borrow().logs.reopen();
    }

    /// What each access log has written and lost.
    pub fn log_losses(&self) -> Vec<LogLoss> {
        self.publish.borrow().logs.losses()
    }

    /// All metrics in the format that a scraper asks for with `Accept`: content type and body. `None` where nothing is counted. Takes milliseconds where
    /// there are thousands of series; no worker waits for it.
    pub fn scrape(&self, accept: Option<&str>) -> Option<(&'static str, Vec<u8>)> {
        let configuration = Arc::clone(&self.publish.borrow());
        let memberships = Arc::clone(&self.control.link().memberships.borrow());
        metering::scrape(&configuration, &memberships, &self.reloads, accept)
    }

    /// How many requests, flows and sessions each route has taken since the start, by listener and route; `None` where nothing is counted.
    pub fn hits(&self) -> Option<Hits> {
        Some(self.publish.borrow().metrics.as_ref()?.hits())
    }

    /// Counts a configuration that was not taken.
    pub fn note_refused_reload(&self) {
        self.reloads.refused();
    }

    /// Has requests, flows and sessions explained that begin from now on, until the result is dropped. Costs those that nobody asks for a look at one
    /// value.
    ///
    /// # Errors
    /// When too many ask already.
    pub fn explain(&self, ask: Ask) -> Result<Listening, TooManyTaps> {
        self.taps.ask(ask)
    }

    /// Headers for an explanation that granted nothing, since the configuration is in force.
    pub fn refused_explanations(&self) -> u64 {
        self.publish.borrow().explain.as_ref().map_or(0, |key| key.refused())
    }

    /// How many workers there are.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Counts the configurations that were served, from 1.
    pub fn number(&self) -> u64 {
        self.publish.borrow().number
    }

    /// What the plan that is served needs for TLS.
    pub fn tls(&self) -> TlsContexts {
        self.publish.borrow().tls.clone()
    }

    /// The operator's way to the control plane.
    pub fn operator(&self) -> Operator {
        self.control.operator()
    }

    /// The plan that is served.
    pub fn plan(&self) -> Arc<Plan> {
        Arc::clone(&self.publish.borrow().plan)
    }

    /// Where the listeners listen, in the order of the configuration.
    pub fn bound(&self) -> Vec<Bound> {
        self.publish.borrow().sockets.bound()
    }

    /// Begins a graceful stop: no new connection, idle ones are closed, running work is finished within the plan's
    /// `drain`.
    pub fn drain(&self) {
        self.phases.enter(Phase::Draining);
        // Nobody accepts any more: who connects is to be refused.
        self.publish.send_modify(|present| Arc::make_mut(present).sockets = Sockets::default());
    }

    /// Ends everything now.
    pub fn stop(&self) {
        self.phases.enter(Phase::Stopped);
    }

    /// Whether all workers have ended.
    pub fn is_finished(&self) -> bool {
        self.threads().iter().all(JoinHandle::is_finished)
    }

    /// Waits until all workers have ended and the access log is written.
    pub fn wait(&self) {
        let threads = std::mem::take(&mut *self.threads());
        for thread in threads {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => say(&format!("a worker failed: {error}")),
                Err(_) => say("a worker panicked"),
            }
        }
        // With the last handle on them, what waits is written.
        self.publish.send_modify(|present| Arc::make_mut(present).logs = LogSinks::default());
    }

    fn threads(&self) -> MutexGuard<'_, Vec<JoinHandle<io::Result<()>>>> {
        self.threads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        self.wait();
    }
}

impl From<CannotOpen> for StartError {
    fn from(CannotOpen { target, source }: CannotOpen) -> Self {
        StartError::AccessLog { path: target, source }
    }
}
