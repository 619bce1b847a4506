//! What holds for the whole process.

use crate::{AccessLog, File, Origin, defaults};
use serde::Serialize;
use std::time::Duration;

/// Process-wide settings.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Settings {
    /// Number of workers; `None` means one per core.
    pub workers: Option<usize>,
    /// How long a graceful stop waits for running work.
    pub drain: Duration,
    /// Where access records go, and how; none where nothing is recorded.
    pub access_logs: Vec<AccessLog>,
    /// Where this process stands; see [`Balancing::prefers_zone`](crate::Balancing::prefers_zone).
    pub zone: Option<Box<str>>,
    /// The user that the process becomes once its sockets are bound.
    pub user: Option<Account>,
    /// The group that the process becomes once its sockets are bound; the user's own where there is none.
    pub group: Option<Account>,
    /// Where the number of the process stands while it serves.
    pub pid_file: Option<File>,
    /// How long a process that is to take over may take until it serves.
    pub upgrade_timeout: Duration,
}

/// A user or a group of the system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Account {
    /// Its name or number.
    pub name: Box<str>,
    /// Where that was written.
    pub origin: Origin,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            workers: None,
            drain: defaults::DRAIN,
            access_logs: Vec::new(),
            zone: None,
            user: None,
            group: None,
            pid_file: None,
            upgrade_timeout: defaults::UPGRADE_TIMEOUT,
        }
    }
}
