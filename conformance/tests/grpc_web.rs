//! gRPC-Web of browsers, translated to gRPC: binary and text, over both versions of HTTP.

use std::sync::Mutex;
use std::sync::mpsc::channel;

use narrows_conformance::backend::Refusing;
use narrows_conformance::http2::Received;
use narrows_conformance::servers::grpc::GrpcServer;
use narrows_conformance::{Backend, Frame, Http2, Message, Narrows, Setup};

fn setup(server: &impl std::fmt::Display) -> Setup {
    Setup::web(server, "").upstream_with("app", &[server], "protocol: http2\ngrpc_web: true")
}

/// A message in its frame.
fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// The frames of a body: messages, and the trailers as text.
fn frames(mut body: &[u8]) -> (Vec<Vec<u8>>, Option<String>) {
    let (mut messages, mut trailers) = (Vec::new(), None);
    while !body.is_empty() {
        assert!(trailers.is_none(), "trailers are the last frame");
        let length = u32::from_be_bytes(body[1..5].try_into().unwrap()) as usize;
        let content = &body[5..5 + length];
        match body[0] {
            0 => messages.push(content.to_vec()),
            0x80 => trailers = Some(String::from_utf8(content.to_vec()).unwrap()),
            other => panic!("a frame with the flags {other:#x}"),
        }
        body = &body[5 + length..];
    }
    (messages, trailers)
}

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn base64(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { letter.into() } else { '=' });
        }
    }
    text
}

/// Pieces that were encoded each on its own may follow each other.
fn unbase64(text: &[u8]) -> Vec<u8> {
    assert_eq!(text.len() % 4, 0, "groups of four: {}", String::from_utf8_lossy(text));
    let mut bytes = Vec::new();
    for group in text.chunks(4) {
        let padding = group.iter().filter(|letter| **letter == b'=').count();
        let value = |letter: &u8| LETTERS.iter().position(|other| other == letter).unwrap_or(0) as u32;
        let number = group.iter().fold(0, |sum, letter| sum << 6 | value(letter)).to_be_bytes();
        bytes.extend(&number[1..4 - padding]);
    }
    bytes
}

fn head(method: &str, kind: &str, length: usize) -> String {
    format!(
        "POST /test.Service/{method} HTTP/1.1\r\nHost: example.com\r\nContent-Type: {kind}\r\nX-Grpc-Web: 1\r\n\
         Content-Length: {length}\r\n\r\n"
    )
}

fn post(narrows: &Narrows, method: &str, kind: &str, body: &[u8]) -> Message {
    narrows.web().exchange([head(method, kind, body.len()).as_bytes(), body].concat())
}

#[track_caller]
fn assert_ok(trailers: Option<String>) {
    let trailers = trailers.expect("trailers are in the body");
    let status = trailers.split("\r\n").find_map(|line| line.strip_prefix("grpc-status:")).map(str::trim);
    assert_eq!(status, Some("0"), "{trailers:?}");
}

#[test]
fn a_binary_call_is_translated() {
    let server = GrpcServer::start();
    let narrows = setup(&server).start();
    for kind in ["application/grpc-web", "application/grpc-web+proto"] {
        let answer = post(&narrows, "Echo", kind, &framed(b"hello \0\xff"));
        assert_eq!((answer.status(), answer.header("content-type")), (200, Some(kind)), "{}", answer.head);
        let (messages, trailers) = frames(&answer.body);
        assert_eq!(messages, [b"hello \0\xff"]);
        assert!(trailers.as_ref().is_some_and(|trailers| trailers.contains("x-trailing:")), "{trailers:?}");
        assert_ok(trailers);
        assert!(answer.trailers.is_empty(), "a browser cannot see them");
    }
}

#[test]
fn a_text_call_is_translated() {
    let server = GrpcServer::start();
    let narrows = setup(&server).start();
    for message in [&b"hello"[..], b"", b"a", b"ab", &[0xff; 100_000]] {
        let kind = "application/grpc-web-text";
        let answer = post(&narrows, "Echo", kind, base64(&framed(message)).as_bytes());
        assert_eq!(answer.status(), 200, "{}", answer.head);
        assert!(
            answer.header("content-type").is_some_and(|value| value.starts_with(kind)),
            "{}",
            answer.head
        );
        let (messages, trailers) = frames(&unbase64(&answer.body));
        assert_eq!(messages, [message]);
        assert_ok(trailers);
    }
}

#[test]
fn text_in_pieces_is_understood() {
    let server = GrpcServer::start();
    let narrows = setup(&server).start();
    let whole = framed(b"hello in pieces");
    let text = base64(&whole[..7]) + &base64(&whole[7..]);
    let mut client = narrows.web();
    client.send(head("Echo", "application/grpc-web-text+proto", text.len()));
    for byte in text.bytes() {
        client.send([byte]);
    }
    let (messages, trailers) = frames(&unbase64(&client.response("POST").body));
    assert_eq!(messages, [b"hello in pieces"]);
    assert_ok(trailers);
}

