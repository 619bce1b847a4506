//! Threads with a runtime of their own: the workers, and the control plane.

use std::future::Future;
use std::io;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::watch;

/// How long the end of a thread waits for system calls that block.
const LINGERING: Duration = Duration::from_millis(500);

/// How far the end of the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Connections are accepted.
    Running,
    /// No new connection, idle ones close, running work is finished.
    Draining,
    /// Another process has the listening sockets: no new connection and no datagram of a client is taken any more. Idle connections stay until their next request,
    /// which is their last, because nobody has to hurry; running work is finished.
    Replaced,
    /// Everything ends now.
    Stopped,
}

/// Tells all workers the phase.
#[derive(Debug)]
pub struct PhaseControl(watch::Sender<Phase>);

/// A worker's view of the phase.
#[derive(Debug, Clone)]
pub struct PhaseWatch(watch::Receiver<Phase>);

/// A phase that begins as [`Phase::Running`].
pub fn phases() -> (PhaseControl, PhaseWatch) {
    let (sender, receiver) = watch::channel(Phase::Running);
    (PhaseControl(sender), PhaseWatch(receiver))
}

impl PhaseControl {
    /// Goes on to `phase`; an earlier phase than the present one is ignored.
    pub fn enter(&self, phase: Phase) {
        self.0.send_if_modified(|present| {
            let later = phase > *present;
            if later {
                *present = phase;
            }
            later
        });
    }
}

impl PhaseWatch {
    /// Returns once draining has begun; at once when it has. Cancel safe.
    pub async fn draining(&mut self) {
        self.reached(Phase::Draining).await;
    }

    /// Whether another process has the listening sockets.
    pub fn is_replaced(&self) -> bool {
        *self.0.borrow() == Phase::Replaced
    }

    /// Returns once everything is to end. Cancel safe.
    pub async fn stopped(&mut self) {
        self.reached(Phase::Stopped).await;
    }

    async fn reached(&mut self, phase: Phase) {
        // A control that is gone means that nobody will ever say more: end.
        let _ = self.0.wait_for(|present| *present >= phase).await;
    }
}

/// Why a worker did not start.
#[derive(Debug, thiserror::Error)]
#[error("cannot start the thread {name}: {source}")]
pub struct SpawnError {
    /// Which one.
    pub name: Box<str>,
    /// What the system said.
    pub source: io::Error,
}

/// Runs the future that `life` makes on a thread with a single-threaded runtime of its own; tasks that it spawned end with it.
///
/// # Errors
/// When the system gives no thread.
pub fn spawn_thread<F, L>(name: &str, life: L) -> Result<JoinHandle<io::Result<()>>, SpawnError>
where
    L: FnOnce() -> F + Send + 'static,
    F: Future<Output = io::Result<()>> + 'static,
{
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let runtime = Builder::new_current_thread()
                .enable_all()
                // Sockets are asked for news after this many polled tasks (61 is tokio's default).
                .event_interval(61)
                .build_local(LocalOptions::default())?;
            let ended = runtime.block_on(life());
            // A file that a disk or a network does not give must not keep the process from ending.
            runtime.shutdown_timeout(LINGERING);
            ended
        })
        .map_err(|source| SpawnError { name: name.into(), source })
}
