//! Every limit and every deadline of the HTTP side holds.

use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use narrows_conformance::backend::Silent;
use narrows_conformance::{Backend, Connection, Message, Setup, until};

/// The answer to a request through a listener with these keys; the backend must not be reached.
fn refused(keys: &str, request: &str) -> Message {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, keys).start();
    let mut client = narrows.web();
    let _ = client.try_send(request);
    let answer = client.response("GET");
    client.read_to_end();
    assert_eq!(backend.requests().len(), 0, "nothing reached the backend");
    answer
}

/// A backend that takes everything and never answers.
fn mute() -> Backend {
    Backend::script(|mut connection, _| while connection.some_bytes().is_some() {})
}

fn accepted(keys: &str, request: &str) {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, keys).start();
    assert_eq!(narrows.web().exchange(request).status(), 200);
}

#[test]
fn a_head_above_the_limit_is_431() {
    let head = |size| format!("GET / HTTP/1.1\r\nHost: a\r\nX-Long: {}\r\n\r\n", "x".repeat(size));
    assert_eq!(refused("", &head(40 * 1024)).status(), 431);
    accepted("", &head(30 * 1024));
    assert_eq!(refused("limits: { head: 2KiB }", &head(2048)).status(), 431);
    accepted("limits: { head: 2KiB }", &head(1500));
}

#[test]
fn a_head_without_an_end_is_431_at_the_limit() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n");
    client.flood(b"X-Long: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 200 * 1024, Duration::from_secs(2));
    assert_eq!(client.response("GET").status(), 431);
    client.read_to_end();
}

#[test]
fn more_fields_than_allowed_are_431() {
    let request = |count| {
        let fields = (1..count).map(|number| format!("X-{number}: y\r\n")).collect::<String>();
        format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    };
    assert_eq!(refused("", &request(101)).status(), 431);
    accepted("", &request(100));
    assert_eq!(refused("limits: { headers: 5 }", &request(6)).status(), 431);
    accepted("limits: { headers: 5 }", &request(5));
}

#[test]
fn a_target_above_the_limit_is_414() {
    let request = |size| format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(size));
    assert_eq!(refused("", &request(9000)).status(), 414);
    accepted("", &request(8000));
    assert_eq!(refused("limits: { uri: 100 }", &request(100)).status(), 414);
    accepted("limits: { uri: 100 }", &request(90));
}

#[test]
fn an_announced_body_above_the_limit_is_413() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 101\r\n\r\n";
    let answer = refused("limits: { body: 100 }", request);
    assert_eq!(answer.status(), 413);
    accepted(
        "limits: { body: 100 }",
        &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\n{}", "x".repeat(100)),
    );
    let default = refused("", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1073741825\r\n\r\n");
    assert_eq!(default.status(), 413, "1 GiB is the default");
}

#[test]
fn a_chunked_body_above_the_limit_is_413_and_never_complete() {
    let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
    let narrows = Setup::web(&backend, "limits: { body: 100 }").start();
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for _ in 0..3 {
        let _ = client.try_send(format!("28\r\n{}\r\n", "x".repeat(40)));
    }
    let answer = client.response("POST");
    assert_eq!(answer.status(), 413);
    client.read_to_end();
    if backend.connections() > 0 {
        backend.wait_for_end(0);
    }
    assert!(!backend.received().ends_with(b"0\r\n\r\n"));
}

#[test]
fn a_slow_head_is_408() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "timeouts: { head: 300ms }").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: ");
    let answer = client.response("GET");
    assert_eq!(answer.status(), 408);
    assert!(answer.lists("connection", "close"));
    client.read_to_end();
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_connection_that_never_sends_is_closed_without_an_answer_or_with_408() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "timeouts: { head: 300ms, keep_alive: 300ms }").start();
    let mut client = narrows.web();
    let rest = client.read_to_end();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&rest));
}

#[test]
fn a_drip_of_head_bytes_does_not_stretch_the_deadline() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "timeouts: { head: 500ms }").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nX-Drip: ");
    let mut drops = 0;
    until("the drip is cut off", || {
        drops += 1;
        client.try_send("x").is_err() || client.anything_within(Duration::from_millis(20))
    });
    let rest = client.read_to_end();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{drops}");
}

#[test]
fn a_body_that_stops_is_cut_off() {
    let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
    let narrows = Setup::web(&backend, "timeouts: { body_idle: 300ms }").start();
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf");
    let answer = client.response("POST");
    assert_eq!(answer.status(), 408);
    client.read_to_end();
    backend.wait_for_end(0);
}

