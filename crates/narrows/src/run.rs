//! `narrows run`: from files to a serving process.

use crate::load::{Files, Ready, complete, show};
use crate::reload::Reloader;
use crate::signals::{Signals, raise_descriptor_limit};
use crate::{fail, say};
use narrows_proxy::{Running, Server};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

pub(crate) const HELP: &str = "Examples:
  narrows run narrows.yaml
  narrows run listeners.yaml upstreams.yaml --workers 4
  generate-config | narrows run -

Every address is listened on before `narrows: ready` is printed, or none is and the exit status is 1.
SIGHUP reads the files again; when anything is wrong with them, what is served stays as it is.
SIGTERM or Ctrl-C stop gracefully: no new connection, running requests are finished within
`settings.drain`, exit status 0. A second Ctrl-C ends at once, exit status 130.";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Number of workers, one thread each [default: settings.workers, else one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let mut loaded = match arguments.files.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let ready = complete(&mut loaded);
    show(&loaded.diagnostics);
    let Some(ready) = ready else { return ExitCode::FAILURE };
    match Serving::start(arguments.files.paths(), ready, arguments.workers.map(usize::from)) {
        Ok(serving) => serving.until_stopped(),
        Err(message) => fail(&message),
    }
}

/// A plan that is being served.
pub(crate) struct Serving {
    signals: Signals,
    running: Arc<Running>,
    reloader: Reloader,
}

impl Serving {
    /// Binds every address, starts the workers and says where they listen.
    ///
    /// # Errors
    /// A sentence; then nothing is left behind.
    pub(crate) fn start(files: &[PathBuf], ready: Ready, workers: Option<usize>) -> Result<Self, String> {
        let Ready { plan, tls } = ready;
        raise_descriptor_limit();
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        let workers = workers.or(plan.settings.workers).unwrap_or_else(cores);
        let signals = Signals::catch().map_err(|error| format!("cannot catch signals: {error}"))?;
        let server = Server::bind(plan, tls, workers).map_err(|error| error.to_string())?;
        let bound = server.bound();
        let running = server.start().map_err(|error| error.to_string())?;
        for socket in bound {
            say(&format!("narrows: listening on {socket}"));
        }
        say("narrows: ready");
        let running = Arc::new(running);
        let reloader = Reloader::new(files, &running);
        Ok(Serving { signals, running, reloader })
    }

    /// Serves until a signal ends it.
    pub(crate) fn until_stopped(self) -> ExitCode {
        self.signals.wait(&self.running, &self.reloader)
    }
}
