//! Traces, their collector and the names of requests as they are written.

use super::keys::{Any, HeaderName};
use super::time;
use super::tls::UpstreamTls;
use crate::shape::{
    Duration, Flag, Map, OPTIONAL, OneOrMany, Plain, Portion, REQUIRED, TextOr, choice, otherwise, table,
};
use crate::tree::Text;
use narrows_plan::defaults;

table! {
    /// Where telemetry goes.
    Telemetry {
        /// An OpenTelemetry collector: its address, or a table.
        otlp: TextOr<Otlp> = OPTIONAL,
    }
}

table! {
    /// An OpenTelemetry collector. An address in its place is short for a table with `endpoint` alone.
    Otlp {
        /// Its address, such as `http://127.0.0.1:4317` or `https://collector.internal/otlp`. The usual port is 4317 with gRPC and 4318 with HTTP.
        endpoint: Text = REQUIRED,
        /// `grpc`, or `http` with protobuf.
        protocol: OtlpProtocol = "grpc",
        /// Fields that each request brings along, for instance a token.
        headers: Map<HeaderName, Text> = OPTIONAL,
        /// How long one request may take.
        timeout: Duration = time(defaults::OTLP_TIMEOUT),
        /// The name of this service there.
        service: Text = "narrows",
        /// Further attributes of this process, such as `deployment.environment.name`.
        resource: Map<Any, Text> = OPTIONAL,
        /// Encryption, as upstreams have it, for `https`.
        tls: UpstreamTls = otherwise("the system's authorities with `https`"),
    }
}

choice! {
    /// How a collector is spoken to.
    OtlpProtocol {
        /// OTLP/gRPC.
        Grpc = "grpc",
        /// OTLP/HTTP with protobuf.
        Http = "http",
    }
}

table! {
    /// Which requests are traced, and how traces go on.
    Tracing {
        /// The share of requests that is traced, where no rule says otherwise and nobody has decided before.
        sample: Portion = "1%",
        /// Rules; the first whose condition is true decides.
        when: Plain<SampleRule> = OPTIONAL,
        /// `always` tells a request that failed even if it was not chosen.
        errors: TracedErrors = "always",
        /// The forms in which headers carry the trace: the first that a request has is read, and all are passed on.
        propagate: OneOrMany<Propagation> = "[w3c]",
        /// `respect` goes on with the trace that a request says it belongs to; `ignore` begins another.
        parent: TraceParent = "respect",
        /// What is told.
        spans: OneOrMany<SpanOf> = "[request, attempt, tls]",
    }
}

table! {
    /// How many of some requests are traced.
    SampleRule {
        /// A condition over the request.
        when as "if": Text = REQUIRED,
        /// The share of them.
        sample: Portion = REQUIRED,
    }
}

choice! {
    /// Whether failures are told.
    TracedErrors {
        /// Every one.
        Always = "always",
        /// Those that were chosen.
        Sampled = "sampled",
    }
}

choice! {
    /// A form in which headers carry a trace.
    Propagation {
        /// `traceparent` and `tracestate`.
        W3c = "w3c",
        /// `b3`.
        B3 = "b3",
        /// `X-B3-TraceId` and its like.
        B3Multi = "b3-multi",
    }
}

choice! {
    /// What becomes of a trace that a request says it belongs to.
    TraceParent {
        /// The request belongs to it.
        Respect = "respect",
        /// The request begins one.
        Ignore = "ignore",
    }
}

choice! {
    /// What has a span.
    SpanOf {
        /// The request, from its first byte to the last of its answer.
        Request = "request",
        /// Each attempt to have it answered.
        Attempt = "attempt",
        /// Each TLS handshake with a client.
        Tls = "tls",
    }
}

table! {
    /// A name for each request, in the log, in the trace and for the upstream.
    RequestId {
        /// The field that carries it.
        header: Text = "x-request-id",
        /// Whose names are taken over: `true` is everybody's, `false` nobody's, or addresses and blocks.
        trust: OneOrMany<Text> = otherwise("those of the listener's `trusted_proxies`"),
        /// Whether the answer tells it.
        respond: Flag = "true",
    }
}
