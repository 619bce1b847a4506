//! What holds for the whole process.

use crate::{File, Origin, defaults};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// Process-wide settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Settings {
    /// Number of workers; `None` means one per core.
    pub workers: Option<usize>,
    /// How long a graceful stop waits for running work.
    pub drain: Duration,
    /// Where access records go.
    pub access_log: AccessLog,
    /// How an access record is written.
    pub log_format: LogFormat,
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
            access_log: AccessLog::Off,
            log_format: LogFormat::Text,
            zone: None,
            user: None,
            group: None,
            pid_file: None,
            upgrade_timeout: defaults::UPGRADE_TIMEOUT,
        }
    }
}

/// Where access records go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessLog {
    /// Nowhere; nothing is formatted.
    Off,
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to this file.
    File(PathBuf),
}

/// How an access record is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// One line, the combined format followed by `key=value` pairs.
    Text,
    /// One JSON object a line.
    Json,
}
