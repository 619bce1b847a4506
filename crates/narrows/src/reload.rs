//! A changed configuration takes the place of the one that is served.

use crate::load::{Ready, complete, load, show};
use crate::say;
use narrows_proxy::Running;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads the configuration again, from where it was read at the start.
#[derive(Clone)]
pub(crate) struct Reloader {
    files: Arc<[PathBuf]>,
    running: Arc<Running>,
    /// One at a time: who comes later reads what is newer.
    turn: Arc<Mutex<()>>,
}

impl Reloader {
    pub(crate) fn new(files: &[PathBuf], running: &Arc<Running>) -> Self {
        Reloader { files: files.into(), running: Arc::clone(running), turn: Arc::default() }
    }

    /// Reads everything and serves it, if nothing is wrong with it; else the present configuration stays. The operator is told in both cases. Blocks, for
    /// seconds where names have to be looked up.
    pub(crate) fn reload(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.renew() {
            Ok(summary) => {
                say(&format!(
                    "narrows: reloaded; configuration {} is served: {summary}",
                    self.running.number()
                ));
            }
            Err(why) => say(&format!("narrows: not reloaded, the configuration stays as it is: {why}")),
        }
    }

    fn renew(&self) -> Result<String, String> {
        if self.files.is_empty() {
            return Err("there is no file to read again".to_owned());
        }
        if self.files.iter().any(|file| file.as_os_str() == "-") {
            return Err("it came from standard input, which cannot be read again".to_owned());
        }
        let Ok(mut loaded) = load(&self.files) else { return Err("it cannot be read".to_owned()) };
        let ready = complete(&mut loaded);
        show(&loaded.diagnostics);
        let Some(Ready { plan, tls }) = ready else { return Err("see above".to_owned()) };
        let workers = plan.settings.workers;
        let before = self.running.bound();
        let changes = plan.changes_from(&self.running.plan());
        self.running.apply(plan, tls).map_err(|error| error.to_string())?;
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
