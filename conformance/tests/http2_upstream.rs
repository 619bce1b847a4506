//! HTTP/2 to the upstream: one connection for many requests, and what happens when it ends.

use std::process::Command;
use std::thread;
use std::time::Duration;

use narrows_conformance::http2::{Frame, Received, code, setting};
use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::nghttpd::Nghttpd;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::{Backend, Http2, Narrows, Setup, TlsClient, output_of, tool, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// A backend that speaks HTTP/2 with prior knowledge; `serve` gets each request whole.
fn service(serve: impl Fn(&mut Http2, u32, &Received) + Send + Sync + 'static) -> Backend {
    Backend::script(move |connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            let request = peer.whole_request(stream);
            serve(&mut peer, stream, &request);
        }
    })
}

fn hello() -> Backend {
    service(|peer, stream, _| peer.respond(stream, &[(":status", "200"), ("x-by", "two")], "hello"))
}

fn setup(backend: &Backend, further: &str) -> Setup {
    Setup::web(backend, "").upstream_with("app", &[backend], &format!("protocol: http2\n{further}"))
}

fn field<'a>(request: &'a Received, name: &str) -> Option<&'a str> {
    request.heads[0].iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[test]
fn both_versions_meet_on_both_sides() {
    let (one, two) = (Backend::saying("hello"), hello());
    let narrows = Setup::new()
        .upstream("one", &[&one])
        .upstream_with("two", &[&two], "protocol: http2")
        .listener("one", "upstream: one")
        .listener("two", "upstream: two")
        .start();
    for upstream in ["one", "two"] {
        for client in ["--http1.1", "--http2-prior-knowledge"] {
            let mut curl = Command::new(tool("curl"));
            curl.args(["-sS", "--fail", "--max-time", "20", client]);
            let text = output_of(curl.arg(format!("http://{}/", narrows.address(upstream))));
            assert_eq!(text, "hello", "{client} to {upstream}");
        }
    }
}

#[test]
fn real_servers_answer_both_versions() {
    let (nghttpd, nginx) = (Nghttpd::start(&["--trailer", "x-sum: 42"]), Nginx::start_http2(""));
    nghttpd.folder.write("large", "x".repeat(3_000_000));
    let narrows = Setup::new()
        .upstream_with("nghttpd", &[&nghttpd], "protocol: http2")
        .upstream_with("nginx", &[&nginx], "protocol: http2")
        .listener("nghttpd", "upstream: nghttpd")
        .listener("nginx", "upstream: nginx")
        .start();
    let mut client = Http2::connect(narrows.address("nghttpd"));
    for _ in 0..3 {
        let got = client.get("/");
        assert_eq!((got.text().as_str(), got.trailer("x-sum")), ("nghttpd says hello", Some("42")));
    }
    assert_eq!(client.get("/large").body.len(), 3_000_000);
    let answer = narrows.connect("nghttpd").exchange("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    assert_eq!(answer.text(), "nghttpd says hello");
    assert_eq!(answer.trailers, [("x-sum".to_owned(), "42".to_owned())]);
    assert_eq!(Http2::connect(narrows.address("nginx")).get("/").text(), "nginx says hello");
    assert_eq!(narrows.connect("nginx").exchange(GET).text(), "nginx says hello");
}

#[test]
fn the_request_has_the_form_of_http2() {
    let (seen, requests) = std::sync::mpsc::channel();
    let seen = std::sync::Mutex::new(seen);
    let backend = service(move |peer, stream, request| {
        seen.lock().unwrap().send(request.clone()).unwrap();
        peer.respond(stream, &[(":status", "204")], "");
    });
    let narrows = setup(&backend, "").start();
    let head = "POST /a%20b?c=d HTTP/1.1\r\nHost: Example.com:8080\r\nX-One: 1\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\
                Connection: keep-alive, x-hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: h2c\r\nCookie: a=b; c=d\r\n\r\n";
    let body = "5\r\nhello\r\n0\r\nX-Checked: yes\r\n\r\n";
    assert_eq!(narrows.web().exchange(format!("{head}{body}")).status(), 204);
    let request = requests.recv().unwrap();
    for (name, value) in [
        (":method", Some("POST")),
        (":scheme", Some("http")),
        (":path", Some("/a%20b?c=d")),
        ("x-one", Some("1")),
        ("x-hop", None),
        ("host", None),
        ("x-forwarded-for", Some("127.0.0.1")),
    ] {
        assert_eq!(field(&request, name), value, "{name}");
    }
    assert_eq!(field(&request, ":authority").map(str::to_lowercase).as_deref(), Some("example.com:8080"));
    assert_eq!(
        (request.body.as_slice(), request.heads[1].as_slice()),
        (b"hello".as_slice(), [("x-checked".to_owned(), "yes".to_owned())].as_slice())
    );
}

#[test]
fn one_connection_carries_many_requests() {
    let backend = hello();
    let narrows = setup(&backend, "").start();
    for _ in 0..5 {
        assert_eq!(narrows.get("/", &[]).text(), "hello");
    }
    let mut client = Http2::connect(narrows.address("web"));
    let streams = [0; 30].map(|_| client.open("GET", "/", &[], true));
    for stream in streams {
        assert_eq!(client.answer(stream).text(), "hello");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn requests_run_at_once_on_one_connection() {
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        let streams = [0; 20].map(|_| peer.next_request().expect("a request"));
        for stream in streams.iter().rev() {
            peer.respond(*stream, &[(":status", "200")], "hello");
        }
        peer.end();
    });
    let narrows = setup(&backend, "").start();
    let clients = (0..20).map(|_| {
        let mut client = narrows.web();
        thread::spawn(move || client.exchange(GET).text())
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.join().unwrap(), "hello");
    }
    assert_eq!(backend.connections(), 1);
}

#[test]
fn the_upstreams_limit_of_streams_is_kept() {
    const PATIENCE: Duration = Duration::from_millis(200);
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[(setting::MAX_CONCURRENT_STREAMS, 2)]) else {
            return;
        };
        let (mut next, mut open) = (1, Vec::new());
        loop {
            // Requests may be spread over several connections, so that the second of a pair need not come here.
            if open.len() == 2 || (!open.is_empty() && !peer.connection().anything_within(PATIENCE)) {
                open.drain(..).for_each(|stream| peer.respond(stream, &[(":status", "200")], "hello"));
            } else if !peer.step() {
                return;
            }
            while !peer.received(next).heads.is_empty() {
                open.push(next);
                next += 2;
            }
            assert!(open.len() <= 2, "not more than it was told");
        }
    });
    let narrows = setup(&backend, "").start();
    let clients = (0..12).map(|_| {
        let mut client = narrows.web();
        thread::spawn(move || client.exchange(GET).text())
    });
    for client in clients.collect::<Vec<_>>() {
        assert_eq!(client.join().unwrap(), "hello");
    }
}

