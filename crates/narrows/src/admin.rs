//! The commands that ask a running process through its admin API.

use crate::{fail, print};
use narrows_admin::{Credentials, Problem, Received, Target, Usual, encoded, request};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) const STATUS: &str = "Examples:
  narrows status
  narrows status --json
  narrows status --admin unix:/run/narrows/other.sock";

pub(crate) const RELOAD: &str = "Examples:
  narrows reload
  narrows reload --confirm 60     comes back to the configuration before, unless `narrows confirm` follows in time

Exit status: 0 the new configuration is served, 1 the old one stays (it was said why).";

pub(crate) const ENDPOINT: &str = "Examples:
  narrows endpoint list
  narrows endpoint drain web/10.0.0.1:8080
  narrows endpoint weight web/10.0.0.1:8080 10
  narrows endpoint ready web/10.0.0.1:8080
  narrows endpoint add web/10.0.0.9:8080

What is ordered holds over reloads, and ends with the process.";

/// Which process is asked.
#[derive(clap::Args)]
pub(crate) struct Process {
    /// Its admin API: `unix:PATH`, `http://HOST:PORT` or `https://HOST:PORT` [default: NARROWS_ADMIN, else the usual socket]
    #[arg(long, global = true, value_name = "PLACE")]
    admin: Option<String>,
    /// A file with the token, for an API that listens on TCP
    #[arg(long, global = true, value_name = "FILE")]
    token: Option<PathBuf>,
}

#[derive(clap::Args)]
pub(crate) struct Status {
    #[command(flatten)]
    process: Process,
    /// For programs
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Reload {
    #[command(flatten)]
    process: Process,
    /// Seconds in which `narrows confirm` has to follow
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    confirm: Option<u32>,
}

#[derive(clap::Args)]
pub(crate) struct Endpoint {
    #[command(subcommand)]
    order: EndpointOrder,
    #[command(flatten)]
    process: Process,
}

#[derive(clap::Subcommand)]
enum EndpointOrder {
    /// Every endpoint, with its state and the reason
    List,
    /// Serve what sticks to it or runs there, and nothing new
    Drain {
        /// UPSTREAM/ADDRESS
        endpoint: String,
    },
    /// Serve
    Ready {
        /// UPSTREAM/ADDRESS
        endpoint: String,
    },
    /// Serve nothing new; it is not checked
    Maintenance {
        /// UPSTREAM/ADDRESS
        endpoint: String,
    },
    /// Share of the traffic
    Weight {
        /// UPSTREAM/ADDRESS
        endpoint: String,
        /// From 0 to 65535; `configured` takes the order back
        weight: String,
    },
    /// One more endpoint, until it is removed or the process ends
    Add {
        /// UPSTREAM/ADDRESS
        endpoint: String,
        /// Share of the traffic
        #[arg(long, default_value_t = 1)]
        weight: u32,
    },
    /// An endpoint that was added leaves
    Remove {
        /// UPSTREAM/ADDRESS
        endpoint: String,
    },
}

impl Process {
    /// Sends one request.
    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Received, String> {
        let target = match &self.admin {
            Some(place) => Target::parse(place)?,
            None => match Usual::here() {
                Usual::At(bind) => Target::of(&bind),
                Usual::Off => return Err("NARROWS_ADMIN is off; name the process with --admin".to_owned()),
                Usual::Nowhere => {
                    return Err(
                        "there is no usual place for its socket here; name it with --admin".to_owned()
                    );
                }
                Usual::Unreadable(text) => {
                    return Err(format!("NARROWS_ADMIN is `{text}`, which is no place"));
                }
            },
        };
        let read = |path: &PathBuf| {
            let text = std::fs::read_to_string(path);
            text.map(|text| text.trim().to_owned())
                .map_err(|error| format!("cannot read the token from {}: {error}", path.display()))
        };
        let token = self.token.as_ref().map(read).transpose()?;
        request(&target, &Credentials { token, ..Credentials::default() }, method, path, body)
    }