#[test]
fn slow_body_below_the_minimum_rate_is_cut_off_after_its_grace() {
    let backend = mute();
    let narrows = Setup::web(&backend, "minimum_body_rate: 1000").start();
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    until("the slow body is cut off", || {
        client.try_send("x").is_err() || client.anything_within(Duration::from_millis(200))
    });
    let rest = client.read_to_end();
    assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408 "), "{}", String::from_utf8_lossy(&rest));
    backend.wait_for_end(0);
}

#[test]
fn no_answer_in_time_is_504() {
    let backend = mute();
    let narrows = Setup::web(&backend, "timeouts: { response_head: 300ms }").start();
    narrows.get("/", &[]).assert_proxy_error(504, "http_response_timeout");
    backend.wait_for_end(0);
}

#[test]
fn no_connection_in_time_is_504() {
    let silent = Silent::new();
    let narrows = Setup::web(&silent, "timeouts: { connect: 300ms }")
        .upstream_with("app", &[&silent], "retries: 0")
        .start();
    narrows.get("/", &[]).assert_proxy_error(504, "connection_timeout");
}

#[test]
fn the_response_deadline_starts_when_the_request_is_sent() {
    let (answer, may_answer) = channel::<()>();
    let may_answer = Mutex::new(may_answer);
    let backend = Backend::script(move |mut connection, _| {
        connection.request();
        may_answer.lock().unwrap().recv().expect("the test goes on");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "timeouts: { response_head: 1s }").start();
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30\r\n\r\n");
    for _ in 0..30 {
        client.send("x");
        assert!(!client.anything_within(Duration::from_millis(50)), "an upload of 1.5 s is no late answer");
    }
    answer.send(()).unwrap();
    assert_eq!(client.response("POST").text(), "hi");
}

#[test]
fn an_answer_that_stops_is_broken_off() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        connection.read_to_end();
    });
    let narrows = Setup::web(&backend, "timeouts: { response_idle: 300ms }").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response_head().status(), 200);
    assert_eq!(client.read_to_end(), b"half");
    backend.wait_for_end(0);
}

#[test]
fn a_client_that_does_not_read_is_given_up() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
        while connection.try_send([b'x'; 65536]).is_ok() {}
    });
    let narrows = Setup::web(&backend, "timeouts: { write_idle: 500ms }").start();
    let mut client = narrows.web();
    client.small_receive_buffer();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response_head();
    backend.wait_for_script(0);
    assert!(client.read_to_end().len() < 900_000_000);
}

#[test]
fn a_whole_request_has_a_deadline() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
        while connection.try_send("1\r\nx\r\n").is_ok() {
            if connection.anything_within(Duration::from_millis(20)) {
                return;
            }
        }
    });
    let narrows = Setup::web(&backend, "timeouts: { request: 500ms }").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let rest = client.read_to_end();
    assert!(!rest.ends_with(b"0\r\n\r\n"), "the answer is broken off");
    let mute = mute();
    let narrows = Setup::web(&mute, "timeouts: { request: 300ms }").start();
    assert_eq!(narrows.get("/", &[]).status(), 504);
}

#[test]
fn an_idle_connection_is_closed_between_requests() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "timeouts: { keep_alive: 300ms }").start();
    let mut client = narrows.web();
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "hello");
    client.expect_end();
}

#[test]
fn a_connection_takes_as_many_requests_as_allowed() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "requests_per_connection: 3").start();
    let mut client = narrows.web();
    for number in 1..=3 {
        let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.lists("connection", "close"), number == 3, "request {number}");
    }
    client.expect_end();
}

#[test]
fn a_response_head_above_any_reason_is_502() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        let _ = connection.try_send("HTTP/1.1 200 OK\r\n");
        while connection.try_send("X-Long: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").is_ok() {}
    });
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.get("/", &[]);
    assert_eq!(answer.status(), 502, "{}", answer.head);
    assert!(narrows.peak_memory_kib() < 64 * 1024);
}

#[test]
fn limits_do_not_cost_other_connections() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "limits: { head: 1KiB }").start();
    let mut good = narrows.web();
    for _ in 0..10 {
        let mut bad = Connection::connect(narrows.address("web"));
        let _ = bad.try_send("x".repeat(5000));
        bad.read_to_end();
        assert_eq!(good.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "hello");
    }
}
