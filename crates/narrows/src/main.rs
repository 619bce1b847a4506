//! Narrows: a layer-4 and layer-7 reverse proxy and load balancer.

mod check;
mod demo;
mod explain;
mod run;
mod signals;

use clap::{CommandFactory, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(name = "narrows", version, about, long_about = None, propagate_version = true, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "Begin with:
  narrows demo                                  see a proxy move real traffic, nothing to configure
  narrows demo --print-config > narrows.yaml    the configuration that the demo runs
  narrows check narrows.yaml                    every mistake at once, with its place
  narrows run narrows.yaml                      serve";

#[derive(Subcommand)]
enum Command {
    /// Show a proxy at work: small servers, the proxy, and lines to try
    #[command(after_help = demo::HELP)]
    Demo(demo::Arguments),
    /// Serve what the configuration says, until SIGTERM or Ctrl-C
    #[command(after_help = run::HELP)]
    Run(run::Arguments),
    /// Say everything that is wrong with a configuration; exit 0 when nothing is
    #[command(after_help = check::HELP)]
    Check(check::Arguments),
    /// Say which rule would take a request, what each rule saw, and where it goes
    #[command(after_help = explain::HELP)]
    Explain(explain::Arguments),
    /// Print the JSON Schema of the configuration, for editors
    Schema {
        /// Print the reference in Markdown instead
        #[arg(long, hide = true)]
        markdown: bool,
    },
    /// Print the version
    Version,
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Explain(arguments) => explain::explain(&arguments),
        Command::Schema { markdown: true } => print(&narrows_config::reference()),
        Command::Schema { markdown: false } => print(&format!("{:#}\n", narrows_config::schema())),
        Command::Version => print(&format!("narrows {}\n", env!("CARGO_PKG_VERSION"))),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "narrows", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

/// Prints to standard output; a reader that has gone (`| head`) is no failure.
fn print(text: &str) -> ExitCode {
    use std::io::Write;
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Says on standard error what keeps a command from its work.
fn fail(message: &str) -> ExitCode {
    eprintln!("narrows: {message}");
    ExitCode::FAILURE
}

/// Where configuration is read from.
#[derive(clap::Args)]
struct Files {
    /// Configuration files; several are united
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}