    /// Sends one request and reads its answer; what was refused is told.
    fn asked(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, ExitCode> {
        let received = self.ask(method, path, body).map_err(|why| fail(&why))?;
        if (200..300).contains(&received.status) {
            return Ok(serde_json::from_slice(&received.body).unwrap_or(Value::Null));
        }
        let problem: Option<Problem> = serde_json::from_slice(&received.body).ok();
        Err(fail(&problem.map_or_else(|| format!("status {}", received.status), |problem| problem.detail)))
    }
}

pub(crate) fn status(arguments: &Status) -> ExitCode {
    let told = match arguments.process.asked("GET", "/v1/status", None) {
        Ok(told) => told,
        Err(status) => return status,
    };
    if arguments.json {
        return print(&format!("{told:#}\n"));
    }
    let number = |key: &str| told[key].as_u64().unwrap_or_default();
    let text = |key: &str| told[key].as_str().unwrap_or_default().to_owned();
    print(&format!(
        "narrows {}, process {}, {} for {} s\n\
         configuration {}, {} workers, {} listeners, {} upstreams, {} of {} endpoints up\n",
        text("version"),
        number("pid"),
        text("phase"),
        number("uptime_seconds"),
        number("generation"),
        number("workers"),
        number("listeners"),
        number("upstreams"),
        number("endpoints_up"),
        number("endpoints"),
    ))
}

pub(crate) fn reload(arguments: &Reload) -> ExitCode {
    let body = match arguments.confirm {
        Some(seconds) => json!({ "confirm_within_seconds": seconds }),
        None => json!({}),
    };
    match arguments.process.asked("POST", "/v1/reload", Some(&body)) {
        Ok(told) => {
            let summary = told["summary"].as_str().unwrap_or_default();
            print(&format!("configuration {} is served: {summary}\n", told["generation"]))
        }
        Err(status) => status,
    }
}

/// An order without anything to say: confirm, drain, upgrade.
pub(crate) fn order(process: &Process, path: &str) -> ExitCode {
    match process.asked("POST", path, None) {
        Ok(told) => print(&format!("{}\n", told["done"].as_str().unwrap_or("done"))),
        Err(status) => status,
    }
}

pub(crate) fn endpoint(arguments: &Endpoint) -> ExitCode {
    let process = &arguments.process;
    let change = |endpoint: &str, body: Value| {
        let Some(path) = path(endpoint) else { return unnamed(endpoint) };
        match process.asked("PATCH", &path, Some(&body)) {
            Ok(told) => print(&line(endpoint, &told)),
            Err(status) => status,
        }
    };
    match &arguments.order {
        EndpointOrder::List => list(process),
        EndpointOrder::Drain { endpoint } => change(endpoint, json!({ "state": "drain" })),
        EndpointOrder::Ready { endpoint } => change(endpoint, json!({ "state": "ready" })),
        EndpointOrder::Maintenance { endpoint } => change(endpoint, json!({ "state": "maintenance" })),
        EndpointOrder::Weight { endpoint, weight } => match (weight.as_str(), weight.parse::<u32>()) {
            ("configured", _) => change(endpoint, json!({ "weight": null })),
            (_, Ok(weight)) => change(endpoint, json!({ "weight": weight })),
            _ => crate::misused("the weight is a number, or `configured`"),
        },
        EndpointOrder::Add { endpoint, weight } => {
            let Some((upstream, address)) = endpoint.split_once('/') else { return unnamed(endpoint) };
            let body = json!({ "address": address, "weight": weight });
            let path = format!("/v1/upstreams/{}/endpoints", encoded(upstream));
            match process.asked("POST", &path, Some(&body)) {
                Ok(told) => print(&line(endpoint, &told)),
                Err(status) => status,
            }
        }
        EndpointOrder::Remove { endpoint } => {
            let Some(path) = path(endpoint) else { return unnamed(endpoint) };
            match process.asked("DELETE", &path, None) {
                Ok(_) => print(&format!("{endpoint} is removed\n")),
                Err(status) => status,
            }
        }
    }
}

fn list(process: &Process) -> ExitCode {
    let told = match process.asked("GET", "/v1/upstreams", None) {
        Ok(told) => told,
        Err(status) => return status,
    };
    let mut text = String::new();
    for upstream in told["upstreams"].as_array().into_iter().flatten() {
        for endpoint in upstream["endpoints"].as_array().into_iter().flatten() {
            let name = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            text +=
                &line(&format!("{}/{}", name(&upstream["upstream"]), name(&endpoint["endpoint"])), endpoint);
        }
    }
    print(&text)
}

/// `web/10.0.0.1:8080  up  weight 1  (checked)`.
fn line(name: &str, endpoint: &Value) -> String {
    let reason = endpoint["reason"].as_str().filter(|reason| !reason.is_empty());
    let reason = reason.map_or_else(String::new, |reason| format!("  ({reason})"));
    let state = endpoint["state"].as_str().unwrap_or_default();
    format!(
        "{name}  {state}  weight {}  running {}{reason}\n",
        endpoint["weight"], endpoint["requests_running"]
    )
}

fn path(endpoint: &str) -> Option<String> {
    let (upstream, address) = endpoint.split_once('/')?;
    Some(format!("/v1/upstreams/{}/endpoints/{}", encoded(upstream), encoded(address)))
}

fn unnamed(endpoint: &str) -> ExitCode {
    crate::misused(&format!("`{endpoint}` is no UPSTREAM/ADDRESS, such as web/10.0.0.1:8080"))
}
