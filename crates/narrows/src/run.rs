//! `narrows run`: from files to a serving process.

use crate::fail;
use crate::load::{Files, complete, show};
use crate::serving::{Serving, Source};
use std::process::ExitCode;

pub(crate) const HELP: &str = "Examples:
  narrows run narrows.yaml
  narrows run listeners.yaml upstreams.yaml --workers 4
  generate-config | narrows run -

Every address is listened on before `narrows: ready` is printed, or none is and the exit status is 1.
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
        return guard::guard(program, inheritance.sockets);
    }
    let Inheritance { sockets, mut reporter, guardian } = inheritance;
    let mut loaded = match arguments.files.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let files = arguments.files.again();
    let ready = complete(&mut loaded);
    let becoming = preflight::look(&mut loaded, files.as_ref());
    show(&loaded.diagnostics);
    let source = Source { files: arguments.files.again(), workers: arguments.workers.map(usize::from) };
    match Serving::start(ready, source) {
        Ok(serving) => serving.until_stopped(),
        Err(message) => fail(&message),
    }
}
