use super::*;
use narrows_observe::metrics::{Exposition, render};
use narrows_plan::NoFacts;
use std::time::Instant;

fn counting(tells_routes: bool) -> (Counting, Arc<Metrics>) {
    let metrics = Metrics::new(1, 100);
    let known = Known {
        metrics: Arc::clone(&metrics),
        own: metrics.worker(0),
        tells_routes,
        routes: HashMap::default(),
        upstreams: HashMap::default(),
        listeners: vec![Some(metrics.listener(0, "web"))],
    };
    (Counting { worker: 0, known: RefCell::new(Some(known)) }, metrics)
}

fn record(route: &'static str, method: &'static [u8], status: u16) -> AccessRecord<'static> {
    AccessRecord {
        status,
        route,
        upstream: "app",
        bytes_received: 3,
        bytes_sent: 1234,
        duration: Duration::from_micros(345),
        ..AccessRecord::blank(Duration::from_secs(1), [127, 0, 0, 1].into(), "web", method, &NoFacts)
    }
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(render(&metrics.families(), Exposition::OpenMetrics)).unwrap()
}

#[test]
fn what_ended_is_counted_for_its_route_and_its_upstream() {
    let (counting, metrics) = counting(true);
    counting.ended(&record("a", b"GET", 200));
    counting.ended(&AccessRecord { fault: "no-route", upstream: "", ..record("", b"GET", 404) });
    let text = text(&metrics);
    for line in [
        "narrows_requests_total{listener=\"web\",route=\"a\",class=\"2xx\"} 1",
        "narrows_requests_total{listener=\"web\",route=\"\",class=\"4xx\"} 1",
        "narrows_upstream_requests_total{upstream=\"app\",class=\"2xx\"} 1",
        "narrows_faults_total{fault=\"no-route\"} 1",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is not in {text}");
    }
}

#[test]
fn a_connection_that_was_refused_is_no_request() {
    let (counting, metrics) = counting(true);
    counting.ended(&AccessRecord { fault: "tls", ..record("", b"TLS", 0) });
    counting.shook_hands(ListenerKey(0), None);
    let text = text(&metrics);
    assert!(text.contains("narrows_faults_total{fault=\"tls\"} 1"), "{text}");
    assert!(text.contains("result=\"failed\"} 1"), "{text}");
    assert!(!text.contains("narrows_requests_total{"), "{text}");
}

#[test]
fn routes_that_are_not_told_apart_are_one() {
    let (counting, metrics) = counting(false);
    ["a", "b"].into_iter().for_each(|route| counting.ended(&record(route, b"GET", 200)));
    assert!(text(&metrics).contains("route=\"_other\",class=\"2xx\"} 2"), "{}", text(&metrics));
}

#[test]
fn the_trace_of_the_last_request_is_an_exemplar() {
    let (counting, metrics) = counting(true);
    let mut traced = record("a", b"GET", 200);
    traced.ids.is_sampled = true;
    traced.ids.trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    counting.ended(&traced);
    traced.ids.trace = "no trace";
    counting.ended(&traced);
    // Nobody could look it up.
    traced.ids.is_sampled = false;
    traced.ids.trace = "00000000000000000000000000000001";
    counting.ended(&traced);
    let text = text(&metrics);
    assert!(text.contains("# {trace_id=\"4bf92f3577b34da6a3ce929d0e0e4736\"} 0.000345 1"), "{text}");
}

#[test]
#[ignore = "a measurement: cargo test --profile quick -p narrows-proxy counting -- --ignored --nocapture"]
fn what_counting_a_request_costs() {
    const TIMES: u32 = 5_000_000;
    let (counting, metrics) = counting(true);
    let mut one = record("web[0]", b"GET", 200);
    one.timings.answer = Some(Duration::from_micros(300));
    let began = Instant::now();
    (0..TIMES).for_each(|_| counting.ended(std::hint::black_box(&one)));
    println!("{} ns a request", began.elapsed().as_nanos() / u128::from(TIMES));
    assert!(text(&metrics).contains("class=\"2xx\"} 5000000"));
}
