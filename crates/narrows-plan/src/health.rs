//! How it is found out whether an endpoint is well.

use crate::{Pattern, defaults};
use serde::Serialize;
use std::net::IpAddr;
use std::time::Duration;

/// Asking the endpoints of an upstream whether they are well, from time to time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HealthCheck {
    /// What is asked.
    pub kind: CheckKind,
    /// Between two checks of an endpoint that is up.
    pub interval: Duration,
    /// Between two checks while the state is about to change; `None` is `interval`.
    pub fast_interval: Option<Duration>,
    /// Between two checks of an endpoint that is down; `None` is `interval`.
    pub slow_interval: Option<Duration>,
    /// Each interval is longer or shorter by up to this many per cent, by chance.
    pub jitter: u32,
    /// A check that takes longer has failed.
    pub timeout: Duration,
    /// Checks in a row that must pass before an endpoint is up.
    pub rise: u32,
    /// Checks in a row that must fail before it is down.
    pub fall: u32,
    /// Another port than the endpoint's.
    pub port: Option<u16>,
    /// Another address than the endpoint's.
    pub address: Option<IpAddr>,
    /// Whether the check speaks TLS as the upstream does; without effect where the upstream has none.
    pub tls: bool,
    /// What holds before the first check.
    pub start: StartState,
}

/// What an endpoint is before its first check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StartState {
    /// Up: it gets traffic at once.
    #[default]
    Up,
    /// Down until `rise` checks have passed.
    Down,
    /// The first check decides.
    Checked,
}

/// What a health check asks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckKind {
    /// A connection can be made; what is sent, and what must come back.
    Tcp {
        /// Sent after connecting; may be empty.
        #[serde(serialize_with = "crate::describe::as_text")]
        send: Box<[u8]>,
        /// What must be in the first 64 KiB that come back.
        expect: Option<Expect>,
    },
    /// A TLS handshake succeeds. Where the upstream itself has no TLS, with any certificate.
    Tls,
    /// An HTTP request gets one of these statuses.
    Http(Box<HttpCheck>),
    /// `grpc.health.v1.Health/Check` says SERVING.
    Grpc {
        /// The service that is asked about; empty is the whole server.
        service: Box<str>,
    },
    /// A startup message gets an answer that is no fatal error other than one about the login.
    PostgreSql {
        /// User of the startup message.
        user: Box<str>,
        /// Database of the startup message; empty is the user's.
        database: Box<str>,
    },
    /// A login is taken; without a user, a refused one is good enough.
    MySql {
        /// User without password; empty is nobody.
        user: Box<str>,
    },
    /// `PING` gets `+PONG`.
    Redis {
        /// Sent with `AUTH` before; empty is none.
        #[serde(serialize_with = "crate::describe::as_secret")]
        password: Box<str>,
    },
    /// The greeting and `EHLO` get 2xx.
    Smtp {
        /// Name in `EHLO`.
        hello: Box<str>,
    },
    /// An anonymous bind gets an answer.
    Ldap,
    /// A datagram gets an answer; without `expect`, no ICMP error.
    Udp {
        /// The datagram.
        #[serde(serialize_with = "crate::describe::as_text")]
        send: Box<[u8]>,
        /// What must be in an answer.
        expect: Option<Expect>,
    },
    /// A program ends with status 0. `NARROWS_ADDRESS`, `NARROWS_PORT`, `NARROWS_ENDPOINT`, `NARROWS_UPSTREAM` tell it what is checked.
    Command {
        /// Program and arguments; no shell.
        command: Box<[Box<str>]>,
    },
}

impl CheckKind {
    /// The name that operators write.
    pub fn name(&self) -> &'static str {
        match self {
            CheckKind::Tcp { .. } => "tcp",
            CheckKind::Tls => "tls",
            CheckKind::Http(_) => "http",
            CheckKind::Grpc { .. } => "grpc",
            CheckKind::PostgreSql { .. } => "postgresql",
            CheckKind::MySql { .. } => "mysql",
            CheckKind::Redis { .. } => "redis",
            CheckKind::Smtp { .. } => "smtp",
            CheckKind::Ldap => "ldap",
            CheckKind::Udp { .. } => "udp",
            CheckKind::Command { .. } => "command",
        }
    }
}

/// The request of an HTTP check, and what is expected of its answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HttpCheck {
    /// Path with query.
    pub path: Box<str>,
    /// Method.
    pub method: Box<str>,
    /// `Host`; `None` is the endpoint's name or address.
    pub host: Option<Box<str>>,
    /// Further fields.
    pub headers: Box<[(Box<str>, Box<str>)]>,
    /// Inclusive ranges of good statuses.
    pub statuses: Box<[(u16, u16)]>,
    /// What must be in the first 64 KiB of the body.
    pub body: Option<Expect>,
}

/// What must be in an answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expect {
    /// These bytes, anywhere.
    #[serde(serialize_with = "crate::describe::as_text")]
    Contains(Box<[u8]>),
    /// A match.
    Matches(Pattern),
}

/// An agent beside the server that says how much it can take, in HAProxy's text protocol (`up`, `down`, `drain`, `maint`, `75%`, ...).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentCheck {
    /// Port on the endpoint's host.
    pub port: u16,
    /// Another address than the endpoint's.
    pub address: Option<IpAddr>,
    /// Sent after connecting.
    pub send: Box<str>,
    /// Between two questions.
    pub interval: Duration,
    /// To get the answer.
    pub timeout: Duration,
}

/// Judging endpoints by what real traffic meets: those that fail are ejected for a while.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PassiveCheck {
    /// Failures in a row, over all workers, before an endpoint is ejected; `None` is never. A failure is a connect that failed, a
    /// connection that broke or timed out before an answer, or an answer with one of `statuses`.
    pub failures: Option<u32>,
    /// Inclusive ranges of statuses that are failures.
    pub statuses: Box<[(u16, u16)]>,
    /// How often rates are judged.
    pub interval: Duration,
    /// Ejection of endpoints whose success rate is far below the others'.
    pub success_rate: Option<SuccessRate>,
    /// Ejection of endpoints whose answers take much longer than the others'.
    pub latency: Option<LatencyOutlier>,
    /// The first ejection lasts this long, the n-th in a row n times as long.
    pub ejection: Duration,
    /// The longest ejection.
    pub maximum_ejection: Duration,
    /// Most endpoints that are ejected at one time, per cent; one always may be, when there are two or more.
    pub share: u32,
}

impl Default for PassiveCheck {
    fn default() -> Self {
        PassiveCheck {
            failures: Some(defaults::PASSIVE_FAILURES),
            statuses: Box::new([(502, 504)]),
            interval: defaults::PASSIVE_INTERVAL,
            success_rate: None,
            latency: None,
            ejection: defaults::EJECTION,
            maximum_ejection: defaults::MAXIMUM_EJECTION,
            share: defaults::EJECTED_SHARE,
        }
    }
}

/// A success rate below the average of the endpoints by more than some standard deviations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SuccessRate {
    /// Standard deviations, in per cent (190 is 1.9).
    pub deviation: u32,
    /// Requests in an interval below which an endpoint is not judged.
    pub requests: u32,
    /// Endpoints with enough requests below which none is judged.
    pub endpoints: u32,
}

/// A mean answer time above the median of the endpoints by some factor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LatencyOutlier {
    /// Factor in per cent (300 is three times the median).
    pub factor: u32,
    /// Answer times below this are never too long.
    pub minimum: Duration,
    /// Requests in an interval below which an endpoint is not judged.
    pub requests: u32,
}
