//! The configuration as it is written: every table and every key, declared once.

mod access_log;
mod admin;
mod endpoint;
mod explain;
mod health;
mod keys;
mod limits;
mod listener;
mod metrics;
mod passive;
mod retries;
mod route;
mod stickiness;
mod tls;
mod tracing;
mod upstream;

use crate::shape::{Duration, Map, Number, OPTIONAL, OneOrMany, OrTable, Switch, TextOr, otherwise, table};
use crate::tree::Text;
use narrows_plan::defaults;

pub(crate) use access_log::{AccessLog, Escape, FormatTable, LogDestination, LogFormat};
pub(crate) use admin::{Admin, AdminTls};
pub(crate) use endpoint::{AdminState, Endpoint};
pub(crate) use explain::Explain;
pub(crate) use health::{AgentCheck, Bytes, Expect, HealthCheck, HttpCheck, StartState};
pub(crate) use keys::{Name, StatusKey, is_token};
pub(crate) use limits::{AdaptiveConcurrency, Breaker};
pub(crate) use listener::{
    ErrorPage, ForwardPath, ForwardedKind, Listener, ListenerTimeouts, Protocol, ProxyProtocolMode,
};
pub(crate) use metrics::Metrics;
pub(crate) use passive::{PassiveCheck, SuccessRate};
pub(crate) use retries::{Retries, RetryReason};
pub(crate) use route::{HeaderEdits, Matcher, Mirror, PathTable, Rewrite, Route, Share};
pub(crate) use stickiness::{CookieMode, CookieValue, SameSite, Stickiness, StickyCookie};
pub(crate) use tls::{
    Certificate, CertificateHeader, ClientCertificates, ClientMode, Profile, UpstreamProtocol, UpstreamTls,
};
pub(crate) use tracing::{
    Otlp, OtlpProtocol, Propagation, RequestId, SampleRule, SpanOf, Telemetry, TraceParent, TracedErrors,
    Tracing,
};
pub(crate) use upstream::{
    AddressFamily, Addresses, Balance, ProxyProtocolVersion, Resolver, Upstream, WhenDown,
};

/// A duration as operators write it.
pub(crate) fn time(duration: std::time::Duration) -> String {
    match duration.as_millis() {
        0 => "0s".to_owned(),
        ms if ms % 3_600_000 == 0 => format!("{}h", ms / 3_600_000),
        // A minute is rather written as 60s.
        ms if ms % 60_000 == 0 && ms > 60_000 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

/// A size as operators write it.
pub(crate) fn size(bytes: u64) -> String {
    match bytes {
        0 => "0".to_owned(),
        bytes if bytes % (1 << 30) == 0 => format!("{}GiB", bytes >> 30),
        bytes if bytes % (1 << 20) == 0 => format!("{}MiB", bytes >> 20),
        bytes if bytes % (1 << 10) == 0 => format!("{}KiB", bytes >> 10),
        bytes => bytes.to_string(),
    }
}

table! {
    /// The whole configuration. Several files may be given: their tables are united.
    Configuration {
        /// What holds for the whole process.
        settings: Settings = OPTIONAL,
        /// Where operators reach the process: `off`, an address, or a table; see admin.md.
        admin: TextOr<Admin> = otherwise("a Unix socket at the usual place"),
        /// What is counted: `on`, `off`, or a table; see metrics.md.
        metrics: Switch<Metrics> = "on",
        /// Where telemetry goes; see tracing.md.
        telemetry: Telemetry = OPTIONAL,
        /// Which requests are traced; without it the headers of traces pass as they are. See tracing.md.
        tracing: Tracing = OPTIONAL,
        /// A name for each request; see tracing.md.
        request_id: RequestId = OPTIONAL,
        /// Explanations of single requests, for who has the key; see explain.md.
        explain: Explain = otherwise("nobody gets one so"),
        /// What is listened on, by name.
        listeners: Map<Name, Listener> = OPTIONAL,
        /// Where traffic goes, by name.
        upstreams: Map<Name, Upstream> = OPTIONAL,
    }
}

table! {
    /// What holds for the whole process.
    Settings {
        /// Workers; each serves connections on its own.
        workers: Number<1, 1024> = otherwise("the number of cores"),
        /// How long a graceful stop waits for running work.
        drain: Duration = time(defaults::DRAIN),
        /// Where a line for each request and connection goes: `off`, `stdout`, `stderr`, the path of a file, a table, or a list of
        /// these; see logging.md.
        access_log: OneOrMany<TextOr<AccessLog>> = "off",
        /// How such a line looks, where its log does not say: `text` is the combined format with more fields, `json` an object a line.
        log_format: OrTable<LogFormat, FormatTable> = "text",
        /// Where this process stands, for upstreams with `prefer_zone`.
        zone: Text = OPTIONAL,
        /// User that the process becomes once its sockets are bound, by name or number. It has to be started as root.
        user: Text = OPTIONAL,
        /// Group that the process becomes, by name or number [default: the user's own].
        group: Text = OPTIONAL,
        /// File that holds the number of the process while it serves.
        pid_file: Text = OPTIONAL,
        /// How long a process that is to take over in an upgrade may take until it serves; then it is ended, and nothing has happened.
        upgrade_timeout: Duration = time(defaults::UPGRADE_TIMEOUT),
    }
}
