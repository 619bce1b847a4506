//! What the admin API asks of the process, and what the process tells.

use narrows_control::Operator;
use narrows_plan::Plan;
use narrows_proxy::{Ask, Bound, Listening, TooManyTaps};
use narrows_tls::TlsContexts;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// What becomes of an order, once it is known. What was ordered is done even when this is dropped.
pub type Answer<T> = Pin<Box<dyn Future<Output = Result<T, Refusal>> + Send>>;

/// The process, as the admin API sees it. Called on the thread of the API; nothing here may block it for long.
pub trait Operations: Send + Sync + 'static {
    /// How the process is now.
    fn process(&self) -> Process;

    /// The configuration that is served now.
    fn in_force(&self) -> InForce;

    /// Where the listeners listen, in the order of the configuration.
    fn bound(&self) -> Vec<Bound>;

    /// The way to the control plane.
    fn operator(&self) -> Operator;

    /// The metrics in the form that a scraper asks for (the value of its `Accept` field); `None` where nothing is counted.
    fn metrics(&self, accept: &str) -> Option<Metrics> {
        let _ = accept;
        None
    }

    /// How many requests, flows or sessions each route has taken since the start, by listener and route; `None` where that is not counted.
    fn hits(&self) -> Option<HashMap<(String, String), u64>> {
        None
    }

    /// Reads the configuration again and serves it; when anything is wrong with it, the old one stays.
    fn reload(&self, options: ReloadOptions) -> Answer<ReloadReport>;

    /// Keeps the configuration that is on trial.
    fn confirm(&self) -> Answer<()>;

    /// Begins to end gracefully: no new connection, what runs is finished.
    fn drain(&self) -> Answer<()>;

    /// Hands over to a new process of the binary on the disk; this one drains once the new one serves. Says what was done.
    fn upgrade(&self) -> Answer<String>;

    /// Opens the log files anew.
    fn reopen_logs(&self) -> Answer<()>;

    /// Has requests, flows and sessions explained that begin from now on, until the result is dropped.
    ///
    /// # Errors
    /// When too many ask already.
    fn explain(&self, ask: Ask) -> Result<Listening, TooManyTaps>;
}

/// How the process is.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// Version of the program.
    pub version: &'static str,
    /// The commit that it was built from, where that is known.
    pub commit: Option<&'static str>,
    /// How far it is.
    pub phase: Phase,
    /// When it began to serve.
    pub started: SystemTime,
    /// How many workers it has.
    pub workers: usize,
    /// How long a configuration on trial still waits to be confirmed; `None` when none is on trial.
    pub trial: Option<Duration>,
}

/// Metrics, as they are sent.
#[derive(Debug, Clone)]
pub struct Metrics {
    /// Their type.
    pub content_type: &'static str,
    /// Their bytes.
    pub bytes: Vec<u8>,
}

/// How far a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// It does not serve yet.
    Starting,
    /// It serves.
    Running,
    /// It finishes what runs, and ends.
    Draining,
}

/// A configuration that is served.
#[derive(Debug, Clone)]
pub struct InForce {
    /// 1 for the first one of the process, one more with each reload.
    pub generation: u64,
    /// The configuration.
    pub plan: Arc<Plan>,
    /// Its certificates and keys.
    pub tls: TlsContexts,
}

/// How a configuration is to be taken anew.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReloadOptions {
    /// It is on trial: unless it is confirmed in this time, the one before comes back.
    pub confirm_within: Option<Duration>,
}

/// What a reload did.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ReloadReport {
    /// The number of the configuration that is served now.
    pub generation: u64,
    /// What is different, in a line.
    pub summary: String,
    /// What is different, as `narrows diff --format json` prints it.
    pub changes: Vec<serde_json::Value>,
    /// Warnings about the configuration, as `narrows check --format json` prints them.
    pub warnings: Vec<serde_json::Value>,
    /// For how long it waits to be confirmed; null when it is not on trial.
    pub confirm_within_seconds: Option<u64>,
}

/// Why an order was not carried out. Nothing has changed then.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// What kind of reason.
    pub cause: RefusalCause,
    /// The reason, in a sentence.
    pub detail: String,
    /// What is wrong with a configuration, as `narrows check --format json` prints it.
    pub diagnostics: Vec<serde_json::Value>,
}

impl Refusal {
    /// A refusal without diagnostics.
    pub fn new(cause: RefusalCause, detail: impl Into<String>) -> Self {
        Refusal { cause, detail: detail.into(), diagnostics: Vec::new() }
    }
}

/// Kinds of reasons why an order was not carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCause {
    /// The configuration on the disk is wrong, or an address of it cannot be listened on.
    BadConfiguration,
    /// This process cannot do it: a configuration from standard input cannot be read again, for instance.
    Impossible,
    /// It does not fit what the process is doing: nothing is on trial, or it ends already.
    WrongMoment,
    /// It was tried and failed.
    Failed,
}
