//! The project's own commands: test, bench, docs, soak, storm, ci.

mod bench;
mod ci;
mod docs;
mod fuzz;
mod requirements;
mod run;
mod test;

use std::process::ExitCode;

use anyhow::{Result, bail};

const HELP: &str = "\
Usage: cargo xtask COMMAND

  test [FILTER...]   Run every test: installs or names what is missing, builds, then unit and end-to-end
                     tests, doc tests, and a minute of each fuzz target. With filters, only the tests whose
                     names contain one of them.
  bench [ARGS...]    Build for release and measure against nginx, HAProxy and Envoy (see bench/README.md).
  bench --balancers  What a choice of an endpoint costs, for each balancer.
  docs [--check]     Write docs/configuration.md from the types; --check compares instead.
  soak [SECONDS]     Ten minutes (or SECONDS) of load with the memory watched.
  storm [RELOADS]    1,000 (or RELOADS) reloads and a new process after every 20, with everything flowing.
  ci                 fmt, clippy, docs --check, test. What .ci/run runs.
";

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    match command(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn command(arguments: &[String]) -> Result<()> {
    std::env::set_current_dir(run::root())?;
    match arguments.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        Some(("test", filters)) => test::test(filters),
        Some(("bench", arguments)) => bench::bench(arguments),
        Some(("docs", [])) => docs::write(),
        Some(("docs", [flag])) if flag == "--check" => docs::check(),
        Some(("soak", [])) => test::soak("600"),
        Some(("soak", [seconds])) => test::soak(seconds),
        Some(("storm", [])) => test::storm("1000"),
        Some(("storm", [reloads])) => test::storm(reloads),
        Some(("ci", [])) => ci::ci(),
        Some(("help" | "--help" | "-h", _)) => {
            print!("{HELP}");
            Ok(())
        }
        _ => bail!("no such command\n\n{HELP}"),
    }
}
