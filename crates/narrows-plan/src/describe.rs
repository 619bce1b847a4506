//! A plan as data: what `narrows diff` compares and the admin API tells.
//!
//! The types say how they are written down. What needs the whole plan for it (names of upstreams, of files) is filled in here.

use crate::{
    Bind, Condition, ErrorPages, Expression, HttpListener, Listener, Network, Origin, Part, Pattern, Plan,
    Protocol, Route, Rule, StatusPattern, TcpListener, TcpRoute, Template, UdpListener, UpstreamId,
};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};
use std::fmt;

/// Marks what stands for an upstream until its name is filled in.
const UPSTREAM: char = '\u{1}';
/// The same for a place in a file.
const PLACE: char = '\u{2}';

/// The plan as JSON: `settings`, then `listeners` and `upstreams` as lists in the order of the plan. Times are texts such as `30s`, places `file:line:column` under `origin`. What is
/// secret is not in it.
pub fn describe(plan: &Plan) -> Value {
    let listeners: Vec<Value> = plan.listeners.iter().map(|listener| value(plan, listener)).collect();
    let upstreams: Vec<Value> = plan.upstreams.iter().map(|upstream| value(plan, &**upstream)).collect();
    let mut settings = value(plan, &plan.settings);
    for (key, part) in [
        ("telemetry", value(plan, &plan.otlp)),
        ("tracing", value(plan, &plan.tracing)),
        ("request_id", value(plan, &plan.request_ids)),
    ] {
        if !part.is_null() {
            settings[key] = part;
        }
    }
    json!({ "settings": settings, "listeners": listeners, "upstreams": upstreams })
}

/// A part of the plan as JSON, in the same form.
pub(crate) fn value<T: Serialize>(plan: &Plan, part: &T) -> Value {
    // Only keys that are no text could make it fail, and there are none.
    let mut value = serde_json::to_value(part).unwrap_or_default();
    fill_in(plan, &mut value);
    value
}

fn fill_in(plan: &Plan, value: &mut Value) {
    match value {
        Value::String(text) => {
            if let Some(index) = text.strip_prefix(UPSTREAM) {
                let upstream = index.parse().ok().and_then(|index: usize| plan.upstreams.get(index));
                *text = upstream.map_or_else(String::new, |upstream| upstream.name.to_string());
            } else if let Some(place) = text.strip_prefix(PLACE) {
                let (file, rest) = place.split_once(':').unwrap_or_default();
                let file = file.parse().ok().and_then(|file: usize| plan.files.get(file));
                *text = format!("{}:{rest}", file.map_or("?", String::as_str));
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|one| fill_in(plan, one)),
        Value::Object(fields) => {
            if let Some(time) = duration(fields) {
                *value = Value::String(time);
                return;
            }
            fields.values_mut().for_each(|one| fill_in(plan, one));
        }
        _ => {}
    }
}

/// The text of a duration, `250ms`, `30s` or `1h`.
fn duration(fields: &Map<String, Value>) -> Option<String> {
    let (seconds, nanoseconds) = (fields.get("secs")?.as_u64()?, fields.get("nanos")?.as_u64()?);
    if fields.len() != 2 {
        return None;
    }
    Some(match (seconds, nanoseconds) {
        (0, 0) => "0s".to_owned(),
        (seconds, 0) if seconds % 3600 == 0 => format!("{}h", seconds / 3600),
        (seconds, 0) if seconds % 60 == 0 => format!("{}m", seconds / 60),
        (seconds, 0) => format!("{seconds}s"),
        (seconds, nanoseconds) if nanoseconds % 1_000_000 == 0 => {
            format!("{}ms", seconds * 1000 + nanoseconds / 1_000_000)
        }
        (seconds, nanoseconds) => format!("{}us", seconds * 1_000_000 + nanoseconds / 1000),
    })
}

/// Bytes as text, as far as they are.
pub(crate) fn as_text<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&String::from_utf8_lossy(bytes))
}

/// What nobody is to see: whether there is something.
pub(crate) fn as_secret<S: Serializer>(secret: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.is_empty() { "" } else { "(hidden)" })
}

macro_rules! shown {
    ($($kind:ty),*) => { $(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )* };
}

shown!(
    Bind,
    crate::Address,
    Network,
    crate::HostPattern,
    crate::PathPattern,
    Expression,
    Template,
    StatusPattern
);

impl Serialize for UpstreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{UPSTREAM}{}", self.0))
    }
}

impl Serialize for Origin {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{PLACE}{}:{}:{}", self.file.0, self.line, self.column))
    }
}

impl Serialize for Pattern {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.text())
    }
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StatusPattern::Exact(status) => status.fmt(formatter),
            StatusPattern::Class(class) => write!(formatter, "{class}xx"),
        }
    }
}

