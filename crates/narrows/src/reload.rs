//! A changed configuration takes the place of the one that is served.

use crate::load::{Files, Ready, complete, show};
use crate::orders::Outcome;
use crate::say;
use narrows_proxy::Running;
use std::sync::{Arc, Mutex, PoisonError};

/// Reads the configuration again, from where it was read at the start.
#[derive(Clone)]
pub(crate) struct Reloader {
    files: Files,
    running: Arc<Running>,
    /// One at a time: who comes later reads what is newer.
    turn: Arc<Mutex<()>>,
}

impl Reloader {
    /// Reads these files again.
    pub(crate) fn new(files: Files, running: &Arc<Running>) -> Self {
        Reloader { files, running: Arc::clone(running), turn: Arc::default() }
    }

    /// Reads everything and serves it, if nothing is wrong with it; else the present configuration stays. Blocks, for seconds where names have to be looked up.
    pub(crate) fn reload(&self) -> Outcome {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        match self.renew() {
            Ok(()) => Ok(format!("reloaded; configuration {} is served", self.running.number())),
            Err(why) => Err(format!("not reloaded, the configuration stays as it is: {why}")),
        }
    }

    fn renew(&self) -> Result<(), String> {
        let Ok(mut loaded) = self.files.load() else { return Err("it cannot be read".to_owned()) };
        let ready = complete(&mut loaded);
        show(&loaded.diagnostics);
        let Some(Ready { plan, tls }) = ready else { return Err("see above".to_owned()) };
        let workers = plan.settings.workers;
        let before = self.running.bound();
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
        Ok(())
    }
}
