//! `narrows explain`: which rule would take a request, and why.
//!
//! The answer comes from what serves live traffic: the same parser, the same facts, the same route table, with a
//! recorder that listens.

mod flow;
mod http;
mod live;
mod outcome;
mod report;
mod safeguards;
mod sign;
mod target;

use crate::load::{load, show};
use crate::{fail, misused};
use clap::ValueEnum;
use narrows_plan::{Bind, Listener, Plan, Protocol, ProxyProtocol, Recorder, Rule, Subject};
use narrows_proxy::ChoicePreview;
use report::{Compared, Report, Seen, Skipped};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

pub(crate) const HELP: &str = "Examples:
  narrows explain narrows.yaml GET https://api.example.com/v1/x -H 'x-beta: 1'
  narrows explain narrows.yaml POST http://api.example.com/v1/x --source 10.0.0.7 --all
  narrows explain narrows.yaml GET http://www.example.com/ --format json
  narrows explain narrows.yaml TCP tcp://127.0.0.1:443 --sni db.example.com --alpn h2
  narrows explain narrows.yaml UDP udp://127.0.0.1:53 --source 10.0.0.7
  narrows explain --live 'request.path.startsWith(\"/v1\")' --limit 10
  curl -i -H \"$(narrows explain --sign --secret explain.key GET http://www.example.com/)\" http://www.example.com/

With --live, requests, flows and sessions of a running process are explained as they happen: which rules were
compared with which values, what became of the headers, among which endpoints was chosen and why, every
attempt, and the time that each part took. Credentials are hidden.

With --sign, a header is printed that lets one request of that method, host and path be explained in its
answer (`explain: { secret: FILE }` in the configuration).

Otherwise nothing is sent: the parser, the facts, the route table and the balancers of the proxy answer. Endpoints are
as configured: whether they are well is known to a running process. The URL's port picks the
listener where one is bound to it; otherwise every HTTP listener is asked.
Exit status: 0 when something takes the request, 1 when nothing does or the configuration is wrong.";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// The configuration (`-` is standard input), the method (TCP and UDP at layer 4), and where it goes:
    /// http://host[:port]/path?query, tcp://host:port or udp://host:port
    #[arg(value_names = ["FILE", "METHOD", "URL"], num_args = 2..=3, required_unless_present = "live")]
    words: Vec<String>,
    #[arg(skip)]
    method: String,
    #[arg(skip)]
    url: Url,
    #[command(flatten)]
    listening: live::Listening,
    /// Print a header that lets a request of this METHOD and URL be explained in its answer; no FILE is given then
    #[arg(long, requires = "secret")]
    sign: bool,
    /// The file with the key, the one that `explain.secret` of the configuration names
    #[arg(long, value_name = "FILE", requires = "sign")]
    secret: Option<PathBuf>,
    /// How long the header is valid, a day at most: 30s, 5m, 2h
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = sign::read_duration)]
    valid: Duration,
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

pub(crate) fn explain(arguments: Arguments) -> ExitCode {
    if let Some(when) = &arguments.listening.live {
        return live::listen(when, &arguments.listening);
    }
    match arguments.understood() {
        Ok((Some(file), arguments)) => of_file(&file, &arguments),
        Ok((None, Arguments { secret: Some(secret), method, url, valid, .. })) => {
            sign::sign(&secret, &method, &url, valid)
        }
        Ok((None, _)) => misused("--sign needs --secret FILE"),
        Err(message) => misused(&message),
    }
}

impl Arguments {
    /// The words, each in its place; the file is there unless a header is asked for.
    fn understood(mut self) -> Result<(Option<PathBuf>, Self), String> {
        let words = std::mem::take(&mut self.words);
        let (file, [method, url]) = match (self.sign, &words[..]) {
            (true, [method, url]) => (None, [method, url]),
            (false, [file, method, url]) => (Some(PathBuf::from(file)), [method, url]),
            (true, _) => return Err("with --sign two words are given: METHOD URL".into()),
            (false, _) => return Err("three words are given: FILE METHOD URL".into()),
        };
        self.method.clone_from(method);
        self.url = Url::parse(url).map_err(|message| format!("invalid URL `{url}`: {message}"))?;
        Ok((file, self))
    }
}