#[test]
fn large_bodies_pass_both_ways_in_every_combination() {
    let backend = service(|peer, stream, request| {
        let body = "y".repeat(request.body.len());
        peer.send(&Frame::headers(stream, &[(":status", "200")], false));
        peer.upload_some(stream, body.as_bytes(), true);
    });
    let narrows = setup(&backend, "").start();
    let size = 3_000_000;
    let mut client = Http2::connect(narrows.address("web"));
    let stream = client.open("POST", "/", &[], false);
    client.upload(stream, &vec![b'x'; size], true);
    assert_eq!(client.answer(stream).body, vec![b'y'; size]);
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
    let answer = narrows.web().exchange([head.as_bytes(), &vec![b'x'; size]].concat());
    assert_eq!(answer.body, vec![b'y'; size]);
}

#[test]
fn a_slow_client_holds_back_its_own_stream_only() {
    let backend = service(|peer, stream, request| {
        if field(request, ":path") == Some("/large") {
            peer.send(&Frame::headers(stream, &[(":status", "200"), ("content-length", "50000000")], false));
            while peer.send_window(stream) > 0 {
                let size = usize::try_from(peer.send_window(stream)).unwrap().min(16_384);
                peer.upload(stream, &vec![b'y'; size], false);
            }
        } else {
            peer.respond(stream, &[(":status", "200")], "small");
        }
    });
    let narrows = setup(&backend, "").start();
    let mut slow = narrows.web();
    slow.small_receive_buffer();
    slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
    slow.response_head();
    for _ in 0..10 {
        assert_eq!(narrows.get("/small", &[]).text(), "small");
    }
    assert!(narrows.peak_memory_kib() < 64 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn interim_answers_and_trailers_come_through() {
    let backend = service(|peer, stream, _| {
        peer.send(&Frame::headers(stream, &[(":status", "103"), ("link", "</a>")], false));
        peer.send(&Frame::headers(stream, &[(":status", "200")], false));
        peer.send(&Frame::data(stream, "hello", false));
        peer.send(&Frame::headers(stream, &[("x-sum", "42")], true));
    });
    let narrows = setup(&backend, "").start();
    let got = Http2::connect(narrows.address("web")).get("/");
    assert_eq!((got.interim.len(), got.text().as_str(), got.trailer("x-sum")), (1, "hello", Some("42")));
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\n\r\n");
    assert_eq!(client.response("GET").status(), 103);
    let answer = client.response("GET");
    assert_eq!((answer.text().as_str(), answer.trailers.len()), ("hello", 1));
}

#[test]
fn answers_without_content_have_none() {
    let backend = service(|peer, stream, request| match field(request, ":method") {
        Some("HEAD") => peer.respond(stream, &[(":status", "200"), ("content-length", "1000")], ""),
        _ => peer.respond(stream, &[(":status", "304"), ("etag", "x")], ""),
    });
    let narrows = setup(&backend, "").start();
    let mut client = narrows.web();
    let answer = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status(), answer.header("content-length")), (200, Some("1000")));
    assert_eq!(client.exchange(GET).status(), 304);
}

