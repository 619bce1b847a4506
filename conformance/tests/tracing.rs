//! Traces and the names of requests: what upstreams and clients see, and what reaches an OpenTelemetry collector.

use narrows_conformance::backend::{answer, ok};
use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::grpc::{GrpcServer, grpc_client};
use narrows_conformance::servers::otlp::Collector;
use narrows_conformance::servers::python::python_prints;
use narrows_conformance::servers::websocket::WebSocketEcho;
use narrows_conformance::{Backend, Http2, Message, Narrows, TlsClient, until};
use serde_json::Value;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const NOT_SAMPLED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
const SAMPLED: &str = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
const ALL: &str = "tracing: { sample: 100% }\n";

/// One listener, one upstream, and what stands at the top.
fn config(endpoints: &[&str], top: &str, upstream: &str) -> String {
    format!(
        "{top}listeners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\nupstreams:\n  app: {{ endpoints: [{}]{upstream} }}\n",
        endpoints.join(", ")
    )
}

fn start(backend: &str, top: &str) -> Narrows {
    Narrows::start(&config(&[backend], top, ""))
}

fn ok_backend() -> Backend {
    Backend::respond(|_| ok("hello"))
}

/// What `traceparent` says: trace, span and flags.
fn parts(traceparent: &str) -> (String, String, String) {
    let mut parts = traceparent.split('-').skip(1).map(str::to_owned);
    (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap())
}

fn seen(request: &Message, name: &str) -> String {
    request.header(name).unwrap_or_default().to_owned()
}

fn of_kind(spans: &[Value], kind: i64) -> Vec<&Value> {
    spans.iter().filter(|span| span["kind"] == kind).collect()
}

const INTERNAL: i64 = 1;
const SERVER: i64 = 2;
const CLIENT: i64 = 3;

#[test]
fn without_tracing_the_headers_of_traces_pass_as_they_are() {
    let backend = ok_backend();
    let narrows = start(backend.address(), "");
    narrows.get("/", &["traceparent: what-ever", "b3: 0", "X-Request-Id: mine"]);
    let request = backend.only_request();
    assert_eq!((seen(&request, "traceparent"), seen(&request, "b3")), ("what-ever".into(), "0".into()));
    assert_eq!(seen(&request, "x-request-id"), "mine");
}

#[test]
fn a_request_goes_on_with_its_trace_and_its_attempt_is_the_parent() {
    for how in ["grpc", "http"] {
        let (backend, collector) = (ok_backend(), Collector::start(how));
        let top =
            format!("{}{ALL}", collector.telemetry(", headers: { x-token: secret }, resource: { zone: a }"));
        let narrows = start(backend.address(), &top);
        narrows.get("/path?query=1", &[SAMPLED, "tracestate: a=1,b=2", "User-Agent: test"]);
        let spans = collector.wait_for_spans(2);
        let (server, client) = (of_kind(&spans, SERVER)[0], of_kind(&spans, CLIENT)[0]);
        let request = backend.only_request();
        let (trace, span, flags) = parts(&seen(&request, "traceparent"));
        assert_eq!((trace.as_str(), flags.as_str()), (TRACE, "01"));
        assert_eq!(seen(&request, "tracestate"), "a=1,b=2");
        assert_eq!((&client["id"], &client["trace"]), (&Value::from(span), &Value::from(TRACE)));
        assert_eq!((&client["parent"], &server["parent"]), (&server["id"], &Value::from(SPAN)));
        assert_eq!((&server["flags"], &server["state"]), (&Value::from(0x301), &Value::from("a=1,b=2")));
        let told = &server["attributes"];
        assert_eq!(told["http.request.method"], "GET");
        assert_eq!(told["http.response.status_code"], 200);
        assert_eq!((&told["url.path"], &told["url.scheme"]), (&Value::from("/path"), &Value::from("http")));
        assert_eq!(told["network.protocol.version"], "1.1");
        assert_eq!(
            (&told["narrows.upstream"], &told["user_agent.original"]),
            (&"app".into(), &"test".into())
        );
        assert_eq!(client["attributes"]["narrows.endpoint"], backend.address());
        assert_eq!(
            (&server["resource"]["service.name"], &server["resource"]["zone"]),
            (&"narrows".into(), &"a".into())
        );
        assert_eq!(
            (&server["headers"]["x-token"], &server["status"]),
            (&Value::from("secret"), &Value::from(0))
        );
        assert!(server["began"].as_u64() <= client["began"].as_u64(), "{server} {client}");
        assert!(client["ended"].as_u64() <= server["ended"].as_u64(), "{server} {client}");
    }
}

