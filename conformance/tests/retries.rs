//! When a request is sent again, to whom, and with what.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use narrows_conformance::backend::{Refusing, answer, ok};
use narrows_conformance::http2::{Frame, code};
use narrows_conformance::{Backend, Connection, Folder, Http2, Message, Narrows, Setup, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
/// Endpoints that fail stay in: what is tested is the repetition, not the ejection.
const STAY: &str = "passive: off\n";

/// A listener `web` in front of endpoints that are asked in this order.
fn in_order(endpoints: &[&dyn std::fmt::Display], keys: &str) -> Narrows {
    Setup::web(&"", "").upstream_in_order("app", endpoints, &format!("{STAY}{keys}")).start()
}

/// A backend that reads each request and resets its connection.
fn breaking() -> Backend {
    Backend::script(|mut connection, _| {
        if connection.next_request().is_some() {
            connection.reset();
        }
    })
}

/// A backend that reads requests and never answers.
fn silent() -> Backend {
    Backend::script(|mut connection, _| while connection.next_request().is_some() {})
}

#[test]
fn a_connection_that_breaks_before_the_answer_is_tried_elsewhere() {
    let (first, second) = (breaking(), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "");
    let mut client = narrows.web();
    for method in ["GET", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let answer = client.exchange(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(answer.status(), 200, "{method}");
    }
    assert_eq!((first.requests().len(), second.requests().len()), (5, 5));
    assert_eq!(second.connections(), 1, "the connection is of further use");
}

#[test]
fn a_post_that_may_have_been_seen_is_not_repeated() {
    let (first, second) = (breaking(), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "");
    narrows.web().exchange(POST).assert_proxy_error(502, "connection_terminated");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
}

#[test]
fn a_post_is_repeated_where_the_operator_says_so() {
    let (first, second) = (breaking(), Backend::respond(|request| ok(&request.text())));
    let narrows = in_order(&[&first, &second], "retries: { unsafe_methods: true }");
    assert_eq!(narrows.web().exchange(POST).text(), "hi");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 1));
}

