//! The way of access records to their file.

use crate::access_record::{AccessRecord, WrittenDate};
use narrows_plan::{AccessLog as Destination, LogFormat, Settings};
use std::cell::RefCell;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// A worker hands its records over at this many bytes, and at the latest with the next flush.
const BATCH_BYTES: usize = 64 << 10;
/// Batches that may wait for the disk; beyond that records are dropped and counted rather than traffic stopped.
const WAITING_BATCHES: usize = 256;

/// The thread that writes; one for the process.
#[derive(Debug)]
pub struct LogSink {
    sender: Option<SyncSender<Vec<u8>>>,
    format: LogFormat,
    thread: Option<JoinHandle<()>>,
}

impl LogSink {
    /// Opens the destination; `None` when the access log is off.
    ///
    /// # Errors
    /// When the file cannot be opened for appending or no thread is given.
    pub fn open(settings: &Settings) -> io::Result<Option<LogSink>> {
        let destination: Box<dyn Write + Send> = match &settings.access_log {
            Destination::Off => return Ok(None),
            Destination::Stdout => Box::new(io::stdout()),
            Destination::Stderr => Box::new(io::stderr()),
            Destination::File(path) => Box::new(OpenOptions::new().create(true).append(true).open(path)?),
        };
        let (sender, receiver) = sync_channel(WAITING_BATCHES);
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_batches(destination, &receiver))?;
        Ok(Some(LogSink { sender: Some(sender), format: settings.log_format, thread: Some(thread) }))
    }

    /// The log of one worker.
    pub fn worker_log(&self) -> AccessLog {
        AccessLog { sender: self.sender.clone(), format: self.format, state: RefCell::default() }
    }
}

impl Drop for LogSink {
    /// Waits until everything that the workers handed over is written.
    fn drop(&mut self) {
        self.sender = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn write_batches(mut destination: Box<dyn Write + Send>, receiver: &Receiver<Vec<u8>>) {
    let mut failing = false;
    for batch in receiver {
        let written = destination.write_all(&batch).and_then(|()| destination.flush());
        match written {
            Err(error) if !failing => {
                eprintln!("narrows: access log: {error}; records are lost until it can be written again");
                failing = true;
            }
            Err(_) => {}
            Ok(()) => failing = false,
        }
    }
}

/// The access log of one worker.
#[derive(Debug)]
pub struct AccessLog {
    sender: Option<SyncSender<Vec<u8>>>,
    format: LogFormat,
    state: RefCell<State>,
}

#[derive(Debug, Default)]
struct State {
    batch: Vec<u8>,
    date: WrittenDate,
    dropped: u64,
}

impl AccessLog {
    /// Adds a record; never waits.
    pub fn add(&self, record: &AccessRecord<'_>) {
        let full = {
            let mut state = self.state.borrow_mut();
            let State { batch, date, .. } = &mut *state;
            record.write(self.format, date, batch);
            state.batch.len() >= BATCH_BYTES
        };
        if full {
            self.flush();
        }
    }

    /// Hands over what has gathered; the worker calls it at every tick.
    pub fn flush(&self) {
        let mut state = self.state.borrow_mut();
        if state.batch.is_empty() {
            return;
        }
        if state.dropped > 0 {
            let dropped = state.dropped;
            eprintln!(
                "narrows: access log: {dropped} batches of records were dropped, the destination is too slow"
            );
            state.dropped = 0;
        }
        let batch = std::mem::take(&mut state.batch);
        if let Some(sender) = &self.sender {
            match sender.try_send(batch) {
                Ok(()) => state.batch.reserve(BATCH_BYTES + 1024),
                Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => state.dropped += 1,
            }
        }
    }
}

impl Drop for AccessLog {
    fn drop(&mut self) {
        self.flush();
    }
}