#[test]
fn a_goaway_moves_later_requests_to_another_connection() {
    let backend = Backend::script(|connection, number| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            if number == 0 {
                peer.send(&Frame::go_away(stream, code::NO_ERROR));
            }
            peer.respond(stream, &[(":status", "200")], &number.to_string());
        }
    });
    let narrows = setup(&backend, "").start();
    assert_eq!(narrows.get("/", &[]).text(), "0", "what was accepted is finished");
    for _ in 0..3 {
        assert_eq!(narrows.get("/", &[]).text(), "1");
    }
    backend.wait_for_end(0);
    assert_eq!(backend.connections(), 2);
}

#[test]
fn a_request_that_was_not_served_is_repeated() {
    for refusal in [
        |peer: &mut Http2, stream: u32| peer.send(&Frame::reset(stream, code::REFUSED_STREAM)),
        |peer: &mut Http2, _: u32| peer.send(&Frame::go_away(1, code::NO_ERROR)),
    ] {
        let backend = Backend::script(move |connection, number| {
            let Some(mut peer) = Http2::accept(connection, &[]) else { return };
            while let Some(stream) = peer.next_request() {
                if number == 0 && stream == 3 {
                    refusal(&mut peer, stream);
                } else {
                    peer.respond(stream, &[(":status", "200")], "served");
                }
            }
        });
        let narrows = setup(&backend, "").start();
        assert_eq!(narrows.get("/", &[]).text(), "served");
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
        assert_eq!(
            narrows.web().exchange(post).text(),
            "served",
            "not even begun, so any method may be repeated"
        );
    }
}

#[test]
fn a_connection_that_dies_costs_only_what_ran_on_it() {
    let backend = Backend::script(|connection, number| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            let request = peer.whole_request(stream);
            if number == 0 && field(&request, ":path") == Some("/dies") {
                return;
            }
            peer.respond(stream, &[(":status", "200")], &number.to_string());
        }
    });
    let narrows = setup(&backend, "").start();
    assert_eq!(narrows.get("/", &[]).text(), "0");
    let post = "POST /dies HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
    let answer = narrows.web().exchange(post);
    assert_eq!(answer.status(), 502, "{}", answer.head);
    assert!(answer.header("proxy-status").is_some_and(|cause| cause.contains("error=connection_terminated")));
    assert_eq!(narrows.get("/", &[]).text(), "1");
}

#[test]
fn an_answer_that_breaks_off_is_broken_off_for_the_client() {
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            let request = peer.whole_request(stream);
            peer.send(&Frame::headers(stream, &[(":status", "200")], false));
            peer.send(&Frame::data(stream, "half", false));
            if field(&request, ":path") == Some("/dies") {
                return;
            }
            peer.send(&Frame::reset(stream, code::INTERNAL_ERROR));
        }
    });
    let narrows = setup(&backend, "").start();
    let mut client = Http2::connect(narrows.address("web"));
    for path in ["/reset", "/dies"] {
        let stream = client.open("GET", path, &[], true);
        let got = client.answer(stream);
        assert!(got.reset.is_some() && !got.ended, "{path}: {got:?}");
        let mut old = narrows.web();
        old.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let received = String::from_utf8_lossy(&old.read_to_end()).into_owned();
        assert!(received.starts_with("HTTP/1.1 200") && !received.ends_with("0\r\n\r\n"), "{received}");
    }
}