#[test]
fn each_condition_can_be_left_out() {
    let second = Backend::saying("hello");
    let (breaks, refuses) = (breaking(), Refusing::new());
    let cases: [(&str, &dyn std::fmt::Display, &str); 2] = [
        ("retries: { on: [connect-failure] }", &breaks, "connection_terminated"),
        ("retries: { on: [reset] }", &refuses, "connection_refused"),
    ];
    for (keys, first, error) in cases {
        let narrows = in_order(&[first, &second], keys);
        narrows.web().exchange(GET).assert_proxy_error(502, error);
    }
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn an_upgrade_is_never_repeated_after_it_was_sent() {
    let (first, second) = (breaking(), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "retries: { unsafe_methods: true }");
    let upgrade = "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n";
    narrows.web().exchange(upgrade).assert_proxy_error(502, "connection_terminated");
    assert_eq!((first.requests().len(), second.requests().len()), (1, 0));
}

#[test]
fn no_more_attempts_are_made_than_allowed() {
    let all = [breaking(), breaking(), breaking(), breaking()];
    let endpoints: Vec<&dyn std::fmt::Display> = all.iter().map(|one| one as _).collect();
    let narrows = in_order(&endpoints, "retries: { limit: 2, budget: off }");
    narrows.web().exchange(GET).assert_proxy_error(502, "connection_terminated");
    let requests: Vec<usize> = all.iter().map(|one| one.requests().len()).collect();
    assert_eq!(requests, [1, 1, 1, 0], "another endpoint each time");
}

#[test]
fn a_route_has_rules_of_its_own() {
    let (first, second) = (breaking(), Backend::saying("hello"));
    let routes = "routes:\n  - { path: /never, upstream: app, retries: 0 }\n  - { path: /*, upstream: app }";
    let narrows =
        Setup::new().upstream_in_order("app", &[&first, &second], STAY).listener("web", routes).start();
    narrows.get("/never", &[]).assert_proxy_error(502, "connection_terminated");
    assert_eq!(narrows.get("/", &[]).text(), "hello");
}

#[test]
fn a_chosen_status_is_tried_elsewhere() {
    let (first, second) = (Backend::answering(answer("503 Busy", "busy")), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "retries: { on: [502-504] }");
    let mut client = narrows.web();
    for _ in 0..5 {
        assert_eq!(client.exchange(GET).text(), "hello");
    }
    assert_eq!((first.requests().len(), second.requests().len()), (5, 5));
    assert_eq!(first.connections(), 1, "an answer that is thrown away leaves its connection of use");
    let answer = client.exchange(POST);
    assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"), "not for a POST");
    assert_eq!(client.exchange(GET).text(), "hello", "the client's connection goes on");
    assert_eq!(first.connections(), 1);
}

#[test]
fn a_status_that_nobody_chose_is_an_answer() {
    let (first, second) = (Backend::answering(answer("503 Busy", "busy")), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "");
    assert_eq!(narrows.web().exchange(GET).status(), 503);
    assert_eq!(second.requests().len(), 0);
}

#[test]
fn the_last_answer_is_relayed_as_it_is() {
    let bad = |name: &str| {
        let head = format!("HTTP/1.1 503 Busy\r\nX-By: {name}\r\nTransfer-Encoding: chunked\r\n\r\n");
        Backend::answering(format!("{head}5\r\nsorry\r\n0\r\n\r\n"))
    };
    let (one, two) = (bad("one"), bad("two"));
    let narrows = in_order(&[&one, &two], "retries: { limit: 5, on: [503] }");
    let mut client = narrows.web();
    for number in 1..=3 {
        let answer = client.exchange(GET);
        assert_eq!(
            (answer.status(), answer.header("x-by"), answer.text().as_str()),
            (503, Some("two"), "sorry")
        );
        assert_eq!((one.requests().len(), two.requests().len()), (number, number));
    }
    let narrows = in_order(&[&one], "retries: { on: [503] }");
    assert_eq!(
        narrows.web().exchange(GET).header("x-by"),
        Some("one"),
        "with one endpoint there is no other"
    );
    assert_eq!(one.requests().len(), 4);
}

#[test]
fn a_large_answer_is_not_drained_before_the_next_attempt() {
    let first = Backend::script(|mut connection, _| {
        while connection.next_request().is_some() {
            connection.send("HTTP/1.1 503 Busy\r\nContent-Length: 100000000\r\n\r\nstart");
        }
    });
    let second = Backend::saying("hello");
    let narrows = in_order(&[&first, &second], "retries: { on: [503] }");
    let mut client = narrows.web();
    for number in 0..3 {
        assert_eq!(client.exchange(GET).text(), "hello");
        first.wait_for_end(number);
    }
    assert_eq!(second.connections(), 1);
}

#[test]
fn a_grpc_status_that_came_alone_is_tried_elsewhere() {
    let unavailable =
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nGrpc-Status: 14\r\nContent-Length: 0\r\n\r\n";
    let call = "POST /pkg.Service/Call HTTP/1.1\r\nHost: a\r\nContent-Type: application/grpc\r\nContent-Length: 5\r\n\r\n\0\0\0\0\0";
    let (first, second) = (Backend::answering(unavailable), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "retries: { on: [grpc-14], unsafe_methods: true }");
    assert_eq!(narrows.web().exchange(call).text(), "hello");
    assert_eq!(second.only_request().body, b"\0\0\0\0\0");
    let narrows = in_order(&[&first, &second], "retries: { on: [grpc-8], unsafe_methods: true }");
    assert_eq!(narrows.web().exchange(call).header("grpc-status"), Some("14"));
}

#[test]
fn a_try_that_takes_too_long_is_given_up_for_another() {
    let (first, second) = (silent(), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "retries: { try_timeout: 200ms, on: [timeout] }");
    let mut client = narrows.web();
    for number in 0..2 {
        assert_eq!(client.exchange(GET).text(), "hello");
        first.wait_for_end(number);
    }
    narrows.web().exchange(POST).assert_proxy_error(504, "http_response_timeout");
    assert_eq!((first.requests().len(), second.requests().len()), (3, 2), "the POST may have been seen");
}

#[test]
fn a_try_that_takes_too_long_is_a_cause_of_its_own() {
    let first = silent();
    let log = Folder::new();
    let path = log.join("access.log");
    let narrows = Setup::web(&"", "")
        .upstream_in_order("app", &[&first], "retries: { try_timeout: 200ms, on: [timeout] }")
        .settings(&format!("access_log: \"{path}\"\nlog_format: json"))
        .start();
    narrows.web().exchange(GET).assert_proxy_error(504, "http_response_timeout");
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    until("the cause is in the log", || text().contains("try-timed-out"));
}

/// A backend that reads `seen` bytes of a request and resets its connection.
fn breaking_after(seen: usize) -> Backend {
    Backend::script(move |mut connection, _| {
        connection.read_exactly(seen);
        connection.reset();
    })
}

/// Bytes that show where each of them stood.
fn content(length: usize) -> Vec<u8> {
    (0..length).map(|at| b'a' + (at / 7 % 26) as u8).collect()
}

/// A PUT of `body` in chunks of `size`, in its wire form.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut wire = b"PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in body.chunks(size) {
        wire.extend(format!("{:x};note=1\r\n", piece.len()).bytes());
        wire.extend(piece);
        wire.extend(b"\r\n");
    }
    wire.extend(b"0\r\nX-Sum: 1\r\n\r\n");
    wire
}

