//! What holds for the whole process.

use crate::defaults;
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
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            workers: None,
            drain: defaults::DRAIN,
            access_log: AccessLog::Off,
            log_format: LogFormat::Text,
            zone: None,
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