#[test]
fn a_request_without_a_trace_or_with_a_broken_one_begins_one() {
    let backend = ok_backend();
    let narrows = start(backend.address(), ALL);
    let upper = format!("traceparent: 00-{}-{SPAN}-01", TRACE.to_uppercase());
    let zero = format!("traceparent: 00-{}-{SPAN}-01", "0".repeat(32));
    for headers in [&[][..], &[&upper, "tracestate: a=1"], &[&zero], &[SAMPLED, SAMPLED], &["traceparent: x"]]
    {
        narrows.get("/", headers);
        let requests = backend.requests();
        let request = requests.last().unwrap();
        let (trace, span, flags) = parts(&seen(request, "traceparent"));
        assert!(trace != TRACE && trace.len() == 32 && span.len() == 16, "{headers:?} {trace} {span}");
        assert_eq!((flags.as_str(), seen(request, "tracestate")), ("03", String::new()), "{headers:?}");
    }
}

#[test]
fn a_parent_that_is_not_respected_is_replaced() {
    let backend = ok_backend();
    let narrows = start(backend.address(), "tracing: { sample: 0%, parent: ignore }\n");
    narrows.get("/", &[SAMPLED, "tracestate: a=1"]);
    let request = backend.only_request();
    let (trace, _, flags) = parts(&seen(&request, "traceparent"));
    assert!(trace != TRACE && flags == "02", "{trace} {flags}");
    assert_eq!(seen(&request, "tracestate"), "");
}

#[test]
fn the_first_rule_that_is_true_says_how_many_are_traced() {
    let backend = ok_backend();
    let rules = "tracing:\n  sample: 0%\n  when:\n    - { if: 'request.path == \"/no\"', sample: 0% }\n    - { if: 'request.path.startsWith(\"/\")', sample: 100% }\n";
    let narrows = start(backend.address(), rules);
    for (path, flags) in [("/no", "02"), ("/yes", "03")] {
        narrows.get(path, &[]);
        assert_eq!(parts(&seen(backend.requests().last().unwrap(), "traceparent")).2, flags, "{path}");
    }
}

#[test]
fn the_share_that_is_traced_is_about_what_is_asked_for() {
    let backend = ok_backend();
    let narrows = start(backend.address(), "tracing: { sample: 25% }\n");
    let mut client = narrows.web();
    for _ in 0..1000 {
        client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    }
    let traced =
        backend.requests().iter().filter(|request| parts(&seen(request, "traceparent")).2 == "03").count();
    // Six standard deviations of a fair choice.
    assert!((168..=332).contains(&traced), "{traced}");
}

#[test]
fn a_request_that_failed_is_told_though_it_was_not_chosen() {
    let backend = Backend::respond(|request| match request.target() {
        "/bad" => answer("503 Busy", ""),
        _ => ok("hello"),
    });
    let collector = Collector::start("grpc");
    let top = format!("{}tracing: {{ sample: 0% }}\n", collector.telemetry(""));
    let narrows = start(backend.address(), &top);
    narrows.get("/good", &[]);
    narrows.get("/bad", &[NOT_SAMPLED]);
    let spans = collector.wait_for_spans(2);
    let server = of_kind(&spans, SERVER)[0];
    assert_eq!((&server["attributes"]["url.path"], &server["status"]), (&"/bad".into(), &2.into()));
    assert_eq!((&server["trace"], &server["flags"]), (&TRACE.into(), &0x300.into()));
    assert!(spans.iter().all(|span| span["attributes"]["url.path"] != "/good"), "{spans:?}");
    assert_eq!(parts(&seen(backend.requests().last().unwrap(), "traceparent")).2, "00");
}

