//! HTTP/2 to the client: requests, answers and what stands around them.

use std::process::Command;

use narrows_conformance::backend::{Refusing, answer, ok};
use narrows_conformance::http2::{Answer, Frame, code, setting};
use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::{Backend, Folder, Http2, Narrows, Setup, TlsClient, output_of, tool, until};

fn http2(narrows: &Narrows) -> Http2 {
    Http2::connect(narrows.address("web"))
}

/// The proxy in front of a backend that says hello.
fn hello() -> (Narrows, Backend) {
    let backend = Backend::saying("hello");
    (Setup::web(&backend, "").start(), backend)
}

#[test]
fn curl_speaks_http2_with_prior_knowledge() {
    let (narrows, _backend) = hello();
    let url = format!("http://{}/", narrows.address("web"));
    for (option, expected) in
        [("--http2-prior-knowledge", "hello 2"), ("--http2", "hello 1.1"), ("--http1.1", "hello 1.1")]
    {
        let mut curl = Command::new(tool("curl"));
        curl.args(["-sS", "--fail", "--max-time", "20", option, "-w", " %{http_version}", &url]);
        assert_eq!(output_of(&mut curl), expected, "{option}");
    }
}

#[test]
fn nghttp_sends_a_body_and_reads_one() {
    let backend = Backend::respond(|request| ok(&request.text().to_uppercase()));
    let narrows = Setup::web(&backend, "").start();
    let body = narrows.folder.write("body", "x".repeat(300_000));
    let mut nghttp = Command::new(tool("nghttp"));
    let shown = output_of(nghttp.args(["-d", &body, &format!("http://{}/up", narrows.address("web"))]));
    assert_eq!(shown, "X".repeat(300_000));
}

#[test]
fn load_of_h2load_is_answered_without_an_error() {
    let nginx = Nginx::start("");
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let narrows = Setup::web(&nginx, "")
        .listener(
            "tls",
            &format!("upstream: app\n{}", narrows_conformance::setup::tls_keys(&[&identity], "")),
        )
        .workers(2)
        .start();
    for url in [format!("http://{}/", narrows.address("web")), format!("https://{}/", narrows.address("tls"))]
    {
        let shown = output_of(Command::new(tool("h2load")).args(["-n", "4000", "-c", "8", "-m", "50", &url]));
        assert!(shown.contains("4000 succeeded, 0 failed, 0 errored, 0 timeout"), "{shown}");
        assert!(shown.contains("status codes: 4000 2xx"), "{shown}");
    }
}

#[test]
fn a_request_reaches_an_http1_upstream_as_it_was_meant() {
    let (narrows, backend) = hello();
    let mut client = http2(&narrows);
    let fields = [("x-one", "1"), ("x-two", "a"), ("x-two", "b"), ("te", "trailers"), ("priority", "u=1, i")];
    let stream = client.open("GET", "/a%20b?c=d", &fields, true);
    let got = client.answer(stream);
    assert_eq!((got.status(), got.text().as_str(), got.ended), (200, "hello", true));
    assert_eq!(got.header("content-length"), Some("5"));
    let request = backend.only_request();
    assert_eq!(request.start_line, "GET /a%20b?c=d HTTP/1.1");
    assert_eq!(request.header_values("host"), ["example.com"]);
    assert_eq!(request.header("x-one"), Some("1"));
    assert_eq!(request.header_values("x-two").join(","), "a,b");
    assert_eq!(request.header("priority"), Some("u=1, i"), "hints of RFC 9218 are passed");
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-host"), Some("example.com"));
    assert!(!request.head.contains("\r\n:"), "{}", request.head);
    assert_eq!(request.header("transfer-encoding"), None, "a request without content has none");
}

#[test]
fn fields_of_the_answer_arrive_in_lower_case_without_those_of_the_connection() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nX-One: 1\r\nSET-COOKIE: a=b\r\nSet-Cookie: c=d\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\n\
         Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    );
    let narrows = Setup::web(&backend, "").start();
    let got = http2(&narrows).get("/");
    assert_eq!((got.text().as_str(), got.header("x-one"), got.header("x-hop")), ("hello", Some("1"), None));
    let cookies = got.fields.iter().filter(|(name, _)| name == "set-cookie").count();
    assert_eq!(cookies, 2, "{:?}", got.fields);
}

