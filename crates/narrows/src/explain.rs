//! `narrows explain`: which rule would take a request, and why.
//!
//! The answer comes from what serves live traffic: the same parser, the same facts, the same route table, with a
//! recorder that listens.

mod http;
mod report;
mod tcp;

use crate::{fail, run};
use clap::ValueEnum;
use narrows_plan::{Listener, Plan, Protocol, Recorder, Rule, Upstream};
use report::{Compared, Report, Seen};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) const HELP: &str = "Examples:
  narrows explain narrows.yaml GET https://api.example.com/v1/x -H 'x-beta: 1'
  narrows explain narrows.yaml POST http://api.example.com/v1/x --source 10.0.0.7 --all
  narrows explain narrows.yaml TCP tcp://127.0.0.1:443 --sni db.example.com --alpn h2

Exit status: 0 when something takes the request, 1 when nothing does or the configuration is wrong.";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration
    file: PathBuf,
    /// Method of the request, or TCP for a connection at layer 4
    method: String,
    /// Where it goes: http://host[:port]/path?query, or tcp://host:port
    url: String,
    /// A header field of the request, `name: value`; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME: VALUE")]
    headers: Vec<String>,
    /// Address that the connection comes from
    #[arg(long, value_name = "IP", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    source: IpAddr,
    /// Server name in the TLS client hello (layer 4)
    #[arg(long, value_name = "NAME")]
    sni: Option<String>,
    /// Application protocol in the TLS client hello (layer 4); may be repeated
    #[arg(long, value_name = "PROTOCOL")]
    alpn: Vec<String>,
    /// Only this listener
    #[arg(long, value_name = "NAME")]
    listener: Option<String>,
    /// List also the rules that were not looked at
    #[arg(long)]
    all: bool,
    /// How the answer is printed
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// An array of objects, one for each listener that was asked
    Json,
}

pub(crate) fn explain(arguments: &Arguments) -> ExitCode {
    let loaded = narrows_config::load(std::slice::from_ref(&arguments.file));
    run::show(&loaded.diagnostics);
    let Some(plan) = loaded.plan else { return ExitCode::FAILURE };
    let is_tcp = arguments.method == "TCP";
    let url = match Url::parse(&arguments.url) {
        Some(url) if (url.scheme == "tcp") == is_tcp => url,
        _ if is_tcp => return fail("with TCP the address is written tcp://host:port"),
        _ => return fail(&format!("`{}` is not http://host[:port]/path", arguments.url)),
    };
    let listeners = candidates(&plan, &url, is_tcp, arguments.listener.as_deref());
    if listeners.is_empty() {
        return fail(
            "no listener would take that connection: the port, the protocol or the listener's name differs",
        );
    }
    let reports: Vec<Report> = listeners
        .into_iter()
        .map(|listener| match &listener.protocol {
            Protocol::Http(http) => http::explain(&plan, listener, http, &url, arguments),
            Protocol::Tcp(tcp) => tcp::explain(&plan, listener, tcp, &url, arguments),
        })
        .collect();
    crate::print(&match arguments.format {
        Format::Text => reports.iter().map(Report::to_text).collect::<Vec<_>>().join("\n"),
        Format::Json => {
            format!("{:#}\n", serde_json::Value::Array(reports.iter().map(Report::to_json).collect()))
        }
    });
    if reports.iter().any(|report| report.is_taken) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Where a hypothetical request goes.
struct Url {
    scheme: String,
    authority: String,
    port: Option<u16>,
    path_and_query: String,
}

impl Url {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        let path_and_query = if path_and_query.starts_with('/') {
            path_and_query.to_owned()
        } else {
            format!("/{path_and_query}")
        };
        let (_, port) = narrows_wire::target::split_host_port(authority.as_bytes())?;
        let known = matches!(scheme, "http" | "https" | "tcp");
        known.then(|| Url {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            port,
            path_and_query,
        })
    }
}

