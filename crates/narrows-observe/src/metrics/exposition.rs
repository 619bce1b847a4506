//! The formats that scrapers read: Prometheus text, OpenMetrics, Prometheus protobuf with native histograms.

use super::{Distribution, Family, Kind, Sample, Value, family::Exemplar, protobuf};
use crate::digits::write_number;
use std::io::Write;

/// A format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0, which has exemplars.
    OpenMetrics,
    /// Delimited protobuf messages, which have native histograms.
    Protobuf,
}

impl Exposition {
    /// The best format that a scraper asked for with `Accept`; text when it names none that is known.
    pub fn of_accept(accept: Option<&str>) -> Self {
        let mut best = (Exposition::Text, 0.0);
        for range in accept.unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let format = match parts.next().unwrap_or_default() {
                "application/vnd.google.protobuf" if range.contains("io.prometheus.client.MetricFamily") => {
                    Exposition::Protobuf
                }
                "application/openmetrics-text" => Exposition::OpenMetrics,
                "text/plain" => Exposition::Text,
                _ => continue,
            };
            let weight =
                parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse().ok());
            let weight: f64 = weight.unwrap_or(1.0);
            if weight > best.1 {
                best = (format, weight);
            }
        }
        best.0
    }

    /// The value of `Content-Type`.
    pub fn content_type(self) -> &'static str {
        match self {
            Exposition::Text => "text/plain; version=0.0.4; charset=utf-8",
            Exposition::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Exposition::Protobuf => {
                "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
            }
        }
    }
}

/// All families in a format.
pub fn render(families: &[Family], format: Exposition) -> Vec<u8> {
    let mut out = Vec::new();
    if format == Exposition::Protobuf {
        families.iter().for_each(|family| protobuf::write(family, &mut out));
        return out;
    }
    let is_open = format == Exposition::OpenMetrics;
    for family in families.iter().filter(|family| !family.samples.is_empty()) {
        let name = family.name;
        let told = match family.kind {
            Kind::Counter if !is_open => format!("{name}_total"),
            _ => name.to_owned(),
        };
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let _ = write!(out, "# HELP {told} {}\n# TYPE {told} {kind}\n", family.help.replace('\\', "\\\\"));
        for sample in &family.samples {
            match &sample.value {
                Value::Number(number) => {
                    let ending = if family.kind == Kind::Counter { "_total" } else { "" };
                    line(name, ending, sample, None, &mut out);
                    number_text(*number, &mut out);
                    out.push(b'\n');
                }
                Value::Distribution(distribution, exemplar) => {
                    histogram(name, sample, distribution, exemplar.filter(|_| is_open), &mut out);
                }
            }
        }
    }
    if is_open {
        out.extend_from_slice(b"# EOF\n");
    }
    out
}

fn histogram(
    name: &str,
    sample: &Sample,
    distribution: &Distribution,
    exemplar: Option<Exemplar>,
    out: &mut Vec<u8>,
) {
    let count = distribution.count();
    let bounds = distribution.classic().into_iter().map(|(bound, seen)| (Some(bound), seen));
    let mut exemplar = exemplar;
    for (bound, seen) in bounds.chain([(None, count)]) {
        line(name, "_bucket", sample, Some(bound), out);
        write_number(seen, out);
        if let Some(told) = exemplar.filter(|told| bound.is_none_or(|bound| told.value <= bound)) {
            exemplar = None;
            out.extend_from_slice(b" # {trace_id=\"");
            told.trace.iter().for_each(|byte| drop(write!(out, "{byte:02x}")));
            let _ = write!(out, "\"}} {} {}", told.value, told.unix);
        }
        out.push(b'\n');
    }
    line(name, "_sum", sample, None, out);
    number_text(distribution.sum, out);
    out.push(b'\n');
    line(name, "_count", sample, None, out);
    write_number(count, out);
    out.push(b'\n');
}

/// The name, its ending, and the labels; `bound` is `le` of a bucket, `+Inf` where it is none.
fn line(name: &str, ending: &str, sample: &Sample, bound: Option<Option<f64>>, out: &mut Vec<u8>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(ending.as_bytes());
    let mut separator = b'{';
    for (label, value) in &sample.labels {
        out.push(separator);
        separator = b',';
        out.extend_from_slice(label.as_bytes());
        out.extend_from_slice(b"=\"");
        for byte in value.bytes() {
            match byte {
                b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
                b'\n' => out.extend_from_slice(b"\\n"),
                _ => out.push(byte),
            }
        }
        out.push(b'"');
    }
    if let Some(bound) = bound {
        out.push(separator);
        separator = b',';
        out.extend_from_slice(b"le=\"");
        match bound {
            // OpenMetrics wants a number with a point.
            Some(bound) if bound.fract() == 0.0 => drop(write!(out, "{bound:.1}")),
            Some(bound) => drop(write!(out, "{bound}")),
            None => out.extend_from_slice(b"+Inf"),
        }
        out.push(b'"');
    }
    if separator == b',' {
        out.push(b'}');
    }
    out.push(b' ');
}

fn number_text(number: f64, out: &mut Vec<u8>) {
    if number >= 0.0 && number.fract() == 0.0 && number < 9e15 {
        write_number(number as u64, out);
    } else {
        let _ = write!(out, "{number}");
    }
}

#[cfg(test)]
mod tests;