#[test]
fn a_request_over_tls_says_so() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = Setup::https(&backend, &authority.server(&["example.com"]), "").start();
    let client = TlsClient::trusting(&authority.certificate).alpn(&["h2"]);
    let mut client = Http2::over(client.connect(narrows.address("web")));
    for _ in 0..3 {
        assert_eq!(client.get("/").text(), "hello");
    }
    let request = backend.requests().remove(0);
    assert_eq!(request.header("x-forwarded-proto"), Some("https"));
}

#[test]
fn cookie_crumbs_are_joined() {
    let (narrows, backend) = hello();
    let mut client = http2(&narrows);
    let stream = client.open("GET", "/", &[("cookie", "a=b"), ("cookie", "c=d"), ("cookie", "e=f")], true);
    client.answer(stream);
    assert_eq!(backend.only_request().header_values("cookie"), ["a=b; c=d; e=f"], "RFC 9113 section 8.2.3");
}

#[test]
fn trailers_pass_both_ways() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nTrailer: X-Sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 42\r\n\r\n",
    );
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let stream = client.open("POST", "/", &[("te", "trailers")], false);
    client.send(&Frame::data(stream, "content", false));
    client.send(&Frame::headers(stream, &[("x-checked", "yes")], true));
    let got = client.answer(stream);
    assert_eq!((got.text().as_str(), got.trailer("x-sum"), got.ended), ("hello", Some("42"), true));
    let request = backend.only_request();
    assert_eq!(request.text(), "content");
    assert_eq!(request.trailers, [("x-checked".to_owned(), "yes".to_owned())]);
}

