use super::*;
use crate::metrics::{Exposition, render};

fn text(metrics: &Metrics) -> String {
    String::from_utf8(render(&metrics.families(), Exposition::Text)).unwrap()
}

#[test]
fn what_workers_counted_is_one_number_and_goes_on_over_configurations() {
    let metrics = Metrics::new(2, 100);
    for (worker, status) in [(0, 200), (1, 204), (1, 503), (0, 0)] {
        metrics.route(worker, "web", "api").ended(status, 10, 20, Duration::from_millis(3));
    }
    let text = text(&metrics);
    for line in [
        "narrows_requests_total{listener=\"web\",route=\"api\",class=\"2xx\"} 2",
        "narrows_requests_total{listener=\"web\",route=\"api\",class=\"5xx\"} 1",
        "narrows_requests_total{listener=\"web\",route=\"api\",class=\"none\"} 1",
        "narrows_sent_bytes_total{listener=\"web\",route=\"api\"} 80",
        "narrows_request_duration_seconds_count{listener=\"web\",route=\"api\"} 4",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in {text}");
    }
}

#[test]
fn there_are_no_more_series_than_allowed() {
    let metrics = Metrics::new(1, 3);
    for number in 0..100 {
        metrics.route(0, "web", &format!("route-{number}")).ended(200, 0, 0, Duration::ZERO);
    }
    let text = text(&metrics);
    assert!(text.contains("route=\"_other\",class=\"2xx\"} 97"), "{text}");
    assert_eq!(text.matches("narrows_requests_total{").count(), 4);
}

#[test]
fn series_that_nobody_has_any_more_are_swept_away_and_the_others_stay() {
    let metrics = Metrics::new(1, 100);
    let kept = metrics.route(0, "web", "kept");
    kept.ended(200, 0, 0, Duration::ZERO);
    metrics.route(0, "web", "gone").ended(200, 0, 0, Duration::ZERO);
    let (now, kept_for) = (Instant::now(), Duration::from_secs(300));
    metrics.sweep(now, kept_for);
    assert!(text(&metrics).contains("route=\"gone\""), "it is told for a while");
    metrics.sweep(now + kept_for, kept_for);
    let text = text(&metrics);
    assert!(text.contains("route=\"kept\"") && !text.contains("route=\"gone\""), "{text}");
}

#[test]
fn connections_and_handshakes_and_causes_are_told_by_their_labels() {
    let metrics = Metrics::new(1, 100);
    let cells = metrics.listener(0, "web");
    cells.accepted.add(3);
    cells.closed.add(1);
    cells.shook_hands(true, true);
    metrics.worker(0).failed("no-route");
    metrics.worker(0).failed("no-route");
    let text = text(&metrics);
    for line in [
        "narrows_connections_total{listener=\"web\"} 3",
        "narrows_connections_open{listener=\"web\"} 2",
        "narrows_tls_handshakes_total{listener=\"web\",version=\"1.3\",result=\"resumed\"} 1",
        "narrows_faults_total{fault=\"no-route\"} 2",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in {text}");
    }
}