#[test]
fn every_attempt_has_a_span_and_the_upstream_knows_which() {
    let bad = Backend::respond(|_| answer("503 Busy", ""));
    let good = ok_backend();
    let collector = Collector::start("http");
    let policy = ", retries: { limit: 2, on: [503], budget: off }";
    let top = format!("{}{ALL}", collector.telemetry(""));
    let narrows = Narrows::start(&config(&[bad.address(), good.address()], &top, policy));
    until("the bad one is asked first", || {
        narrows.get("/", &[]);
        !bad.requests().is_empty()
    });
    let asked = seen(bad.requests().first().unwrap(), "traceparent");
    let (trace, first, _) = parts(&asked);
    let answered = good
        .requests()
        .iter()
        .map(|request| parts(&seen(request, "traceparent")))
        .find(|told| told.0 == trace);
    let second = answered.expect("the same trace goes on").1;
    assert_ne!(first, second);
    until("all attempts are told", || {
        collector.spans().iter().filter(|span| span["trace"] == *trace).count() >= 3
    });
    let spans: Vec<Value> = collector.spans().into_iter().filter(|span| span["trace"] == *trace).collect();
    let attempt =
        |id: &str| spans.iter().find(|span| span["id"] == *id).unwrap_or_else(|| panic!("{id} {spans:?}"));
    assert_eq!(
        (&attempt(&first)["status"], &attempt(&first)["attributes"]["http.response.status_code"]),
        (&2.into(), &503.into())
    );
    assert_eq!(
        (&attempt(&second)["status"], &attempt(&second)["attributes"]["http.request.resend_count"]),
        (&0.into(), &1.into())
    );
    let server = of_kind(&spans, SERVER)[0];
    assert_eq!((&server["attributes"]["narrows.attempts"], &server["status"]), (&2.into(), &0.into()));
    assert!([&first, &second].iter().all(|id| attempt(id)["parent"] == server["id"]), "{spans:?}");
}

#[test]
fn a_connection_that_is_refused_is_told_with_its_cause() {
    let collector = Collector::start("grpc");
    let top = format!("{}{ALL}", collector.telemetry(""));
    let port = narrows_conformance::servers::free_port();
    let narrows = start(&format!("127.0.0.1:{port}"), &top);
    narrows.get("/", &[]);
    let spans = collector.wait_for_spans(2);
    for span in &spans {
        assert_eq!(span["status"], 2, "{span}");
        assert!(!span["attributes"]["narrows.fault"].as_str().unwrap_or_default().is_empty(), "{span}");
        assert_eq!(span["attributes"]["error.type"], span["attributes"]["narrows.fault"], "{span}");
    }
}

#[test]
fn b3_is_read_and_written_in_both_forms() {
    let backend = ok_backend();
    let narrows = start(backend.address(), "tracing: { sample: 0%, propagate: [b3, b3-multi, w3c] }\n");
    let single = format!("b3: {TRACE}-{SPAN}-1");
    let many = [
        format!("X-B3-TraceId: {TRACE}"),
        format!("X-B3-SpanId: {SPAN}"),
        "X-B3-Sampled: 1".to_owned(),
        "X-B3-ParentSpanId: 05e3ac9a4f6e3b90".to_owned(),
    ];
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    for headers in [&[single.as_str()][..], &many, &[SAMPLED]] {
        narrows.get("/", headers);
        let requests = backend.requests();
        let request = requests.last().unwrap();
        let b3 = seen(request, "b3");
        assert!(b3.starts_with(&format!("{TRACE}-")) && b3.ends_with("-1") && !b3.contains(SPAN), "{b3}");
        let span = b3.split('-').nth(1).unwrap();
        assert_eq!(seen(request, "x-b3-traceid"), TRACE);
        assert_eq!(
            (seen(request, "x-b3-spanid").as_str(), seen(request, "x-b3-sampled").as_str()),
            (span, "1")
        );
        assert_eq!(seen(request, "x-b3-parentspanid"), "");
        assert_eq!(parts(&seen(request, "traceparent")).1, span);
    }
    for (decision, told) in [("0", "-0"), ("1", "-1"), ("d", "-d")] {
        narrows.get("/", &[&format!("b3: {decision}")]);
        let b3 = seen(backend.requests().last().unwrap(), "b3");
        assert!(b3.ends_with(told), "{decision} {b3}");
    }
}

