//! Schema, decoder and examples know the same keys.

use narrows_config::{Code, load_text, schema};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

/// Every object in the schema that has properties, with the name under which it is defined.
fn tables(schema: &Value) -> Vec<(String, &serde_json::Map<String, Value>)> {
    let mut tables =
        vec![("Configuration".to_owned(), schema["properties"].as_object().expect("properties"))];
    for (name, definition) in schema["definitions"].as_object().expect("definitions") {
        tables.push((name.clone(), definition["properties"].as_object().expect("properties")));
    }
    tables
}

/// Keys of a table in the example, wherever such a table stands: found by the shape of the path to it.
fn keys_of_example() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/full.yaml");
    let text = std::fs::read_to_string(path).expect("the example");
    text.lines()
        .filter(|line| !line.trim_start().starts_with('#'))
        .flat_map(|line| line.split(['{', ',', ' ', '-', '[']))
        .filter_map(|word| word.strip_suffix(':'))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_full_example_uses_every_key_of_the_schema() {
    let schema = schema();
    let used = keys_of_example();
    let all: BTreeSet<String> = tables(&schema).iter().flat_map(|(_, keys)| keys.keys().cloned()).collect();
    let unused: Vec<&String> = all.difference(&used).collect();
    assert!(unused.is_empty(), "examples/full.yaml lacks {unused:?}");
}

#[test]
fn every_key_has_a_description_and_no_table_takes_others() {
    let schema = schema();
    for (name, keys) in tables(&schema) {
        for (key, value) in keys {
            let described = value["description"].as_str().is_some_and(|text| text.len() > 5);
            assert!(described, "{name}.{key} has no description: {value}");
        }
    }
    let definitions = schema["definitions"].as_object().expect("definitions");
    for (name, definition) in definitions {
        assert_eq!(definition["additionalProperties"], Value::Bool(false), "{name}");
    }
    assert_eq!(schema["additionalProperties"], Value::Bool(false));
}

