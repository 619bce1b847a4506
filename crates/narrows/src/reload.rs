//! A changed configuration takes the place of the one that is served.

use crate::load::{Files, Ready, complete, show};
use crate::orders::Outcome;
use crate::say;
use crate::scrape::Scraping;
use narrows_otlp::Exporter;
use narrows_proxy::Running;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads the configuration again, from where it was read at the start.
#[derive(Clone)]
pub(crate) struct Reloader {
    files: Option<Files>,
    running: Arc<Running>,
    scraping: Arc<Scraping>,
    exporter: Arc<Exporter>,
    /// One at a time: who comes later reads what is newer.
    turn: Arc<Mutex<()>>,
}

impl Reloader {
    /// `files` is `None` where the configuration cannot be read again.
    pub(crate) fn new(
        files: Option<Files>,
        running: &Arc<Running>,
        scraping: &Arc<Scraping>,
        exporter: &Arc<Exporter>,
    ) -> Self {
        let (running, scraping) = (Arc::clone(running), Arc::clone(scraping));
        Reloader { files, running, scraping, exporter: Arc::clone(exporter), turn: Arc::default() }
    }

    /// Reads everything and serves it, if nothing is wrong with it; else the present configuration stays. Blocks, for seconds where names have to be
    /// looked up.
    pub(crate) fn reload(&self) -> Outcome {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.renew() {
            Ok(summary) => {
                Ok(format!("reloaded; configuration {} is served: {summary}", self.running.number()))
            }
            Err(why) => {
                self.running.note_refused_reload();
                Err(format!("not reloaded, the configuration stays as it is: {why}"))
            }
        }
    }

    fn renew(&self) -> Result<String, String> {
        let Some(files) = &self.files else {
            return Err("it came from standard input or is built in, and cannot be read again".to_owned());
        };
        let Ok(mut loaded) = files.load() else { return Err("it cannot be read".to_owned()) };
        let ready = complete(&mut loaded);
        show(&loaded.diagnostics);
        let Some(Ready { plan, tls }) = ready else { return Err("see above".to_owned()) };
        let workers = plan.settings.workers;
        let before = self.running.bound();
        let changes = plan.changes_from(&self.running.plan());
        let opened = self.scraping.open(&plan)?;
        let collector = self.exporter.prepare(plan.otlp.as_deref()).map_err(|error| error.to_string())?;
        self.running.apply(plan, tls).map_err(|error| error.to_string())?;
        self.exporter.adopt(collector).map_err(|error| error.to_string())?;
        self.scraping.serve(&self.running.plan(), opened, &self.running)?;
        let now = self.running.bound();
        for gone in before.iter().filter(|one| !now.contains(one)) {
            say(&format!("narrows: no longer listening on {gone}"));
        }
        for new in now.iter().filter(|one| !before.contains(one)) {
            say(&format!("narrows: listening on {new}"));
        }
        if workers.is_some_and(|workers| workers != self.running.workers()) {
            say(&format!(
                "narrows: settings.workers: still {}; a restart or an upgrade changes it",
                self.running.workers()
            ));
        }
        Ok(changes.summary())
    }
}
