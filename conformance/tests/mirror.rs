//! Copies of requests to another upstream, of which nobody notices anything.

use narrows_conformance::backend::{Refusing, ok};
use narrows_conformance::{Backend, Http2, Narrows, Setup, until};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const GET: &str = "GET /some/path?x=y HTTP/1.1\r\nHost: a\r\nX-One: 1\r\n\r\n";

/// A listener `web` in front of `app`, whose requests are mirrored to `shadow`; `keys` are those of the mirror.
fn mirrored(app: &dyn Display, shadow: &dyn Display, keys: &str) -> Narrows {
    let route = format!("routes:\n  - {{ path: /*, upstream: app, mirror: {{ upstream: shadow{keys} }} }}");
    Setup::new()
        .upstream("app", &[app])
        .upstream_with("shadow", &[shadow], "passive: off")
        .listener("web", &route)
        .start()
}

/// A backend that answers with the length of the body.
fn measuring() -> Backend {
    Backend::respond(|request| ok(&request.body.len().to_string()))
}

#[test]
fn a_copy_is_the_same_request() {
    let (app, shadow) = (measuring(), measuring());
    let narrows = mirrored(&app, &shadow, "");
    let large = "x".repeat(50_000);
    let mut client = narrows.web();
    let requests = [
        GET.to_owned(),
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
        format!("PUT /large HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{large}", large.len()),
        format!(
            "POST /chunks HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n{:x};a=b\r\n{large}\r\n0\r\nX-Sum: 1\r\n\r\n",
            large.len()
        ),
    ];
    for (number, request) in requests.iter().enumerate() {
        assert_eq!(client.exchange(request).status(), 200);
        until("the copy arrives", || shadow.requests().len() > number);
        assert!(
            shadow.requests()[number] == app.requests()[number],
            "the same head, body, chunks and trailers"
        );
    }
    assert_eq!(shadow.connections(), 1, "connections for copies are kept");
}

#[test]
fn a_body_in_pieces_is_copied_whole() {
    let (app, shadow) = (measuring(), measuring());
    let narrows = mirrored(&app, &shadow, "");
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n");
    for number in 0..3 {
        assert_eq!(shadow.connections(), 0, "a copy begins when the request is whole");
        client.send("0123456789".repeat(1000));
        until("the piece arrives", || app.received().len() >= (number + 1) * 10_000);
    }
    assert_eq!(client.response("POST").text(), "30000");
    until("the copy arrives", || shadow.requests().len() == 1);
    assert!(shadow.only_request() == app.only_request());
}

#[test]
fn an_answer_that_comes_early_does_not_cut_the_copy() {
    let app = Backend::script(|mut connection, _| {
        while connection.next_request_head().is_some() {
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
            connection.read_exactly(40_000);
            connection.send("early");
        }
    });
    let shadow = measuring();
    let narrows = mirrored(&app, &shadow, "");
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n0123456789");
    assert_eq!(client.response_head().status(), 200);
    client.send("0123456789".repeat(3999));
    assert_eq!(client.read_exactly(5), b"early");
    until("the copy arrives", || shadow.requests().len() == 1);
    assert_eq!(shadow.only_request().text(), "0123456789".repeat(4000));
}

#[test]
fn messages_of_http2_are_copied_too() {
    let (app, shadow) = (measuring(), measuring());
    let narrows = mirrored(&app, &shadow, "");
    let mut client = Http2::connect(narrows.address("web"));
    let stream = client.open("POST", "/", &[], false);
    client.upload(stream, "0123456789".repeat(3000).as_bytes(), true);
    assert_eq!(client.answer(stream).text(), "30000");
    until("the copy arrives", || shadow.requests().len() == 1);
    assert!(shadow.only_request() == app.only_request());
}

#[test]
fn a_copy_goes_over_http2_as_well() {
    let app = measuring();
    let bodies = Arc::<AtomicUsize>::default();
    let seen = Arc::clone(&bodies);
    let shadow = Backend::script(move |connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            seen.fetch_add(peer.whole_request(stream).body.len(), Ordering::SeqCst);
            peer.respond(stream, &[(":status", "200")], "thrown away");
        }
    });
    let route = "routes:\n  - { path: /*, upstream: app, mirror: shadow }";
    let narrows = Setup::new()
        .upstream("app", &[&app])
        .upstream_with("shadow", &[&shadow], "protocol: http2")
        .listener("web", route)
        .start();
    let mut client = narrows.web();
    for _ in 0..3 {
        let request =
            format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 30000\r\n\r\n{}", "x".repeat(30_000));
        assert_eq!(client.exchange(request).text(), "30000");
    }
    until("all copies arrive", || bodies.load(Ordering::SeqCst) == 90_000);
    assert_eq!(shadow.connections(), 1);
}

#[test]
fn a_share_of_the_requests_is_copied() {
    let (app, shadow) = (measuring(), measuring());
    let narrows = mirrored(&app, &shadow, ", share: 25%");
    let mut client = narrows.web();
    for _ in 0..40 {
        client.exchange(GET);
    }
    until("the copies arrive", || shadow.requests().len() >= 10);
    assert_eq!(app.requests().len(), 40);
    assert!((10..=11).contains(&shadow.requests().len()), "{} of 40", shadow.requests().len());
}

#[test]
fn several_upstreams_get_copies() {
    let (app, one, two) = (measuring(), measuring(), measuring());
    let narrows = Setup::new()
        .upstream("app", &[&app])
        .upstream("one", &[&one])
        .upstream("two", &[&two])
        .listener("web", "routes:\n  - { path: /*, upstream: app, mirror: [one, two] }")
        .start();
    assert_eq!(
        narrows.web().exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi").text(),
        "2"
    );
    until("both copies arrive", || one.requests().len() == 1 && two.requests().len() == 1);
    assert_eq!((one.only_request().text(), two.only_request().text()), ("hi".to_owned(), "hi".to_owned()));
}

