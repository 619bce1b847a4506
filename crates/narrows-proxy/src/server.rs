//! From a plan to running workers.

use crate::generation::ListenerKey;
use crate::run;
use crate::say::say;
use crate::sticky::{BadSecret, StickyStores};
use crate::worker::{Common, Place};
use narrows_control::Control;
use narrows_observe::LogSink;
use narrows_plan::{AccessLog, Bind, Plan, Protocol};
use narrows_runtime::{
    BindError, BoundSocket, Phase, PhaseControl, SpawnError, bind, bind_datagrams, phases, spawn_thread,
};
use narrows_tls::{Reloading, TlsContexts};
use socket2::Socket;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

/// A plan with all its sockets open; nothing is accepted yet.
#[derive(Debug)]
pub struct Server {
    plan: Arc<Plan>,
    tls: TlsContexts,
    stores: StickyStores,
    sink: Option<LogSink>,
    workers: Vec<Vec<(Place, Socket)>>,
    bound: Vec<Bound>,
    unix_paths: Vec<PathBuf>,
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
    /// The system gives no thread to look at the files of certificates.
    #[error("cannot watch the certificates: {0}")]
    Reloading(#[source] io::Error),
    /// The system gives no thread.
    #[error(transparent)]
    Thread(#[from] SpawnError),
}

impl Server {
    /// Opens the access log and binds every address for `workers` workers. `tls` was loaded from the plan.
    ///
    /// # Errors
    /// The first thing that cannot be had; everything else is let go of.
    pub fn bind(plan: Plan, tls: TlsContexts, workers: usize) -> Result<Server, StartError> {
        let stores = StickyStores::new(&plan)?;
        let sink = LogSink::open(&plan.settings).map_err(|source| StartError::AccessLog {
            path: match &plan.settings.access_log {
                AccessLog::File(path) => path.display().to_string(),
                other => format!("{other:?}").to_lowercase(),
            },
            source,
        })?;
        let count = workers.max(1);
        let mut server = Server {
            tls,
            stores,
            sink,
            workers: (0..count).map(|_| Vec::new()).collect(),
            bound: Vec::new(),
            unix_paths: Vec::new(),
            plan: Arc::new(plan),
        };
        let plan = Arc::clone(&server.plan);
        for (index, listener) in plan.listeners.iter().enumerate() {
            for (address, origin) in &listener.binds {
                let bound = match &listener.protocol {
                    Protocol::Http(_) | Protocol::Tcp(_) => bind(address, count),
                    Protocol::Udp(udp) => bind_datagrams(address, if udp.quic { 1 } else { count }),
                };
                let socket = bound.map_err(|source| StartError::Bind {
                    place: plan.locate(*origin),
                    listener: listener.name.to_string(),
                    source,
                })?;
                server.adopt(index, socket);
            }
        }
        Ok(server)
    }

    fn adopt(&mut self, listener: usize, socket: BoundSocket) {
        let local_port = match &socket.bind {
            Bind::Socket(address) => address.port(),
            Bind::Unix(path) => {
                self.unix_paths.push(path.clone());
                0
            }
        };
        self.bound.push(Bound {
            listener: self.plan.listeners[listener].name.to_string(),
            protocol: self.plan.listeners[listener].protocol.name(),
            address: socket.bind.to_string(),
        });
        // A socket that only one worker has goes to another one for each listener.
        let first = if socket.sockets.len() == 1 { listener % self.workers.len() } else { 0 };
        for (worker, socket) in self.workers.iter_mut().skip(first).zip(socket.sockets) {
            worker.push((Place { listener: ListenerKey(listener as u32), local_port }, socket));
        }
    }

    /// Where the listeners listen, in the order of the configuration.
    pub fn bound(&self) -> &[Bound] {
        &self.bound
    }

    /// Starts the workers.
    ///
    /// # Errors
    /// When the system gives no thread; workers that had started are stopped.
    pub fn start(mut self) -> Result<Running, StartError> {
        let (phases, phase) = phases();
        let control = Control::start(Arc::clone(&self.plan), self.tls.clone(), say)?;
        let mut running = Running {
            phases,
            control,
            threads: Vec::new(),
            sink: None,
            unix_paths: std::mem::take(&mut self.unix_paths),
            _reloading: self.tls.reload_on_change(&self.plan, say).map_err(StartError::Reloading)?,
        };
        let workers = self.workers.len();
        for (number, sockets) in std::mem::take(&mut self.workers).into_iter().enumerate() {
            let log = self.sink.as_ref().map(LogSink::worker_log);
            let common = Common {
                plan: Arc::clone(&self.plan),
                tls: self.tls.clone(),
                link: running.control.link(),
                stores: self.stores.clone(),
            };
            let phase = phase.clone();
            let life = move || run::life(number, workers, common, sockets, log, phase);
            running.threads.push(spawn_thread(&format!("worker-{number}"), life)?);
        }
        running.sink = self.sink.take();
        Ok(running)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        remove_sockets(&self.unix_paths);
    }
}

/// Running workers. Dropping it stops them at once and waits for them.
#[derive(Debug)]
pub struct Running {
    phases: PhaseControl,
    control: Control,
    threads: Vec<JoinHandle<io::Result<()>>>,
    sink: Option<LogSink>,
    unix_paths: Vec<PathBuf>,
    _reloading: Reloading,
}

impl Running {
    /// Begins a graceful stop: no new connection, idle ones are closed, running work is finished within the plan's
    /// `drain`.
    pub fn drain(&self) {
        self.phases.enter(Phase::Draining);
    }

    /// Ends everything now.
    pub fn stop(&self) {
        self.phases.enter(Phase::Stopped);
    }

    /// Whether all workers have ended.
    pub fn is_finished(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Waits until all workers have ended and the access log is written.
    pub fn wait(mut self) {
        self.join();
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            match thread.join() {
                Ok(Ok(())) => {}
                Ok(Err(error)) => say(&format!("a worker failed: {error}")),
                Err(_) => say("a worker panicked"),
            }
        }
        self.sink = None;
        remove_sockets(&std::mem::take(&mut self.unix_paths));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
        self.join();
    }
}

fn remove_sockets(paths: &[PathBuf]) {
    for path in paths {
        let _ = std::fs::remove_file(path);
    }
}
