//! The access logs of the process: one thread for each destination, which workers hand batches of records to.
//!
//! Nothing of this waits: a destination that is slow or gone costs records, which are counted.

mod sink;
mod worker;

use crate::destination::Destination;
use narrows_plan::{AccessLog, LogTarget, Settings};
use sink::Sink;
use std::fmt;
use std::io;
use std::sync::Arc;

pub use worker::WorkerLogs;

/// Makes the destination of records that go to an OpenTelemetry collector.
pub trait OtlpLogs: Send + Sync {
    /// A destination that is given records as JSON objects.
    ///
    /// # Errors
    /// When there is none.
    fn open(&self) -> io::Result<Box<dyn Destination>>;
}

/// An access log that cannot be opened.
#[derive(Debug)]
pub struct CannotOpen {
    /// Where it was to go.
    pub target: String,
    /// What the system said.
    pub source: io::Error,
}

/// What a destination has done since it was opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLoss {
    /// `stdout`, the path of a file, the address of a syslog server.
    pub target: String,
    /// Records that got there.
    pub written: u64,
    /// Records that did not.
    pub lost: u64,
    /// Whether the last batch did not get there whole.
    pub is_failing: bool,
}

/// All access logs. A clone is another handle on the same ones; with the last, what waits is written.
#[derive(Clone, Default)]
pub struct LogSinks {
    logs: Arc<[Log]>,
}

#[derive(Clone)]
struct Log {
    settings: Arc<AccessLog>,
    sink: Arc<Sink>,
}

impl LogSinks {
    /// Opens every access log.
    ///
    /// # Errors
    /// The first that cannot be opened; the others are closed again.
    pub fn open(settings: &Settings, otlp: Option<&dyn OtlpLogs>) -> Result<LogSinks, CannotOpen> {
        LogSinks::default().renew(settings, otlp)
    }

    /// The access logs of another configuration. Destinations that it has as well are the same ones and stay open; the others are opened. Those
    /// that it has no more end by themselves, once everybody has let go of these logs and all is written.
    ///
    /// # Errors
    /// The first that cannot be opened; then nothing has changed.
    pub fn renew(&self, settings: &Settings, otlp: Option<&dyn OtlpLogs>) -> Result<LogSinks, CannotOpen> {
        let mut logs: Vec<Log> = Vec::with_capacity(settings.access_logs.len());
        for log in &settings.access_logs {
            let known = logs.iter().chain(&*self.logs).find(|known| known.sink.target == log.to);
            let sink = match known {
                Some(known) => Arc::clone(&known.sink),
                None => Arc::new(
                    Sink::open(&log.to, otlp)
                        .map_err(|source| CannotOpen { target: name(&log.to), source })?,
                ),
            };
            logs.push(Log { settings: Arc::new(log.clone()), sink });
        }
        for old in self.logs.iter().filter(|old| !logs.iter().any(|log| Arc::ptr_eq(&log.sink, &old.sink))) {
            old.sink.retire();
        }
        Ok(LogSinks { logs: logs.into() })
    }

    /// The logs of one worker.
    pub fn worker_logs(&self) -> WorkerLogs {
        WorkerLogs::new(self.logs.iter().map(|log| (Arc::clone(&log.settings), &*log.sink)))
    }

    /// Has every file opened anew with the next batch, at the latest when it comes: who moved one away gets another.
    pub fn reopen(&self) {
        self.logs.iter().for_each(|log| log.sink.reopen());
    }

    /// What each destination has written and lost.
    pub fn losses(&self) -> Vec<LogLoss> {
        let mut losses: Vec<LogLoss> = Vec::new();
        for log in &*self.logs {
            let loss = log.sink.loss();
            if !losses.iter().any(|known| known.target == loss.target) {
                losses.push(loss);
            }
        }
        losses
    }
}

impl fmt::Debug for LogSinks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_list().entries(self.logs.iter().map(|log| name(&log.settings.to))).finish()
    }
}

/// What a destination is called.
fn name(target: &LogTarget) -> String {
    use narrows_plan::SyslogAddress;
    match target {
        LogTarget::Stdout => "stdout".into(),
        LogTarget::Stderr => "stderr".into(),
        LogTarget::File { path, .. } => path.display().to_string(),
        LogTarget::Syslog(syslog) => match &syslog.to {
            SyslogAddress::Udp(address) => format!("udp://{address}"),
            SyslogAddress::Tcp(address) => format!("tcp://{address}"),
            SyslogAddress::Unix(path) => format!("unix:{}", path.display()),
        },
        LogTarget::Otlp => "otlp".into(),
    }
}

#[cfg(test)]
mod tests;
