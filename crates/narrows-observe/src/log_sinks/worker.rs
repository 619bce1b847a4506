//! The access logs of one worker: which records each takes, and their batches.

use super::sink::{Inlet, Sink};
use crate::dates::Dates;
use crate::digits::write_number;
use crate::host::{hostname, process_id};
use crate::record_facts::RecordFacts;
use crate::{AccessRecord, Batch};
use narrows_plan::{AccessLog, LogFormat, LogTarget, Syslog};
use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;

/// A worker hands its records over at this many bytes, and at the latest with the next flush.
const BATCH_BYTES: usize = 64 << 10;
/// A step that visits all parts of 2^32 evenly: of the golden ratio.
const STEP: u32 = 0x9E37_79B9;

/// The access logs of one worker.
#[derive(Default)]
pub struct WorkerLogs {
    logs: Vec<WorkerLog>,
    asks_for_response: bool,
}

struct WorkerLog {
    settings: Arc<AccessLog>,
    inlet: Inlet,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    batch: Batch,
    dates: Dates,
    /// Where the sample is.
    point: u32,
}

impl WorkerLogs {
    pub(super) fn new<'s>(logs: impl Iterator<Item = (Arc<AccessLog>, &'s Sink)>) -> Self {
        let logs: Vec<WorkerLog> = logs
            .map(|(settings, sink)| WorkerLog { settings, inlet: sink.inlet(), state: RefCell::default() })
            .collect();
        WorkerLogs { asks_for_response: logs.iter().any(|log| log.settings.asks_for_response()), logs }
    }

    /// Whether somebody asks for the head of the endpoint's answer, which has to be kept for it.
    pub fn ask_for_response(&self) -> bool {
        self.asks_for_response
    }

    /// Adds a record to every log that takes it; never waits.
    pub fn add(&self, record: &AccessRecord<'_>) {
        for log in &self.logs {
            log.add(record);
        }
    }

    /// Hands over what has gathered; the worker calls it at every tick.
    pub fn flush(&self) {
        for log in &self.logs {
            log.flush(&mut log.state.borrow_mut());
        }
    }
}

impl WorkerLog {
    fn add(&self, record: &AccessRecord<'_>) {
        let AccessLog { when, sample, format, to } = &*self.settings;
        if let Some(when) = when
            && when.truth(&RecordFacts(record)) != Some(true)
        {
            return;
        }
        let state = &mut *self.state.borrow_mut();
        if *sample < AccessLog::ALL {
            state.point = state.point.wrapping_add(STEP);
            if (u64::from(state.point) * u64::from(AccessLog::ALL)) >> 32 >= u64::from(*sample) {
                return;
            }
        }
        let State { batch, dates, .. } = state;
        match to {
            LogTarget::Syslog(syslog) => {
                write_header(syslog, record, dates, &mut batch.bytes);
                record.write(format, dates, &mut batch.bytes);
            }
            LogTarget::Otlp => record.write(&LogFormat::Json, dates, &mut batch.bytes),
            LogTarget::Stdout | LogTarget::Stderr | LogTarget::File { .. } => {
                record.write(format, dates, &mut batch.bytes);
                batch.bytes.push(b'\n');
            }
        }
        batch.end_record();
        if batch.bytes.len() >= BATCH_BYTES {
            self.flush(state);
        }
    }

    fn flush(&self, state: &mut State) {
        if !state.batch.is_empty() {
            let batch = std::mem::take(&mut state.batch);
            state.batch = self.inlet.hand_over(batch);
        }
    }
}

impl Drop for WorkerLogs {
    fn drop(&mut self) {
        self.flush();
    }
}

impl fmt::Debug for WorkerLogs {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WorkerLogs").field("logs", &self.logs.len()).finish_non_exhaustive()
    }
}

/// The header of a syslog message (RFC 5424 section 6): `<134>1 TIME HOST APP PID access -`.
fn write_header(syslog: &Syslog, record: &AccessRecord<'_>, dates: &mut Dates, out: &mut Vec<u8>) {
    out.push(b'<');
    write_number(u64::from(syslog.facility) * 8 + u64::from(syslog.severity), out);
    out.extend_from_slice(b">1 ");
    dates.write_rfc3339(record.ended, out);
    for part in [hostname(), &syslog.app] {
        out.push(b' ');
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b' ');
    write_number(process_id().into(), out);
    out.extend_from_slice(b" access - ");
}
