//! The metrics: that known traffic is counted as it was, that others read them, and that they stay within bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use narrows_conformance::backend::{Refusing, ok};
use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::python::python;
use narrows_conformance::{
    Backend, Connection, DatagramClient, DatagramServer, Narrows, Setup, TlsClient, output_of, until,
};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const OPEN_METRICS: &str = "application/openmetrics-text;version=1.0.0";
const PROTOBUF: &str =
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited";

/// Waits until a series has this number.
#[track_caller]
fn expect(narrows: &Narrows, series: &str, number: f64) {
    until(&format!("{series} is {number}, in\n{}", narrows.metrics()), || {
        narrows.metric(series) == Some(number)
    });
}

/// What a Python program prints that reads this text in a file.
#[track_caller]
fn read_by_python(text: &[u8], program: &str) -> String {
    let folder = narrows_conformance::Folder::new();
    let path = folder.join("metrics");
    std::fs::write(&path, text).expect("a file");
    output_of(Command::new(python()).args(["-c", program, &path]))
}

/// Where a file of the repository is.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

/// The proxy after traffic that leaves a trace in every metric.
fn house() -> (Narrows, Backend, Authority) {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let backend = Backend::saying("hello");
    let refusing = Refusing::new();
    let narrows = Setup::https(&backend, &identity, "")
        .listener("plain", "routes:\n  - { name: gone, path: /gone, upstream: gone }\n  - { name: app, path: /*, upstream: app }")
        .upstream_with("gone", &[&refusing], "breaker: {}\n")
        .settings("access_log: stdout")
        .metrics("")
        .start();
    TlsClient::trusting(&authority.certificate).connect(narrows.address("web")).exchange(GET);
    narrows.connect("plain").exchange("POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n1234");
    assert_eq!(narrows.connect("plain").exchange("GET /gone HTTP/1.1\r\nHost: a\r\n\r\n").status(), 502);
    let mut confused = narrows.web();
    confused.send("this is no TLS\r\n\r\n");
    confused.expect_end();
    until("the last one is counted", || {
        narrows.metric("narrows_tls_handshakes_total{listener=\"web\",version=\"\",result=\"failed\"}")
            == Some(1.0)
    });
    (narrows, backend, authority)
}

#[test]
fn requests_are_counted_by_listener_route_upstream_and_class() {
    let (narrows, _backend, _authority) = house();
    for (series, number) in [
        ("narrows_requests_total{listener=\"plain\",route=\"app\",class=\"2xx\"}", 1.0),
        ("narrows_requests_total{listener=\"plain\",route=\"gone\",class=\"5xx\"}", 1.0),
        ("narrows_received_bytes_total{listener=\"plain\",route=\"app\"}", 4.0),
        ("narrows_sent_bytes_total{listener=\"plain\",route=\"app\"}", 5.0),
        ("narrows_request_size_bytes_sum{listener=\"plain\",route=\"app\"}", 4.0),
        ("narrows_request_duration_seconds_count{listener=\"plain\",route=\"app\"}", 1.0),
        ("narrows_upstream_requests_total{upstream=\"app\",class=\"2xx\"}", 2.0),
        ("narrows_upstream_answer_seconds_count{upstream=\"app\"}", 2.0),
        ("narrows_faults_total{fault=\"connect-refused\"}", 1.0),
        ("narrows_connections_total{listener=\"plain\"}", 2.0),
        ("narrows_connections_total{listener=\"web\"}", 2.0),
        ("narrows_tls_handshakes_total{listener=\"web\",version=\"1.3\",result=\"full\"}", 1.0),
        ("narrows_config_generation", 1.0),
        ("narrows_upstream_breaker_state{upstream=\"gone\",state=\"closed\"}", 1.0),
    ] {
        expect(&narrows, series, number);
    }
    expect(&narrows, "narrows_connections_open{listener=\"plain\"}", 0.0);
}

