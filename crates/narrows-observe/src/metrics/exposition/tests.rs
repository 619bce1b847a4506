use super::*;
use crate::metrics::{Histogram, Scale};

fn families() -> Vec<Family> {
    let mut requests = Family::new("narrows_requests", Kind::Counter, "Requests.");
    requests.add(&[("route", "a\"b\\c\nd")], 3.0);
    let mut durations = Family::new("narrows_request_duration_seconds", Kind::Histogram, "Time.");
    let histogram = Histogram::new(Scale::SECONDS);
    [0.001, 0.002, 5.0].into_iter().for_each(|value| histogram.observe(value));
    durations.distribution(&[("listener", "web")], Scale::SECONDS).add(&histogram);
    if let Value::Distribution(_, exemplar) = &mut durations.samples[0].value {
        *exemplar = Some(Exemplar { trace: [0xab; 16], value: 0.002, unix: 1_700_000_000 });
    }
    vec![requests, durations, Family::single("narrows_up", Kind::Gauge, "Up.", 0.5)]
}

fn text(format: Exposition) -> String {
    String::from_utf8(render(&families(), format)).unwrap()
}

#[test]
fn text_has_the_names_that_scrapers_expect() {
    let text = text(Exposition::Text);
    for line in [
        "# TYPE narrows_requests_total counter",
        "narrows_requests_total{route=\"a\\\"b\\\\c\\nd\"} 3",
        "narrows_request_duration_seconds_bucket{listener=\"web\",le=\"0.001953125\"} 1",
        "narrows_request_duration_seconds_bucket{listener=\"web\",le=\"+Inf\"} 3",
        "narrows_request_duration_seconds_sum{listener=\"web\"} 5.003",
        "narrows_request_duration_seconds_count{listener=\"web\"} 3",
        "narrows_up 0.5",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in {text}");
    }
    assert!(!text.contains("trace_id"), "this format has no exemplars");
}

#[test]
fn open_metrics_names_the_family_and_ends_and_has_exemplars() {
    let text = text(Exposition::OpenMetrics);
    assert!(text.contains("# TYPE narrows_requests counter\n"));
    assert!(text.contains("narrows_requests_total{"));
    let exemplar = format!("le=\"0.00390625\"}} 2 # {{trace_id=\"{}\"}} 0.002 1700000000\n", "ab".repeat(16));
    assert!(text.contains(&exemplar), "{text}");
    assert!(text.ends_with("\n# EOF\n"));
}

#[test]
fn the_format_with_the_highest_weight_is_taken() {
    let prometheus =
        "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
    let native =
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,";
    for (accept, format) in [
        (None, Exposition::Text),
        (Some("*/*"), Exposition::Text),
        (Some(prometheus), Exposition::OpenMetrics),
        (Some(&*format!("{native}{prometheus}")), Exposition::Protobuf),
        (Some("application/json"), Exposition::Text),
        (Some("application/openmetrics-text;q=nonsense"), Exposition::OpenMetrics),
    ] {
        assert_eq!(Exposition::of_accept(accept), format, "{accept:?}");
    }
}
