//! Where telemetry is given, and the thread that sends it.

use crate::collector::{LOGS, TRACES, Target};
use crate::delivery::Delivery;
use crate::requests;
use narrows_observe::{Span, SpanSink};
use narrows_plan::{Otlp, OtlpProtocol, UpstreamProtocol};
use narrows_runtime::{Deadlines, Phase, PhaseControl, PhaseWatch, SpawnError, TICK, phases, spawn_thread};
use narrows_tls::Connector;
use std::io;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

/// Items of one kind that wait at most.
const WAITING: usize = 16 << 10;
/// Batches of one kind that wait at most.
const BATCHES: usize = 1 << 10;

/// A record of an access log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogRecord {
    /// The record as a JSON object; `trace_id` and `span_id` name its trace.
    pub(crate) json: Box<[u8]>,
    /// When it was written, since 1970.
    pub(crate) time: Duration,
}

/// What became of one kind of telemetry since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SignalCounts {
    /// Those that a collector took.
    pub exported: u64,
    /// Those that found no room in the queue.
    pub dropped: u64,
    /// Those that a collector had no use for.
    pub refused: u64,
    /// Those that could not be sent in time.
    pub lost: u64,
    /// Those that wait.
    pub waiting: u64,
}

/// What became of all telemetry since the process began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ExporterCounts {
    /// Spans.
    pub traces: SignalCounts,
    /// Log records.
    pub logs: SignalCounts,
}

/// Why telemetry cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// What TLS needs cannot be had.
    #[error("telemetry: {0}")]
    Tls(String),
    /// The system gives no thread.
    #[error(transparent)]
    Thread(#[from] SpawnError),
}

/// Some items on their way to the thread.
pub(crate) struct Queued<T>(pub(crate) Vec<T>);

/// The counts of one kind.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    exported: AtomicU64,
    dropped: AtomicU64,
    refused: AtomicU64,
    lost: AtomicU64,
    waiting: AtomicUsize,
}

impl Counters {
    pub(crate) fn exported(&self, count: usize) {
        self.exported.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn refused(&self, count: usize) {
        self.refused.fetch_add(count as u64, Ordering::Relaxed);
    }

    pub(crate) fn lost(&self, count: usize) {
        self.lost.fetch_add(count as u64, Ordering::Relaxed);
    }

    /// They wait no more.
    pub(crate) fn taken(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    fn read(&self) -> SignalCounts {
        SignalCounts {
            exported: self.exported.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            lost: self.lost.load(Ordering::Relaxed),
            waiting: self.waiting.load(Ordering::Relaxed) as u64,
        }
    }
}

/// One kind of telemetry on its way to the thread.
#[derive(Debug)]
pub(crate) struct Entrance<T> {
    counters: Arc<Counters>,
    sender: mpsc::Sender<Queued<T>>,
}

impl<T> Entrance<T> {
    fn new() -> (Self, mpsc::Receiver<Queued<T>>) {
        let (sender, receiver) = mpsc::channel(BATCHES);
        (Entrance { counters: Arc::default(), sender }, receiver)
    }

    /// How many were taken; the others are lost, and counted.
    pub(crate) fn offer(&self, mut items: Vec<T>) -> usize {
        let offered = items.len();
        if offered == 0 {
            return 0;
        }
        let waiting = self.counters.waiting.fetch_add(offered, Ordering::Relaxed);
        items.truncate(WAITING.saturating_sub(waiting));
        let kept = items.len();
        let taken = match kept > 0 && self.sender.try_send(Queued(items)).is_ok() {
            true => kept,
            false => 0,
        };
        self.counters.waiting.fetch_sub(offered - taken, Ordering::Relaxed);
        self.counters.dropped.fetch_add((offered - taken) as u64, Ordering::Relaxed);
        taken
    }
}

/// Sends telemetry to a collector. It has a thread only once there is one. Dropping it sends what waits, for two seconds at most.
#[derive(Debug)]
pub struct Exporter {
    spans: Entrance<Span>,
    logs: Arc<Entrance<LogRecord>>,
    targets: watch::Sender<Option<Arc<Target>>>,
    has_target: AtomicBool,
    phase: PhaseControl,
    say: fn(&str),
    thread: Mutex<Thread>,
}

/// The thread, or what it needs to begin.
#[derive(Debug)]
enum Thread {
    Waiting(Box<Queues>),
    Running(Option<JoinHandle<io::Result<()>>>),
}

/// The ends of the queues that the thread has.
#[derive(Debug)]
struct Queues {
    spans: mpsc::Receiver<Queued<Span>>,
    logs: mpsc::Receiver<Queued<LogRecord>>,
    phase: PhaseWatch,
}

impl<T> std::fmt::Debug for Queued<T> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} items", self.0.len())
    }
}

/// A collector whose files were read: it only has to be [taken](Exporter::adopt).
#[derive(Debug)]
pub struct Prepared(Option<Arc<Target>>);

