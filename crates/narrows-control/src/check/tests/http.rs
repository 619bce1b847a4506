//! HTTP/1.1 (HTTP/2 and gRPC are tested against real servers in `conformance`).

use super::harness::*;
use narrows_plan::{CheckKind, Expect, HttpCheck, Pattern};
use std::io::Write;

fn http(change: impl FnOnce(&mut HttpCheck)) -> CheckKind {
    let mut check = HttpCheck {
        path: "/healthz".into(),
        method: "GET".into(),
        host: None,
        headers: Box::default(),
        statuses: [(200, 399)].into(),
        body: None,
    };
    change(&mut check);
    CheckKind::Http(Box::new(check))
}

/// A server that reads a head and answers.
fn answering(answer: &'static [u8]) -> Server {
    Server::playing(move |stream| {
        read_head(stream);
        let _ = stream.write_all(answer);
    })
}

fn read_head(stream: &mut std::net::TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(read_exactly(stream, 1));
    }
    String::from_utf8(head).unwrap()
}

#[test]
fn the_request_is_as_configured() {
    let server = Server::playing(|stream| {
        let head = read_head(stream);
        let port = stream.local_addr().unwrap().port();
        assert_eq!(
            head,
            format!(
                "GET /healthz HTTP/1.1\r\nHost: localhost:{port}\r\nUser-Agent: narrows-health-check\r\n\
                 Connection: close\r\n\r\n"
            )
        );
        stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    });
    assert_eq!(ask(&server, http(|_| {})), "passed");
    server.done();
    let server = Server::playing(|stream| {
        let expected = "POST /x?y HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\nConnection: close\r\n\
                        user-agent: mine\r\nX-A: b\r\n\r\n";
        assert_eq!(read_head(stream), expected);
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello").unwrap();
    });
    let check = http(|check| {
        (check.method, check.path, check.host) = ("POST".into(), "/x?y".into(), Some("app".into()));
        check.headers = [("user-agent".into(), "mine".into()), ("X-A".into(), "b".into())].into();
    });
    assert_eq!(ask(&server, check), "passed");
    server.done();
}

#[test]
fn statuses_outside_of_the_ranges_fail() {
    for (answer, expected) in [
        (&b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"[..], "status 503"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "status 404"),
        (b"HTTP/1.0 399 Odd\r\n\r\n", "passed"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\n\r\n", "passed"),
    ] {
        let server = answering(answer);
        assert_eq!(ask(&server, http(|_| {})), expected);
        server.done();
    }
}

#[test]
fn bodies_are_read_in_every_framing_and_matched() {
    let healthy = |check: &mut HttpCheck| check.body = contains("\"ok\"");
    for (answer, expected) in [
        (&b"HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"state\":\"ok\"} "[..], "passed"),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n{\"o\r\n3\r\nk\"}\r\n0\r\n\r\n",
            "passed",
        ),
        (b"HTTP/1.0 200 OK\r\n\r\nall is \"ok\"", "passed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nno ok", "the answer does not have what is expected"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", "the answer does not have what is expected"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n\"ok\"", "the connection ended before the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "not an answer of HTTP"),
    ] {
        let server = answering(answer);
        assert_eq!(ask(&server, http(healthy)), expected, "{:?}", String::from_utf8_lossy(answer));
        server.done();
    }
    let server = answering(b"HTTP/1.1 200 OK\r\n\r\nversion 12");
    let pattern = Pattern::new("^version [0-9]+$").unwrap();
    assert_eq!(ask(&server, http(|check| check.body = Some(Expect::Matches(pattern)))), "passed");
    server.done();
}

#[test]
fn what_is_no_http_fails() {
    for (answer, expected) in [
        (&b"SSH-2.0-OpenSSH\r\n"[..], "not an answer of HTTP"),
        (b"HTTP/1.1 200 OK\r\nBroken", "the connection ended before the answer"),
        (b"", "the connection ended before the answer"),
        (b"HTTP/1.1 200 OK\nLength: 1\n\n", "not an answer of HTTP"),
    ] {
        let server = answering(answer);
        assert_eq!(ask(&server, http(|_| {})), expected, "{:?}", String::from_utf8_lossy(answer));
        server.done();
    }
    let server = Server::playing(|stream| {
        read_head(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nX: ");
        while stream.write_all(&[b'x'; 1000]).is_ok() {}
    });
    assert_eq!(ask(&server, http(|_| {})), "not an answer of HTTP");
    server.done();
}

#[test]
fn an_endless_body_does_not_hold_a_check_that_has_seen_enough() {
    let server = Server::playing(|stream| {
        read_head(stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nready");
        while stream.write_all(&[b'x'; 1000]).is_ok() {}
    });
    assert_eq!(ask(&server, http(|check| check.body = contains("ready"))), "passed");
    server.done();
}