/// Sends a request in two pieces, the second one when the first endpoint has what it wants.
fn send_in_pieces(client: &mut Connection, wire: &[u8], first: &Backend) {
    client.send(&wire[..wire.len() / 3]);
    until("the first endpoint is asked", || first.connections() == 1);
    client.send(&wire[wire.len() / 3..]);
}

#[test]
fn a_body_that_fits_is_sent_again_whole() {
    let body = content(60_000);
    let length = [
        format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(),
        body.clone(),
    ];
    for wire in [length.concat(), chunked(&body, 10_000)] {
        let (first, second) =
            (breaking_after(50_000), Backend::respond(|request| ok(&request.body.len().to_string())));
        let narrows = in_order(&[&first, &second], "");
        let mut client = narrows.web();
        send_in_pieces(&mut client, &wire, &first);
        assert_eq!(client.response("PUT").text(), "60000");
        let seen = second.only_request();
        assert!(seen.body == body, "the same bytes");
        if !seen.chunks.is_empty() {
            assert_eq!(seen.trailers, [("X-Sum".to_owned(), "1".to_owned())]);
        }
        assert_eq!(client.exchange(&wire).text(), "60000", "the connections go on");
        assert_eq!(second.connections(), 1);
    }
}

#[test]
fn a_body_that_is_still_coming_goes_on_to_the_next_endpoint() {
    let body = content(30_000);
    let (first, second) =
        (breaking_after(5_000), Backend::respond(|request| ok(&request.body.len().to_string())));
    let narrows = in_order(&[&first, &second], "");
    let mut client = narrows.web();
    client.send(format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()));
    client.send(&body[..10_000]);
    until("the second endpoint is asked", || second.connections() == 1);
    client.send(&body[10_000..]);
    assert_eq!(client.response("PUT").text(), "30000");
    assert!(second.only_request().body == body, "the same bytes");
}

#[test]
fn a_body_that_does_not_fit_cannot_be_sent_again() {
    let body = content(200_000);
    let length = [
        format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes(),
        body.clone(),
    ];
    for wire in [length.concat(), chunked(&body, 10_000)] {
        let (first, second) = (breaking_after(150_000), Backend::saying("hello"));
        let narrows = in_order(&[&first, &second], "retries: { replay: 32KiB }");
        let mut client = narrows.web();
        send_in_pieces(&mut client, &wire, &first);
        client.response("PUT").assert_proxy_error(502, "connection_terminated");
        assert_eq!(second.connections(), 0);
    }
    let (first, second) = (silent(), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "retries: { replay: 0 }");
    let mut client = narrows.web();
    let wire = [b"PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n".to_vec(), body].concat();
    client.send(&wire);
    until("the body is there", || first.requests().len() == 1);
}

