//! Records of access logs on their way to the exporter.

use crate::exporter::{Entrance, Exporter, LogRecord};
use narrows_observe::{Batch, Delivered, Destination, OtlpLogs};
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Puts records into the exporter's queue.
struct LogDestination(Arc<Entrance<LogRecord>>);

impl OtlpLogs for Exporter {
    fn open(&self) -> io::Result<Box<dyn Destination>> {
        Ok(Box::new(LogDestination(self.logs())))
    }
}

impl Destination for LogDestination {
    fn deliver(&mut self, batch: &Batch) -> Delivered {
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let records: Vec<LogRecord> =
            batch.records().map(|json| LogRecord { json: json.into(), time }).collect();
        let all = records.len();
        let taken = self.0.offer(records);
        let error = (taken < all).then(|| io::Error::other("the queue to the collector is full"));
        Delivered { records: taken, error }
    }
}
