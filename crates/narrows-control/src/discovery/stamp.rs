//! Whether a file has changed.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// Two writes within this time may look the same from outside.
const YOUNG: Duration = Duration::from_secs(2);

/// What changes when a file does. Links are followed, so that a link that points elsewhere is a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
    /// Whether it is a file that can be read without waiting for somebody to write.
    pub(super) is_regular: bool,
}

impl Stamp {
    /// The present one; `None` when there is no file, or none that may be seen.
    pub(super) fn of(path: &Path) -> Option<Stamp> {
        let found = std::fs::metadata(path).ok()?;
        let (device, inode) = (found.dev(), found.ino());
        let is_regular = found.is_file();
        Some(Stamp { device, inode, length: found.len(), modified: found.modified().ok(), is_regular })
    }

    /// Whether the file was written so lately that another write might not show.
    pub(super) fn is_young(&self) -> bool {
        let age = self.modified.and_then(|modified| modified.elapsed().ok());
        age.is_none_or(|age| age < YOUNG)
    }
}
