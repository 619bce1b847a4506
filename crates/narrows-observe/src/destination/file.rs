//! A file that records are appended to, opened anew when asked, and put aside by size or time.

use super::output::Output;
use super::{Delivered, Destination};
use crate::Batch;
use crate::say::say;
use narrows_plan::Rotation;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A log file.
pub(crate) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    output: Output,
    size: u64,
    /// The time of the calendar that its records belong to.
    period: u64,
}

impl LogFile {
    /// Opens it, and makes it where it is missing.
    ///
    /// # Errors
    /// When it cannot be opened for appending.
    pub(crate) fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let (file, size, modified) = open(path)?;
        let since = modified.duration_since(UNIX_EPOCH).unwrap_or_default();
        let period = rotation.every.map_or(0, |every| period(since, every));
        Ok(LogFile { path: path.to_owned(), rotation, output: Output::new(file), size, period })
    }

    /// Whether another file is to be begun before `bytes` more.
    fn is_over(&self, bytes: usize, now: u64) -> bool {
        let Rotation { size, every, .. } = self.rotation;
        let is_full = size.is_some_and(|most| self.size.saturating_add(bytes as u64) > most);
        self.size > 0 && (is_full || every.is_some() && now != self.period)
    }

    /// How many of these bytes go into the present file: whole records, as many as it has room for, one at least.
    fn room(&self, start: usize, ends: &[usize]) -> usize {
        let most = self.rotation.size.map_or(u64::MAX, |most| most.saturating_sub(self.size));
        ends.partition_point(|end| (end - start) as u64 <= most).max(1)
    }

    /// Puts the file aside, the older ones one place further, and begins another.
    fn rotate(&mut self) -> io::Result<()> {
        let keep = self.rotation.keep;
        // Those beyond, of a time when more were kept.
        for number in keep.max(1) + 1.. {
            if fs::remove_file(self.aside(number)).is_err() {
                break;
            }
        }
        for number in (1..keep).rev() {
            match fs::rename(self.aside(number), self.aside(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        match keep {
            0 => fs::remove_file(&self.path)?,
            _ => fs::rename(&self.path, self.aside(1))?,
        }
        self.reopen()
    }

    fn aside(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }
}

impl Destination for LogFile {
    fn deliver(&mut self, batch: &Batch) -> Delivered {
        let now = self.rotation.every.map_or(0, |every| {
            period(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), every)
        });
        let (mut start, mut records) = (0, 0);
        while let [first, ..] = batch.ends[records..] {
            if self.is_over(first - start, now)
                && let Err(error) = self.rotate()
            {
                say(&format!("access log: {} cannot be put aside: {error}", self.path.display()));
                // Not again with every record.
                self.size = 0;
            }
            self.period = now;
            let count = self.room(start, &batch.ends[records..]);
            let end = batch.ends[records + count - 1];
            if let Err((written, error)) = self.output.write(&batch.bytes[start..end]) {
                self.size += written as u64;
                return Delivered::up_to(start + written, batch, error);
            }
            self.size += (end - start) as u64;
            (start, records) = (end, records + count);
        }
        Delivered::all(batch)
    }

    fn reopen(&mut self) -> io::Result<()> {
        let (file, size, _) = open(&self.path)?;
        self.output = Output::new(file);
        self.size = size;
        Ok(())
    }
}

fn open(path: &Path) -> io::Result<(File, u64, SystemTime)> {
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    let metadata = file.metadata()?;
    let modified = metadata.modified().unwrap_or_else(|_| SystemTime::now());
    Ok((file, metadata.len(), modified))
}

/// Counts spans of that length since 1970.
fn period(since: Duration, every: Duration) -> u64 {
    since.as_secs() / every.as_secs().max(1)
}

#[cfg(test)]
mod tests;
