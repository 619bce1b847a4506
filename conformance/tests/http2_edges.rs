//! HTTP/2 that is unusual and right, and HTTP/2 that would be something else in HTTP/1.1.

use narrows_conformance::backend::ok;
use narrows_conformance::http2::{Frame, PREFACE, block, code, flag, kind, setting};
use narrows_conformance::{Backend, Http2, Narrows, Setup, until};

const GET: [(&str, &str); 4] =
    [(":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", "/")];

fn http2(narrows: &Narrows) -> Http2 {
    Http2::connect(narrows.address("web"))
}

/// The proxy in front of a backend that sends back the body of a request.
fn echo() -> (Narrows, Backend) {
    let backend = Backend::respond(|request| ok(&format!("got {}", request.text())));
    (Setup::web(&backend, "").start(), backend)
}

#[test]
fn frames_in_single_bytes_are_understood() {
    let (narrows, _backend) = echo();
    let mut client = narrows.web();
    let fields = [GET.as_slice(), &[("content-length", "5")]].concat();
    let bytes = [
        PREFACE.to_vec(),
        Frame::settings(&[]).bytes(),
        Frame::headers(1, &fields, false).bytes(),
        Frame::data(1, "hello", true).bytes(),
    ]
    .concat();
    let mut reader = client.second_handle();
    for byte in bytes {
        client.send([byte]);
    }
    let answer = reader.read_until(b"got hello");
    assert!(!answer.is_empty());
}

#[test]
fn a_head_in_many_frames_is_one_head() {
    let (narrows, backend) = echo();
    let mut client = http2(&narrows);
    let stream = client.reserve();
    let long = "y".repeat(3000);
    let whole = block(&[GET.as_slice(), &[("x-long", &long), ("x-last", "1")]].concat());
    let pieces = whole.chunks(700).collect::<Vec<_>>();
    client.send(&Frame::new(kind::HEADERS, flag::END_STREAM, stream, pieces[0]));
    for (index, piece) in pieces.iter().enumerate().skip(1) {
        let flags = if index + 1 == pieces.len() { flag::END_HEADERS } else { 0 };
        client.send(&Frame::new(kind::CONTINUATION, flags, stream, *piece));
    }
    assert_eq!(client.answer(stream).text(), "got ");
    let request = backend.only_request();
    assert_eq!((request.header("x-long"), request.header("x-last")), (Some(long.as_str()), Some("1")));
}

#[test]
fn padding_and_priority_around_a_head_are_skipped() {
    let (narrows, _backend) = echo();
    let mut client = http2(&narrows);
    let stream = client.reserve();
    let payload = [&[4_u8, 0, 0, 0, 0, 15][..], &block(&GET), &[0; 4]].concat();
    let flags = flag::PADDED | flag::PRIORITY | flag::END_HEADERS | flag::END_STREAM;
    client.send(&Frame::new(kind::HEADERS, flags, stream, payload));
    assert_eq!(client.answer(stream).text(), "got ");
}

#[test]
fn unknown_frames_and_settings_are_ignored() {
    let (narrows, _backend) = echo();
    let mut client = http2(&narrows);
    client.send(&Frame::new(0x77, 0xff, 0, "what is this"));
    client.send(&Frame::settings(&[(0x7777, 7)]));
    let stream = client.open("POST", "/", &[], false);
    client.send(&Frame::new(0x77, 0xff, stream, "and this"));
    client.send(&Frame::data(stream, "hello", true));
    assert_eq!(client.answer(stream).text(), "got hello");
}

#[test]
fn a_head_larger_than_a_frame_comes_back_whole() {
    let long = "z".repeat(10_000);
    let head = format!("HTTP/1.1 200 OK\r\nX-One: {long}\r\nX-Two: {long}\r\nContent-Length: 2\r\n\r\nok");
    let backend = Backend::answering(head);
    let narrows = Setup::web(&backend, "").start();
    let got = http2(&narrows).get("/");
    assert_eq!((got.text().as_str(), got.header("x-two")), ("ok", Some(long.as_str())));
}

#[test]
fn a_client_without_a_table_for_fields_is_understood() {
    let (narrows, _backend) = echo();
    let mut client = Http2::over_with(narrows.web(), &[(1, 0)]);
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "got ");
    }
}

