//! WebSocket through TLS and through HTTP/2.

use narrows_conformance::http2::{Frame, code, setting};
use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::python::python_prints;
use narrows_conformance::servers::websocket::WebSocketEcho;
use narrows_conformance::{Backend, Http2, Narrows, Setup, TlsClient};

const CONNECT: [(&str, &str); 6] = [
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":authority", "example.com"),
    (":path", "/chat"),
    ("sec-websocket-version", "13"),
];

/// A client's frame with a short message.
fn message(text: &str) -> Vec<u8> {
    let mut frame = vec![0x81, 0x80 | u8::try_from(text.len()).unwrap(), 1, 2, 3, 4];
    frame.extend(text.bytes().enumerate().map(|(index, byte)| byte ^ [1, 2, 3, 4][index % 4]));
    frame
}

/// A server's frame with a short message.
fn echoed(text: &str) -> Vec<u8> {
    [&[0x81, u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}

/// What a Python client prints that connects over TLS.
fn python_client(narrows: &Narrows, authority: &Authority, program: &str) -> String {
    python_prints(&format!(
        "import os, ssl
from websockets.sync.client import connect as open_url
context = ssl.create_default_context(cafile='{}')
context.set_alpn_protocols(['http/1.1'])
def connect(): return open_url('wss://{}/chat', max_size=None, compression=None, ssl=context, server_hostname='example.com')
{program}",
        authority.certificate,
        narrows.address("web")
    ))
}

#[test]
fn messages_of_every_size_pass_through_tls_on_either_side() {
    let (outside, inside) = (Authority::new("outside"), Authority::new("inside"));
    let (plain, secure) =
        (WebSocketEcho::start(), WebSocketEcho::start_tls(&inside.server(&["app.internal"])));
    let keys = format!("tls: {{ ca: \"{}\", server_name: app.internal }}", inside.certificate);
    let identity = outside.server(&["example.com"]);
    for setup in [
        Setup::https(&plain, &identity, ""),
        Setup::https(&secure, &identity, "").upstream_with("app", &[&secure], &keys),
    ] {
        let narrows = setup.start();
        let program = "
with connect() as socket:
    for size in [0, 1, 125, 126, 65535, 65536, 3000000]:
        message = os.urandom(size)
        socket.send(message)
        assert socket.recv() == message, size
    socket.send('text'); print(socket.recv())
    socket.ping().wait(5)
print('closed in order')
";
        assert_eq!(python_client(&narrows, &outside, program), "text\nclosed in order\n");
    }
}

#[test]
fn a_websocket_over_http2_reaches_an_http1_upstream() {
    let echo = WebSocketEcho::start();
    let narrows = Setup::web(&echo, "").start();
    let mut client = Http2::connect(narrows.address("web"));
    client.until(|client| client.settings.contains_key(&setting::ENABLE_CONNECT_PROTOCOL));
    let sockets = [0; 3].map(|_| client.open_exactly(&CONNECT, false));
    for (number, stream) in sockets.into_iter().enumerate() {
        let head = client.head(stream);
        assert_eq!(head.status(), 200, "RFC 8441 section 5: {head:?}");
        assert_eq!(head.header("sec-websocket-accept"), None, "it belongs to the handshake of HTTP/1.1");
        for text in ["hello", &number.to_string()] {
            client.upload(stream, &message(text), false);
            let before = client.received(stream).body.len();
            assert!(client.until(|client| client.received(stream).body.len() >= before + 2 + text.len()));
            assert!(client.received(stream).body.ends_with(&echoed(text)));
        }
    }
    assert_eq!(client.open("GET", "/", &[], true) % 2, 1, "requests live beside it");
    client.upload(sockets[0], &[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe8], true);
    let closed = client.answer(sockets[0]);
    assert!(closed.ended && closed.body.ends_with(&[0x88, 2, 0x03, 0xe8]), "{closed:?}");
    client.upload(sockets[1], &message("still here"), false);
    assert!(client.until(|client| client.received(sockets[1]).body.ends_with(&echoed("still here"))));
}

#[test]
fn a_large_message_over_http2_passes_both_ways() {
    let echo = WebSocketEcho::start();
    let narrows = Setup::web(&echo, "").start();
    let mut client = Http2::connect(narrows.address("web"));
    let stream = client.open_exactly(&CONNECT, false);
    assert_eq!(client.head(stream).status(), 200);
    let size = 2_000_000_usize;
    let mut frame = vec![0x82, 0x80 | 127];
    frame.extend((size as u64).to_be_bytes());
    frame.extend([0; 4]);
    frame.extend(vec![b'x'; size]);
    client.upload(stream, &frame, false);
    // The echo may come in fragments.
    assert!(client.until(|client| client.received(stream).body.len() > size));
    let body = &client.received(stream).body;
    assert_eq!(body.iter().filter(|byte| **byte == b'x').count(), size);
    assert!(narrows.peak_memory_kib() < 64 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn the_upstream_sees_the_handshake_of_http1() {
    let backend = Backend::script(|mut connection, _| {
        let request = connection.request();
        assert!(request.lists("connection", "upgrade"), "{}", request.head);
        assert_eq!(request.header("upgrade").map(str::to_lowercase).as_deref(), Some("websocket"));
        assert_eq!(request.start_line, "GET /chat HTTP/1.1");
        let key = request.header("sec-websocket-key").expect("RFC 6455 section 4.1");
        assert_eq!((key.len(), key.ends_with("==")), (24, true), "sixteen bytes in base64: {key}");
        assert_eq!(request.header("sec-websocket-version"), Some("13"));
        connection.send("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
        connection.next_request();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = Http2::connect(narrows.address("web"));
    let stream = client.open_exactly(&CONNECT, false);
    let answer = client.head(stream);
    assert_eq!(answer.status(), 403, "a refusal is passed on");
}

#[test]
fn each_side_may_end_a_websocket_over_http2() {
    let backend = Backend::script(|mut connection, number| {
        let request = connection.request();
        let key = request.header("sec-websocket-key").expect("a key").to_owned();
        let accept = python_prints(&format!(
            "import base64, hashlib; print(base64.b64encode(hashlib.sha1(b'{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11').digest()).decode())"
        ));
        let head = format!(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {}\r\n\r\nfirst",
            accept.trim()
        );
        connection.send(head);
        match number {
            0 => connection.finish_sending(),
            1 => return connection.reset(),
            _ => {}
        }
        connection.read_to_end();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = Http2::connect(narrows.address("web"));
    let ended = client.open_exactly(&CONNECT, false);
    assert!(client.until(|client| client.received(ended).ended), "an end is an end");
    client.send(&Frame::data(ended, "", true));
    backend.wait_for_end(0);
    let reset = client.open_exactly(&CONNECT, false);
    assert!(client.until(|client| client.received(reset).reset.is_some()), "a reset is a reset");
    let given_up = client.open_exactly(&CONNECT, false);
    client.until(|client| client.received(given_up).body == b"first");
    client.send(&Frame::reset(given_up, code::CANCEL));
    backend.wait_for_end(2);
}

#[test]
fn a_websocket_over_http2_and_tls_reaches_a_tls_upstream() {
    let (outside, inside) = (Authority::new("outside"), Authority::new("inside"));
    let echo = WebSocketEcho::start_tls(&inside.server(&["app.internal"]));
    let keys = format!("tls: {{ ca: \"{}\", server_name: app.internal }}", inside.certificate);
    let narrows = Setup::https(&echo, &outside.server(&["example.com"]), "")
        .upstream_with("app", &[&echo], &keys)
        .start();
    let connection = TlsClient::trusting(&outside.certificate).alpn(&["h2"]).connect(narrows.address("web"));
    let mut client = Http2::over(connection);
    let stream = client.open_exactly(&CONNECT, false);
    assert_eq!(client.head(stream).status(), 200);
    client.upload(stream, &message("hello"), false);
    assert!(client.until(|client| client.received(stream).body == echoed("hello")));
}

#[test]
fn a_websocket_of_http1_reaches_an_http2_upstream() {
    let backend = Backend::script(|connection, _| {
        let settings = [(setting::ENABLE_CONNECT_PROTOCOL, 1)];
        let Some(mut peer) = Http2::accept(connection, &settings) else { return };
        while let Some(stream) = peer.next_request() {
            let head = peer.received(stream).heads[0].clone();
            let field =
                |name: &str| head.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
            assert_eq!((field(":method"), field(":protocol")), (Some("CONNECT"), Some("websocket")));
            assert_eq!((field(":path"), field("sec-websocket-key")), (Some("/chat"), None));
            peer.send(&Frame::headers(stream, &[(":status", "200")], false));
            peer.send(&Frame::data(stream, echoed("welcome"), false));
            peer.until(|peer| peer.received(stream).ended);
            peer.send(&Frame::data(stream, "", true));
        }
    });
    let narrows = Setup::web(&backend, "").upstream_with("app", &[&backend], "protocol: http2").start();
    let mut client = narrows.web();
    client.send(
        "GET /chat HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let answer = client.response("GET");
    assert_eq!(answer.status(), 101, "{}", answer.head);
    assert_eq!(
        answer.header("sec-websocket-accept"),
        Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
        "RFC 6455 section 1.3"
    );
    assert_eq!(client.read_exactly(9), echoed("welcome"));
    client.send(message("bye"));
    client.finish_sending();
    client.expect_end();
}

#[test]
fn an_upstream_that_does_not_switch_opens_no_tunnel() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "").start();
    let mut client = Http2::connect(narrows.address("web"));
    for protocol in ["websocket", "connect-udp"] {
        let mut fields = CONNECT;
        fields[1].1 = protocol;
        let stream = client.open_exactly(&fields, false);
        let answer = client.head_or_reset(stream);
        let opened = (200..300).contains(&answer.status());
        assert!(!opened, "2xx would say that the tunnel is open (RFC 9113 section 8.5): {answer:?}");
    }
    assert_eq!(client.get("/").text(), "hello");
}

#[test]
fn an_http2_upstream_without_websockets_is_an_error_at_once() {
    let backend = Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = peer.next_request() {
            peer.respond(stream, &[(":status", "200")], "hello");
        }
    });
    let narrows = Setup::web(&backend, "").upstream_with("app", &[&backend], "protocol: http2").start();
    let handshake =
        ["Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="];
    assert_eq!(narrows.get("/", &handshake).status(), 502);
    assert_eq!(narrows.get("/", &[]).text(), "hello");
}
