//! What the other side gets to see of a message, field by field.

use narrows_conformance::{Backend, Connection, Message, Setup};

/// The request as the backend got it, for one sent through a listener with these keys.
fn forwarded(keys: &str, request: &str) -> Message {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, keys).start();
    let answer = narrows.web().exchange(request);
    assert_eq!(answer.status(), 200, "{}", answer.text());
    backend.only_request()
}

/// The response as the client got it, for these bytes of the backend.
fn answered(keys: &str, response: &str) -> Message {
    let backend = Backend::answering(response);
    let narrows = Setup::web(&backend, keys).start();
    narrows.get("/", &[])
}

const PLAIN: &str = "forwarded: []";

#[test]
fn order_and_case_of_request_fields_are_kept() {
    let request = "GET /a?b=c HTTP/1.1\r\nhOsT: Example.com\r\nX-Zebra: 1\r\naccept: */*\r\nx-apple: 2\r\n\
                   X-Zebra: 3\r\nUSER-AGENT: t\r\n\r\n";
    let seen = forwarded(PLAIN, request);
    assert_eq!(seen.start_line, "GET /a?b=c HTTP/1.1");
    assert_eq!(seen.names(), ["hOsT", "X-Zebra", "accept", "x-apple", "X-Zebra", "USER-AGENT"]);
    assert_eq!(seen.header_values("x-zebra"), ["1", "3"]);
    assert_eq!(seen.header("host"), Some("Example.com"));
}

#[test]
fn order_and_case_of_response_fields_are_kept() {
    let seen = answered(
        "",
        "HTTP/1.1 200 Fine Indeed\r\nX-B: 1\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nx-a: 2\r\nSet-Cookie: a=b\r\n\
         Content-Length: 2\r\nSet-Cookie: c=d\r\n\r\nhi",
    );
    assert_eq!(seen.names(), ["X-B", "Date", "x-a", "Set-Cookie", "Content-Length", "Set-Cookie"]);
    assert_eq!(seen.header_values("set-cookie"), ["a=b", "c=d"]);
    assert_eq!(seen.start_line, "HTTP/1.1 200 Fine Indeed");
    assert_eq!(seen.text(), "hi");
}

#[test]
fn values_are_forwarded_byte_for_byte() {
    let odd = "a  b\t\"c, \\\" d\"; e=(f) \u{e9}\u{4e2d}";
    let seen = forwarded(PLAIN, &format!("GET / HTTP/1.1\r\nHost: a\r\nX-Odd: {odd}\r\nX-Empty:\r\n\r\n"));
    assert_eq!(seen.header("x-odd"), Some(odd));
    assert_eq!(seen.header("x-empty"), Some(""));
}

#[test]
fn hop_by_hop_request_fields_are_removed() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\n\
                   Proxy-Connection: keep-alive\r\nTE: trailers, gzip\r\nX-Kept: 1\r\n\r\n";
    let seen = forwarded(PLAIN, request);
    for name in ["keep-alive", "proxy-connection"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert!(!seen.lists("te", "gzip"), "only `TE: trailers` may be forwarded");
    assert!(!seen.lists("connection", "close"));
    assert_eq!(seen.header("x-kept"), Some("1"));
}

#[test]
fn fields_listed_in_connection_are_removed_from_requests() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nX-First: 1\r\nConnection: x-first, X-SECOND ,\r\nX-Second: 2\r\n\
                   Connection: x-third\r\nX-Third: 3\r\nX-Kept: 4\r\n\r\n";
    let seen = forwarded(PLAIN, request);
    for name in ["x-first", "x-second", "x-third"] {
        assert_eq!(seen.header(name), None, "{name}");
        assert!(!seen.lists("connection", name), "{name}");
    }
    assert_eq!(seen.header("x-kept"), Some("4"));
}

#[test]
fn a_connection_field_cannot_remove_host_or_the_framing() {
    let request = "POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, x-forwarded-for\r\n\
                   Content-Length: 2\r\n\r\nhi";
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.web().exchange(request);
    if answer.status() == 200 {
        let seen = backend.only_request();
        assert_eq!((seen.header("host"), seen.text().as_str()), (Some("a"), "hi"));
        assert_eq!(seen.header("x-forwarded-for"), Some("127.0.0.1"));
    } else {
        assert_eq!((answer.status(), backend.connections()), (400, 0));
    }
}

