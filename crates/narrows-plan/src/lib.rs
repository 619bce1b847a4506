//! The meaning of a configuration, whatever language it was written in.
//!
//! A front end lowers text into a [`Plan`]; everything below the front ends reads only the plan. It is immutable, carries
//! the place where each part was written ([`Origin`]), and has every default and inherited value filled in, so that
//! nobody below asks a parent. Conditions are typed [`Expression`]s, texts built from the traffic are [`Template`]s, and the
//! rules of a listener are compiled into one [`RouteTable`].
//!
//! Invariant: this crate does no I/O, knows no dialect and imports no other room.

mod access_log;
mod admin;
mod balance;
mod changes;
pub mod defaults;
mod describe;
mod explain;
mod expression;
mod facts;
mod health;
mod limits;
mod listener;
mod metrics;
mod network;
mod origin;
mod pattern;
mod proxy_protocol;
mod retry;
mod route;
mod route_table;
mod settings;
mod stickiness;
mod template;
mod tls;
mod tracing;
mod udp;
mod upstream;

pub use access_log::{
    AccessLog, LogEscape, LogField, LogFormat, LogPart, LogParts, LogTarget, Rotation, Syslog, SyslogAddress,
};
pub use admin::{Admin, AdminApi};
pub use balance::{Balance, Balancing};
pub use changes::{Change, Changes, Kind, What};
pub use describe::describe;
pub use explain::Explain;
pub use expression::{Arithmetic, Comparison, Expression, Literal, TextTest, Type, Value};
pub use facts::{Fact, Facts, NoFacts};
pub use health::{
    AgentCheck, CheckKind, Expect, HealthCheck, HttpCheck, LatencyOutlier, PassiveCheck, StartState,
    SuccessRate,
};
pub use limits::{AdaptiveConcurrency, Breaker, EndpointLimits, QueueLimits, UpstreamLimits};
pub use listener::{
    Bind, ErrorPage, ErrorPages, ForwardPath, Forwarded, Http2Limits, HttpLimits, HttpListener, HttpTimeouts,
    Listener, PathMatching, Protocol, ServerPolicy, StatusPattern, TcpListener, TcpRoute, TcpTimeouts,
    TrustedProxies,
};
pub use metrics::Metrics;
pub use network::Network;
pub use origin::{FileId, Origin};
pub use pattern::Pattern;
pub use proxy_protocol::{ProxyProtocol, ProxyProtocolMode, ProxyProtocolVersion};
pub use retry::{RetryConditions, RetryPolicy};
pub use route::{Action, FixedResponse, HeaderEdit, Mirror, PathRewrite, Redirect, Route, Split};
pub use route_table::{Condition, HostPattern, PathPattern, Recorder, RouteTable, Rule, Subject};
pub use settings::{Account, Settings};
pub use stickiness::{CookieMode, CookieValue, SameSite, StickBy, StickTable, Stickiness, StickyCookie};
pub use template::{Part, Template};
pub use tls::{
    CertificateFiles, CertificateHeaders, ClientCertificates, ClientTls, File, ServerTls, TlsPolicy,
    TlsProfile, TlsVersion,
};
pub use tracing::{Otlp, OtlpProtocol, Propagation, RequestIds, SampleRule, Tracing, Trust, WHOLE};
pub use udp::{SessionLimits, UdpListener, UdpTimeouts};
pub use upstream::{
    Address, AddressFamily, AdminState, Endpoint, PoolLimits, Resolver, Upstream, UpstreamId,
    UpstreamProtocol, WhenDown,
};

use std::sync::Arc;

/// One whole configuration, ready to run.
#[derive(Debug, Default, PartialEq)]
pub struct Plan {
    /// Names of the files that the configuration came from; [`FileId`] is the index.
    pub files: Vec<String>,
    /// What holds for the whole process.
    pub settings: Settings,
    /// Where operators reach the process.
    pub admin: Admin,
    /// What is counted, and where it is told.
    pub metrics: Metrics,
    /// The OpenTelemetry collector that traces go to.
    pub otlp: Option<Box<Otlp>>,
    /// Which requests are traced; `None` leaves the headers of traces alone.
    pub tracing: Option<Box<Tracing>>,
    /// How requests get names; `None` where they do not.
    pub request_ids: Option<Box<RequestIds>>,
    /// Whether requests with a signed header are explained.
    pub explain: Option<Explain>,
    /// What is listened on, in the order of the text.
    pub listeners: Vec<Listener>,
    /// Where traffic goes; [`UpstreamId`] is the index.
    pub upstreams: Vec<Arc<Upstream>>,
}

impl Plan {
    /// The upstream that `id` names. Lowering only makes ids that exist.
    pub fn upstream(&self, id: UpstreamId) -> &Upstream {
        &self.upstreams[id.0 as usize]
    }

    /// `file:line:column` of an origin, as editors understand it.
    pub fn locate(&self, origin: Origin) -> String {
        let file = self.files.get(origin.file.0 as usize).map_or("?", String::as_str);
        format!("{file}:{}:{}", origin.line, origin.column)
    }
}