#[test]
fn interim_answers_are_passed_on() {
    let backend = Backend::answering(
        "HTTP/1.1 103 Early Hints\r\nLink: </style.css>\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </b>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let narrows = Setup::web(&backend, "").start();
    let got = http2(&narrows).get("/");
    assert_eq!((got.status(), got.text().as_str(), got.interim.len()), (200, "ok", 2));
    assert!(got.interim[0].contains(&("link".to_owned(), "</style.css>".to_owned())), "{:?}", got.interim);
}

#[test]
fn answers_without_content_end_at_once() {
    let backend = Backend::respond(|request| match request.target() {
        "/head" => b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n".to_vec(),
        "/204" => b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 1000\r\n\r\n".to_vec(),
        _ => answer("200 OK", ""),
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    for (method, path, status, length) in [
        ("HEAD", "/head", 200, Some("1000")),
        ("GET", "/204", 204, None),
        ("GET", "/304", 304, Some("1000")),
        ("GET", "/empty", 200, Some("0")),
    ] {
        let stream = client.open(method, path, &[], true);
        let got = client.answer(stream);
        assert_eq!((got.status(), got.body.len(), got.ended), (status, 0, true), "{path}");
        assert_eq!(got.header("content-length"), length, "{path}");
    }
    assert_eq!(backend.connections(), 1, "the connection to the upstream was kept");
}

#[test]
fn uploads_pass_with_and_without_a_length() {
    let backend = Backend::respond(|request| ok(&request.body.len().to_string()));
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    for size in [0_usize, 1, 16_384, 16_385, 1_000_000] {
        let content = vec![b'x'; size];
        for length in [Some(size.to_string()), None] {
            let fields = length.iter().map(|length| ("content-length", length.as_str())).collect::<Vec<_>>();
            let stream = client.open("POST", "/", &fields, false);
            client.upload(stream, &content, true);
            assert_eq!(client.answer(stream).text(), size.to_string(), "{length:?}");
        }
    }
    let requests = backend.requests();
    assert_eq!(requests[2].header("content-length"), Some("1"));
    assert_eq!(requests[3].header("transfer-encoding"), Some("chunked"));
}

#[test]
fn padding_is_not_content() {
    let backend = Backend::respond(|request| ok(&request.text()));
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let stream = client.open("POST", "/", &[("content-length", "5")], false);
    let padded = [[3_u8].as_slice(), b"hello", &[0; 3]].concat();
    client.send(&Frame::new(narrows_conformance::http2::kind::DATA, 8 | 1, stream, padded));
    assert_eq!(client.answer(stream).text(), "hello");
}

#[test]
fn a_length_that_lies_is_refused() {
    let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
    let narrows = Setup::web(&backend, "").start();
    for (length, content) in [("10", "short"), ("3", "too long")] {
        let mut client = http2(&narrows);
        let stream = client.open("POST", "/", &[("content-length", length)], false);
        client.send(&Frame::data(stream, content, true));
        let got = client.answer(stream);
        assert!(got.reset == Some(code::PROTOCOL_ERROR) || got.status() == 400, "{length}: {got:?}");
    }
    assert!(!backend.received().ends_with(b"too long"), "nothing beyond the length is passed on");
}

#[test]
fn an_early_answer_is_passed_on_and_stops_the_upload() {
    let backend = Backend::script(|mut connection, _| {
        connection.next_request_head().expect("a request arrives");
        connection
            .send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
        connection.finish_sending();
        connection.read_to_end();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = http2(&narrows);
    let stream = client.open("POST", "/", &[("content-length", "100000000")], false);
    client.upload_some(stream, &vec![b'x'; 100_000_000], true);
    let got = client.answer(stream);
    assert_eq!((got.status(), got.text().as_str()), (413, "big"), "{got:?}");
    assert_ne!(got.reset, Some(code::INTERNAL_ERROR), "RFC 9113 section 8.1: NO_ERROR, or CANCEL");
    assert_eq!(client.get("/").status(), 413, "the connection goes on");
}

#[test]
fn answers_of_the_proxy_itself_have_the_form_of_http2() {
    let nobody = Refusing::new();
    let keys = "routes:
  - { path: /broken, upstream: app }
  - { path: /own, respond: { status: 418, body: teapot } }
  - { path: /old, redirect: { to: /new } }";
    let narrows = Setup::new().upstream("app", &[&nobody]).listener("web", keys).start();
    let mut client = http2(&narrows);
    let broken = client.get("/broken");
    assert_eq!(broken.status(), 502);
    assert!(broken.header("proxy-status").is_some_and(|cause| cause.contains("error=connection_refused")));
    assert_eq!((client.get("/own").status(), client.get("/own").text().as_str()), (418, "teapot"));
    assert_eq!((client.get("/old").status(), client.get("/old").header("location")), (308, Some("/new")));
    assert_eq!(client.get("/nothing").status(), 404);
}

#[test]
fn limits_and_deadlines_hold() {
    let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
    let keys = "limits: { body: 1000 }\ntimeouts: { response_head: 300ms }";
    let narrows = Setup::web(&backend, keys).start();
    let mut client = http2(&narrows);
    assert_eq!(client.get("/").status(), 504);
    let stream = client.open("POST", "/", &[("content-length", "1001")], false);
    assert_eq!(client.answer(stream).status(), 413);
    let stream = client.open("POST", "/", &[], false);
    client.upload_some(stream, &[b'x'; 2000], false);
    assert_eq!(client.answer(stream).status(), 413);
    assert_eq!(client.get("/").status(), 504, "the connection goes on");
}

#[test]
fn pings_are_answered_and_settings_acknowledged() {
    let (narrows, _backend) = hello();
    let mut client = http2(&narrows);
    client.send(&Frame::ping(*b"12345678"));
    assert!(client.until(|client| !client.pongs.is_empty() && client.acknowledged == 1));
    assert_eq!(client.pongs, [b"12345678".to_vec()]);
    assert_eq!(client.settings.get(&setting::ENABLE_CONNECT_PROTOCOL), Some(&1), "RFC 8441");
    assert_eq!(client.settings.get(&setting::MAX_CONCURRENT_STREAMS), Some(&100));
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn settings_of_the_configuration_are_announced() {
    let backend = Backend::saying("hello");
    let narrows =
        Setup::web(&backend, "http2: { streams: 7, window: 128KiB, connection_window: 2MiB }").start();
    let mut client = http2(&narrows);
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(client.settings.get(&setting::MAX_CONCURRENT_STREAMS), Some(&7));
    assert_eq!(client.settings.get(&setting::INITIAL_WINDOW_SIZE), Some(&131_072));
}

#[test]
fn a_client_that_does_not_answer_pings_is_ended() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "http2: { ping: 200ms }").start();
    let mut quiet = http2(&narrows);
    assert_eq!(quiet.get("/").text(), "hello");
    let mut lively = http2(&narrows);
    assert_eq!(lively.get("/").text(), "hello");
    let mut pings = 0;
    while pings < 2 {
        let frame = lively.read_frame().expect("a client that answers its pings is kept");
        if frame.kind == narrows_conformance::http2::kind::PING {
            pings += 1;
            lively.send(&Frame::new(frame.kind, 1, 0, frame.payload));
        }
    }
    while quiet.read_frame().is_some() {}
    assert_eq!(lively.get("/").text(), "hello");
}

#[test]
fn a_method_that_opens_tunnels_is_refused() {
    let (narrows, backend) = hello();
    let mut client = http2(&narrows);
    let stream = client.open_exactly(&[(":method", "CONNECT"), (":authority", "example.com:443")], false);
    let got = client.head_or_reset(stream);
    assert!([400, 405, 501].contains(&got.status()) || got.reset.is_some(), "{got:?}");
    assert_eq!(backend.connections(), 0);
    assert_eq!(client.get("/").text(), "hello");
}

/// Asserts that a stream was refused: by an error of the stream or the connection, or by a 4xx.
#[track_caller]
fn assert_refused(client: &mut Http2, stream: u32, what: &str) {
    let ended =
        client.until(|client| client.received(stream).reset.is_some() || client.received(stream).ended);
    if ended {
        let received = client.received(stream);
        let status = received.heads.first().and_then(|head| head.first()).map(|(_, value)| value.clone());
        assert!(
            received.reset == Some(code::PROTOCOL_ERROR) || status.as_deref() == Some("400"),
            "{what}: {received:?}"
        );
    } else {
        assert_eq!(client.go_away.map(|(_, code)| code), Some(code::PROTOCOL_ERROR), "{what}");
    }
}

#[test]
fn malformed_heads_are_refused_and_never_reach_the_upstream() {
    let (narrows, backend) = hello();
    let start = [(":method", "GET"), (":scheme", "http"), (":authority", "example.com"), (":path", "/")];
    let with = |field: (&'static str, &'static str)| [start.as_slice(), &[field]].concat();
    let cases = [
        ("an upper-case name", with(("X-Upper", "1"))),
        ("connection", with(("connection", "close"))),
        ("keep-alive", with(("keep-alive", "timeout=5"))),
        ("proxy-connection", with(("proxy-connection", "close"))),
        ("transfer-encoding", with(("transfer-encoding", "chunked"))),
        ("upgrade", with(("upgrade", "websocket"))),
        ("te beyond trailers", with(("te", "gzip"))),
        ("another host", with(("host", "other.example.com"))),
        ("an unknown pseudo field", with((":other", "1"))),
        ("a pseudo field of answers", with((":status", "200"))),
        ("a pseudo field twice", with((":path", "/b"))),
        ("a pseudo field after others", vec![start[0], start[1], ("x-a", "1"), start[2], start[3]]),
        ("no method", start[1..].to_vec()),
        ("no path", start[..3].to_vec()),
        ("no scheme", vec![start[0], start[2], start[3]]),
        ("an empty path", vec![start[0], start[1], start[2], (":path", "")]),
        ("a line break in a value", with(("x-a", "b\r\nx-evil: 1"))),
        ("a zero in a value", with(("x-a", "b\0c"))),
        ("a line break in a name", with(("x-a\r\nx-evil", "1"))),
        ("a colon in a name", with(("x:a", "1"))),
        ("an empty name", with(("", "1"))),
        ("a space around a name", with(("x-a ", "1"))),
        ("a space in the path", vec![start[0], start[1], start[2], (":path", "/a b HTTP/1.1")]),
        (
            "a line break in the path",
            vec![start[0], start[1], start[2], (":path", "/ HTTP/1.1\r\nx-evil: 1")],
        ),
        (
            "a line break in the authority",
            vec![start[0], start[1], (":authority", "a\r\nx-evil: 1"), start[3]],
        ),
        (
            "user information in the authority",
            vec![start[0], start[1], (":authority", "user@example.com"), start[3]],
        ),
        ("a space in the method", vec![(":method", "GET /evil"), start[1], start[2], start[3]]),
        ("two lengths", [start.as_slice(), &[("content-length", "1"), ("content-length", "2")]].concat()),
        ("a length that is no number", with(("content-length", "+1"))),
    ];
    for (what, fields) in cases {
        let mut client = http2(&narrows);
        let stream = client.open_exactly(&fields, true);
        assert_refused(&mut client, stream, what);
    }
    assert_eq!(backend.requests().len(), 0);
    let mut client = http2(&narrows);
    let same = client.open_exactly(&with(("host", "example.com")), true);
    assert_eq!(client.answer(same).text(), "hello", "the same host twice is one host");
    let only = client.open_exactly(&[start[0], start[1], start[3], ("host", "example.com")], true);
    assert_eq!(client.answer(only).text(), "hello", "a host without an authority is a host");
    assert!(backend.requests().iter().all(|request| request.header_values("host") == ["example.com"]));
}

#[test]
fn a_head_that_is_too_large_is_431_or_an_error_of_its_stream() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "limits: { head: 8KiB }").start();
    let mut client = http2(&narrows);
    let long = "x".repeat(12_000);
    let large = client.open("GET", "/", &[("x-long", &long)], true);
    let got = client.answer(large);
    assert!(got.status() == 431 || got.reset.is_some(), "{got:?}");
    assert_eq!(client.get("/").text(), "hello", "other streams go on");
    let many = (0..150).map(|number| (format!("x-{number}"), "y".repeat(100))).collect::<Vec<_>>();
    let many = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect::<Vec<_>>();
    let stream = client.open("GET", "/", &many, true);
    let got = client.answer(stream);
    assert!(got.status() == 431 || got.reset.is_some(), "{got:?}");
    assert_eq!(backend.requests().len(), 1);
}

#[test]
fn the_access_log_tells_the_version() {
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let log = folder.join("access.log");
    let settings = format!("access_log: \"{log}\"\nlog_format: text");
    let narrows = Setup::web(&backend, "").settings(&settings).start();
    assert_eq!(http2(&narrows).get("/logged").text(), "hello");
    until("the request is logged", || {
        std::fs::read_to_string(&log).is_ok_and(|log| log.contains("\"GET /logged HTTP/2"))
    });
    let line = std::fs::read_to_string(&log).unwrap();
    assert!(line.contains(" 200 5 ") && line.contains("host=example.com"), "{line}");
}

#[test]
fn without_http2_its_preface_is_an_error() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "http2: off").start();
    let mut client = narrows.web();
    client.send(narrows_conformance::http2::PREFACE);
    let received = String::from_utf8_lossy(&client.read_to_end()).into_owned();
    assert!(
        received.is_empty() || received.starts_with("HTTP/1.1 505 ") || received.starts_with("HTTP/1.1 4"),
        "{received}"
    );
    assert_eq!(backend.connections(), 0);
}

#[test]
fn expressions_see_http2_requests() {
    let keys = "routes:
  - { when: 'request.headers[\"x-a\"] == \"1\" && request.method == \"PUT\"', respond: { body: matched } }
  - { host: example.com, path: /v1/*, respond: { body: \"${ request.path }\" } }";
    let narrows = Setup::new().listener("web", keys).start();
    let mut client = http2(&narrows);
    let stream = client.open("PUT", "/", &[("x-a", "1")], true);
    let matched: Answer = client.answer(stream);
    assert_eq!(matched.text(), "matched");
    assert_eq!(client.get("/v1/x").text(), "/v1/x");
}