#[test]
fn hop_by_hop_response_fields_are_removed() {
    let seen = answered(
        "",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Private\r\nKeep-Alive: timeout=5\r\nX-Private: 1\r\n\
         Proxy-Connection: keep-alive\r\nX-Kept: 1\r\nContent-Length: 0\r\n\r\n",
    );
    for name in ["keep-alive", "x-private", "proxy-connection"] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    assert_eq!(seen.header("x-kept"), Some("1"));
}

#[test]
fn x_forwarded_fields_tell_the_client_and_are_the_default() {
    let seen = forwarded("", "GET / HTTP/1.1\r\nHost: shop.example.com:8080\r\n\r\n");
    assert_eq!(seen.header_values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.header_values("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.header_values("x-forwarded-host"), ["shop.example.com:8080"]);
    assert_eq!(seen.header("forwarded"), None);
}

#[test]
fn strangers_cannot_forge_x_forwarded_fields() {
    let seen = forwarded(
        "",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\nx-forwarded-proto: https\r\n\
         X-Forwarded-Host: evil\r\nX-Forwarded-For: 7.7.7.7\r\n\r\n",
    );
    assert_eq!(seen.header_values("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.header_values("x-forwarded-proto"), ["http"]);
    assert_eq!(seen.header_values("x-forwarded-host"), ["a"]);
}

#[test]
fn a_trusted_proxy_is_believed_and_appended_to() {
    let seen = forwarded(
        "trusted_proxies: { sources: [127.0.0.0/8] }",
        "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\n\r\n",
    );
    assert_eq!(seen.header_values("x-forwarded-for").join(", "), "192.0.2.7, 127.0.0.1");
    assert_eq!(seen.header_values("x-forwarded-proto"), ["https"]);
}

#[test]
fn forwarded_tells_the_client_when_asked_for() {
    let seen = forwarded(
        "forwarded: [forwarded]",
        "GET / HTTP/1.1\r\nHost: a.example:81\r\nForwarded: for=6.6.6.6\r\n\r\n",
    );
    let value = seen.header_values("forwarded").join(", ").to_ascii_lowercase();
    assert!(value.contains("for=127.0.0.1") || value.contains("for=\"127.0.0.1"), "{value}");
    assert!(value.contains("proto=http"), "{value}");
    assert!(value.contains("host=\"a.example:81\""), "a colon needs quotes: {value}");
    assert!(!value.contains("6.6.6.6"), "{value}");
    assert_eq!(seen.header("x-forwarded-for"), None);
}

#[test]
fn both_or_none_of_the_forwarding_fields_can_be_sent() {
    let both = forwarded("forwarded: [x-forwarded, forwarded]", "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(both.header("forwarded").is_some() && both.header("x-forwarded-for").is_some());
    let none = forwarded("forwarded: []", "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert!(none.header("forwarded").is_none() && none.header("x-forwarded-for").is_none());
}

/// The client address that the proxy finds, told by a fixed answer.
fn client_address(trusted: &str, fields: &str) -> String {
    let keys = format!(
        "trusted_proxies: {trusted}\nroutes:\n  - respond: {{ status: 200, body: \"${{ connection.source }}\" }}"
    );
    let narrows = Setup::new().listener("web", &keys).start();
    narrows.web().exchange(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).text()
}

#[test]
fn the_client_is_the_last_address_that_is_not_a_trusted_proxy() {
    let trusted = "{ sources: [127.0.0.0/8, 10.0.0.0/8] }";
    assert_eq!(client_address(trusted, "X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.1\r\n"), "192.0.2.7");
    assert_eq!(
        client_address(trusted, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.7\r\n"),
        "192.0.2.7"
    );
    assert_eq!(
        client_address(trusted, "Forwarded: for=6.6.6.6, for=\"[2001:db8::7]:4711\"\r\n"),
        "2001:db8::7"
    );
    assert_eq!(client_address(trusted, ""), "127.0.0.1");
    assert_eq!(client_address(trusted, "X-Forwarded-For: garbage\r\n"), "127.0.0.1");
    assert_eq!(client_address("{ sources: [10.0.0.0/8] }", "X-Forwarded-For: 192.0.2.7\r\n"), "127.0.0.1");
}

#[test]
fn hops_limit_how_far_the_chain_is_believed() {
    let chain = "X-Forwarded-For: 10.0.0.3, 10.0.0.2, 10.0.0.1\r\n";
    assert_eq!(client_address("{ sources: [127.0.0.0/8, 10.0.0.0/8], hops: 1 }", chain), "10.0.0.1");
    assert_eq!(client_address("{ sources: [127.0.0.0/8, 10.0.0.0/8], hops: 2 }", chain), "10.0.0.2");
}

#[test]
fn via_is_off_or_appended() {
    let request = "GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 before\r\n\r\n";
    assert_eq!(forwarded("", request).header_values("via"), ["1.0 before"]);
    let seen = forwarded("via: edge", request);
    assert_eq!(seen.header_values("via").join(", "), "1.0 before, 1.1 edge");
}

#[test]
fn server_is_passed_hidden_or_replaced() {
    let response = "HTTP/1.1 200 OK\r\nServer: Apache/9\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(answered("", response).header("server"), Some("Apache/9"));
    assert_eq!(answered("server: hide", response).header("server"), None);
    assert_eq!(answered("server: edge", response).header_values("server"), ["edge"]);
}

#[test]
fn absolute_form_decides_the_host() {
    let seen =
        forwarded(PLAIN, "GET http://real.example.com:81/x?y HTTP/1.1\r\nHost: other.example.com\r\n\r\n");
    assert_eq!(seen.header_values("host"), ["real.example.com:81"]);
    assert_eq!(seen.start_line, "GET /x?y HTTP/1.1");
    let empty = forwarded(PLAIN, "GET http://real.example.com HTTP/1.1\r\nHost: real.example.com\r\n\r\n");
    assert_eq!(empty.start_line, "GET / HTTP/1.1");
}

#[test]
fn asterisk_form_is_forwarded_with_options() {
    let seen = forwarded(PLAIN, "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(seen.start_line, "OPTIONS * HTTP/1.1");
    let absolute = forwarded(PLAIN, "OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(absolute.start_line, "OPTIONS * HTTP/1.1", "RFC 9112 section 3.2.4");
}

#[test]
fn unknown_methods_are_forwarded() {
    let seen = forwarded(PLAIN, "BREW-IT /pot HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(seen.method(), "BREW-IT");
}

#[test]
fn the_path_is_forwarded_as_received_or_normalized() {
    let request = "GET //a/%7Eb/../c%2Fd/./?q=%41/.. HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(forwarded(PLAIN, request).target(), "//a/%7Eb/../c%2Fd/./?q=%41/..");
    let keys = format!("{PLAIN}\nforward_path: normalized");
    let seen = forwarded(&keys, request);
    assert!(seen.target().starts_with("/a/c%2Fd/"), "an encoded slash stays encoded: {}", seen.target());
    assert!(seen.target().ends_with("?q=%41/.."), "the query is not touched: {}", seen.target());
}

#[test]
fn an_http_1_0_client_gets_an_answer_that_ends_with_the_connection() {
    let backend =
        Backend::answering("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    let answer = client.exchange("GET / HTTP/1.0\r\n\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    assert_eq!(answer.header("transfer-encoding"), None, "HTTP/1.0 does not know chunks");
    client.expect_end();
    let seen = backend.only_request();
    assert!(seen.start_line.ends_with(" HTTP/1.1"), "the proxy speaks its own version: {}", seen.start_line);
    assert!(seen.header("host").is_some(), "HTTP/1.1 needs a Host");
}

#[test]
fn an_http_1_0_client_may_ask_for_keep_alive() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    for _ in 0..2 {
        let answer = client.exchange("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n");
        assert_eq!(answer.text(), "hello");
        if !answer.lists("connection", "keep-alive") {
            client.expect_end();
            return;
        }
    }
}

#[test]
fn an_http_1_0_backend_is_understood() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.0 200 OK\r\nX-Old: 1\r\n\r\nuntil the end");
    });
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.get("/", &[]);
    assert_eq!(answer.text(), "until the end");
    assert!(answer.start_line.starts_with("HTTP/1.1 200"), "{}", answer.start_line);
    assert_eq!(answer.header("x-old"), Some("1"));
}

#[test]
fn an_answer_until_close_reaches_a_modern_client_with_a_marked_end() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end");
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(answer.text(), "until the end");
    assert!(
        answer.lists("transfer-encoding", "chunked") || answer.lists("connection", "close"),
        "{}",
        answer.head
    );
}

#[test]
fn head_204_and_304_have_no_content_and_keep_the_connection() {
    let backend = Backend::respond(|request| match request.target() {
        "/204" => b"HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n".to_vec(),
        "/304" => b"HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\nContent-Length: 99\r\n\r\n".to_vec(),
        "/chunked" => b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec(),
        _ => b"HTTP/1.1 200 OK\r\nContent-Length: 12345\r\n\r\n".to_vec(),
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    let head = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(head.header("content-length"), Some("12345"));
    client.exchange("HEAD /chunked HTTP/1.1\r\nHost: a\r\n\r\n");
    let empty = client.exchange("GET /204 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((empty.status(), empty.header("content-length")), (204, None));
    assert_eq!(empty.header("transfer-encoding"), None);
    let unchanged = client.exchange("GET /304 HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((unchanged.status(), unchanged.header("etag")), (304, Some("\"x\"")));
    assert_eq!(client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
    assert_eq!(backend.connections(), 1, "no answer cost a connection");
}

#[test]
fn a_length_stays_a_length_both_ways() {
    let backend = Backend::respond(|request| narrows_conformance::backend::ok(&request.text()));
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.web().exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nping");
    assert_eq!((answer.text().as_str(), answer.header("content-length")), ("ping", Some("4")));
    let seen = backend.only_request();
    assert_eq!((seen.header("content-length"), seen.header("transfer-encoding")), (Some("4"), None));
}

#[test]
fn chunks_and_trailers_pass_both_ways() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 5\r\n\r\n",
    );
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.web().exchange(
        "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\nTrailer: X-Check\r\n\r\n\
         6\r\nhello,\r\n6;x=\"y\"\r\n world\r\n0\r\nX-Check: ok\r\n\r\n",
    );
    assert_eq!(answer.text(), "abcde");
    assert_eq!(answer.trailers, [("X-Sum".to_owned(), "5".to_owned())]);
    assert_eq!(answer.header("trailer"), Some("X-Sum"));
    let seen = backend.only_request();
    assert_eq!(seen.text(), "hello, world");
    assert_eq!(seen.trailers, [("X-Check".to_owned(), "ok".to_owned())]);
}

#[test]
fn trailers_cannot_carry_framing_or_routing_fields() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.web().exchange(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nContent-Length: 99\r\n\
         Transfer-Encoding: gzip\r\nHost: evil\r\nX-Forwarded-For: 6.6.6.6\r\nX-Fine: 1\r\n\r\n",
    );
    if answer.status() == 400 {
        return;
    }
    let seen = backend.only_request();
    let names = seen.trailers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect::<Vec<_>>();
    for name in ["content-length", "transfer-encoding", "host"] {
        assert!(!names.iter().any(|trailer| trailer == name), "{names:?}");
    }
}

#[test]
fn a_100_continue_passes_end_to_end() {
    let backend = Backend::script(|mut connection, _| {
        let head = connection.next_request_head().expect("a request arrives");
        assert!(head.lists("expect", "100-continue"), "{}", head.head);
        connection.send("HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(connection.read_exactly(5), b"hello");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ndone");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    assert_eq!(client.response("PUT").status(), 100);
    client.send("hello");
    assert_eq!(client.response("PUT").text(), "done");
}

#[test]
fn a_refused_expectation_ends_without_the_body() {
    let backend = Backend::script(|mut connection, _| {
        connection.next_request_head();
        connection
            .send("HTTP/1.1 417 Expectation Failed\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
        connection.read_to_end();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n");
    let answer = client.response("PUT");
    assert_eq!((answer.status(), answer.text().as_str()), (417, "no"));
    backend.wait_for_end(0);
    assert!(!backend.received().ends_with(b"hello"));
}

#[test]
fn early_hints_and_other_interim_responses_are_forwarded() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").status(), 102);
    let hints = client.response("GET");
    assert_eq!((hints.status(), hints.header("link")), (103, Some("</a.css>")));
    assert_eq!(client.response("GET").text(), "hi");
}

#[test]
fn an_http_1_0_client_gets_no_interim_response() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n");
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
    assert_eq!(client.response("GET").status(), 200);
}

#[test]
fn the_answer_of_the_proxy_itself_is_dated_and_framed() {
    let narrows = Setup::new().listener("web", "routes:\n  - respond: { status: 200, body: hi }").start();
    let mut client = Connection::connect(narrows.address("web"));
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.text().as_str(), answer.header("content-length")), ("hi", Some("2")));
    let date = answer.header("date").expect("RFC 9110 section 6.6.1");
    assert!(date.ends_with(" GMT") && date.len() == 29, "{date}");
    let head = client.exchange("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((head.header("content-length"), head.text().as_str()), (Some("2"), ""));
}
