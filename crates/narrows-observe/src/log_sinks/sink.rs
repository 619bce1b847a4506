//! A destination, the thread that serves it, and what it has lost.

use super::{LogLoss, OtlpLogs, name};
use crate::Batch;
use crate::destination::{Delivered, Destination, LogFile, Output, SyslogServer};
use crate::say::say;
use narrows_plan::LogTarget;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, SyncSender, TrySendError, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Batches that may wait for a destination; beyond that records are lost and counted rather than traffic stopped.
const WAITING_BATCHES: usize = 256;
/// Empty batches that are kept for the next records.
const SPARE_BATCHES: usize = 16;
/// How long the end of the process waits for what is not written yet.
const LAST_WAIT: Duration = Duration::from_secs(5);
/// The shortest time between two lines about records that were lost.
const REPORT_EVERY: Duration = Duration::from_secs(10);

/// What the thread is sent.
enum Message {
    Batch(Batch),
    /// There is something to do besides: see [`Shared`].
    Look,
}

/// What thread and workers share.
#[derive(Default)]
struct Shared {
    written: AtomicU64,
    lost: AtomicU64,
    is_failing: AtomicBool,
    reopen: AtomicBool,
    spare: Mutex<Vec<Batch>>,
}

/// A destination.
pub(super) struct Sink {
    pub(super) target: LogTarget,
    sender: Option<SyncSender<Message>>,
    shared: Arc<Shared>,
    /// Closed once the thread has ended.
    ended: Mutex<Receiver<()>>,
    is_retired: AtomicBool,
}

impl Sink {
    /// Opens the destination and starts its thread.
    ///
    /// # Errors
    /// When it cannot be opened, or no thread is given.
    pub(super) fn open(target: &LogTarget, otlp: Option<&dyn OtlpLogs>) -> io::Result<Self> {
        let destination: Box<dyn Destination> = match target {
            LogTarget::Stdout => Box::new(Output::stdout()?),
            LogTarget::Stderr => Box::new(Output::stderr()?),
            LogTarget::File { path, rotation } => Box::new(LogFile::open(path, *rotation)?),
            LogTarget::Syslog(syslog) => Box::new(SyslogServer::new(syslog.to.clone())),
            LogTarget::Otlp => match otlp {
                Some(otlp) => otlp.open()?,
                None => return Err(io::Error::other("there is no collector in `telemetry.otlp`")),
            },
        };
        Sink::start(target.clone(), destination)
    }

    /// Starts the thread of a destination.
    pub(super) fn start(target: LogTarget, destination: Box<dyn Destination>) -> io::Result<Self> {
        let (sender, receiver) = sync_channel(WAITING_BATCHES);
        let (end, ended) = channel();
        let shared = Arc::new(Shared::default());
        let thread = Thread {
            name: name(&target),
            destination,
            shared: Arc::clone(&shared),
            reported: 0,
            reported_at: None,
            _end: end,
        };
        std::thread::Builder::new().name("access-log".into()).spawn(move || thread.life(&receiver))?;
        let ended = Mutex::new(ended);
        Ok(Sink { target, sender: Some(sender), shared, ended, is_retired: AtomicBool::new(false) })
    }

    /// A way to it for one worker.
    pub(super) fn inlet(&self) -> Inlet {
        Inlet { sender: self.sender.clone(), shared: Arc::clone(&self.shared) }
    }

    /// No configuration has it any more: nobody waits for its end.
    pub(super) fn retire(&self) {
        self.is_retired.store(true, Relaxed);
    }

    pub(super) fn reopen(&self) {
        self.shared.reopen.store(true, Relaxed);
        if let Some(sender) = &self.sender {
            // One that is full looks with the next batch.
            let _ = sender.try_send(Message::Look);
        }
    }

    pub(super) fn loss(&self) -> LogLoss {
        LogLoss {
            target: name(&self.target),
            written: self.shared.written.load(Relaxed),
            lost: self.shared.lost.load(Relaxed),
            is_failing: self.shared.is_failing.load(Relaxed),
        }
    }
}

impl Drop for Sink {
    /// Waits a while for what the workers handed over.
    fn drop(&mut self) {
        self.sender = None;
        if !self.is_retired.load(Relaxed) {
            let ended = self.ended.get_mut().unwrap_or_else(PoisonError::into_inner);
            let _ = ended.recv_timeout(LAST_WAIT);
        }
    }
}

/// A worker's way to a sink.
pub(super) struct Inlet {
    sender: Option<SyncSender<Message>>,
    shared: Arc<Shared>,
}

impl Inlet {
    /// Hands a batch over, never waits, and gives an empty one for the next records.
    pub(super) fn hand_over(&self, batch: Batch) -> Batch {
        let refused = match self.sender.as_ref().map(|sender| sender.try_send(Message::Batch(batch))) {
            Some(Err(TrySendError::Full(message) | TrySendError::Disconnected(message))) => message,
            _ => return self.spare(),
        };
        let Message::Batch(mut batch) = refused else { return Batch::default() };
        self.shared.lost.fetch_add(batch.len() as u64, Relaxed);
        batch.clear();
        batch
    }

    fn spare(&self) -> Batch {
        let spare = self.shared.spare.try_lock().ok().and_then(|mut spare| spare.pop());
        spare.unwrap_or_default()
    }
}

/// The thread of a destination.
struct Thread {
    name: String,
    destination: Box<dyn Destination>,
    shared: Arc<Shared>,
    /// Lost records that the operator was told of.
    reported: u64,
    reported_at: Option<Instant>,
    _end: Sender<()>,
}

impl Thread {
    fn life(mut self, receiver: &Receiver<Message>) {
        for message in receiver {
            if self.shared.reopen.swap(false, Relaxed)
                && let Err(error) = self.destination.reopen()
            {
                say(&format!("access log: {} cannot be opened anew: {error}", self.name));
            }
            if let Message::Batch(batch) = message {
                let delivered = self.destination.deliver(&batch);
                self.count(&batch, delivered);
                self.put_by(batch);
            }
        }
        self.report(true);
    }

    fn count(&mut self, batch: &Batch, delivered: Delivered) {
        let Shared { written, lost, is_failing, .. } = &*self.shared;
        let missing = batch.len().saturating_sub(delivered.records);
        written.fetch_add(delivered.records as u64, Relaxed);
        lost.fetch_add(missing as u64, Relaxed);
        match delivered.error {
            Some(error) if !is_failing.swap(true, Relaxed) => {
                say(&format!(
                    "access log: {}: {error}; records are lost until it can be written again",
                    self.name
                ));
            }
            Some(_) => {}
            None => {
                let has_recovered = is_failing.swap(false, Relaxed);
                self.report(has_recovered);
            }
        }
    }

    /// Says how many records were lost, but not all the time.
    fn report(&mut self, now: bool) {
        let lost = self.shared.lost.load(Relaxed);
        let has_rested = self.reported_at.is_none_or(|last| last.elapsed() >= REPORT_EVERY);
        if lost > self.reported && (now || has_rested) {
            say(&format!("access log: {}: {} records were lost", self.name, lost - self.reported));
            (self.reported, self.reported_at) = (lost, Some(Instant::now()));
        }
    }

    /// Keeps the memory of a batch.
    fn put_by(&self, mut batch: Batch) {
        batch.clear();
        let mut spare = self.shared.spare.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_BATCHES {
            spare.push(batch);
        }
    }
}