#[test]
fn a_request_gets_an_id_that_log_upstream_trace_and_client_know() {
    let (backend, collector) = (ok_backend(), Collector::start("grpc"));
    let top = format!(
        "settings: {{ access_log: [{{ to: stdout, format: json }}, {{ to: otlp }}] }}\n{}{ALL}request_id: {{ trust: false }}\n",
        collector.telemetry("")
    );
    let narrows = start(backend.address(), &top);
    let told = narrows.get("/", &["X-Request-Id: mine"]);
    let id = told.header("x-request-id").unwrap().to_owned();
    assert!(id != "mine" && id.len() == 36, "{id}");
    let request = backend.only_request();
    assert_eq!(seen(&request, "x-request-id"), id);
    let spans = collector.wait_for_spans(2);
    let server = of_kind(&spans, SERVER)[0].clone();
    assert_eq!(server["attributes"]["narrows.request_id"], *id);
    until("the record is there", || !collector.logs().is_empty() && narrows.output().contains(&id));
    let record = collector.logs().remove(0);
    assert_eq!((&record["trace"], &record["span"]), (&server["trace"], &server["id"]));
    assert_eq!(
        (&record["attributes"]["request_id"], &record["severity"]),
        (&id.clone().into(), &"INFO".into())
    );
    assert_eq!(record["body"], "GET / 200");
    let line = narrows.output();
    let line = line.lines().find(|line| line.contains(&id)).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["trace_id"], &line["span_id"]), (&server["trace"], &server["id"]));
}

#[test]
fn an_id_is_taken_over_from_those_who_are_trusted_and_told_once() {
    let backend = Backend::respond(|_| {
        b"HTTP/1.1 200 OK\r\nX-Request-Id: upstream's\r\nContent-Length: 0\r\n\r\n".to_vec()
    });
    let narrows = start(backend.address(), "request_id: { trust: 127.0.0.0/8 }\n");
    let answered = narrows.get("/", &["X-Request-Id: mine-1"]);
    assert_eq!(answered.header("x-request-id"), Some("mine-1"));
    assert_eq!(seen(&backend.only_request(), "x-request-id"), "mine-1");
    let long = format!("X-Request-Id: {}", "x".repeat(200));
    for bad in ["X-Request-Id: a b", &long, "X-Request-Id: \"quoted\""] {
        let answered = narrows.get("/", &[bad]);
        assert_eq!(answered.header("x-request-id").map(str::len), Some(36), "{bad}");
    }
}

#[test]
fn a_websocket_is_told_when_it_ends() {
    let (echo, collector) = (WebSocketEcho::start(), Collector::start("http"));
    let top = format!("{}{ALL}", collector.telemetry(""));
    let narrows = start(&echo.address, &top);
    let program = format!(
        "from websockets.sync.client import connect\nwith connect('ws://{}/chat', compression=None) as socket:\n    socket.send('hi')\n    print(socket.recv())\n",
        narrows.address("web")
    );
    assert_eq!(python_prints(&program).trim(), "hi");
    let spans = collector.wait_for_spans(2);
    let server = of_kind(&spans, SERVER)[0];
    assert_eq!(server["attributes"]["http.response.status_code"], 101);
    assert_eq!(server["attributes"]["url.path"], "/chat");
}

#[test]
fn grpc_and_http2_are_traced_as_any_other() {
    let (server, collector) = (GrpcServer::start(), Collector::start("grpc"));
    let top = format!("{}{ALL}", collector.telemetry(""));
    let narrows = Narrows::start(&config(&[&server.to_string()], &top, ", protocol: http2"));
    let printed =
        grpc_client(&format!("plain('{}')", narrows.address("web")), "print(unary('Echo')(b'hello'))");
    assert_eq!(printed.trim(), "b'hello'");
    let spans = collector.wait_for_spans(2);
    let span = of_kind(&spans, SERVER)[0];
    assert_eq!(
        (&span["attributes"]["network.protocol.version"], &span["attributes"]["http.request.method"]),
        (&"2".into(), &"POST".into())
    );
    assert_eq!(of_kind(&spans, CLIENT)[0]["parent"], span["id"]);
    let mut peer = Http2::connect(narrows.address("web"));
    let stream = peer.open("GET", "/unknown", &[("traceparent", &SAMPLED["traceparent: ".len()..])], true);
    peer.answer(stream);
    until("it goes on with its trace", || {
        collector.spans().iter().any(|span| span["trace"] == TRACE && span["kind"] == SERVER)
    });
}