#[test]
fn what_is_not_repeated_is_relayed_however_large_it_is() {
    let (first, second) =
        (Backend::respond(|request| ok(&request.body.len().to_string())), Backend::saying("second"));
    let narrows = in_order(&[&first, &second], "retries: { replay: 16KiB }");
    let mut client = narrows.web();
    for size in [0, 1, 10_000, 100_000, 3_000_000] {
        for wire in [
            [
                format!("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n").into_bytes(),
                content(size),
            ]
            .concat(),
            chunked(&content(size), 100_000),
        ] {
            assert_eq!(client.exchange(wire).text(), size.to_string());
        }
    }
    assert_eq!(second.connections(), 0);
}

/// A backend that speaks HTTP/2; `serve` gets each request whole.
fn two(serve: impl Fn(&mut Http2, u32, Vec<u8>) + Send + Sync + 'static) -> Backend {
    Backend::script(move |connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            let body = peer.whole_request(stream).body;
            serve(&mut peer, stream, body);
        }
    })
}

#[test]
fn a_body_over_http2_is_sent_again_whole() {
    let bodies = Arc::<Mutex<Vec<Vec<u8>>>>::default();
    let seen = Arc::clone(&bodies);
    let refusing = two(|peer, stream, _| peer.send(&Frame::reset(stream, code::REFUSED_STREAM)));
    let taking = two(move |peer, stream, body| {
        seen.lock().unwrap().push(body);
        peer.respond(stream, &[(":status", "200")], "taken");
    });
    let narrows = in_order(&[&refusing, &taking], "protocol: http2");
    let mut client = Http2::connect(narrows.address("web"));
    for method in ["PUT", "POST"] {
        let stream = client.open(method, "/", &[], false);
        client.upload(stream, &content(20_000), false);
        client.upload(stream, &content(30_000), true);
        let answer = client.answer(stream);
        assert_eq!(
            (answer.status(), answer.text().as_str()),
            (200, "taken"),
            "{method}: it was refused unseen"
        );
    }
    let expected = [content(20_000), content(30_000)].concat();
    assert!(bodies.lock().unwrap().iter().all(|body| *body == expected), "the same bytes");
    assert_eq!(bodies.lock().unwrap().len(), 2);
}

#[test]
fn a_refused_stream_is_an_answer_where_the_operator_says_so() {
    let refusing = two(|peer, stream, _| peer.send(&Frame::reset(stream, code::REFUSED_STREAM)));
    let taking = two(|peer, stream, _| peer.respond(stream, &[(":status", "200")], "taken"));
    let narrows = in_order(&[&refusing, &taking], "protocol: http2\nretries: { on: [reset] }");
    // On a connection that was there already, it is sent once more in any case.
    assert_eq!(narrows.web().exchange(GET).status(), 502);
}

#[test]
fn the_budget_limits_what_a_lasting_failure_adds() {
    const REQUESTS: usize = 160;
    let arrived = Arc::new(AtomicUsize::new(0));
    let held = |arrived: &Arc<AtomicUsize>| {
        let arrived = Arc::clone(arrived);
        Backend::respond(move |_| {
            arrived.fetch_add(1, Ordering::SeqCst);
            until("all first attempts are under way", || arrived.load(Ordering::SeqCst) >= REQUESTS);
            answer("503 Busy", "busy")
        })
    };
    let (one, two) = (held(&arrived), held(&arrived));
    let narrows = Setup::web(&"", "")
        .upstream_with("app", &[&one, &two], &format!("{STAY}retries: {{ on: [503], budget: 10% }}"))
        .start();
    let mut clients: Vec<Connection> = (0..REQUESTS).map(|_| narrows.web()).collect();
    clients.iter_mut().for_each(|client| client.send(GET));
    for client in &mut clients {
        let answer = client.response("GET");
        assert_eq!((answer.status(), answer.text().as_str()), (503, "busy"), "the answer that there was");
    }
    let repeated = arrived.load(Ordering::SeqCst) - REQUESTS;
    // 100 in the beginning, 16 of the requests, and three that may always run, one after the other.
    assert!((100..REQUESTS).contains(&repeated), "{repeated} retries");
}

