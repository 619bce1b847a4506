//! Where a sink's thread puts records.

mod file;
mod output;
mod syslog;

use crate::Batch;
use std::io;

pub(crate) use file::LogFile;
pub(crate) use output::Output;
pub(crate) use syslog::SyslogServer;

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Records that got there; the others of the batch are lost.
    pub records: usize,
    /// Why some did not.
    pub error: Option<io::Error>,
}

impl Delivered {
    /// Every record got there.
    pub fn all(batch: &Batch) -> Self {
        Delivered { records: batch.len(), error: None }
    }

    /// Only those got there that end within the first `bytes` of the batch.
    pub(crate) fn up_to(bytes: usize, batch: &Batch, error: io::Error) -> Self {
        Delivered { records: batch.ends.partition_point(|end| *end <= bytes), error: Some(error) }
    }
}

/// A place for records. It lives on a thread of its own and may block there; what comes meanwhile waits in a bounded queue, and then is lost and
/// counted. After a failure it is given the next batch all the same, and may work again.
pub trait Destination: Send {
    /// Puts a batch there.
    fn deliver(&mut self, batch: &Batch) -> Delivered;

    /// Opens it anew, where others may have moved it away.
    ///
    /// # Errors
    /// When that fails; it goes on as it was.
    fn reopen(&mut self) -> io::Result<()> {
        Ok(())
    }
}
