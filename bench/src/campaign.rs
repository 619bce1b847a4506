//! All runs in their order: in each round every workload meets every subject once, one after another.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::certificate::Certificates;
use crate::meter::Outcome;
use crate::order::Order;
use crate::running::{Backends, Proxy, load};
use crate::subject::{Kind, Subject};
use crate::workload::Workload;

/// What to run.
pub(crate) struct Campaign {
    pub(crate) subjects: Vec<Subject>,
    pub(crate) workloads: Vec<Workload>,
    /// Access log off, on, or both in turn.
    pub(crate) logs: Vec<bool>,
    pub(crate) rounds: u32,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    pub(crate) keep: bool,
}

/// One run of one subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Run {
    pub(crate) subject: Kind,
    pub(crate) workload: Workload,
    pub(crate) log: bool,
    pub(crate) round: u32,
    pub(crate) outcome: Outcome,
    /// Why the numbers of this run do not count.
    pub(crate) failure: Option<String>,
}

impl Campaign {
    /// Runs everything. A run that fails is reported as failed; an interrupt ends the campaign.
    pub(crate) fn run(&self) -> anyhow::Result<Vec<Run>> {
        let interrupted = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&interrupted))?;
        }
        let folder = Folder::create(self.keep)?;
        let certificates = Certificates::make(&folder.path)?;
        let surroundings = Surroundings { backends: Backends::start()?, certificates, interrupted };
        let mut runs = Vec::new();
        for round in 1..=self.rounds {
            for (workload, log) in self.cells() {
                // Each round begins with another subject, so that none always follows the same one.
                for turn in 0..self.subjects.len() {
                    let subject = &self.subjects[(turn + round as usize - 1) % self.subjects.len()];
                    if workload.impossible_for(subject.kind).is_some() {
                        continue;
                    }
                    let name = format!("{round}-{}-{log}-{}", workload.name(), subject.kind.name());
                    let directory = folder.path.join(name);
                    let outcome = self.run_one(subject, workload, log, &surroundings, &directory);
                    if surroundings.interrupted.load(Ordering::Relaxed) {
                        bail!("interrupted");
                    }
                    if !self.keep {
                        let _ = fs::remove_dir_all(&directory);
                    }
                    let run = judge(subject.kind, workload, log, round, outcome);
                    eprintln!("{}", describe(&run, self.rounds));
                    runs.push(run);
                }
            }
        }
        Ok(runs)
    }

    /// Pairs of workload and log. Where exchanges write no lines, a log that is on changes nothing: one run is enough. Of
    /// those that do, one of a kind is enough.
    pub(crate) fn cells(&self) -> Vec<(Workload, bool)> {
        let mut cells = Vec::new();
        for workload in &self.workloads {
            for log in &self.logs {
                if !log || workload.repeats_with_log() || self.logs == [true] {
                    cells.push((*workload, *log));
                }
            }
        }
        cells
    }

    fn run_one(
        &self,
        subject: &Subject,
        workload: Workload,
        log: bool,
        surroundings: &Surroundings,
        directory: &Path,
    ) -> anyhow::Result<Outcome> {
        let certificate = surroundings.certificates.of(workload.key());
        let backends = &surroundings.backends;
        let proxy = Proxy::start(subject, workload.setting(), log, backends, certificate, directory)?;
        let order = Order {
            workload,
            port: proxy.port(workload.door())?,
            warm_up: self.warm_up,
            measure: self.measure,
            proxy: proxy.pid(),
            certificate: certificate.der.clone(),
            directory: directory.to_owned(),
        };
        let outcome = load(&order, &surroundings.interrupted)?;
        let lines = proxy.stop()?;
        if log && workload.logs_each_exchange() && lines < outcome.answers {
            bail!("the access log has {lines} lines for {} answers", outcome.answers);
        }
        if !log && lines > 0 {
            bail!("the access log has {lines} lines, though it is off");
        }
        Ok(outcome)
    }
}

/// What all runs share.
struct Surroundings {
    backends: Backends,
    certificates: Certificates,
    interrupted: Arc<AtomicBool>,
}

fn judge(subject: Kind, workload: Workload, log: bool, round: u32, outcome: anyhow::Result<Outcome>) -> Run {
    let (outcome, failure) = match outcome {
        Err(error) => (Outcome::default(), Some(format!("{error:#}"))),
        Ok(outcome) if outcome.errors > 0 => {
            let first = outcome.first_error.clone().unwrap_or_default();
            let failure = format!("{} wrong answers, the first: {first}", outcome.errors);
            (outcome, Some(failure))
        }
        Ok(outcome) if outcome.answers == 0 => (outcome, Some("no answer".to_owned())),
        Ok(outcome) => (outcome, None),
    };
    Run { subject, workload, log, round, outcome, failure }
}

fn describe(run: &Run, rounds: u32) -> String {
    let log = if run.log { "log on" } else { "log off" };
    let what =
        format!("round {}/{rounds}  {:<16}{log:<8}{:<8}", run.round, run.workload.name(), run.subject.name());
    let outcome = &run.outcome;
    match (&run.failure, outcome.bytes_per_idle_connection) {
        (Some(failure), _) => format!("{what} FAILED: {failure}"),
        (None, Some(bytes)) => format!("{what} {bytes:>9.0} bytes per idle connection"),
        (None, None) => format!(
            "{what} {:>9.2} us CPU  {:>9.0}/s  p50 {:>7.0} us  p99 {:>7.0} us  core {:>3.0} %",
            outcome.cpu_us_per_answer,
            outcome.answers_per_second,
            outcome.p50_us,
            outcome.p99_us,
            outcome.cpu_share * 100.0
        ),
    }
}

/// The folder of configurations and logs, removed when this is dropped.
struct Folder {
    path: PathBuf,
    keep: bool,
}

impl Folder {
    fn create(keep: bool) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("narrows-bench-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        if keep {
            eprintln!("configurations and logs stay in {}", path.display());
        }
        Ok(Self { path, keep })
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.keep {
            let _ = fs::remove_dir_all(&self.path);
        }
    }
}