/// What a configuration would do with a request.
fn of_file(file: &PathBuf, arguments: &Arguments) -> ExitCode {
    let url = &arguments.url;
    let method = arguments.method.to_ascii_lowercase();
    let is_flow = |word: &str| matches!(word, "tcp" | "udp");
    if (is_flow(&method) || is_flow(&url.scheme)) && method != url.scheme {
        return misused(
            "TCP goes with tcp://host:port, UDP with udp://host:port, every other method with http://host/path",
        );
    }
    let loaded = match load(std::slice::from_ref(file)) {
        Ok(loaded) => loaded,
        Err(status) => return status,
    };
    show(&loaded.diagnostics);
    let Some(plan) = loaded.plan else { return ExitCode::FAILURE };
    let listeners = candidates(&plan, url, arguments.listener.as_deref());
    if listeners.is_empty() {
        return fail(&nobody_listens(&plan, url));
    }
    let choices = ChoicePreview::new(&plan);
    let reports: Vec<Report> =
        listeners.into_iter().map(|listener| report(&choices, &plan, listener, arguments)).collect();
    crate::print(&match arguments.format {
        Format::Text => reports.iter().map(Report::to_text).collect::<Vec<_>>().join("\n"),
        Format::Json => {
            format!("{:#}\n", serde_json::Value::Array(reports.iter().map(Report::to_json).collect()))
        }
    });
    if reports.iter().any(|report| report.outcome.is_taken()) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What one listener would do.
fn report(choices: &ChoicePreview<'_>, plan: &Plan, listener: &Listener, arguments: &Arguments) -> Report {
    match &listener.protocol {
        Protocol::Http(http) => http::explain(choices, plan, listener, http, arguments),
        Protocol::Tcp(tcp) => flow::explain_tcp(choices, plan, listener, tcp, arguments),
        Protocol::Udp(udp) => flow::explain_udp(choices, plan, listener, udp, arguments),
    }
}

/// Where a hypothetical request goes.
#[derive(Debug, Clone, Default)]
struct Url {
    scheme: String,
    authority: String,
    /// The port that is named, or the scheme's.
    port: u16,
    path_and_query: String,
}

impl Url {
    fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("it begins with http://, tcp:// or udp://")?;
        let usual_port = match scheme {
            "http" => Some(80),
            "https" => Some(443),
            "tcp" | "udp" => None,
            other => return Err(format!("the scheme `{other}` is not http, https, tcp or udp")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path_and_query) = rest.split_at(end);
        let slash = if path_and_query.starts_with('/') { "" } else { "/" };
        let (_, port) = narrows_wire::target::split_host_port(authority.as_bytes())
            .ok_or_else(|| format!("`{authority}` is not host or host:port"))?;
        Ok(Url {
            scheme: scheme.to_owned(),
            authority: authority.to_owned(),
            port: port.or(usual_port).ok_or("with tcp:// and udp:// the port is named: tcp://host:port")?,
            path_and_query: format!("{slash}{path_and_query}"),
        })
    }
}

/// The listeners that speak the protocol and have the name; of these the ones on the URL's port where any is.
fn candidates<'a>(plan: &'a Plan, url: &Url, name: Option<&str>) -> Vec<&'a Listener> {
    let is_flow = matches!(url.scheme.as_str(), "tcp" | "udp");
    let speaks = |listener: &&Listener| match listener.protocol {
        Protocol::Http(_) => !is_flow,
        Protocol::Tcp(_) => url.scheme == "tcp",
        Protocol::Udp(_) => url.scheme == "udp",
    };
    let named = |listener: &&Listener| name.is_none_or(|name| *listener.name == *name);
    let all: Vec<_> = plan.listeners.iter().filter(speaks).filter(named).collect();
    let on_port: Vec<_> =
        all.iter().filter(|listener| ports(listener).any(|port| port == url.port)).copied().collect();
    if !on_port.is_empty() {
        on_port
    } else if is_flow && name.is_none() {
        Vec::new()
    } else {
        all
    }
}