#[test]
fn connections_that_are_open_are_told() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").metrics("").start();
    let mut clients: Vec<Connection> = (0..3).map(|_| narrows.web()).collect();
    clients.iter_mut().for_each(|client| drop(client.exchange(GET)));
    expect(&narrows, "narrows_connections_open{listener=\"web\"}", 3.0);
    clients.pop();
    expect(&narrows, "narrows_connections_open{listener=\"web\"}", 2.0);
    expect(&narrows, "narrows_connections_total{listener=\"web\"}", 3.0);
}

#[test]
fn flows_and_sessions_are_counted_when_they_end() {
    let backend = Backend::echo();
    let narrows = Setup::tcp(&backend, "").metrics("").start();
    let mut client = narrows.connect("tcp");
    client.send("hello");
    client.finish_sending();
    assert_eq!(client.read_to_end(), b"hello");
    let route = "listener=\"tcp\",route=\"tcp\"";
    until("the flow is counted", || narrows.metrics().contains("narrows_requests_total{listener=\"tcp\""));
    let text = narrows.metrics();
    assert!(text.contains("class=\"none\"} 1"), "{route} in {text}");
    assert!(text.lines().any(|line| line.starts_with("narrows_sent_bytes_total{listener=\"tcp\"") && line.ends_with(" 5")), "{text}");

    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, "timeouts: { idle: 200ms }").metrics("").start();
    assert_eq!(DatagramClient::new(narrows.address("udp")).exchange(b"hello"), b"hello");
    until("the session is counted", || narrows.metrics().contains("narrows_requests_total{listener=\"udp\""));
    let text = narrows.metrics();
    assert!(
        text.lines()
            .any(|line| line.starts_with("narrows_received_bytes_total{listener=\"udp\"")
                && line.ends_with(" 5")),
        "{text}"
    );
}

#[test]
fn a_counter_goes_on_over_a_reload_and_a_refused_one_is_told() {
    let backend = Backend::respond(|_| ok("hello"));
    let setup = Setup::new().upstream("app", &[&backend]).metrics("");
    let with = |path: &str| {
        format!(
            "routes:\n  - {{ name: kept, path: /*, upstream: app }}\n  - {{ name: {path}, path: /{path}, upstream: app }}"
        )
    };
    let first = setup.listener("web", &with("one"));
    let narrows = first.start();
    narrows.web().exchange(GET);
    let kept = "narrows_requests_total{listener=\"web\",route=\"kept\",class=\"2xx\"}";
    expect(&narrows, kept, 1.0);
    narrows.reload(&first.yaml().replace("one", "two"));
    narrows.web().exchange(GET);
    expect(&narrows, kept, 2.0);
    expect(&narrows, "narrows_config_generation", 2.0);
    narrows.folder.write("narrows.yaml", "listeners: {");
    narrows.signal("HUP");
    expect(&narrows, "narrows_config_reloads_refused_total", 1.0);
    expect(&narrows, "narrows_config_generation", 2.0);
}

#[test]
fn there_are_no_more_series_than_allowed() {
    let routes: String = (0..200)
        .map(|number| format!("  - {{ name: r{number}, path: /{number}, respond: {{ status: 204 }} }}\n"))
        .collect();
    let narrows = Setup::new().listener("web", &format!("routes:\n{routes}")).metrics("series: 20").start();
    let mut client = narrows.web();
    for number in 0..200 {
        client.exchange(format!("GET /{number} HTTP/1.1\r\nHost: h{number}\r\n\r\n"));
    }
    expect(&narrows, "narrows_requests_total{listener=\"web\",route=\"_other\",class=\"2xx\"}", 180.0);
    assert_eq!(narrows.metrics().matches("narrows_requests_total{").count(), 21);

    let narrows =
        Setup::new().listener("web", &format!("routes:\n{routes}")).metrics("routes: false").start();
    narrows.web().exchange("GET /7 HTTP/1.1\r\nHost: a\r\n\r\n");
    expect(&narrows, "narrows_requests_total{listener=\"web\",route=\"_other\",class=\"2xx\"}", 1.0);
    assert_eq!(narrows.metrics().matches("narrows_requests_total{").count(), 1);
}

