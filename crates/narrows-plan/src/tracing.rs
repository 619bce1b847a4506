//! Which requests are traced, how traces go on, and where they are told.

use crate::{ClientTls, Condition, Network, Origin};
use serde::Serialize;
use std::net::IpAddr;
use std::time::Duration;

/// All of something, in the hundredths of a per cent that [`Tracing::sample`] counts in.
pub const WHOLE: u32 = 10_000;

/// An OpenTelemetry collector.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Otlp {
    /// Where it was written.
    pub origin: Origin,
    /// A name or an address.
    pub host: Box<str>,
    /// Its port.
    pub port: u16,
    /// What stands before `/v1/traces`, without a slash at its end; for gRPC nothing.
    pub path: Box<str>,
    /// How it is spoken to.
    pub protocol: OtlpProtocol,
    /// Encryption; `None` is plain.
    pub tls: Option<Box<ClientTls>>,
    /// Fields that each request brings along; secrets among them, so that nobody is told.
    #[serde(skip)]
    pub headers: Vec<(Box<str>, Box<str>)>,
    /// How long one request may take.
    pub timeout: Duration,
    /// `service.name` of everything that is told.
    pub service: Box<str>,
    /// Further attributes of the process.
    pub resource: Vec<(Box<str>, Box<str>)>,
}

/// How a collector is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum OtlpProtocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with protobuf.
    Http,
}

/// Which requests are traced and how traces go on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Tracing {
    /// Where it was written.
    pub origin: Origin,
    /// The share of requests that is traced where no rule says otherwise, in [`WHOLE`].
    pub sample: u32,
    /// The first that is true decides.
    pub rules: Vec<SampleRule>,
    /// Whether a request that failed is told in any case.
    pub errors: bool,
    /// The forms in which a trace is read, the first that is there counts, and in all of which it is passed on.
    pub propagate: Vec<Propagation>,
    /// Whether a request belongs to the trace that it says, and is told if that is; else it begins one.
    pub respects_parent: bool,
    /// Whether each attempt has a span.
    pub attempts: bool,
    /// Whether each handshake has a span.
    pub handshakes: bool,
}

/// How many of some requests are traced.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleRule {
    /// Of which.
    pub condition: Condition,
    /// In [`WHOLE`].
    pub share: u32,
}

/// A form in which headers carry a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Propagation {
    /// `traceparent` and `tracestate`.
    W3c,
    /// `b3`; `X-B3-*` is read as well.
    B3,
    /// `X-B3-*`; `b3` is read as well.
    B3Multi,
}

/// A name for each request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RequestIds {
    /// Where it was written.
    pub origin: Origin,
    /// The field that has it, in lower case.
    pub header: Box<str>,
    /// Whose names are taken over.
    pub trust: Trust,
    /// Whether the client is told.
    pub respond: bool,
}

/// Whose word is taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// The trusted proxies' of the listener.
    Proxies,
    /// Everybody's.
    Everybody,
    /// Nobody's.
    Nobody,
    /// That of connections from these addresses.
    Networks(Vec<Network>),
}

impl Trust {
    /// Whether the word of a peer is taken. `is_proxy`: the listener trusts it.
    pub fn takes(&self, peer: IpAddr, is_proxy: bool) -> bool {
        match self {
            Trust::Proxies => is_proxy,
            Trust::Everybody => true,
            Trust::Nobody => false,
            Trust::Networks(networks) => networks.iter().any(|network| network.contains(peer)),
        }
    }
}
