//! A changed configuration takes the place of the one that is served.

use crate::load::{Files, Ready, complete, show};
use crate::orders::Outcome;
use crate::say;
use crate::scrape::Scraping;
use narrows_admin::{RefusalCause, ReloadReport};
use narrows_otlp::Exporter;
use narrows_plan::Plan;
use narrows_proxy::Running;
use narrows_tls::TlsContexts;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Reads the configuration again, from where it was read at the start.
#[derive(Clone)]
pub(crate) struct Reloader(Arc<Inner>);

struct Inner {
    files: Option<Files>,
    running: Arc<Running>,
    scraping: Arc<Scraping>,
    exporter: Arc<Exporter>,
    /// One at a time: who comes later reads what is newer.
    turn: Mutex<()>,
    last: Mutex<Last>,
    trial: Mutex<Option<Trial>>,
}

/// What became of the last reload.
#[derive(Debug, Clone, Default)]
pub(crate) struct Last {
    /// What it did; of one that was refused, its diagnostics.
    pub(crate) report: ReloadReport,
    /// Why it was refused.
    pub(crate) refused: Option<RefusalCause>,
}

/// A configuration that waits to be confirmed. Dropping it confirms it.
struct Trial {
    until: Instant,
    _confirmed: Sender<()>,
}

impl Reloader {
    /// `files` is `None` where the configuration cannot be read again.
    pub(crate) fn new(
        files: Option<Files>,
        running: &Arc<Running>,
        scraping: &Arc<Scraping>,
        exporter: &Arc<Exporter>,
    ) -> Self {
        Reloader(Arc::new(Inner {
            files,
            running: Arc::clone(running),
            scraping: Arc::clone(scraping),
            exporter: Arc::clone(exporter),
            turn: Mutex::default(),
            last: Mutex::default(),
            trial: Mutex::default(),
        }))
    }

    /// Reads everything and serves it, if nothing is wrong with it; else the present configuration stays. Unless it is confirmed within `confirm_within`, the
    /// one before comes back. Blocks, for seconds where names have to be looked up.
    pub(crate) fn reload(&self, confirm_within: Option<Duration>) -> Outcome {
        let _turn = lock(&self.0.turn);
        // Another configuration on top of one that is on trial keeps that one.
        *lock(&self.0.trial) = None;
        let mut last = Last::default();
        let outcome = self.renew(confirm_within, &mut last);
        *lock(&self.0.last) = last;
        match outcome {
            Ok(summary) => {
                Ok(format!("reloaded; configuration {} is served: {summary}", self.0.running.number()))
            }
            Err(why) => {
                self.0.running.note_refused_reload();
                Err(format!("not reloaded, the configuration stays as it is: {why}"))
            }
        }
    }

    /// What became of the last reload.
    pub(crate) fn last(&self) -> Last {
        lock(&self.0.last).clone()
    }

    /// How long the configuration still waits to be confirmed; `None` when it is not on trial.
    pub(crate) fn trial(&self) -> Option<Duration> {
        lock(&self.0.trial).as_ref().map(|trial| trial.until.saturating_duration_since(Instant::now()))
    }

    /// Keeps the configuration that is on trial; says whether one was.
    pub(crate) fn confirm(&self) -> bool {
        lock(&self.0.trial).take().is_some()
    }

    fn renew(&self, confirm_within: Option<Duration>, last: &mut Last) -> Result<String, String> {
        let running = &self.0.running;
        last.refused = Some(RefusalCause::Impossible);
        let Some(files) = &self.0.files else {
            return Err("it came from standard input or is built in, and cannot be read again".to_owned());
        };
        last.refused = Some(RefusalCause::BadConfiguration);
        let Ok(mut loaded) = files.load() else { return Err("it cannot be read".to_owned()) };
        let ready = complete(&mut loaded);
        show(&loaded.diagnostics);
        if let serde_json::Value::Array(told) = loaded.diagnostics.to_json() {
            last.report.warnings = told;
        }
        let Some(Ready { plan, tls }) = ready else { return Err("it has errors".to_owned()) };
        let workers = plan.settings.workers;
        let (old_plan, old_tls) = (running.plan(), running.tls());
        let changes = plan.changes_from(&old_plan);
        self.serve(Arc::new(plan), tls)?;
        if workers.is_some_and(|workers| workers != running.workers()) {
            say(&format!(
                "narrows: settings.workers: still {}; a restart or an upgrade changes it",
                running.workers()
            ));
        }
        if let Some(limit) = confirm_within {
            self.try_out(limit, old_plan, old_tls)?;
        }
        last.refused = None;
        last.report.generation = running.number();
        last.report.summary = changes.summary();
        last.report.changes =
            changes.changes.iter().filter_map(|change| serde_json::to_value(change).ok()).collect();
        last.report.confirm_within_seconds = confirm_within.map(|limit| limit.as_secs());
        Ok(changes.summary())
    }

    /// Serves a plan, and says where it is listened now and where no more.
    fn serve(&self, plan: Arc<Plan>, tls: TlsContexts) -> Result<(), String> {
        let Inner { running, scraping, exporter, .. } = &*self.0;
        let before = running.bound();
        let opened = scraping.open(&plan, Vec::new())?;
        let collector = exporter.prepare(plan.otlp.as_deref()).map_err(|error| error.to_string())?;
        running.apply(plan, tls).map_err(|error| error.to_string())?;
        exporter.adopt(collector).map_err(|error| error.to_string())?;
        scraping.serve(&running.plan(), opened, running)?;
        let now = running.bound();
        for gone in before.iter().filter(|one| !now.contains(one)) {
            say(&format!("narrows: no longer listening on {gone}"));
        }
        for new in now.iter().filter(|one| !before.contains(one)) {
            say(&format!("narrows: listening on {new}"));
        }
        Ok(())
    }

    /// Has the old configuration come back unless the present one is confirmed in time.
    fn try_out(&self, limit: Duration, plan: Arc<Plan>, tls: TlsContexts) -> Result<(), String> {
        let (confirmed, waiting) = channel();
        let reloader = self.clone();
        let wait = move || {
            if waiting.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                reloader.go_back(plan, tls);
            }
        };
        std::thread::Builder::new()
            .name("trial".into())
            .spawn(wait)
            .map_err(|error| format!("nobody can wait for the confirmation: {error}"))?;
        *lock(&self.0.trial) = Some(Trial { until: Instant::now() + limit, _confirmed: confirmed });
        Ok(())
    }

    fn go_back(&self, plan: Arc<Plan>, tls: TlsContexts) {
        let _turn = lock(&self.0.turn);
        if lock(&self.0.trial).take().is_none() {
            // It was confirmed at the last moment, or another one came.
            return;
        }
        match self.serve(plan, tls) {
            Ok(()) => say(&format!(
                "narrows: not confirmed in time; the configuration before is served again, as number {}",
                self.0.running.number()
            )),
            Err(why) => {
                say(&format!("narrows: not confirmed in time, and the one before cannot come back: {why}"))
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