#[test]
fn the_handshake_belongs_to_the_first_request_of_its_connection() {
    let authority = Authority::new("traces");
    let identity = authority.server(&["localhost"]);
    let (backend, collector) = (ok_backend(), Collector::start_tls("grpc", &identity));
    let tls = format!(", tls: {{ ca: \"{}\" }}", authority.certificate);
    let top = format!("{}{ALL}", collector.telemetry(&tls));
    let yaml = config(&[backend.address()], &top, "");
    let yaml = yaml.replace(
        "upstream: app }",
        &format!(
            "upstream: app, tls: {{ certificates: [{{ cert: \"{}\", key: \"{}\" }}] }} }}",
            identity.certificate, identity.key
        ),
    );
    let narrows = Narrows::start(&yaml);
    let mut client =
        TlsClient::trusting(&authority.certificate).name("localhost").connect(narrows.address("web"));
    client.exchange("GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n");
    client.exchange("GET /two HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let spans = collector.wait_for_spans(5);
    let handshakes = of_kind(&spans, INTERNAL);
    assert_eq!(handshakes.len(), 1, "{spans:?}");
    let first =
        of_kind(&spans, SERVER).into_iter().find(|span| span["attributes"]["url.path"] == "/one").unwrap();
    assert_eq!(
        (&handshakes[0]["parent"], &handshakes[0]["attributes"]["tls.protocol.version"]),
        (&first["id"], &"1.3".into())
    );
    assert_eq!(first["attributes"]["url.scheme"], "https");
}

#[test]
fn a_dead_collector_costs_spans_and_nothing_else_and_may_come_back() {
    let (backend, mut collector) = (ok_backend(), Collector::absent("grpc"));
    let top = format!("{}{ALL}", collector.telemetry(""));
    let narrows = start(backend.address(), &top);
    let mut client = narrows.web();
    for _ in 0..300 {
        assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "hello");
    }
    until("the operator is told", || narrows.output().contains("spans cannot be exported"));
    collector.run("ok");
    until("what waited is sent", || !collector.spans().is_empty());
    until("the operator is told", || narrows.output().contains("spans are exported again"));
    collector.stop();
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "hello");
    assert_eq!(narrows.output().matches("spans cannot be exported").count(), 1, "{}", narrows.output());
}

#[test]
fn what_a_busy_collector_refuses_is_sent_again_and_nothing_twice() {
    for (how, busy) in [("grpc", "UNAVAILABLE,UNAVAILABLE,ok"), ("http", "503,429,ok")] {
        let (backend, collector) = (ok_backend(), Collector::answering(how, busy));
        let top = format!("{}{ALL}", collector.telemetry(""));
        let narrows = start(backend.address(), &top);
        narrows.get("/", &[]);
        assert_eq!(collector.wait_for_spans(2).len(), 2, "{}", collector.output());
        assert_eq!(collector.requests(), 3);
    }
}

#[test]
fn a_reload_changes_what_is_traced_and_where_it_goes() {
    let (backend, one, two) = (ok_backend(), Collector::start("http"), Collector::start("grpc"));
    let narrows = start(backend.address(), &format!("{}{ALL}", one.telemetry("")));
    narrows.get("/one", &[]);
    one.wait_for_spans(2);
    narrows.reload(&config(&[backend.address()], &format!("{}{ALL}", two.telemetry("")), ""));
    narrows.get("/two", &[]);
    let spans = two.wait_for_spans(2);
    assert_eq!(of_kind(&spans, SERVER)[0]["attributes"]["url.path"], "/two");
    narrows.reload(&config(&[backend.address()], "", ""));
    narrows.get("/three", &[]);
    assert_eq!(seen(backend.requests().last().unwrap(), "traceparent"), "");
}

#[test]
fn what_waits_is_sent_before_the_process_ends() {
    let (backend, collector) = (ok_backend(), Collector::start("grpc"));
    let mut narrows = start(backend.address(), &format!("{}{ALL}", collector.telemetry("")));
    narrows.get("/", &[]);
    narrows.signal("TERM");
    assert!(narrows.wait_for_exit().success());
    assert_eq!(collector.spans().len(), 2, "{}", collector.output());
}
