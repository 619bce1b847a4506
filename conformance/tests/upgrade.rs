//! Upgraded connections: WebSocket and any other protocol.

use std::process::Command;

use narrows_conformance::servers::websocket::{WebSocketEcho, python};
use narrows_conformance::{Backend, Narrows, Setup, output_of, until};

const UPGRADE: &str =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: knock\r\n\r\n";
const SWITCHED: &str =
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: knock\r\nX-Kept: 1\r\n\r\n";

/// A backend that switches and then sends every byte back.
fn switching() -> Backend {
    Backend::script(|mut connection, _| {
        let request = connection.request();
        assert!(request.lists("connection", "upgrade"), "{}", request.head);
        assert_eq!(request.header("upgrade"), Some("knock"));
        connection.send(SWITCHED);
        while let Some(bytes) = connection.some_bytes() {
            connection.send(bytes);
        }
    })
}

/// What a Python program with `websockets` prints; `connect` opens a connection over the proxy.
fn python_client(narrows: &Narrows, program: &str) -> String {
    let url = format!("ws://{}/chat", narrows.address("web"));
    let start = format!(
        "import os\nfrom websockets.sync.client import connect as open_url\n\
         def connect(): return open_url('{url}', max_size=None, compression=None)\n"
    );
    output_of(Command::new(python()).args(["-c", &(start + program)]))
}

#[test]
fn a_websocket_carries_messages_of_every_size_both_ways() {
    let echo = WebSocketEcho::start();
    let narrows = Setup::web(&echo, "").start();
    let program = "
with connect() as socket:
    for size in [0, 1, 125, 126, 65535, 65536, 5000000]:
        message = os.urandom(size)
        socket.send(message)
        assert socket.recv() == message, size
    socket.send('text'); print(socket.recv())
    socket.ping().wait(5)
print('closed in order')
";
    assert_eq!(python_client(&narrows, program), "text\nclosed in order\n");
}

#[test]
fn many_websockets_live_side_by_side() {
    let echo = WebSocketEcho::start();
    let narrows = Setup::web(&echo, "").start();
    let program = "
sockets = [connect() for _ in range(50)]
for number, socket in enumerate(sockets): socket.send(str(number))
print(all(socket.recv() == str(number) for number, socket in enumerate(sockets)))
for socket in sockets: socket.close()
";
    assert_eq!(python_client(&narrows, program), "True\n");
}

#[test]
fn any_protocol_can_be_switched_to() {
    let backend = switching();
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send(UPGRADE);
    let answer = client.response("GET");
    assert_eq!((answer.status(), answer.header("upgrade")), (101, Some("knock")));
    assert!(answer.lists("connection", "upgrade"), "{}", answer.head);
    assert_eq!(answer.header("x-kept"), Some("1"));
    for message in ["knock\0\r\n\r\n", "GET / HTTP/1.1\r\nno host\r\n\r\n"] {
        client.send(message);
        assert_eq!(client.read_exactly(message.len()), message.as_bytes(), "bytes are bytes");
    }
    client.finish_sending();
    client.expect_end();
    backend.wait_for_end(0);
}

#[test]
fn bytes_that_come_with_the_switch_are_not_lost() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send(format!("{SWITCHED}first words"));
        connection.read_to_end();
    });
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send(UPGRADE);
    assert_eq!(client.response("GET").status(), 101);
    assert_eq!(client.read_exactly(11), b"first words");
    client.send("last words");
    client.finish_sending();
    client.expect_end();
    backend.wait_for_end(0);
    assert!(backend.received().ends_with(b"last words"));
}

#[test]
fn a_backend_that_does_not_switch_answers_as_always() {
    let backend = Backend::saying("no");
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    assert_eq!(client.exchange(UPGRADE).text(), "no");
    assert_eq!(client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "no", "the connection goes on");
}

#[test]
fn a_switch_that_nobody_asked_for_is_502() {
    let backend = Backend::script(|mut connection, _| {
        connection.request();
        connection.send(SWITCHED);
        connection.read_to_end();
    });
    let narrows = Setup::web(&backend, "").start();
    let answer = narrows.get("/", &[]);
    answer.assert_proxy_error(502, "http_protocol_error");
}

#[test]
fn an_upgrade_without_its_connection_option_is_not_one() {
    let backend = Backend::saying("plain");
    let narrows = Setup::web(&backend, "").start();
    assert_eq!(narrows.get("/", &["Upgrade: knock"]).text(), "plain");
    assert_eq!(backend.only_request().header("upgrade"), None, "hop-by-hop (RFC 9110 section 7.8)");
}

#[test]
fn an_idle_tunnel_is_ended_on_both_sides() {
    let backend = switching();
    let narrows = Setup::web(&backend, "timeouts: { tunnel_idle: 300ms }").start();
    let mut client = narrows.web();
    client.send(UPGRADE);
    assert_eq!(client.response("GET").status(), 101);
    client.expect_end();
    backend.wait_for_end(0);
}

#[test]
fn a_busy_tunnel_outlives_the_timeouts_of_requests() {
    let backend = switching();
    let keys = "timeouts: { response_head: 300ms, response_idle: 300ms, body_idle: 300ms, keep_alive: 300ms, head: 300ms }";
    let narrows = Setup::web(&backend, keys).start();
    let mut client = narrows.web();
    client.send(UPGRADE);
    assert_eq!(client.response("GET").status(), 101);
    assert!(!client.anything_within(std::time::Duration::from_millis(1000)), "only tunnel_idle counts");
    client.send("still here");
    assert_eq!(client.read_exactly(10), b"still here");
}

#[test]
fn a_tunnel_that_one_side_resets_ends_on_the_other() {
    let backend = switching();
    let narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    client.send(UPGRADE);
    client.response("GET");
    client.send("x");
    client.read_exactly(1);
    client.reset();
    backend.wait_for_end(0);
    until("the proxy goes on", || narrows.web().try_send(UPGRADE).is_ok());
}