#[test]
fn a_stream_that_is_reset_before_its_answer_is_502() {
    let backend = service(|peer, stream, _| peer.send(&Frame::reset(stream, code::INTERNAL_ERROR)));
    let narrows = setup(&backend, "retries: 0").start();
    let answer = narrows.get("/", &[]);
    assert_eq!(answer.status(), 502);
    assert!(answer.header("proxy-status").is_some_and(|cause| cause.contains("error=")), "{}", answer.head);
    assert_eq!(narrows.get("/", &[]).status(), 502);
    assert_eq!(backend.connections(), 1, "a stream's error is not the connection's");
}

#[test]
fn an_early_answer_stops_the_upload() {
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        peer.replenish = false;
        while let Some(stream) = peer.next_request() {
            peer.respond(stream, &[(":status", "413")], "big");
            peer.send(&Frame::reset(stream, code::NO_ERROR));
        }
    });
    let narrows = setup(&backend, "").start();
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n");
    client.flood(&[b'x'; 16_384], 1_000_000, std::time::Duration::from_millis(300));
    let answer = client.response("POST");
    assert_eq!((answer.status(), answer.text().as_str()), (413, "big"));
}

#[test]
fn a_client_that_leaves_resets_its_stream_only() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let backend = service(move |peer, stream, request| {
        if field(request, ":path") == Some("/wait") {
            peer.send(&Frame::headers(stream, &[(":status", "200")], false));
            peer.send(&Frame::data(stream, "half", false));
            peer.until(|peer| peer.received(stream).reset.is_some());
            tell.lock().unwrap().send(peer.received(stream).reset).unwrap();
        } else {
            peer.respond(stream, &[(":status", "200")], "hello");
        }
    });
    let narrows = setup(&backend, "").start();
    let mut client = Http2::connect(narrows.address("web"));
    let waiting = client.open("GET", "/wait", &[], true);
    client.until(|client| client.received(waiting).body == b"half");
    client.send(&Frame::reset(waiting, code::CANCEL));
    assert_eq!(told.recv_timeout(narrows_conformance::DEADLINE), Ok(Some(code::CANCEL)));
    assert_eq!(client.get("/").text(), "hello");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn what_is_not_http2_is_502_with_a_cause() {
    for answer in
        ["HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n", "\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"]
    {
        let backend = Backend::script(move |mut connection, _| {
            connection.read_exactly(24);
            let _ = connection.try_send(answer);
        });
        let answer = setup(&backend, "retries: 0").start().get("/", &[]);
        let cause = answer.header("proxy-status").unwrap_or_default();
        assert_eq!(answer.status(), 502, "{cause}");
        assert!(
            ["http_protocol_error", "connection_terminated"].iter().any(|error| cause.contains(error)),
            "{cause}"
        );
    }
}

#[test]
fn malformed_answers_are_502() {
    for fields in [
        vec![(":status", "abc")],
        vec![("x-a", "no status")],
        vec![(":status", "200"), ("connection", "close")],
        vec![(":status", "200"), ("x-a", "b\r\nx-evil: 1")],
        vec![(":status", "200"), ("X-Upper", "1")],
    ] {
        let shown = format!("{fields:?}");
        let backend =
            service(move |peer, stream, _| drop(peer.try_send(&Frame::headers(stream, &fields, true))));
        let answer = setup(&backend, "retries: 0").start().get("/", &[]);
        assert_eq!(answer.status(), 502, "{shown}: {}", answer.head);
        assert!(!answer.head.contains("evil"), "{shown}");
    }
}

#[test]
fn no_answer_in_time_is_504_and_resets_the_stream() {
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let backend = service(move |peer, stream, _| {
        peer.until(|peer| peer.received(stream).reset.is_some());
        tell.lock().unwrap().send(peer.received(stream).reset).unwrap();
    });
    let narrows = Setup::web(&backend, "timeouts: { response_head: 300ms }")
        .upstream_with("app", &[&backend], "protocol: http2")
        .start();
    narrows.get("/", &[]).assert_proxy_error(504, "http_response_timeout");
    assert_eq!(told.recv_timeout(narrows_conformance::DEADLINE), Ok(Some(code::CANCEL)));
}

#[test]
fn tls_stands_on_both_sides() {
    let (outside, inside) = (Authority::new("outside"), Authority::new("inside"));
    let nginx = Nginx::start_tls(&inside.server(&["app.internal"]), "http2", "");
    let keys =
        format!("protocol: http2\ntls: {{ ca: \"{}\", server_name: app.internal }}", inside.certificate);
    let narrows: Narrows = Setup::https(&nginx, &outside.server(&["example.com"]), "")
        .upstream_with("app", &[&nginx], &keys)
        .start();
    let trusting = || TlsClient::trusting(&outside.certificate);
    let mut two = Http2::over(trusting().alpn(&["h2"]).connect(narrows.address("web")));
    let mut one = trusting().connect(narrows.address("web"));
    for _ in 0..3 {
        assert_eq!(two.get("/").text(), "nginx says hello");
        assert_eq!(one.exchange(GET).text(), "nginx says hello");
    }
}