/// The listeners that speak the protocol, and of these the ones on the URL's port where any is.
fn candidates<'a>(plan: &'a Plan, url: &Url, is_tcp: bool, name: Option<&str>) -> Vec<&'a Listener> {
    let speaks = |listener: &&Listener| matches!(listener.protocol, Protocol::Tcp(_)) == is_tcp;
    let named = |listener: &&Listener| name.is_none_or(|name| *listener.name == *name);
    let all: Vec<_> = plan.listeners.iter().filter(speaks).filter(named).collect();
    let on_port = |listener: &&&Listener| {
        listener.binds.iter().any(|(bind, _)| match bind {
            narrows_plan::Bind::Socket(address) => Some(address.port()) == url.port,
            narrows_plan::Bind::Unix(_) => false,
        })
    };
    let matching: Vec<_> = all.iter().filter(on_port).copied().collect();
    match (matching.is_empty(), is_tcp && name.is_none()) {
        (true, true) => Vec::new(),
        (true, false) => all,
        (false, _) => matching,
    }
}

/// Hears what the route table compares.
#[derive(Default)]
struct Trace {
    candidates: Vec<usize>,
    conditions: Vec<(usize, usize, Option<bool>)>,
}

impl Recorder for Trace {
    fn candidate(&mut self, rule: usize) {
        self.candidates.push(rule);
    }

    fn condition(&mut self, rule: usize, condition: usize, held: Option<bool>) {
        self.conditions.push((rule, condition, held));
    }
}

impl Trace {
    /// What was compared, best rank first.
    fn compared<F: narrows_plan::Facts>(
        mut self,
        plan: &Plan,
        rules: &[Rule],
        chosen: Option<usize>,
        name: impl Fn(usize) -> String,
        facts: &F,
    ) -> Vec<Compared> {
        self.candidates.sort_by_key(|&rule| rules[rule].rank);
        self.candidates.dedup();
        let conditions = |wanted: usize| {
            let of_rule = self.conditions.iter().filter(move |(rule, ..)| *rule == wanted);
            of_rule.map(|&(rule, number, held)| {
                let condition = &rules[rule].conditions[number];
                Seen {
                    written: condition.written.to_string(),
                    held,
                    values: condition.expression.observed(facts),
                    place: plan.locate(condition.origin),
                }
            })
        };
        self.candidates
            .iter()
            .map(|&rule| Compared {
                route: name(rule),
                place: plan.locate(rules[rule].origin),
                patterns: patterns(&rules[rule]),
                is_taken: Some(rule) == chosen,
                conditions: conditions(rule).collect(),
            })
            .collect()
    }
}

fn patterns(rule: &Rule) -> String {
    let join = |patterns: Vec<String>| if patterns.is_empty() { "any".into() } else { patterns.join(", ") };
    let hosts = join(rule.hosts.iter().map(ToString::to_string).collect());
    let paths = join(rule.paths.iter().map(ToString::to_string).collect());
    format!("host {hosts}; path {paths}")
}

/// Why a rule that was not compared could be left out.
fn why_skipped(rule: &Rule, host: &str, path: &str) -> &'static str {
    if !rule.hosts.is_empty() && !rule.hosts.iter().any(|pattern| pattern.covers(host)) {
        "the host differs"
    } else if !rule.paths.is_empty() && !rule.paths.iter().any(|pattern| pattern.covers(path)) {
        "the path differs"
    } else {
        "a more specific rule had taken it"
    }
}

/// An upstream and its endpoints, a line each.
fn upstream_lines(plan: &Plan, upstream: &Upstream) -> Vec<String> {
    let mut lines = vec![format!(
        "upstream {} ({}), {}, up to {} attempts",
        upstream.name,
        plan.locate(upstream.origin),
        upstream.balance.name(),
        upstream.retries.saturating_add(1)
    )];
    lines.extend(upstream.endpoints.iter().map(|endpoint| {
        format!(
            "  endpoint {} weight {} ({})",
            endpoint.address,
            endpoint.weight,
            plan.locate(endpoint.origin)
        )
    }));
    lines
}

#[cfg(test)]
mod tests;
