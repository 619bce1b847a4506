//! The protobuf messages of Prometheus (io.prometheus.client, metrics.proto), as far as they are told.

use super::{Distribution, Family, Kind, Sample, Value, family::Exemplar};
use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct MetricFamily {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    /// 0 counter, 1 gauge, 4 histogram.
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, optional, tag = "1")]
    sample_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    sample_sum: Option<f64>,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
    #[prost(sint32, optional, tag = "5")]
    schema: Option<i32>,
    #[prost(double, optional, tag = "6")]
    zero_threshold: Option<f64>,
    #[prost(uint64, optional, tag = "7")]
    zero_count: Option<u64>,
    #[prost(message, repeated, tag = "12")]
    positive_span: Vec<BucketSpan>,
    #[prost(sint64, repeated, tag = "13")]
    positive_delta: Vec<i64>,
    #[prost(message, repeated, tag = "16")]
    exemplars: Vec<ToldExemplar>,
}

#[derive(Clone, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, optional, tag = "1")]
    cumulative_count: Option<u64>,
    #[prost(double, optional, tag = "2")]
    upper_bound: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct BucketSpan {
    #[prost(sint32, optional, tag = "1")]
    offset: Option<i32>,
    #[prost(uint32, optional, tag = "2")]
    length: Option<u32>,
}

#[derive(Clone, PartialEq, Message)]
struct ToldExemplar {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(double, optional, tag = "2")]
    value: Option<f64>,
    #[prost(message, optional, tag = "3")]
    timestamp: Option<Timestamp>,
}

#[derive(Clone, PartialEq, Message)]
struct Timestamp {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// Appends a family, with its length before it.
pub(super) fn write(family: &Family, out: &mut Vec<u8>) {
    if family.samples.is_empty() {
        return;
    }
    let (ending, kind) = match family.kind {
        Kind::Counter => ("_total", 0),
        Kind::Gauge => ("", 1),
        Kind::Histogram => ("", 4),
    };
    let message = MetricFamily {
        name: format!("{}{ending}", family.name),
        help: family.help.to_owned(),
        kind: Some(kind),
        metric: family.samples.iter().map(|sample| metric(sample, family.kind)).collect(),
    };
    // A vector has room for everything.
    let _ = message.encode_length_delimited(out);
}

fn metric(sample: &Sample, kind: Kind) -> Metric {
    let label = sample
        .labels
        .iter()
        .map(|(name, value)| LabelPair { name: (*name).to_owned(), value: value.clone() })
        .collect();
    let mut metric = Metric { label, ..Metric::default() };
    match &sample.value {
        Value::Number(number) if kind == Kind::Counter => {
            metric.counter = Some(Number { value: Some(*number) });
        }
        Value::Number(number) => metric.gauge = Some(Number { value: Some(*number) }),
        Value::Distribution(distribution, exemplar) => {
            metric.histogram = Some(histogram(distribution, *exemplar));
        }
    }
    metric
}

fn histogram(distribution: &Distribution, exemplar: Option<Exemplar>) -> Histogram {
    let bucket = distribution
        .classic()
        .into_iter()
        .map(|(bound, seen)| Bucket { cumulative_count: Some(seen), upper_bound: Some(bound) });
    let mut spans: Vec<BucketSpan> = Vec::new();
    let mut deltas = Vec::new();
    let (mut next, mut before) = (0, 0_i64);
    for (index, number) in distribution.native() {
        match spans.last_mut() {
            Some(BucketSpan { length: Some(length), .. }) if index == next => *length += 1,
            _ => spans.push(BucketSpan { offset: Some(index - next), length: Some(1) }),
        }
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        deltas.push(number - before);
        (next, before) = (index + 1, number);
    }
    if spans.is_empty() {
        // Without a span this would be taken for a classic histogram.
        spans.push(BucketSpan { offset: Some(0), length: Some(0) });
    }
    let exemplar = exemplar.map(|told| ToldExemplar {
        label: vec![LabelPair {
            name: "trace_id".to_owned(),
            value: told.trace.iter().map(|byte| format!("{byte:02x}")).collect(),
        }],
        value: Some(told.value),
        timestamp: Some(Timestamp { seconds: i64::try_from(told.unix).unwrap_or(i64::MAX) }),
    });
    Histogram {
        sample_count: Some(distribution.count()),
        sample_sum: Some(distribution.sum),
        bucket: bucket.collect(),
        schema: Some(distribution.scale.schema.into()),
        zero_threshold: Some(0.0),
        zero_count: Some(0),
        positive_span: spans,
        positive_delta: deltas,
        exemplars: exemplar.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{self, Scale};

    #[test]
    fn what_was_written_is_read_back_with_all_its_buckets() {
        let values = metrics::Histogram::new(Scale::SECONDS);
        [0.5, 0.5, 0.51, 4.0].into_iter().for_each(|value| values.observe(value));
        let mut family = Family::new("narrows_x_seconds", Kind::Histogram, "X.");
        family.distribution(&[("a", "b")], Scale::SECONDS).add(&values);
        let mut out = Vec::new();
        write(&family, &mut out);
        let read = MetricFamily::decode_length_delimited(&*out).unwrap();
        let histogram = read.metric[0].histogram.clone().unwrap();
        assert_eq!((histogram.sample_count, histogram.schema), (Some(4), Some(3)));
        // 0.5 is 2^(-8/8), 0.51 in the next one, 4 is 2^(16/8): two spans, of 2 and 1 buckets.
        let spans: Vec<_> =
            histogram.positive_span.iter().map(|span| (span.offset.unwrap(), span.length.unwrap())).collect();
        assert_eq!(spans, [(-8, 2), (22, 1)]);
        assert_eq!(histogram.positive_delta, [2, -1, 0]);
    }
}