#[test]
fn a_mirror_that_is_dead_does_not_matter() {
    let (app, refusing) = (measuring(), Refusing::new());
    let narrows = mirrored(&app, &refusing, "");
    let mut client = narrows.web();
    for _ in 0..20 {
        assert_eq!(client.exchange(GET).text(), "0");
    }
    assert_eq!(app.connections(), 1);
}

#[test]
fn a_mirror_that_is_slow_does_not_matter() {
    let app = measuring();
    let slow = Backend::script(|mut connection, _| while connection.next_request().is_some() {});
    let narrows = mirrored(&app, &slow, ", timeout: 300ms");
    let mut client = narrows.web();
    for _ in 0..5 {
        assert_eq!(client.exchange(GET).text(), "0");
    }
    until("all copies arrive", || slow.requests().len() == 5);
    (0..5).for_each(|number| slow.wait_for_end(number));
}

#[test]
fn a_mirror_that_stops_reading_does_not_matter() {
    let app = measuring();
    let deaf = Backend::script(|mut connection, _| {
        connection.small_receive_buffer();
        connection.next_request_head();
        until("the proxy ends it", || {
            connection.try_send("").is_err()
                || connection.anything_within(std::time::Duration::from_millis(1))
        });
    });
    let narrows = mirrored(&app, &deaf, ", body: 1MiB, timeout: 500ms");
    let mut client = narrows.web();
    let request =
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n{}", "x".repeat(1_000_000));
    for _ in 0..3 {
        assert_eq!(client.exchange(&request).text(), "1000000");
    }
}

#[test]
fn an_answer_of_a_mirror_is_thrown_away_whatever_it_is() {
    let app = measuring();
    let number = AtomicUsize::new(0);
    let shadow = Backend::script(move |mut connection, _| {
        while connection.next_request().is_some() {
            let answers: [&[u8]; 6] = [
                b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 500 No\r\nContent-Length: 2\r\n\r\nno",
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
                b"rubbish",
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n",
                b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi and more",
                b"HTTP/1.1 200 OK\r\n\r\nuntil the end",
            ];
            let answer = answers[number.fetch_add(1, Ordering::SeqCst) % answers.len()];
            connection.send(answer);
            if answer.ends_with(b"end") {
                return;
            }
        }
    });
    let narrows = mirrored(&app, &shadow, ", timeout: 1s");
    let mut client = narrows.web();
    for number in 0..12 {
        assert_eq!(client.exchange(GET).text(), "0");
        until("the copy arrives", || shadow.requests().len() > number);
    }
}

#[test]
fn no_more_copies_run_at_one_time_than_allowed() {
    let app = measuring();
    let slow = Backend::script(|mut connection, _| while connection.next_request().is_some() {});
    let narrows = mirrored(&app, &slow, ", running: 2");
    let mut client = narrows.web();
    for _ in 0..10 {
        assert_eq!(client.exchange(GET).text(), "0");
    }
    until("the copies arrive", || slow.requests().len() == 2);
    assert_eq!((app.requests().len(), slow.requests().len()), (10, 2));
}

#[test]
fn a_request_that_is_too_large_is_not_copied() {
    let (app, shadow) = (measuring(), measuring());
    let narrows = mirrored(&app, &shadow, ", body: 16KiB");
    let mut client = narrows.web();
    let large = "x".repeat(50_000);
    for request in [
        format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n{large}"),
        format!(
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nc350\r\n{large}\r\n0\r\n\r\n"
        ),
    ] {
        assert_eq!(client.exchange(request).text(), "50000");
    }
    assert_eq!(client.exchange(GET).text(), "0");
    until("the small one arrives", || shadow.requests().len() == 1);
    assert_eq!(shadow.only_request().method(), "GET");
}

#[test]
fn an_upgrade_is_not_copied() {
    let app = Backend::script(|mut connection, _| {
        connection.request();
        connection
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\nhello");
        connection.read_to_end();
    });
    let shadow = measuring();
    let narrows = mirrored(&app, &shadow, "");
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: chat\r\n\r\n");
    assert_eq!(client.response_head().status(), 101);
    assert_eq!(client.read_exactly(5), b"hello");
    drop(client);
    app.wait_for_end(0);
    assert_eq!(shadow.connections(), 0);
}

#[test]
fn a_request_that_fails_is_copied_all_the_same() {
    let (refusing, shadow) = (Refusing::new(), measuring());
    let narrows = mirrored(&refusing, &shadow, "");
    let answer = narrows.web().exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
    answer.assert_proxy_error(502, "connection_refused");
    until("the copy arrives", || shadow.requests().len() == 1);
    assert_eq!(shadow.only_request().text(), "hi");
}

#[test]
fn a_client_that_leaves_in_its_body_leaves_no_copy() {
    let app = Backend::script(|mut connection, number| match number {
        0 => drop(connection.read_to_end()),
        _ => {
            while connection.next_request().is_some() {
                connection.send(ok("0"));
            }
        }
    });
    let shadow = measuring();
    let narrows = mirrored(&app, &shadow, "");
    let mut client = narrows.web();
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello");
    until("the request arrives", || app.connections() == 1);
    client.reset();
    app.wait_for_end(0);
    assert_eq!(narrows.web().exchange(GET).text(), "0");
    until("the next one arrives", || shadow.requests().len() == 1);
    assert_eq!(shadow.only_request().method(), "GET");
}
