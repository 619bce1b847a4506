//! `narrows run`: from files to a serving process.

use crate::{Files, fail, signals};
use narrows_config::Diagnostics;
use narrows_plan::Plan;
use narrows_proxy::Server;
use std::io::IsTerminal;
use std::process::ExitCode;

pub(crate) const HELP: &str = "Examples:
  narrows run narrows.yaml
  narrows run listeners.yaml upstreams.yaml --workers 4

SIGTERM or Ctrl-C stop gracefully: no new connection, running requests are finished within `settings.drain`.
A second Ctrl-C ends at once.";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// Number of workers, one thread each [default: settings.workers, else one per core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    workers: Option<u16>,
}

pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let loaded = narrows_config::load(&arguments.files.files);
    show(&loaded.diagnostics);
    match loaded.plan {
        Some(plan) => serve(plan, arguments.workers.map(usize::from)),
        None => ExitCode::FAILURE,
    }
}

/// Prints diagnostics on standard error, in colour where somebody looks.
pub(crate) fn show(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        eprint!("{}", diagnostics.render(std::io::stderr().is_terminal()));
    }
}

/// Serves a plan until a signal ends it.
pub(crate) fn serve(plan: Plan, workers: Option<usize>) -> ExitCode {
    signals::raise_descriptor_limit();
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let workers = workers.or(plan.settings.workers).unwrap_or_else(cores);
    let signals = match signals::Signals::catch() {
        Ok(signals) => signals,
        Err(error) => return fail(&format!("cannot catch signals: {error}")),
    };
    let server = match Server::bind(plan, workers) {
        Ok(server) => server,
        Err(error) => return fail(&error.to_string()),
    };
    let bound = server.bound().to_vec();
    let running = match server.start() {
        Ok(running) => running,
        Err(error) => return fail(&error.to_string()),
    };
    for socket in bound {
        eprintln!(
            "narrows: listening on {} (listener {}, {})",
            socket.address, socket.listener, socket.protocol
        );
    }
    eprintln!("narrows: ready");
    signals.wait(running)
}
