//! `narrows check`: everything that is wrong, at once.

use crate::load::{Files, Ready, complete, show};
use clap::ValueEnum;
use std::process::ExitCode;

pub(crate) const HELP: &str = "Examples:
  narrows check narrows.yaml
  narrows check --format json narrows.yaml    for editors and CI
  narrows demo --print-config | narrows check -

Exit status: 0 when the configuration can run (warnings are printed), 1 when it cannot.";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    files: Files,
    /// How diagnostics are printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// An array of objects
    Json,
}

pub(crate) fn check(arguments: &Arguments) -> ExitCode {
    let mut loaded = match arguments.files.load() {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    let ready = complete(&mut loaded);
    match arguments.format {
        Format::Json => {
            crate::print(&format!("{:#}\n", loaded.diagnostics.to_json()));
        }
        Format::Text => {
            show(&loaded.diagnostics);
            if let Some(Ready { plan, .. }) = &ready {
                let (listeners, upstreams) = (plan.listeners.len(), plan.upstreams.len());
                crate::print(&format!(
                    "ok: {}, {}\n",
                    counted(listeners, "listener"),
                    counted(upstreams, "upstream")
                ));
            }
        }
    }
    if ready.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn counted(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}
