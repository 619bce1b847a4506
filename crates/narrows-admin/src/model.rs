//! What the API tells and takes, as data. The types are the description of the API: OpenAPI is made from them.

use crate::operations::Phase;
use narrows_control::{EndpointState, UpstreamState};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// The program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Version {
    /// Its version.
    pub version: String,
    /// The commit that it was built from; null where that is not known.
    pub commit: Option<String>,
    /// Architecture and system.
    pub platform: String,
}

/// The process.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The program.
    #[serde(flatten)]
    pub version: Version,
    /// Its number.
    pub pid: u32,
    /// How far it is.
    pub phase: Phase,
    /// Whether it takes traffic.
    pub ready: bool,
    /// When it began to serve (RFC 3339).
    pub started: String,
    /// For how long it has served.
    pub uptime_seconds: u64,
    /// The number of the configuration: 1 for the first one, one more with each reload.
    pub generation: u64,
    /// For how long the configuration waits to be confirmed; null when it is not on trial.
    pub trial_seconds: Option<u64>,
    /// Workers.
    pub workers: usize,
    /// Listeners.
    pub listeners: usize,
    /// Upstreams.
    pub upstreams: usize,
    /// Endpoints.
    pub endpoints: usize,
    /// Endpoints that take traffic.
    pub endpoints_up: usize,
}

/// The configuration in force. What is secret is not in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Configuration {
    /// Its number.
    pub generation: u64,
    /// The files that it was read from.
    pub files: Vec<String>,
    /// What holds for the whole process.
    pub settings: serde_json::Map<String, serde_json::Value>,
    /// What is listened on: all keys with the defaults filled in, and `origin`, where it was written.
    pub listeners: Vec<serde_json::Map<String, serde_json::Value>>,
    /// Where traffic goes, in the same form.
    pub upstreams: Vec<serde_json::Map<String, serde_json::Value>>,
}

/// All listeners.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Listeners {
    /// In the order of the configuration.
    pub listeners: Vec<ListenerState>,
}

/// A listener.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ListenerState {
    /// Its name.
    pub listener: String,
    /// `http`, `tcp`, `udp` or `quic`.
    pub protocol: String,
    /// Where it listens, with the real port where 0 was asked for.
    pub addresses: Vec<String>,
    /// Whether it ends TLS.
    pub tls: bool,
    /// Routes.
    pub routes: usize,
    /// Where it was written: `file:line:column`.
    pub origin: String,
}

/// All routes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Routes {
    /// By listener, in the order in which they are looked at.
    pub routes: Vec<RouteState>,
}

/// A route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RouteState {
    /// The listener.
    pub listener: String,
    /// Its name.
    pub route: String,
    /// Hosts or server names; empty takes any.
    pub hosts: Vec<String>,
    /// Paths; empty takes any.
    pub paths: Vec<String>,
    /// What else must hold, as it was written.
    pub conditions: Vec<String>,
    /// What is done.
    pub action: ActionKind,
    /// Where traffic goes, for the actions that send it on.
    pub upstreams: Vec<Share>,
    /// Where it was written: `file:line:column`.
    pub origin: String,
    /// Requests, flows or sessions that it has taken; null where that is not counted.
    pub hits_total: Option<u64>,
}

/// What a route does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// It forwards.
    Upstream,
    /// It forwards to one of several upstreams.
    Split,
    /// It answers.
    Respond,
    /// It sends the client elsewhere.
    Redirect,
    /// It tells the state of all upstreams.
    Status,
}

/// An upstream and its share of a route.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Share {
    /// The upstream.
    pub upstream: String,
    /// Its weight among the others.
    pub weight: u32,
}

/// All upstreams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Upstreams {
    /// In the order of the configuration.
    pub upstreams: Vec<UpstreamState>,
}

/// The endpoints of an upstream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Endpoints {
    /// In the order in which they were found; added ones come last.
    pub endpoints: Vec<EndpointState>,
}

/// How connections to all upstreams are kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Pools {
    /// In the order of the configuration.
    pub pools: Vec<PoolState>,
}

/// How connections to an upstream are kept. Limits hold for each worker and endpoint.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PoolState {
    /// The upstream.
    pub upstream: String,
    /// Idle connections kept.
    pub idle_limit: usize,
    /// How long one stays idle; null for ever.
    pub idle_timeout_seconds: Option<f64>,
    /// Requests on one connection; null is unlimited.
    pub requests_limit: Option<u32>,
    /// Age after which a connection takes no further request; null is unlimited.
    pub age_limit_seconds: Option<f64>,
    /// Open connections, idle ones included, by endpoint.
    pub endpoints: Vec<PoolEndpoint>,
}

