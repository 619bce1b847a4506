//! `narrows run`: from files to a serving process.

use crate::load::{Files, complete_with, show};
use crate::program::Program;
use crate::serving::{Beginning, Serving, Source};
use crate::{fail, guard, preflight};
use narrows_runtime::{Inheritance, Passed, Reporter, Shared, take_inheritance};
use std::process::ExitCode;

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
    // Before there is any thread.
    let inheritance = match take_inheritance() {
        Ok(inheritance) => inheritance,
        Err(error) => return fail(&error.to_string()),
    };
    let program = Program::present();
    if let (true, Some(program)) = (guard::is_wanted(), &program) {
        let sockets: Vec<Shared> = inheritance.sockets.into_iter().map(Passed::shared).collect();
        return guard::guard(program, &sockets);
    }
    let Inheritance { sockets, mut reporter, guardian } = inheritance;
    let mut loaded = match arguments.files.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let files = arguments.files.again();
    let (becoming, found) = match &loaded.plan {
        Some(plan) => preflight::look(plan, files.as_ref()),
        None => (None, Vec::new()),
    };
    let ready = complete_with(&mut loaded, found);
    show(&loaded.diagnostics);
    let Some(ready) = ready else {
        tell(&mut reporter, &loaded.diagnostics.render(false));
        return ExitCode::FAILURE;
    };
    let source = Source { files, workers: arguments.workers.map(usize::from) };
    let beginning = Beginning { source, program, sockets, guardian, becoming };
    match Serving::start(ready, beginning, &mut reporter) {
        Ok(serving) => serving.until_stopped(),
        Err(message) => {
            tell(&mut reporter, &message);
            fail(&message)
        }
    }
}

/// Tells the process that hands over why this one does not come to serve.
fn tell(reporter: &mut Option<Reporter>, why: &str) {
    if let Some(reporter) = reporter {
        reporter.problem(why);
    }
}