/// Where a table of each kind stands, with a hole for one more key.
const PLACES: &[(&str, &str)] = &[
    ("Configuration", "KEY: []\n"),
    ("Settings", "settings: { KEY: [] }\n"),
    ("AccessLog", "settings: { access_log: { KEY: [] } }\n"),
    ("LogDestination", "settings: { access_log: { to: { KEY: [] } } }\n"),
    ("LogRotation", "settings: { access_log: { to: { rotate: { KEY: [] } } } }\n"),
    ("FormatTable", "settings: { log_format: { KEY: [] } }\n"),
    ("Admin", "admin: { KEY: [] }\n"),
    ("AdminTls", "admin: { tls: { KEY: [] } }\n"),
    ("Metrics", "metrics: { KEY: [] }\n"),
    ("Listener", "listeners: { web: { KEY: [] } }\n"),
    ("ProxyProtocol", "listeners: { web: { proxy_protocol: { KEY: [] } } }\n"),
    ("ListenerTls", "listeners: { web: { tls: { KEY: [] } } }\n"),
    ("Certificate", "listeners: { web: { tls: { certificates: { KEY: [] } } } }\n"),
    ("ClientCertificates", "listeners: { web: { tls: { clients: { KEY: [] } } } }\n"),
    ("Http2", "listeners: { web: { http2: { KEY: [] } } }\n"),
    ("UpstreamTls", "upstreams: { app: { tls: { KEY: [] } } }\n"),
    ("TrustedProxies", "listeners: { web: { trusted_proxies: { KEY: [] } } }\n"),
    ("PathMatching", "listeners: { web: { path_matching: { KEY: [] } } }\n"),
    ("Limits", "listeners: { web: { limits: { KEY: [] } } }\n"),
    ("ListenerTimeouts", "listeners: { web: { timeouts: { KEY: [] } } }\n"),
    ("Sessions", "listeners: { web: { sessions: { KEY: [] } } }\n"),
    ("ErrorPage", "listeners: { web: { error_pages: { 404: { KEY: [] } } } }\n"),
    ("Route", "listeners: { web: { routes: [{ KEY: [] }] } }\n"),
    ("PathTable", "listeners: { web: { routes: [{ path: { KEY: [] } }] } }\n"),
    ("Matcher", "listeners: { web: { routes: [{ headers: { x: { KEY: [] } } }] } }\n"),
    ("Share", "listeners: { web: { routes: [{ split: [{ KEY: [] }] }] } }\n"),
    ("Respond", "listeners: { web: { routes: [{ respond: { KEY: [] } }] } }\n"),
    ("Redirect", "listeners: { web: { routes: [{ redirect: { KEY: [] } }] } }\n"),
    ("Rewrite", "listeners: { web: { routes: [{ rewrite: { KEY: [] } }] } }\n"),
    ("HeaderEdits", "listeners: { web: { routes: [{ request_headers: { KEY: [] } }] } }\n"),
    ("RouteTimeouts", "listeners: { web: { routes: [{ timeouts: { KEY: [] } }] } }\n"),
    ("RouteLimits", "listeners: { web: { routes: [{ limits: { KEY: [] } }] } }\n"),
    ("Upstream", "upstreams: { app: { KEY: [] } }\n"),
    ("Mirror", "listeners: { web: { routes: [{ mirror: [{ KEY: [] }] }] } }\n"),
    ("Retries", "upstreams: { app: { retries: { KEY: [] } } }\n"),
    ("Explain", "explain: { KEY: [] }\n"),
    ("Resolver", "upstreams: { app: { resolver: { KEY: [] } } }\n"),
    ("HealthCheck", "upstreams: { app: { health: { KEY: [] } } }\n"),
    ("HttpCheck", "upstreams: { app: { health: { http: { KEY: [] } } } }\n"),
    ("TcpCheck", "upstreams: { app: { health: { tcp: { KEY: [] } } } }\n"),
    ("UdpCheck", "upstreams: { app: { health: { udp: { KEY: [] } } } }\n"),
    ("GrpcCheck", "upstreams: { app: { health: { grpc: { KEY: [] } } } }\n"),
    ("PostgreSqlCheck", "upstreams: { app: { health: { postgresql: { KEY: [] } } } }\n"),
    ("MySqlCheck", "upstreams: { app: { health: { mysql: { KEY: [] } } } }\n"),
    ("RedisCheck", "upstreams: { app: { health: { redis: { KEY: [] } } } }\n"),
    ("SmtpCheck", "upstreams: { app: { health: { smtp: { KEY: [] } } } }\n"),
    ("Expect", "upstreams: { app: { health: { tcp: { expect: { KEY: [] } } } } }\n"),
    ("Hex", "upstreams: { app: { health: { tcp: { send: { KEY: [] } } } } }\n"),
    ("AgentCheck", "upstreams: { app: { agent: { KEY: [] } } }\n"),
    ("PassiveCheck", "upstreams: { app: { passive: { KEY: [] } } }\n"),
    ("SuccessRate", "upstreams: { app: { passive: { success_rate: { KEY: [] } } } }\n"),
    ("LatencyOutlier", "upstreams: { app: { passive: { latency: { KEY: [] } } } }\n"),
    ("Stickiness", "upstreams: { app: { stickiness: { KEY: [] } } }\n"),
    ("StickyCookie", "upstreams: { app: { stickiness: { cookie: { KEY: [] } } } }\n"),
    ("Learn", "upstreams: { app: { stickiness: { learn: { KEY: [] } } } }\n"),
    ("UpstreamLimits", "upstreams: { app: { limits: { KEY: [] } } }\n"),
    ("Queue", "upstreams: { app: { limits: { queue: { KEY: [] } } } }\n"),
    ("Breaker", "upstreams: { app: { breaker: { KEY: [] } } }\n"),
    ("AdaptiveConcurrency", "upstreams: { app: { adaptive_concurrency: { KEY: [] } } }\n"),
    ("Endpoint", "upstreams: { app: { endpoints: [{ KEY: [] }] } }\n"),
    ("Telemetry", "telemetry: { KEY: [] }\n"),
    ("Otlp", "telemetry: { otlp: { KEY: [] } }\n"),
    ("Tracing", "tracing: { KEY: [] }\n"),
    ("SampleRule", "tracing: { when: [{ KEY: [] }] }\n"),
    ("RequestId", "request_id: { KEY: [] }\n"),
    ("Connections", "upstreams: { app: { connections: { KEY: [] } } }\n"),
];

#[test]
fn the_decoder_knows_every_key_of_the_schema_and_no_other() {
    let schema = schema();
    let mut seen = BTreeSet::new();
    for (name, keys) in tables(&schema) {
        let Some((_, place)) = PLACES.iter().find(|(place, _)| *place == name) else {
            panic!("no place is known for {name}")
        };
        seen.insert(name.clone());
        let is_unknown = |key: &str| {
            let loaded = load_text("test", &place.replace("KEY", key), Path::new("."));
            loaded.diagnostics.list.iter().any(|diagnostic| diagnostic.code == Code::UnknownKey)
        };
        for key in keys.keys() {
            assert!(!is_unknown(key), "{name}.{key} is in the schema, but not decoded");
        }
        assert!(is_unknown("no_such_key"), "{name} takes any key");
    }
    assert_eq!(seen.len(), PLACES.len());
}