/// Connections to an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PoolEndpoint {
    /// The endpoint.
    pub endpoint: String,
    /// Open connections, idle ones included.
    pub connections_open: u64,
    /// Requests, flows or sessions there now.
    pub requests_running: u64,
}

/// All certificates that are shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Certificates {
    /// By listener, then by upstream, then those of the admin API.
    pub certificates: Vec<CertificateState>,
}

/// A certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CertificateState {
    /// Who shows it: `listener`, `upstream` (the proxy, to that upstream's servers) or `admin`.
    pub shown_by: String,
    /// The name of the listener or upstream; null for the admin API.
    pub name: Option<String>,
    /// The names that it is for.
    pub dns_names: Vec<String>,
    /// Who it belongs to.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// When it begins to be valid (RFC 3339).
    pub not_before: String,
    /// When it ends to be valid (RFC 3339).
    pub not_after: String,
    /// For how long it is valid still; negative when it is not any more.
    pub valid_seconds: i64,
    /// Its file; null when it was made at start.
    pub file: Option<String>,
}

/// All workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Workers {
    /// By number.
    pub workers: Vec<WorkerState>,
}

/// A worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WorkerState {
    /// Its number, from 0.
    pub worker: usize,
    /// How far it is.
    pub phase: Phase,
    /// The processor time that its thread has taken; null where the system does not tell.
    pub cpu_seconds: Option<f64>,
}

/// Every cause of a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Causes {
    /// Causes of this API.
    pub problems: Vec<CauseState>,
}

/// A cause of a problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CauseState {
    /// The word.
    pub cause: String,
    /// The status of answers with it.
    pub status: u16,
    /// What it means.
    pub meaning: String,
}

/// What an endpoint is meant to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EndpointOrder {
    /// To serve.
    Ready,
    /// To serve what sticks to it or runs there, and nothing new.
    Drain,
    /// To serve nothing new; it is not checked.
    Maintenance,
}

/// A change of an endpoint. It holds over reloads, and ends with the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(extend("minProperties" = 1))]
pub struct EndpointChange {
    /// What it is meant to do; null for what the configuration says.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    pub state: Option<Option<EndpointOrder>>,
    /// Its weight, at most 65535; null for what the configuration says.
    #[serde(default, deserialize_with = "there", skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 65535))]
    pub weight: Option<Option<u32>>,
}

/// A value that is there, null included.
fn there<'d, T: Deserialize<'d>, D: Deserializer<'d>>(deserializer: D) -> Result<Option<T>, D::Error> {
    T::deserialize(deserializer).map(Some)
}

/// What an address of an endpoint looks like: IPv4 or IPv6 with a port, or a Unix socket.
const ADDRESS: &str = concat!(
    "^(((25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])[.]){3}(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?",
    "[0-9])|",
    "\\[(([0-9a-fA-F]{1,4}:){7}[0-9a-fA-F]{1,4}|([0-9a-fA-F]{1,4}:){1,7}:|([0-9a-fA-F]{1,4}:){1",
    ",6}(:[0-9a-fA-F]{1,4}){1,1}|([0-9a-fA-F]{1,4}:){1,5}(:[0-9a-fA-F]{1,4}){1,2}|([0-9a-fA-F]{",
    "1,4}:){1,4}(:[0-9a-fA-F]{1,4}){1,3}|([0-9a-fA-F]{1,4}:){1,3}(:[0-9a-fA-F]{1,4}){1,4}|([0-9",
    "a-fA-F]{1,4}:){1,2}(:[0-9a-fA-F]{1,4}){1,5}|([0-9a-fA-F]{1,4}:){1,1}(:[0-9a-fA-F]{1,4}){1,",
    "6}|:((:[0-9a-fA-F]{1,4}){1,7}|:))\\]",
    "):([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])$|",
    "^unix:/[!-~]{1,100}$",
);

/// An endpoint that is to be added. It stays over reloads, and is gone with a restart unless it is configured by then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewEndpoint {
    /// Its address: `10.0.0.1:8080`, `[2001:db8::1]:8080` or `unix:/path`. Names belong into the configuration.
    #[schemars(extend("pattern" = ADDRESS))]
    pub address: String,
    /// Its weight.
    #[serde(default = "one")]
    #[schemars(range(min = 0, max = 65535))]
    pub weight: u32,
    /// Its priority; 0 goes first.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1000))]
    pub priority: u32,
}

fn one() -> u32 {
    1
}

/// How the configuration is to be taken anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReloadRequest {
    /// It is on trial: unless it is confirmed in this many seconds, the one before comes back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 86400))]
    pub confirm_within_seconds: Option<u32>,
}

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Done {
    /// In a sentence.
    pub done: String,
}
