//! What holds for the whole process.

use crate::{AccessLog, defaults};
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
}

impl Default for Settings {
    fn default() -> Self {
        Settings { workers: None, drain: defaults::DRAIN, access_logs: Vec::new(), zone: None }
    }
}