#[test]
fn the_parsers_of_prometheus_read_both_text_formats() {
    let (narrows, _backend, _authority) = house();
    let text = narrows.scrape("text/plain");
    assert_eq!(text.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let program = "import sys\nfrom prometheus_client.parser import text_string_to_metric_families as parse\n\
        for family in parse(open(sys.argv[1]).read()):\n    print(family.type, family.name, len(family.samples))";
    let read = read_by_python(text.text().as_bytes(), program);
    assert!(
        read.lines().any(|line| line.starts_with("histogram narrows_request_duration_seconds ")),
        "{read}"
    );
    assert!(read.lines().any(|line| line.starts_with("counter narrows_requests ")), "{read}");
    assert!(!read.contains("unknown"), "{read}");

    let open = narrows.scrape(OPEN_METRICS);
    assert!(open.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let strict = program.replace("prometheus_client.parser", "prometheus_client.openmetrics.parser");
    let strict = read_by_python(open.text().as_bytes(), &strict);
    assert_eq!(strict.lines().count(), read.lines().count(), "{strict}");
}

#[test]
fn protobuf_has_native_histograms_of_the_same_numbers() {
    let (narrows, _backend, _authority) = house();
    let answer = narrows.scrape(PROTOBUF);
    assert!(answer.header("content-type").unwrap().starts_with("application/vnd.google.protobuf"));
    // The message types as Prometheus publishes them, as far as they are asked for here.
    let program = r#"
import sys
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.internal.decoder import _DecodeVarint32
F = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name="m.proto", package="p", syntax="proto2")
def message(name, *fields):
    m = file.message_type.add(name=name)
    for (field, number, kind, label, of) in fields:
        f = m.field.add(name=field, number=number, type=kind, label=label)
        if of: f.type_name = ".p." + of
O, R = F.LABEL_OPTIONAL, F.LABEL_REPEATED
message("Pair", ("name", 1, F.TYPE_STRING, O, None), ("value", 2, F.TYPE_STRING, O, None))
message("Number", ("value", 1, F.TYPE_DOUBLE, O, None))
message("Span", ("offset", 1, F.TYPE_SINT32, O, None), ("length", 2, F.TYPE_UINT32, O, None))
message("Histogram", ("sample_count", 1, F.TYPE_UINT64, O, None), ("sample_sum", 2, F.TYPE_DOUBLE, O, None),
    ("schema", 5, F.TYPE_SINT32, O, None), ("positive_span", 12, F.TYPE_MESSAGE, R, "Span"),
    ("positive_delta", 13, F.TYPE_SINT64, R, None))
message("Metric", ("label", 1, F.TYPE_MESSAGE, R, "Pair"), ("gauge", 2, F.TYPE_MESSAGE, O, "Number"),
    ("counter", 3, F.TYPE_MESSAGE, O, "Number"), ("histogram", 7, F.TYPE_MESSAGE, O, "Histogram"))
message("Family", ("name", 1, F.TYPE_STRING, O, None), ("help", 2, F.TYPE_STRING, O, None),
    ("type", 3, F.TYPE_INT32, O, None), ("metric", 4, F.TYPE_MESSAGE, R, "Metric"))
pool = descriptor_pool.DescriptorPool(); pool.Add(file)
Family = message_factory.GetMessageClass(pool.FindMessageTypeByName("p.Family"))
data, at = open(sys.argv[1], "rb").read(), 0
while at < len(data):
    length, at = _DecodeVarint32(data, at)
    family = Family.FromString(data[at:at + length]); at += length
    for metric in family.metric:
        labels = ",".join(pair.name + "=" + pair.value for pair in metric.label)
        if family.type == 4:
            count = here = 0
            for delta in metric.histogram.positive_delta:
                here += delta; count += here
            assert count == metric.histogram.sample_count, family.name
            assert sum(span.length for span in metric.histogram.positive_span) == len(metric.histogram.positive_delta)
            print(family.name, labels, metric.histogram.sample_count, metric.histogram.schema)
        else:
            print(family.name, labels, metric.counter.value if family.type == 0 else metric.gauge.value)
"#;
    let read = read_by_python(&answer.body, program);
    for line in [
        "narrows_requests_total listener=plain,route=app,class=2xx 1.0",
        "narrows_request_duration_seconds listener=plain,route=app 1 3",
    ] {
        assert!(read.lines().any(|one| one == line), "{line} is not in {read}");
    }
}

#[test]
fn nothing_but_reading_is_served_there() {
    let narrows = Setup::new()
        .listener("web", "routes:\n  - { path: /*, respond: { status: 204 } }")
        .metrics("")
        .start();
    let address = narrows
        .output()
        .lines()
        .find_map(|line| line.strip_prefix("narrows: metrics on "))
        .unwrap()
        .to_owned();
    let ask = |text: &str| Connection::connect(&address).exchange(text).status();
    assert_eq!(ask("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"), 200);
    assert_eq!(ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), 404);
    assert_eq!(ask("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"), 405);
    assert_eq!(ask("no request\r\n\r\n"), 400);
    assert_eq!(ask(&format!("GET /metrics HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "x".repeat(20_000))), 400);
}

#[test]
fn where_nothing_is_counted_nobody_listens() {
    let setup = Setup::new().listener("web", "routes:\n  - { path: /*, respond: { status: 204 } }");
    let narrows = Narrows::start(&format!("metrics: off\n{}", setup.yaml()));
    assert_eq!(narrows.get("/", &[]).status(), 204);
    assert!(!narrows.output().contains("narrows: metrics on"), "{}", narrows.output());
}

/// Kind and labels by name, and what each says, as the text tells them.
fn told(text: &str) -> BTreeMap<String, (String, BTreeSet<String>, String)> {
    let mut told: BTreeMap<String, (String, BTreeSet<String>, String)> = BTreeMap::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (this, help) = rest.split_once(' ').expect("name and help");
            this.clone_into(&mut name);
            told.entry(name.clone()).or_default().2 = help.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            told.entry(name.clone()).or_default().0 = rest.rsplit(' ').next().unwrap_or_default().to_owned();
        } else if let Some((_, rest)) = line.split_once('{') {
            let labels = rest.split("=\"").filter_map(|part| part.rsplit(['{', ',']).next());
            let labels = labels.filter(|label| !label.contains(['"', '}', ' ']) && *label != "le");
            told.entry(name.clone()).or_default().1.extend(labels.map(str::to_owned));
        }
    }
    told
}

#[test]
fn the_page_names_every_metric_with_its_labels() {
    let (narrows, _backend, _authority) = house();
    let mut table = "| name | kind | labels | what it says |\n| --- | --- | --- | --- |\n".to_owned();
    for (name, (kind, labels, help)) in told(&narrows.metrics()) {
        let labels = labels.into_iter().map(|label| format!("`{label}`")).collect::<Vec<_>>().join(", ");
        table.push_str(&format!("| `{name}` | {kind} | {labels} | {help} |\n"));
    }
    let path = file("docs/metrics.md");
    let page = std::fs::read_to_string(&path).expect("the page");
    let (before, rest) = page.split_once("<!-- metrics -->\n").expect("where the table begins");
    let (found, after) = rest.split_once("<!-- end -->").expect("where it ends");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, format!("{before}<!-- metrics -->\n{table}<!-- end -->{after}"))
            .expect("written");
    } else {
        assert_eq!(found, table, "docs/metrics.md; UPDATE_GOLDEN=1 writes it");
    }
}

#[test]
fn the_dashboard_asks_only_for_what_is_told() {
    let (narrows, _backend, _authority) = house();
    let told = told(&narrows.metrics());
    let text = std::fs::read_to_string(file("dashboards/narrows.json")).expect("the dashboard");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let mut asked = 0;
    let panels = dashboard["panels"].as_array().expect("panels");
    for target in panels.iter().flat_map(|panel| panel["targets"].as_array().into_iter().flatten()) {
        let query = target["expr"].as_str().expect("a query");
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        for word in query.split(|letter| !is_name(letter)) {
            if !word.starts_with("narrows_") && !word.starts_with("process_") {
                continue;
            }
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|ending| word.strip_suffix(ending));
            assert!(
                told.contains_key(word) || base.is_some_and(|base| told.contains_key(base)),
                "{word} in {query}"
            );
            asked += 1;
        }
    }
    assert!(asked > 20, "{asked} names");
}
