//! What is told, as OTLP writes it.

use crate::exporter::LogRecord;
use crate::messages;
use crate::messages::{
    AnyValue, ArrayValue, ExportLogsServiceRequest, ExportTraceServiceRequest, KeyValue, KeyValueList,
    Resource, ResourceLogs, ResourceSpans, Scope, ScopeLogs, ScopeSpans, Status, Value,
};
use narrows_observe::{Span, SpanKind, SpanValue};
use narrows_plan::Otlp;
use prost::Message;
use std::time::Duration;

/// The flag of a trace that is sampled.
const SAMPLED: u32 = 1;
/// It is known whether the parent is remote (`SPAN_FLAGS_CONTEXT_HAS_IS_REMOTE_MASK`).
const KNOWS_REMOTE: u32 = 0x100;
/// It is (`SPAN_FLAGS_CONTEXT_IS_REMOTE_MASK`).
const IS_REMOTE: u32 = 0x200;
/// `STATUS_CODE_ERROR`.
const FAILED: i32 = 2;
/// Severities.
const INFO: (i32, &str) = (9, "INFO");
const ERROR: (i32, &str) = (17, "ERROR");
/// Tables within tables that a record may have.
const DEPTH: usize = 8;

/// Who tells.
pub(crate) fn resource(otlp: &Otlp) -> Resource {
    let mut attributes = vec![
        text("service.name", &otlp.service),
        text("telemetry.sdk.name", "narrows"),
        text("telemetry.sdk.language", "rust"),
        text("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
        pair("process.pid", Value::Number(std::process::id().into())),
    ];
    for (key, value) in &otlp.resource {
        // What is written takes the place of what we say.
        attributes.retain(|attribute| *attribute.key != **key);
        attributes.push(text(key, value));
    }
    Resource { attributes }
}

/// A request with these spans.
pub(crate) fn spans(resource: &Resource, spans: Vec<Span>) -> Vec<u8> {
    let spans = spans.into_iter().map(span).collect();
    let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans }];
    let resource_spans = vec![ResourceSpans { resource: Some(resource.clone()), scope_spans }];
    ExportTraceServiceRequest { resource_spans }.encode_to_vec()
}

/// A request with these log records.
pub(crate) fn logs(resource: &Resource, records: Vec<LogRecord>) -> Vec<u8> {
    let log_records = records.iter().map(log_record).collect();
    let scope_logs = vec![ScopeLogs { scope: Some(scope()), log_records }];
    let resource_logs = vec![ResourceLogs { resource: Some(resource.clone()), scope_logs }];
    ExportLogsServiceRequest { resource_logs }.encode_to_vec()
}

fn scope() -> Scope {
    Scope { name: "narrows".into(), version: env!("CARGO_PKG_VERSION").into() }
}

fn span(span: Span) -> messages::Span {
    let remote = if span.has_remote_parent { IS_REMOTE } else { 0 };
    messages::Span {
        trace_id: span.trace.to_vec(),
        span_id: span.id.to_vec(),
        trace_state: span.state.into(),
        parent_span_id: span.parent.map(|parent| parent.to_vec()).unwrap_or_default(),
        name: span.name.into(),
        kind: match span.kind {
            SpanKind::Internal => 1,
            SpanKind::Server => 2,
            SpanKind::Client => 3,
        },
        start_time_unix_nano: nanoseconds(span.began),
        end_time_unix_nano: nanoseconds(span.ended.max(span.began)),
        attributes: span.attributes.into_iter().map(attribute).collect(),
        status: span.failure.map(|cause| Status { message: cause.into(), code: FAILED }),
        flags: (u32::from(span.is_sampled) * SAMPLED) | KNOWS_REMOTE | remote,
    }
}

fn attribute((key, value): (&'static str, SpanValue)) -> KeyValue {
    pair(
        key,
        match value {
            SpanValue::Text(text) => Value::Text(text.into()),
            SpanValue::Number(number) => Value::Number(number),
            SpanValue::Flag(flag) => Value::Flag(flag),
        },
    )
}

/// A record of the access log: its members are attributes, and what it says of its trace is where OTLP has it.
fn log_record(record: &LogRecord) -> messages::LogRecord {
    let parsed = serde_json::from_slice::<serde_json::Value>(&record.json).unwrap_or_default();
    let member = |name: &str| parsed.get(name).and_then(serde_json::Value::as_str).unwrap_or_default();
    let status = parsed.get("status").and_then(serde_json::Value::as_i64).unwrap_or(0);
    let failed = status >= 500 || !member("fault").is_empty();
    let (severity_number, severity_text) = if failed { ERROR } else { INFO };
    let mut words = vec![member("method").to_owned(), member("target").to_owned()];
    if status > 0 {
        words.push(status.to_string());
    }
    words.push(member("fault").to_owned());
    words.retain(|word| !word.is_empty());
    let attributes = parsed.as_object().into_iter().flatten();
    messages::LogRecord {
        time_unix_nano: nanoseconds(record.time),
        observed_time_unix_nano: nanoseconds(record.time),
        severity_number,
        severity_text: severity_text.into(),
        body: Some(AnyValue { value: Some(Value::Text(words.join(" "))) }),
        attributes: attributes
            .filter(|(key, _)| !matches!(key.as_str(), "trace_id" | "span_id"))
            .filter_map(|(key, value)| Some(pair(key, json(value, DEPTH)?)))
            .collect(),
        flags: 0,
        trace_id: hexadecimal::<16>(member("trace_id")),
        span_id: hexadecimal::<8>(member("span_id")),
    }
}

fn json(value: &serde_json::Value, depth: usize) -> Option<Value> {
    let depth = depth.checked_sub(1)?;
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::Bool(flag) => Value::Flag(*flag),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::Number(number),
            None => Value::Fraction(number.as_f64()?),
        },
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(items) => {
            let values = items.iter().map(|item| AnyValue { value: json(item, depth) }).collect();
            Value::List(ArrayValue { values })
        }
        serde_json::Value::Object(members) => {
            let values = members.iter().filter_map(|(key, value)| Some(pair(key, json(value, depth)?)));
            Value::Table(KeyValueList { values: values.collect() })
        }
    })
}

/// The bytes of an id; none where the text is not one.
fn hexadecimal<const N: usize>(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks_exact(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    match bytes.collect::<Option<Vec<u8>>>() {
        Some(bytes) if bytes.len() == N && digits.len() == 2 * N => bytes,
        _ => Vec::new(),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn text(key: &str, value: &str) -> KeyValue {
    pair(key, Value::Text(value.into()))
}

fn pair(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.into(), value: Some(AnyValue { value: Some(value) }) }
}

#[cfg(test)]
mod tests;