#[test]
fn a_call_over_http2_is_translated() {
    let server = GrpcServer::start();
    let narrows = setup(&server).start();
    let mut client = Http2::connect(narrows.address("web"));
    for _ in 0..2 {
        let fields = [("content-type", "application/grpc-web+proto"), ("x-grpc-web", "1")];
        let stream = client.open("POST", "/test.Service/Echo", &fields, false);
        client.upload(stream, &framed(b"hello"), true);
        let answer = client.answer(stream);
        let (messages, trailers) = frames(&answer.body);
        assert_eq!((messages, answer.trailers.len()), (vec![b"hello".to_vec()], 0));
        assert_ok(trailers);
    }
}

#[test]
fn a_stream_of_answers_arrives_as_it_comes() {
    let server = GrpcServer::start();
    let narrows = setup(&server).start();
    let answer = post(&narrows, "Count", "application/grpc-web", &framed(b"300"));
    let (messages, trailers) = frames(&answer.body);
    assert_eq!(messages.len(), 300);
    assert_ok(trailers);
    let mut client = Http2::connect(narrows.address("web"));
    for (kind, text) in [("application/grpc-web", false), ("application/grpc-web-text", true)] {
        let stream = client.open("POST", "/test.Service/WaitStream", &[("content-type", kind)], false);
        let body = if text { base64(&framed(b"")).into_bytes() } else { framed(b"") };
        client.upload(stream, &body, true);
        let expected = if text { base64(&framed(b"first")).len() - 4 } else { framed(b"first").len() };
        assert!(client.until(|client| client.received(stream).body.len() >= expected), "{kind}");
        client.send(&Frame::reset(stream, 8));
    }
}

#[test]
fn a_failure_is_told() {
    let server = GrpcServer::start();
    let nobody = Refusing::new();
    for (narrows, expected) in [(setup(&server).start(), "9"), (setup(&nobody).start(), "14")] {
        let answer = post(&narrows, "Fail", "application/grpc-web", &framed(b""));
        assert_eq!(answer.status(), 200, "{}", answer.head);
        let (messages, trailers) = frames(&answer.body);
        assert!(messages.is_empty());
        let line = trailers.unwrap_or_default();
        let in_body = line.split("\r\n").find_map(|line| line.strip_prefix("grpc-status:")).map(str::trim);
        assert_eq!(answer.header("grpc-status").or(in_body), Some(expected), "{} {line}", answer.head);
    }
}

#[test]
fn the_server_sees_grpc() {
    let (tell, told) = channel::<Received>();
    let tell = Mutex::new(tell);
    let backend = Backend::script(move |connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            let request = peer.whole_request(stream);
            tell.lock().unwrap().send(request).unwrap();
            let fields = [(":status", "200"), ("content-type", "application/grpc+proto")];
            peer.send(&Frame::headers(stream, &fields, false));
            peer.send(&Frame::headers(stream, &[("grpc-status", "0"), ("grpc-message", "fine")], true));
        }
    });
    let narrows = setup(&backend).start();
    for (kind, body) in [
        ("application/grpc-web+proto", framed(b"hello")),
        ("application/grpc-web-text+proto", base64(&framed(b"hello")).into_bytes()),
    ] {
        let answer = post(&narrows, "Echo", kind, &body);
        assert_eq!(answer.header("content-type"), Some(kind), "{}", answer.head);
        let request = told.recv().unwrap();
        let field = |name: &str| {
            request.heads[0].iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
        };
        assert_eq!(field("content-type"), Some("application/grpc+proto"));
        assert_eq!(field("te"), Some("trailers"));
        assert_eq!(request.body, framed(b"hello"));
    }
}

#[test]
fn broken_text_is_refused_and_harms_nobody() {
    let server = GrpcServer::start();
    let narrows = setup(&server).start();
    for body in ["!!!!", "AAAA=AAA", "A", "AAAAA", "====", "AAAAAAI="] {
        let answer = post(&narrows, "Echo", "application/grpc-web-text", body.as_bytes());
        let (messages, _) = frames(&if answer.status() == 200 { unbase64(&answer.body) } else { Vec::new() });
        assert!(messages.is_empty(), "{body}: {}", answer.head);
    }
    let (messages, _) = frames(&post(&narrows, "Echo", "application/grpc-web", &framed(b"x")).body);
    assert_eq!(messages, [b"x"]);
}

#[test]
fn an_upstream_that_did_not_ask_for_it_gets_grpc_web_as_it_is() {
    let backend = Backend::answering(
        "HTTP/1.1 200 OK\r\nContent-Type: application/grpc-web\r\nContent-Length: 2\r\n\r\nok",
    );
    let narrows = Setup::web(&backend, "").start();
    assert_eq!(post(&narrows, "Echo", "application/grpc-web", &framed(b"x")).text(), "ok");
    let request = backend.only_request();
    assert_eq!(request.header("content-type"), Some("application/grpc-web"));
    assert_eq!(request.body, framed(b"x"));
}