#[test]
fn load_of_h2load_reaches_an_http2_upstream_without_an_error() {
    let nginx = Nginx::start_http2("");
    let narrows =
        Setup::web(&nginx, "").upstream_with("app", &[&nginx], "protocol: http2").workers(2).start();
    let url = format!("http://{}/", narrows.address("web"));
    for version in [&["-m", "50"][..], &["--h1"]] {
        let mut h2load = Command::new(tool("h2load"));
        let shown = output_of(h2load.args(["-n", "4000", "-c", "8"]).args(version).arg(&url));
        assert!(shown.contains("4000 succeeded, 0 failed, 0 errored, 0 timeout"), "{shown}");
        assert!(shown.contains("status codes: 4000 2xx"), "{shown}");
    }
}

#[test]
fn a_drain_finishes_what_runs_over_http2() {
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        let stream = peer.next_request().expect("a request");
        peer.send(&Frame::headers(stream, &[(":status", "200")], false));
        peer.send(&Frame::data(stream, "first", false));
        let content = peer.whole_request(stream).body;
        peer.send(&Frame::data(stream, content, true));
        peer.end();
    });
    let mut narrows = setup(&backend, "").start();
    let mut client = Http2::connect(narrows.address("web"));
    let stream = client.open("POST", "/", &[], false);
    client.until(|client| client.received(stream).body == b"first");
    narrows.signal("TERM");
    assert!(client.until(|client| client.go_away.is_some()));
    client.upload(stream, b"last", true);
    assert_eq!(client.answer(stream).text(), "firstlast");
    client.end();
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
    until("the upstream's connection is ended", || backend.record(0).end.is_some());
}

#[test]
fn the_rest_of_a_request_follows_an_answer_that_came_early() {
    const SIZE: usize = 12_000;
    let backend = Backend::script(|connection, _| {
        let settings = [(setting::INITIAL_WINDOW_SIZE, 1000)];
        let Some(mut peer) = Http2::accept(connection, &settings) else { return };
        peer.replenish = false;
        // The first request may leave before the settings are known, the second does not.
        let Some(stream) = peer.next_request() else { return };
        peer.respond(stream, &[(":status", "200")], "ready");
        let Some(stream) = peer.next_request() else { return };
        peer.until(|peer| peer.received(stream).body.len() == 1000);
        peer.send(&Frame::headers(stream, &[(":status", "200")], false));
        peer.send(&Frame::window_update(stream, 100_000));
        let length = peer.whole_request(stream).body.len();
        peer.send(&Frame::data(stream, format!("{length} bytes"), true));
        peer.end();
    });
    let narrows = setup(&backend, "").start();
    let head = format!("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: {SIZE}\r\n\r\n");
    assert_eq!(narrows.get("/", &[]).text(), "ready");
    let answer = narrows.web().exchange([head.into_bytes(), vec![b'x'; SIZE]].concat());
    assert_eq!(answer.text(), format!("{SIZE} bytes"));
}

#[test]
fn answers_that_nobody_takes_hold_no_other_back() {
    // More than a window for all of them held before: 40 times 256 KiB.
    const READERS: usize = 40;
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        let piece = vec![b'z'; 16_384];
        let (mut next, mut large) = (1, Vec::new());
        while peer.step() {
            while !peer.received(next).heads.is_empty() {
                match field(peer.received(next), ":path") {
                    Some("/small") => peer.respond(next, &[(":status", "200")], "small"),
                    _ => {
                        let _ = peer.try_send(&Frame::headers(next, &[(":status", "200")], false));
                        large.push(next);
                    }
                }
                next += 2;
            }
            for stream in &large {
                while peer.send_window(*stream) >= piece.len() as i64
                    && peer.upload_some(*stream, &piece, false) > 0
                {}
            }
        }
    });
    let narrows = setup(&backend, "").start();
    let mut readers = Vec::new();
    for _ in 0..READERS {
        let mut reader = narrows.web();
        reader.small_receive_buffer();
        reader.send(GET);
        reader.response_head();
        readers.push(reader);
    }
    let answer = narrows.web().exchange("GET /small HTTP/1.1\r\nHost: example.com\r\n\r\n");
    assert_eq!(answer.text(), "small");
    assert_eq!(backend.connections(), 1, "all of them share one connection");
}
