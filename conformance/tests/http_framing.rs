//! What two parsers could read differently is refused, on both sides (RFC 9112 sections 2, 3, 5, 6, 7, 11.2).

use narrows_conformance::{Backend, Message, Narrows, Setup};

/// What an attacker would like the backend to see as a request of its own.
const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

/// Sends each request, with a second one behind it, and asserts 400, the end, and that nothing got through.
fn assert_refused(cases: &[(&str, &str)]) {
    assert_refused_with(cases, &[400]);
}

fn assert_refused_with(cases: &[(&str, &str)], statuses: &[u16]) {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    for (case, request) in cases {
        let mut client = narrows.web();
        client.send(format!("{request}{SMUGGLED}"));
        let answer = client.response("GET");
        assert!(statuses.contains(&answer.status()), "{case}: {}", answer.start_line);
        assert!(answer.lists("connection", "close"), "{case}: the answer says that it is the last");
        let rest = client.read_to_end();
        assert!(rest.is_empty(), "{case}: {:?} after the refusal", String::from_utf8_lossy(&rest));
    }
    assert_eq!(String::from_utf8_lossy(&backend.received()), "", "nothing reached the backend");
}

/// Sends a chunked request with this content and asserts that the backend never sees it end.
fn assert_chunks_refused(cases: &[(&str, &str)]) {
    for (case, content) in cases {
        let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
        let narrows = Setup::web(&backend, "").start();
        let mut client = narrows.web();
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
        client.send(format!("{content}{SMUGGLED}"));
        let answer = client.response("POST");
        assert_eq!(answer.status(), 400, "{case}: {}", answer.start_line);
        assert!(answer.lists("connection", "close"), "{case}: the answer says that it is the last");
        assert!(client.read_to_end().is_empty(), "{case}: one answer only");
        if backend.connections() > 0 {
            backend.wait_for_end(0);
        }
        let seen = String::from_utf8_lossy(&backend.received()).into_owned();
        assert!(
            !seen.contains("smuggled") && !seen.contains("0\r\n\r\n"),
            "{case}: the backend saw {seen:?}"
        );
    }
}

fn with_fields(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")
}

#[test]
fn length_and_chunked_together_are_refused() {
    assert_refused(&[
        ("length first", &with_fields("Content-Length: 5\r\nTransfer-Encoding: chunked")),
        ("coding first", &with_fields("Transfer-Encoding: chunked\r\nContent-Length: 5")),
        ("a length of zero", &with_fields("Content-Length: 0\r\nTransfer-Encoding: chunked")),
        ("other case", &with_fields("content-length: 5\r\nTRANSFER-ENCODING: Chunked")),
    ]);
}

#[test]
fn malformed_or_differing_lengths_are_refused() {
    assert_refused(&[
        ("two that differ", &with_fields("Content-Length: 5\r\nContent-Length: 6")),
        ("a list that differs", &with_fields("Content-Length: 5, 6")),
        ("a sign", &with_fields("Content-Length: +5")),
        ("negative", &with_fields("Content-Length: -5")),
        ("hexadecimal", &with_fields("Content-Length: 0x5")),
        ("two numbers", &with_fields("Content-Length: 5 6")),
        ("a letter", &with_fields("Content-Length: 5a")),
        ("empty", &with_fields("Content-Length:")),
        ("an overflow of 64 bits", &with_fields("Content-Length: 18446744073709551621")),
        ("a vertical tab", &with_fields("Content-Length: \x0b5")),
    ]);
}

#[test]
fn two_equal_lengths_never_reach_the_backend_as_two() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let request = with_fields("Content-Length: 2\r\nContent-Length: 2");
    let answer = narrows.web().exchange(request + "hi");
    match answer.status() {
        400 => assert_eq!(backend.connections(), 0),
        _ => assert_eq!(backend.only_request().header_values("content-length"), ["2"]),
    }
}

#[test]
fn transfer_codings_other_than_chunked_last_are_refused() {
    let cases = [
        ("unknown", with_fields("Transfer-Encoding: xchunked")),
        ("gzip alone", with_fields("Transfer-Encoding: gzip")),
        ("chunked is not last", with_fields("Transfer-Encoding: chunked, gzip")),
        ("identity", with_fields("Transfer-Encoding: identity")),
        ("chunked twice", with_fields("Transfer-Encoding: chunked, chunked")),
        (
            "chunked twice in two fields",
            with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ),
        (
            "in two fields, chunked first",
            with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"),
        ),
        ("quoted", with_fields("Transfer-Encoding: \"chunked\"")),
        ("empty", with_fields("Transfer-Encoding:")),
        ("with a parameter", with_fields("Transfer-Encoding: chunked;a=b")),
    ];
    let cases = cases.iter().map(|(case, request)| (*case, request.as_str())).collect::<Vec<_>>();
    assert_refused_with(&cases, &[400, 501]);
}