/// The ports that a listener is bound to; Unix sockets have none.
fn ports(listener: &Listener) -> impl Iterator<Item = u16> {
    listener.binds.iter().filter_map(|(bind, _)| match bind {
        Bind::Socket(address) => Some(address.port()),
        Bind::Unix(_) => None,
    })
}

/// The port of the listener that the connection reaches; 0 for a Unix socket.
fn local_port(listener: &Listener, url: &Url) -> u16 {
    ports(listener).find(|port| *port == url.port).or_else(|| ports(listener).next()).unwrap_or(0)
}

fn nobody_listens(plan: &Plan, url: &Url) -> String {
    let there: Vec<_> = plan.listeners.iter().map(|listener| headline(plan, listener)).collect();
    let Url { scheme, authority, .. } = url;
    format!("no listener would take {scheme}://{authority}; there are:\n  {}", there.join("\n  "))
}

/// Name, place, protocol and addresses of a listener.
fn headline(plan: &Plan, listener: &Listener) -> String {
    let binds: Vec<_> = listener.binds.iter().map(|(bind, _)| bind.to_string()).collect();
    let Listener { name, origin, protocol, .. } = listener;
    format!("{name} ({}), {} on {}", plan.locate(*origin), protocol.name(), binds.join(", "))
}

/// What connections to a listener begin with, where that is a PROXY protocol header.
fn gate(listener: &Listener) -> Option<String> {
    let ProxyProtocol { mode, sources } = listener.proxy_protocol.as_ref()?;
    let sources: Vec<_> = sources.iter().map(ToString::to_string).collect();
    let (mode, sources) = (mode.name(), sources.join(", "));
    Some(format!("a PROXY protocol header is {mode} from {sources}: --source is the client that it names"))
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
        subject: Subject<'_>,
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
                unasked: rules[rule].conditions.len() - conditions(rule).count(),
                route: name(rule),
                place: plan.locate(rules[rule].origin),
                patterns: patterns(&rules[rule], subject),
                is_taken: Some(rule) == chosen,
                conditions: conditions(rule).collect(),
            })
            .collect()
    }
}

/// Which hosts and paths a rule names; at layer 4, where there is no path, which server names.
fn patterns(rule: &Rule, subject: Subject<'_>) -> String {
    let join = |patterns: Vec<String>| if patterns.is_empty() { "any".into() } else { patterns.join(", ") };
    let hosts = join(rule.hosts.iter().map(ToString::to_string).collect());
    let paths = join(rule.paths.iter().map(ToString::to_string).collect());
    if subject.path.is_empty() {
        format!("server name {hosts}")
    } else {
        format!("host {hosts}; path {paths}")
    }
}

/// The rules that were not looked at, best rank first, and why they could be left out.
fn skipped(
    plan: &Plan,
    rules: &[Rule],
    trace: &Trace,
    name: impl Fn(usize) -> String,
    subject: Subject<'_>,
) -> Vec<Skipped> {
    let mut left_out: Vec<usize> = (0..rules.len()).filter(|rule| !trace.candidates.contains(rule)).collect();
    left_out.sort_by_key(|&rule| rules[rule].rank);
    let describe = |rule: usize| Skipped {
        route: name(rule),
        place: plan.locate(rules[rule].origin),
        patterns: patterns(&rules[rule], subject),
        why: why_skipped(&rules[rule], subject),
    };
    left_out.into_iter().map(describe).collect()
}

fn why_skipped(rule: &Rule, subject: Subject<'_>) -> &'static str {
    let Subject { host, path } = subject;
    if !rule.hosts.is_empty() && !rule.hosts.iter().any(|pattern| pattern.covers(host)) {
        if path.is_empty() { "the server name differs" } else { "the host differs" }
    } else if !rule.paths.is_empty() && !rule.paths.iter().any(|pattern| pattern.covers(path)) {
        "the path differs"
    } else {
        "a more specific route had taken it"
    }
}

#[cfg(test)]
mod tests;
