//! Narrows: a layer-4 and layer-7 reverse proxy and load balancer.

mod admin;
mod causes;
mod check;
mod demo;
mod diff;
mod explain;
mod guard;
mod load;
mod notify;
mod operations;
mod orders;
mod pid_file;
mod preflight;
mod program;
mod reload;
mod run;
mod scrape;
mod serving;
mod upgrade;
mod watchdog;

use clap::{CommandFactory, Parser, Subcommand};
use std::io::Write;
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
  narrows explain narrows.yaml GET http://www.example.com/
                                                where a request would go, and why
  narrows run narrows.yaml                      serve

Exit status: 0 success, 1 the configuration or an address cannot be used, 2 the command line is wrong.";

const SCHEMA: &str = "Examples:
  narrows schema > narrows.schema.json

An editor with a YAML language server completes and checks a file that begins with
  # yaml-language-server: $schema=narrows.schema.json";

const COMPLETIONS: &str = "Examples:
  narrows completions bash > /etc/bash_completion.d/narrows
  narrows completions zsh > ~/.zfunc/_narrows
  narrows completions fish > ~/.config/fish/completions/narrows.fish";

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
    /// Say what another configuration would change, in meaning
    #[command(after_help = diff::HELP)]
    Diff(diff::Arguments),
    /// Say what a cause in the log means, what usually leads to it, and what to do
    #[command(after_help = causes::HELP)]
    Causes(causes::Arguments),
    /// Say which rule would take a request, what each rule saw, and where it goes
    #[command(after_help = explain::HELP)]
    Explain(Box<explain::Arguments>),
    /// Say how a running process is
    #[command(after_help = admin::STATUS)]
    Status(admin::Status),
    /// Have a running process read its configuration again
    #[command(after_help = admin::RELOAD)]
    Reload(admin::Reload),
    /// Keep the configuration that is on trial
    Confirm(admin::Process),
    /// Have a running process finish what runs, and end
    Drain(admin::Process),
    /// Have a running process hand over to a new one of the program on the disk
    Upgrade(admin::Process),
    /// See the endpoints of a running process, and steer them
    #[command(after_help = admin::ENDPOINT)]
    Endpoint(admin::Endpoint),
    /// Print the JSON Schema of the configuration, for editors
    #[command(after_help = SCHEMA)]
    Schema {
        /// Print a generated page of the documentation instead
        #[arg(long, hide = true, value_enum, value_name = "PAGE")]
        markdown: Option<Page>,
    },
    /// Print the version, the commit that it was built from where that is known, and the platform
    Version,
    /// Print completions for a shell
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// The pages that are made from the types.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Page {
    Configuration,
    Routing,
    Causes,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Demo(arguments) => demo::demo(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Diff(arguments) => diff::diff(&arguments),
        Command::Causes(arguments) => causes::causes(&arguments),
        Command::Explain(arguments) => explain::explain(*arguments),
        Command::Status(arguments) => admin::status(&arguments),
        Command::Reload(arguments) => admin::reload(&arguments),
        Command::Confirm(process) => admin::order(&process, "/v1/confirm"),
        Command::Drain(process) => admin::order(&process, "/v1/drain"),
        Command::Upgrade(process) => admin::order(&process, "/v1/upgrade"),
        Command::Endpoint(arguments) => admin::endpoint(&arguments),
        Command::Schema { markdown: Some(Page::Configuration) } => print(&narrows_config::reference()),
        Command::Schema { markdown: Some(Page::Routing) } => print(&narrows_config::routing()),
        Command::Schema { markdown: Some(Page::Causes) } => print(&causes::page()),
        Command::Schema { markdown: None } => print(&format!("{:#}\n", narrows_config::schema())),
        Command::Version => print(&version()),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Arguments::command(), "narrows", &mut script);
            print(&String::from_utf8_lossy(&script))
        }
    }
}

/// `narrows 0.1.0 (commit, architecture-system)`. The build sets `NARROWS_COMMIT` where it knows the commit.
fn version() -> String {
    let platform = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
    let commit = option_env!("NARROWS_COMMIT").map_or(String::new(), |commit| format!("{commit}, "));
    format!("narrows {} ({commit}{platform})\n", env!("CARGO_PKG_VERSION"))
}

/// Prints to standard output; a reader that has gone (`| head`) is no failure.
fn print(text: &str) -> ExitCode {
    let _ = std::io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

/// Prints a line to standard error. `eprintln!` would panic when nobody reads it any more, and the proxy lives on.
fn say(line: &str) {
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}

/// Says on standard error what keeps a command from its work.
fn fail(message: &str) -> ExitCode {
    say(&format!("narrows: {message}"));
    ExitCode::FAILURE
}

/// Says on standard error what is wrong with the command line where the parser of arguments cannot know it.
fn misused(message: &str) -> ExitCode {
    say(&format!("error: {message}\n\nFor more information, try '--help'."));
    ExitCode::from(2)
}

#[cfg(test)]
mod tests;