#[test]
fn a_hidden_transfer_coding_is_refused() {
    assert_refused(&[
        ("space before the colon", &with_fields("Transfer-Encoding : chunked")),
        ("tab before the colon", &with_fields("Transfer-Encoding\t: chunked")),
        ("vertical tab", &with_fields("Transfer-Encoding:\x0bchunked")),
        ("folded", &with_fields("X-A: b\r\n Transfer-Encoding: chunked")),
        ("value folded", &with_fields("Transfer-Encoding:\r\n chunked")),
        ("after a bare CR", &with_fields("X-A: b\rTransfer-Encoding: chunked")),
        ("after a bare LF", &with_fields("X-A: b\nTransfer-Encoding: chunked")),
        ("on HTTP/1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ]);
}

#[test]
fn malformed_field_lines_are_refused() {
    assert_refused(&[
        ("folded", &with_fields("X-A: b\r\n c")),
        ("folded by a tab", &with_fields("X-A: b\r\n\tc")),
        ("first line folded", "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        ("space before the colon", &with_fields("X-A : b")),
        ("no colon", &with_fields("X-A")),
        ("no name", &with_fields(": b")),
        ("space in the name", &with_fields("X A: b")),
        ("parenthesis in the name", &with_fields("X(A): b")),
        ("NUL in the name", &with_fields("X\0A: b")),
        ("bytes above ASCII in the name", &with_fields("X\u{e9}A: b")),
        ("NUL in the value", &with_fields("X-A: b\0c")),
        ("control byte in the value", &with_fields("X-A: b\x01c")),
        ("bare CR in the value", &with_fields("X-A: b\rc")),
        ("DEL in the value", &with_fields("X-A: b\x7fc")),
    ]);
}

#[test]
fn bare_line_feeds_are_refused() {
    assert_refused(&[
        ("everywhere", "GET / HTTP/1.1\nHost: a\n\n"),
        ("after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ("after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n"),
        ("as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\nX: y\r\n\r\n"),
    ]);
}

#[test]
fn missing_several_or_invalid_hosts_are_refused() {
    assert_refused(&[
        ("missing", "GET / HTTP/1.1\r\n\r\n"),
        ("two", "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        ("two that agree", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"),
        ("a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        ("a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        ("user information", "GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"),
        ("a port that is no number", "GET / HTTP/1.1\r\nHost: a:port\r\n\r\n"),
        ("a port above 65535", "GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n"),
        ("an open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"),
        ("a question mark", "GET / HTTP/1.1\r\nHost: a?b\r\n\r\n"),
        ("a hash", "GET / HTTP/1.1\r\nHost: a#b\r\n\r\n"),
        ("a backslash", "GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n"),
    ]);
}

#[test]
fn targets_that_do_not_fit_the_method_are_refused() {
    assert_refused(&[
        ("no slash", "GET foo HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("asterisk with GET", "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("authority with GET", "GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("control byte", "GET /a\x01b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("a tab", "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("absolute with user information", "GET http://user@a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("absolute without a host", "GET http:///a HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
    assert_refused_with(
        &[
            ("origin form with CONNECT", "CONNECT /a HTTP/1.1\r\nHost: a\r\n\r\n"),
            ("tunnels are not offered", "CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n"),
        ],
        &[400, 405, 501],
    );
}

#[test]
fn malformed_request_lines_are_refused() {
    assert_refused(&[
        ("two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("space at the end", "GET / HTTP/1.1 \r\nHost: a\r\n\r\n"),
        ("tab", "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("space in the target", "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("no version", "GET /\r\nHost: a\r\n\r\n"),
        ("lower-case protocol", "GET / http/1.1\r\nHost: a\r\n\r\n"),
        ("another protocol", "GET / ICY/1.1\r\nHost: a\r\n\r\n"),
        ("two digits", "GET / HTTP/1.10\r\nHost: a\r\n\r\n"),
        ("leading zero", "GET / HTTP/01.1\r\nHost: a\r\n\r\n"),
        ("no method", " / HTTP/1.1\r\nHost: a\r\n\r\n"),
        ("colon in the method", "GE:T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ]);
    assert_refused_with(
        &[
            ("version 2", "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
            ("version 0.9", "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
        ],
        &[400, 505],
    );
}

#[test]
fn malformed_chunk_sizes_are_refused() {
    assert_chunks_refused(&[
        ("an overflow of 64 bits", "10000000000000005\r\nhello\r\n"),
        ("many digits", "fffffffffffffffffffff\r\nhello\r\n"),
        ("negative", "-5\r\nhello\r\n"),
        ("a sign", "+5\r\nhello\r\n"),
        ("a prefix", "0x5\r\nhello\r\n"),
        ("no digit", "G\r\nhello\r\n"),
        ("empty", "\r\nhello\r\n"),
        ("a space before", " 5\r\nhello\r\n"),
        ("a bare LF", "5\nhello\r\n"),
        ("a bare CR", "5\rhello\r\n"),
        ("a bare LF in an extension", "5;a\nb\r\nhello\r\n"),
        ("a control byte in an extension", "5;a\x01b\r\nhello\r\n"),
    ]);
}

#[test]
fn malformed_chunk_ends_are_refused() {
    assert_chunks_refused(&[
        ("the content is longer", "5\r\nhelloX\r\n0\r\n\r\n"),
        ("a bare LF", "5\r\nhello\n0\r\n\r\n"),
        ("no line end", "5\r\nhello0\r\n\r\n"),
        ("two bytes that are no line end", "5\r\nhelloXX0\r\n\r\n"),
    ]);
}

#[test]
fn malformed_trailers_are_refused() {
    assert_chunks_refused(&[
        ("a space in the name", "5\r\nhello\r\n0\r\nBad Name: x\r\n\r\n"),
        ("no colon", "5\r\nhello\r\n0\r\nbad\r\n\r\n"),
        ("a bare LF", "5\r\nhello\r\n0\r\nA: b\n\r\n"),
        ("folded", "5\r\nhello\r\n0\r\nA: b\r\n c\r\n\r\n"),
        ("a NUL", "5\r\nhello\r\n0\r\nA: b\0c\r\n\r\n"),
    ]);
}

#[test]
fn a_refusal_names_its_cause() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.web().exchange(with_fields("Content-Length: 5\r\nTransfer-Encoding: chunked"));
    answer.assert_proxy_error(400, "http_request_error");
}

#[test]
fn other_protocols_on_the_port_are_refused() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "http2: off").start();
    let mut preface = narrows.web();
    preface.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    assert_eq!(preface.response("GET").status(), 505);
    preface.read_to_end();
    let mut hello = narrows.web();
    hello.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n");
    assert_eq!(hello.read_to_end(), b"\x15\x03\x01\x00\x02\x02\x0a", "a fatal alert of TLS");
    assert_eq!(backend.connections(), 0);
}

/// The answer that a client gets when the backend sends `bytes` and closes.
fn answer_to(bytes: &'static [u8]) -> (Message, Narrows) {
    let backend = Backend::script(move |mut connection, _| {
        if connection.next_request().is_some() {
            let _ = connection.try_send(bytes);
        }
    });
    let narrows = Setup::web(&backend, "").start();
    (narrows.get("/", &[]), narrows)
}

#[test]
fn a_response_that_could_be_read_in_two_ways_becomes_502() {
    let cases: [(&str, &[u8]); 14] = [
        (
            "length and chunked",
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
        ("a list of lengths", b"HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nab"),
        ("a length with a sign", b"HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\na"),
        ("an unknown coding", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
        ("space before the colon", b"HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n"),
        ("no colon", b"HTTP/1.1 200 OK\r\nContent-Length\r\n\r\n"),
        ("NUL in a value", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a\0b\r\n\r\n"),
        ("bare CR in a value", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX: a\rb\r\n\r\n"),
        ("no number", b"HTTP/1.1 abc OK\r\nContent-Length: 0\r\n\r\n"),
        ("a status of four digits", b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n"),
        ("a status below 100", b"HTTP/1.1 099 OK\r\nContent-Length: 0\r\n\r\n"),
        ("another protocol", b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n\r\n"),
        ("no protocol", b"hello\r\n\r\n"),
    ];
    for (case, bytes) in cases {
        let (answer, _narrows) = answer_to(bytes);
        assert_eq!(answer.status(), 502, "{case}: {}", answer.start_line);
        answer.assert_proxy_error(502, "http_protocol_error");
    }
}

#[test]
fn a_folded_response_field_never_reaches_the_client_folded() {
    let (answer, _narrows) = answer_to(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-A: b\r\n c\r\n\r\n");
    match answer.status() {
        200 => assert_eq!(answer.header("x-a").map(|value| value.replace("  ", " ")).as_deref(), Some("b c")),
        _ => answer.assert_proxy_error(502, "http_protocol_error"),
    }
}