#[test]
fn attempts_are_spaced_and_a_client_that_leaves_ends_the_pause() {
    let (first, second) = (breaking(), Backend::saying("hello"));
    let narrows = in_order(&[&first, &second], "retries: { backoff: 50ms }");
    assert_eq!(narrows.web().exchange(GET).text(), "hello");

    let log = Folder::new();
    let path = log.join("access.log");
    let narrows = Setup::web(&"", "")
        .upstream_in_order("app", &[&first, &second], &format!("{STAY}retries: {{ backoff: 60s }}"))
        .settings(&format!("access_log: \"{path}\"\nlog_format: json"))
        .start();
    let mut client = narrows.web();
    client.send(GET);
    until("the first attempt failed", || first.requests().len() == 2);
    client.reset();
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    until("the client's end is in the log", || text().contains("client-gone"));
    assert_eq!(second.requests().len(), 1, "nobody waits for a second attempt");

    let mut client = Http2::connect(narrows.address("web"));
    let stream = client.open("GET", "/", &[], true);
    until("the first attempt failed", || first.requests().len() == 3);
    client.send(&Frame::reset(stream, code::CANCEL));
    until("the client's end is in the log", || text().matches("client-gone").count() == 2);
}

#[test]
fn requests_that_came_ahead_are_answered_behind_a_pause() {
    let (first, second) = (breaking(), Backend::respond(|request| ok(request.target())));
    let narrows = in_order(&[&first, &second], "retries: { backoff: 50ms }");
    let mut client = narrows.web();
    let requests: String =
        (0..3).map(|number| format!("GET /{number} HTTP/1.1\r\nHost: a\r\n\r\n")).collect();
    client.send(requests);
    for number in 0..3 {
        assert_eq!(client.response("GET").text(), format!("/{number}"));
    }
}

#[test]
fn the_whole_time_of_a_request_ends_all_attempts() {
    let (first, second) = (breaking(), Backend::saying("hello"));
    let narrows = Setup::web(&"", "timeouts: { request: 300ms }")
        .upstream_in_order("app", &[&first, &second], &format!("{STAY}retries: {{ backoff: 60s }}"))
        .start();
    narrows.web().exchange(GET).assert_proxy_error(504, "http_response_timeout");
}

#[test]
fn the_record_counts_the_attempts() {
    let (first, second) = (breaking(), Backend::saying("hello"));
    let log = Folder::new();
    let path = log.join("access.log");
    let narrows = Setup::web(&"", "")
        .upstream_in_order("app", &[&first, &second], STAY)
        .settings(&format!("access_log: \"{path}\"\nlog_format: json"))
        .start();
    assert_eq!(narrows.get("/", &[]).text(), "hello");
    let text = || std::fs::read_to_string(&path).unwrap_or_default();
    until("the record is there", || text().contains("\"attempts\":2"));
    assert!(text().contains(second.address()), "the endpoint is the one that answered: {}", text());
}

#[test]
fn a_flow_pauses_before_the_next_endpoint() {
    let (refusing, echo) = (Refusing::new(), Backend::echo());
    let narrows = Setup::tcp(&echo, "")
        .upstream_in_order("app", &[&refusing, &echo], "retries: { backoff: 50ms }")
        .start();
    let mut client = narrows.connect("tcp");
    client.send("ping");
    assert_eq!(client.read_exactly(4), b"ping");
    let narrows = Setup::tcp(&echo, "")
        .upstream_in_order("app", &[&refusing, &echo], "retries: { on: [reset] }")
        .start();
    // The reset may come before the client has seen that it is connected.
    if let Ok(mut client) = Connection::try_connect(narrows.address("tcp")) {
        client.finish_sending();
        client.expect_end();
    }
    assert_eq!(echo.connections(), 1);
}

#[test]
fn an_interim_answer_does_not_end_the_attempts() {
    let first = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
        // The hint arrives before the end does.
        let _ = connection.anything_within(Duration::from_millis(50));
        connection.reset();
    });
    let second = Backend::saying("hello");
    let narrows = in_order(&[&first, &second], "");
    let mut client = narrows.web();
    client.send(GET);
    let answers: Vec<Message> = std::iter::repeat_with(|| client.response("GET")).take(2).collect();
    assert_eq!((answers[0].status(), answers[1].text().as_str()), (103, "hello"));
}