#[test]
fn windows_that_change_while_a_stream_runs_are_respected() {
    let backend = Backend::saying(&"y".repeat(50_000));
    let narrows = Setup::web(&backend, "").start();
    let mut client = Http2::over_with(narrows.web(), &[(setting::INITIAL_WINDOW_SIZE, 10_000)]);
    client.replenish = false;
    let stream = client.open("GET", "/", &[], true);
    client.until(|client| client.received(stream).body.len() == 10_000);
    client.send(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 2_000)]));
    client.send(&Frame::window_update(stream, 9_000));
    client.until(|client| client.received(stream).body.len() == 11_000);
    client.send(&Frame::ping([0; 8]));
    client.until(|client| !client.pongs.is_empty());
    assert_eq!(client.received(stream).body.len(), 11_000, "10000 - 8000 + 9000");
    client.send(&Frame::settings(&[(setting::INITIAL_WINDOW_SIZE, 60_000)]));
    assert_eq!(client.answer(stream).body.len(), 50_000);
}

#[test]
fn expect_continue_is_carried_to_the_upstream_and_back() {
    let backend = Backend::script(|mut connection, _| {
        while let Some(head) = connection.next_request_head() {
            assert_eq!(head.header("expect"), Some("100-continue"));
            connection.send("HTTP/1.1 100 Continue\r\n\r\n");
            assert_eq!(connection.read_exactly(5), b"hello");
            connection.send(ok("thanks"));
        }
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let fields = [("content-length", "5"), ("expect", "100-continue")];
    let stream = client.open("POST", "/", &fields, false);
    client.until(|client| !client.received(stream).heads.is_empty());
    client.send(&Frame::data(stream, "hello", true));
    let answer = client.answer(stream);
    assert_eq!((answer.text().as_str(), answer.interim.len()), ("thanks", 1), "{answer:?}");
}

#[test]
fn the_scheme_that_a_client_claims_is_not_believed() {
    let (narrows, backend) = echo();
    let mut client = http2(&narrows);
    let mut fields = GET;
    fields[1].1 = "https";
    let stream = client.open_exactly(&fields, true);
    let answer = client.answer(stream);
    if answer.status() == 200 {
        assert_eq!(backend.only_request().header("x-forwarded-proto"), Some("http"), "it came in plain text");
    }
}

#[test]
fn a_length_without_content_never_reaches_the_upstream() {
    let (narrows, backend) = echo();
    for (fields, trailing) in
        [(vec![("content-length", "5")], None), (vec![("content-length", "5")], Some("x"))]
    {
        let mut client = http2(&narrows);
        let stream = client.open("POST", "/", &fields, trailing.is_none());
        if trailing.is_some() {
            client.send(&Frame::headers(stream, &[("x-trailer", "1")], true));
        }
        let answer = client.answer(stream);
        assert!(answer.reset.is_some() || answer.status() == 400, "{answer:?}");
    }
    assert!(backend.requests().is_empty());
}

#[test]
fn a_body_that_looks_like_a_request_stays_a_body() {
    let (narrows, backend) = echo();
    let mut client = http2(&narrows);
    let hidden = "0\r\n\r\nGET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";
    for length in [Some(hidden.len().to_string()), None] {
        let fields = length.iter().map(|length| ("content-length", length.as_str())).collect::<Vec<_>>();
        for method in ["POST", "GET", "HEAD", "DELETE"] {
            let stream = client.open(method, "/", &fields, false);
            client.send(&Frame::data(stream, hidden, true));
            let answer = client.answer(stream);
            assert_eq!(answer.status(), 200, "{method}: {answer:?}");
        }
    }
    let requests = backend.requests();
    assert_eq!(requests.len(), 8);
    assert!(requests.iter().all(|request| request.target() == "/" && request.text() == hidden));
}

#[test]
fn trailers_are_held_to_the_rules_of_fields() {
    let (narrows, backend) = echo();
    for bad in [
        (":path", "/b"),
        ("connection", "close"),
        ("X-Upper", "1"),
        ("x-a", "b\r\nx-evil: 1"),
        ("transfer-encoding", "chunked"),
    ] {
        let mut client = http2(&narrows);
        let stream = client.open("POST", "/", &[], false);
        client.send(&Frame::data(stream, "hello", false));
        client.send(&Frame::headers(stream, &[bad], true));
        if client.until(|client| client.received(stream).ended || client.received(stream).reset.is_some()) {
            let answer = client.answer(stream);
            assert!(
                answer.reset.is_some() || answer.status() == 400 || answer.status() == 200,
                "{bad:?} {answer:?}"
            );
        }
    }
    for request in backend.requests() {
        assert!(request.trailers.is_empty(), "{:?}", request.trailers);
    }
}

#[test]
fn fields_that_frame_a_message_are_no_trailers() {
    let (narrows, backend) = echo();
    let mut client = http2(&narrows);
    let stream = client.open("POST", "/", &[], false);
    client.send(&Frame::data(stream, "hello", false));
    let fields = [("content-length", "100"), ("host", "evil.example.com"), ("x-good", "1")];
    client.send(&Frame::headers(stream, &fields, true));
    let answer = client.answer(stream);
    assert!(answer.reset.is_some() || answer.status() == 200 || answer.status() == 400, "{answer:?}");
    for request in backend.requests() {
        let names = request.trailers.iter().map(|(name, _)| name.to_lowercase()).collect::<Vec<_>>();
        assert!(
            !names.iter().any(|name| name == "content-length" || name == "host"),
            "RFC 9110 section 6.5.1: {names:?}"
        );
    }
}

#[test]
fn data_after_the_end_of_a_stream_harms_nothing_else() {
    let (narrows, _backend) = echo();
    let mut client = http2(&narrows);
    let stream = client.open("GET", "/", &[], true);
    assert_eq!(client.answer(stream).text(), "got ");
    client.send(&Frame::data(stream, "more", true));
    let _ = client.try_send(&Frame::ping([0; 8]));
    client.until(|client| !client.pongs.is_empty());
    if let Some((_, reason)) = client.go_away {
        assert_eq!(reason, code::STREAM_CLOSED);
    }
    assert_eq!(http2(&narrows).get("/").text(), "got ");
}

#[test]
fn the_asterisk_form_and_strange_paths_keep_their_meaning() {
    let (narrows, backend) = echo();
    for (method, path, expected) in [
        ("OPTIONS", "*", "OPTIONS * HTTP/1.1"),
        ("GET", "/?", "GET /? HTTP/1.1"),
        ("GET", "/a//b/?x=/../y", "GET /a//b/?x=/../y HTTP/1.1"),
        ("GET", "/%E4%20?%00", "GET /%E4%20?%00 HTTP/1.1"),
    ] {
        let before = backend.requests().len();
        let mut client = http2(&narrows);
        let stream = client.open(method, path, &[], true);
        let answer = client.answer(stream);
        if answer.status() == 200 {
            assert_eq!(backend.requests()[before].start_line, expected);
        } else {
            assert!(answer.status() >= 400 || answer.reset.is_some(), "{path}: {answer:?}");
        }
    }
    for path in ["http://other.example.com/", "//other.example.com/", "a", "?a", "\\a", "/a#b"] {
        let mut client = http2(&narrows);
        let stream = client.open("GET", path, &[], true);
        if client.until(|client| client.received(stream).ended || client.received(stream).reset.is_some()) {
            client.answer(stream);
        }
    }
    for request in backend.requests() {
        assert_eq!(request.header_values("host"), ["example.com"], "{}", request.head);
        let target = request.target();
        assert!((target.starts_with('/') || target == "*") && !target.contains('#'), "{target}");
    }
}

#[test]
fn a_client_that_says_farewell_gets_what_it_asked_for() {
    let (narrows, _backend) = echo();
    let mut client = http2(&narrows);
    let stream = client.open("POST", "/", &[], false);
    client.send(&Frame::go_away(0, code::NO_ERROR));
    client.send(&Frame::data(stream, "hello", true));
    assert_eq!(client.answer(stream).text(), "got hello");
    client.end();
}

#[test]
fn a_client_that_answers_each_small_piece_is_no_flood() {
    let backend = Backend::script(|mut connection, _| {
        if connection.next_request_head().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
            for _ in 0..3_000 {
                connection.send("4\r\ntick\r\n");
                connection.read_until(b".");
            }
            connection.send("0\r\n\r\n");
            connection.read_to_end();
        }
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let stream = client.open("POST", "/", &[], false);
    for number in 1..=3_000 {
        // Two window updates come from the client itself; gRPC libraries ask with a PING how far away the server is.
        client.until(|client| client.received(stream).body.len() >= 4 * number);
        client.send(&Frame::ping(*b"how far?"));
        client.send(&Frame::data(stream, ".", number == 3_000));
        assert_eq!(client.go_away, None, "after {number} pieces");
    }
    assert_eq!(client.answer(stream).body.len(), 12_000);
}

#[test]
fn many_small_messages_are_no_flood() {
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            let size = peer.whole_request(stream).body.len();
            peer.send(&Frame::headers(stream, &[(":status", "200")], false));
            let burst = Frame::data(stream, "0123456789", false).bytes().repeat(20_000);
            peer.connection().send(burst);
            peer.send(&Frame::data(stream, size.to_string(), true));
        }
    });
    let narrows = Setup::web(&backend, "").upstream_with("app", &[&backend], "protocol: http2").start();
    let mut client = http2(&narrows);
    for _ in 0..2 {
        // As gRPC streams them: a frame for each message, as many at once as the window takes.
        let stream = client.open("POST", "/", &[], false);
        let burst = Frame::data(stream, "0123456789", false).bytes().repeat(5_000);
        client.connection().send(burst);
        client.send(&Frame::data(stream, "", true));
        let answer = client.answer(stream);
        assert_eq!(
            (answer.body.len(), answer.ended),
            (200_005, true),
            "{:?} {:?}",
            answer.reset,
            client.go_away
        );
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn requests_given_up_now_and_then_are_no_flood() {
    let (narrows, _backend) = echo();
    let mut client = http2(&narrows);
    for _ in 0..200 {
        let given_up = client.open("GET", "/", &[], true);
        client.send(&Frame::reset(given_up, code::CANCEL));
        assert_eq!(client.get("/").text(), "got ");
    }
}

#[test]
fn many_fields_and_many_cookies_arrive_in_order() {
    let (narrows, backend) = echo();
    let mut client = http2(&narrows);
    let names = (0..60).map(|number| (format!("x-{number}"), format!("v{number}"))).collect::<Vec<_>>();
    let mut fields = names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
    let crumbs = (0..20).map(|number| format!("c{number}=v{number}")).collect::<Vec<_>>();
    fields.extend(crumbs.iter().map(|crumb| ("cookie", crumb.as_str())));
    let stream = client.open("GET", "/", &fields, true);
    assert_eq!(client.answer(stream).status(), 200);
    let request = backend.only_request();
    assert_eq!(request.header("cookie"), Some(crumbs.join("; ").as_str()));
    for (name, value) in &names {
        assert_eq!(request.header_values(name), [value.as_str()]);
    }
}

#[test]
fn an_upstream_answer_whose_length_lies_is_broken_off() {
    for content in ["half", "more than ten bytes"] {
        let backend = Backend::script(move |connection, _| {
            let Some(mut peer) = Http2::accept(connection, &[]) else { return };
            while let Some(stream) = peer.next_request() {
                peer.send(&Frame::headers(stream, &[(":status", "200"), ("content-length", "10")], false));
                peer.send(&Frame::data(stream, content, true));
            }
        });
        let narrows = Setup::web(&backend, "").upstream_with("app", &[&backend], "protocol: http2").start();
        let mut client = http2(&narrows);
        let stream = client.open("GET", "/", &[], true);
        let answer = client.answer(stream);
        assert!(answer.reset.is_some() || answer.status() == 502, "{content}: {answer:?}");
        let mut old = narrows.web();
        old.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let received = old.read_to_end();
        let text = String::from_utf8_lossy(&received);
        let body = text.split("\r\n\r\n").nth(1).unwrap_or_default();
        assert!(text.contains(" 502 ") || body.len() < 10, "{content}: {text}");
    }
}

#[test]
fn idle_connections_cost_little_memory() {
    let (narrows, _backend) = echo();
    let before = narrows.peak_memory_kib();
    let mut clients = (0..300).map(|_| http2(&narrows)).collect::<Vec<_>>();
    for client in &mut clients {
        assert_eq!(client.get("/").text(), "got ");
    }
    let each = (narrows.peak_memory_kib() - before) * 1024 / 300;
    assert!(each < 48 * 1024, "{each} bytes for an idle connection");
    drop(clients);
    until("the proxy goes on", || http2(&narrows).get("/").text() == "got ");
}
