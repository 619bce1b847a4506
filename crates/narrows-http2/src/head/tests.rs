use super::*;
use narrows_wire::http1::{parse_request, parse_response};

fn parts(request: http::request::Builder) -> Parts {
    request.body(()).unwrap().into_parts().0
}

fn http1(request: http::request::Builder, is_whole: bool) -> String {
    String::from_utf8(request_to_http1(&parts(request), None, is_whole).unwrap()).unwrap()
}

#[test]
fn a_request_reads_as_http1() {
    let request = Request::get("https://example.com/a?b=c").header("x-one", "1").header("cookie", "a=1");
    let text = http1(request.header("cookie", "b=2"), true);
    assert_eq!(text, "GET /a?b=c HTTP/1.1\r\nhost: example.com\r\nx-one: 1\r\ncookie: a=1; b=2\r\n\r\n");
}

#[test]
fn a_body_of_unknown_length_is_chunked() {
    assert!(http1(Request::post("https://a/"), false).contains("transfer-encoding: chunked\r\n"));
    assert!(http1(Request::post("https://a/"), true).contains("content-length: 0\r\n"));
    let counted = http1(Request::post("https://a/").header("content-length", "5"), false);
    assert!(!counted.contains("chunked"));
}

#[test]
fn two_hosts_that_differ_are_refused() {
    let request = parts(Request::get("https://a.example/").header("host", "b.example"));
    assert_eq!(request_to_http1(&request, None, true), Err(Malformed));
    let same = parts(Request::get("https://a.example/").header("host", "A.example"));
    assert!(request_to_http1(&same, None, true).is_ok());
}

#[test]
fn an_extended_connect_reads_as_an_upgrade() {
    let request = parts(Request::builder().method("CONNECT").uri("https://a.example/chat"));
    let text = String::from_utf8(request_to_http1(&request, Some("websocket"), false).unwrap()).unwrap();
    assert!(text.starts_with("GET /chat HTTP/1.1\r\nhost: a.example\r\n"), "{text}");
    assert!(text.contains("connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-key: "), "{text}");
}

#[test]
fn what_belongs_to_one_connection_stays_behind() {
    let bytes = b"HTTP/1.1 200 OK\r\nConnection: x-drop\r\nX-Drop: 1\r\nKeep-Alive: 5\r\nX-Keep: 2\r\n\r\n";
    let mut head = ResponseHead::default();
    parse_response(bytes, narrows_wire::http1::Method::Get, &OWN_LIMITS, &mut head).unwrap();
    let response = response_to_http2(&head, bytes);
    assert_eq!(response.headers().len(), 1);
    assert_eq!(response.headers()["x-keep"], "2");
}

#[test]
fn a_request_for_a_server_has_its_pseudo_fields() {
    let bytes = b"PUT /p?q HTTP/1.1\r\nHost: b.example:8443\r\nTE: gzip\r\nContent-Length: 3\r\n\r\n";
    let mut head = RequestHead::default();
    parse_request(bytes, &OWN_LIMITS, &mut head).unwrap();
    let request = request_to_http2(&head, bytes, "https", true).unwrap();
    assert_eq!(request.uri(), "https://b.example:8443/p?q");
    assert_eq!(request.method(), "PUT");
    assert_eq!(request.headers()["te"], "trailers");
    assert_eq!(request.headers()["content-length"], "3");
    assert!(!request.headers().contains_key("host"));
}

#[test]
fn trailers_are_read_strictly() {
    assert!(trailers(b"\r\n").is_none());
    assert_eq!(trailers(b"grpc-status: 0\r\n\r\n").unwrap()["grpc-status"], "0");
    assert!(trailers(b"bad name: 0\r\n\r\n").is_none());
}