impl fmt::Display for Template {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            Part::Text(text) => formatter.write_str(text),
            Part::Expression(expression) => write!(formatter, "${{ {expression} }}"),
        })
    }
}

impl Serialize for ErrorPages {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.pages.len()))?;
        for (pattern, page) in &self.pages {
            map.serialize_entry(&pattern.to_string(), &**page)?;
        }
        map.end()
    }
}

impl Serialize for Listener {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("origin", &self.origin)?;
        map.serialize_entry("bind", &self.binds.iter().map(|(bind, _)| bind).collect::<Vec<_>>())?;
        map.serialize_entry("protocol", self.protocol.name())?;
        map.serialize_entry("tls", &self.tls)?;
        map.serialize_entry("proxy_protocol", &self.proxy_protocol)?;
        match &self.protocol {
            Protocol::Http(http) => http_entries(http, &mut map)?,
            Protocol::Tcp(tcp) => {
                let TcpListener { table, routes, fallback, peeks: _, timeouts } = &**tcp;
                map.serialize_entry("timeouts", timeouts)?;
                map.serialize_entry("routes", &Routes(table.rules(), routes))?;
                map.serialize_entry("upstream", fallback)?;
            }
            Protocol::Udp(udp) => {
                let UdpListener { table, routes, fallback, quic: _, peeks: _, sessions, timeouts } = &**udp;
                map.serialize_entry("sessions", sessions)?;
                map.serialize_entry("timeouts", timeouts)?;
                map.serialize_entry("routes", &Routes(table.rules(), routes))?;
                map.serialize_entry("upstream", fallback)?;
            }
        }
        map.end()
    }
}

fn http_entries<M: SerializeMap>(http: &HttpListener, map: &mut M) -> Result<(), M::Error> {
    let HttpListener {
        table,
        routes,
        fallback,
        trusted_proxies,
        forwarded,
        via,
        server,
        path_matching,
        forward_path,
        limits,
        timeouts,
        error_pages,
        http2,
        https_redirect,
        hsts,
        certificate_headers,
    } = http;
    map.serialize_entry("trusted_proxies", trusted_proxies)?;
    map.serialize_entry("forwarded", forwarded)?;
    map.serialize_entry("via", via)?;
    map.serialize_entry("server", server)?;
    map.serialize_entry("path_matching", path_matching)?;
    map.serialize_entry("forward_path", forward_path)?;
    map.serialize_entry("limits", limits)?;
    map.serialize_entry("timeouts", timeouts)?;
    map.serialize_entry("error_pages", error_pages)?;
    map.serialize_entry("http2", http2)?;
    map.serialize_entry("https_redirect", https_redirect)?;
    map.serialize_entry("hsts", hsts)?;
    map.serialize_entry("certificate_headers", certificate_headers)?;
    map.serialize_entry("routes", &Routes(table.rules(), routes))?;
    map.serialize_entry("fallback", fallback)
}

/// Rules, and what each of them does.
struct Routes<'a, R>(&'a [Rule], &'a [R]);

/// A rule and what it does.
#[derive(Serialize)]
struct Ruled<'a, R> {
    #[serde(flatten)]
    rule: &'a Rule,
    #[serde(flatten)]
    does: &'a R,
}

impl<R: Serialize> Serialize for Routes<'_, R> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for (rule, does) in self.0.iter().zip(self.1) {
            list.serialize_element(&Ruled { rule, does })?;
        }
        list.end()
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("rank", &self.rank)?;
        map.serialize_entry("hosts", &self.hosts)?;
        map.serialize_entry("paths", &self.paths)?;
        map.serialize_entry("conditions", &self.conditions)?;
        map.end()
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.written)
    }
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Route {
            name,
            origin,
            action,
            request_edits,
            response_edits,
            path_rewrite,
            host_rewrite,
            captures: _,
            error_pages,
            timeouts,
            body_limit,
            retry,
            subset,
            queue_priority,
            mirrors,
        } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", name)?;
        map.serialize_entry("origin", origin)?;
        map.serialize_entry("action", action)?;
        map.serialize_entry("request_headers", request_edits)?;
        map.serialize_entry("response_headers", response_edits)?;
        map.serialize_entry("path_rewrite", path_rewrite)?;
        map.serialize_entry("host_rewrite", host_rewrite)?;
        map.serialize_entry("error_pages", error_pages)?;
        map.serialize_entry("timeouts", timeouts)?;
        map.serialize_entry("body_limit", body_limit)?;
        map.serialize_entry("retries", retry)?;
        map.serialize_entry("subset", &subset.iter().map(|(name, value)| (name, value)).collect::<Vec<_>>())?;
        map.serialize_entry("priority", queue_priority)?;
        map.serialize_entry("mirror", mirrors)?;
        map.end()
    }
}

impl Serialize for TcpRoute {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("origin", &self.origin)?;
        map.serialize_entry("upstream", &self.upstream)?;
        map.end()
    }
}