impl Exporter {
    /// Without a collector: what is offered is nobody's business. `say` is given lines for the operator.
    pub fn new(say: fn(&str)) -> Arc<Self> {
        let (phase, watched) = phases();
        let ((spans, span_queue), (logs, log_queue)) = (Entrance::new(), Entrance::new());
        let queues = Queues { spans: span_queue, logs: log_queue, phase: watched };
        Arc::new(Exporter {
            spans,
            logs: Arc::new(logs),
            targets: watch::channel(None).0,
            has_target: AtomicBool::new(false),
            phase,
            say,
            thread: Mutex::new(Thread::Waiting(Box::new(queues))),
        })
    }

    /// Reads what a collector needs. The one in use stays where nothing has changed.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn prepare(&self, otlp: Option<&Otlp>) -> Result<Prepared, StartError> {
        let Some(otlp) = otlp else { return Ok(Prepared(None)) };
        if let Some(present) = &*self.targets.borrow()
            && present.otlp == *otlp
        {
            return Ok(Prepared(Some(Arc::clone(present))));
        }
        let protocol = match otlp.protocol {
            OtlpProtocol::Grpc => UpstreamProtocol::Http2,
            OtlpProtocol::Http => UpstreamProtocol::Http1,
        };
        let load = |tls| Connector::load_speaking(tls, protocol);
        let connector = otlp.tls.as_deref().map(load).transpose().map_err(|problems| {
            let told: Vec<String> = problems.iter().map(|problem| problem.message.clone()).collect();
            StartError::Tls(told.join("; "))
        })?;
        Ok(Prepared(Some(Arc::new(Target { otlp: otlp.clone(), connector: connector.map(Arc::new) }))))
    }

    /// Sends to this collector from now on.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn adopt(&self, prepared: Prepared) -> Result<(), StartError> {
        let Prepared(target) = prepared;
        if target.is_some() {
            self.begin()?;
        }
        self.has_target.store(target.is_some(), Ordering::Relaxed);
        self.targets.send_if_modified(|present| {
            let is_same = match (&*present, &target) {
                (Some(one), Some(other)) => Arc::ptr_eq(one, other),
                (None, None) => true,
                _ => false,
            };
            if !is_same {
                present.clone_from(&target);
            }
            !is_same
        });
        Ok(())
    }

    fn begin(&self) -> Result<(), StartError> {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*thread, Thread::Running(_)) {
            return Ok(());
        }
        let Thread::Waiting(queues) = std::mem::replace(&mut *thread, Thread::Running(None)) else {
            return Ok(());
        };
        let (targets, say) = (self.targets.subscribe(), self.say);
        let counters = (Arc::clone(&self.spans.counters), Arc::clone(&self.logs.counters));
        let life = move || life(*queues, targets, counters, say);
        *thread = Thread::Running(Some(spawn_thread("telemetry", life)?));
        Ok(())
    }

    /// Where log records go in.
    pub(crate) fn logs(&self) -> Arc<Entrance<LogRecord>> {
        Arc::clone(&self.logs)
    }

    /// What became of everything that was offered.
    pub fn counts(&self) -> ExporterCounts {
        ExporterCounts { traces: self.spans.counters.read(), logs: self.logs.counters.read() }
    }
}

impl SpanSink for Exporter {
    fn offer(&self, spans: Vec<Span>) {
        if self.has_target.load(Ordering::Relaxed) {
            self.spans.offer(spans);
        }
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        self.phase.enter(Phase::Stopped);
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        if let Thread::Running(thread) = &mut *thread
            && let Some(thread) = thread.take()
        {
            let _ = thread.join();
        }
    }
}

/// The life of the thread.
async fn life(
    queues: Queues,
    targets: watch::Receiver<Option<Arc<Target>>>,
    (spans, logs): (Arc<Counters>, Arc<Counters>),
    say: fn(&str),
) -> io::Result<()> {
    let deadlines = Deadlines::new();
    let ticking = tokio::task::spawn_local({
        let deadlines = Rc::clone(&deadlines);
        async move {
            loop {
                tokio::time::sleep(TICK).await;
                deadlines.sweep();
            }
        }
    });
    let spans = Delivery {
        queue: queues.spans,
        targets: targets.clone(),
        counters: spans,
        service: TRACES,
        encode: requests::spans,
        deadlines: Rc::clone(&deadlines),
        phase: queues.phase.clone(),
        say,
        what: "spans",
    };
    let logs = Delivery {
        queue: queues.logs,
        targets,
        counters: logs,
        service: LOGS,
        encode: requests::logs,
        deadlines,
        phase: queues.phase,
        say,
        what: "log records",
    };
    tokio::join!(spans.life(), logs.life());
    ticking.abort();
    Ok(())
}

#[cfg(test)]
mod tests;
