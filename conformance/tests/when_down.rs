//! What becomes of flows, tunnels and sessions whose endpoint goes down.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use narrows_conformance::backend::{answer, ok};
use narrows_conformance::servers::free_port;
use narrows_conformance::{Backend, Connection, DatagramClient, DatagramServer, Narrows, Setup, until};

/// A server that is asked how another one is, and says what the test wants.
struct Doctor {
    backend: Backend,
    is_ill: Arc<AtomicBool>,
}

impl Doctor {
    fn new() -> Doctor {
        let is_ill = Arc::<AtomicBool>::default();
        let backend = Backend::respond({
            let is_ill = Arc::clone(&is_ill);
            move |_| match is_ill.load(Ordering::SeqCst) {
                true => answer("503 Service Unavailable", "ill"),
                false => ok("well"),
            }
        });
        Doctor { backend, is_ill }
    }

    /// Keys that ask it about every endpoint.
    fn keys(&self) -> String {
        let port = self.backend.address().rsplit(':').next().expect("a port");
        format!("health: {{ http: /, port: {port}, interval: 100ms, fall: 1, rise: 1 }}")
    }

    /// The endpoint of `narrows` goes down.
    #[track_caller]
    fn fail(&self, narrows: &Narrows) {
        self.is_ill.store(true, Ordering::SeqCst);
        until("the endpoint is down", || narrows.output().contains(" is down"));
    }
}

fn tcp(server: &Backend, doctor: &Doctor, when_down: &str) -> Narrows {
    let keys = format!("{}\nwhen_down: {when_down}", doctor.keys());
    Setup::tcp(server, "").upstream_with("app", &[server], &keys).settings("access_log: stdout").start()
}

fn flow(narrows: &Narrows) -> Connection {
    let mut client = narrows.connect("tcp");
    client.send("hello");
    client.read_until(b"hello");
    client
}

#[test]
fn a_tcp_flow_ends_with_its_endpoint_where_that_is_wanted() {
    let (server, doctor) = (Backend::echo(), Doctor::new());
    let narrows = tcp(&server, &doctor, "close");
    let mut client = flow(&narrows);
    doctor.fail(&narrows);
    client.expect_end();
    until("it is in the log", || narrows.output().contains("endpoint-down"));
}

#[test]
fn a_tcp_flow_goes_on_without_its_endpoint_being_well_where_nothing_is_said() {
    let (server, doctor) = (Backend::echo(), Doctor::new());
    let narrows = tcp(&server, &doctor, "keep");
    let mut client = flow(&narrows);
    doctor.fail(&narrows);
    for word in ["one", "two"] {
        client.send(word);
        client.read_until(word.as_bytes());
    }
}

#[test]
fn a_tunnel_of_http_ends_with_its_endpoint() {
    let server = Backend::script(|mut connection, _| {
        connection.request();
        connection.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: echo\r\nConnection: upgrade\r\n\r\n");
        while let Some(bytes) = connection.some_bytes() {
            if connection.try_send(bytes).is_err() {
                return;
            }
        }
    });
    let doctor = Doctor::new();
    let keys = format!("{}\nwhen_down: close", doctor.keys());
    let narrows = Setup::web(&server, "").upstream_with("app", &[&server], &keys).start();
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n");
    assert_eq!(client.response("GET").status(), 101);
    client.send("hello");
    client.read_until(b"hello");
    doctor.fail(&narrows);
    client.expect_end();
}

/// A server for datagrams that is well as long as somebody listens at its port by TCP.
fn checked(name: &'static str) -> (DatagramServer, TcpListener) {
    let address = format!("127.0.0.1:{}", free_port());
    let listener = TcpListener::bind(&address).expect("the port is free for TCP");
    let says = move |bytes: &[u8]| vec![[name.as_bytes(), b" ", bytes].concat()];
    (DatagramServer::script_at(&address, says), listener)
}

fn said(answer: Vec<u8>) -> String {
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_udp_session_moves_with_the_next_datagram_where_that_is_wanted() {
    for (when_down, next) in [("close", "second again"), ("keep", "first again")] {
        let ((first, listener), (second, _listener)) = (checked("first"), checked("second"));
        let endpoints = format!(
            "endpoints: [\"{first}\", {{ address: \"{second}\", backup: true }}]\nwhen_down: {when_down}\n"
        );
        let health = "health: { tcp: true, interval: 100ms, fall: 1 }";
        let narrows = Setup::new()
            .listener("udp", "protocol: udp\nupstream: app")
            .upstream_written("app", &format!("{endpoints}{health}"))
            .start();
        let client = DatagramClient::new(narrows.address("udp"));
        assert_eq!(said(client.exchange("hello")), "first hello");
        drop(listener);
        until("the endpoint is down", || narrows.output().contains(" is down"));
        // The line comes a moment before the workers know.
        let mut answer = said(client.exchange("again"));
        until("it went where it should", || {
            answer == next || {
                answer = said(client.exchange("again"));
                false
            }
        });
        assert_eq!(second.sessions().len(), usize::from(when_down == "close"));
    }
}

#[test]
fn a_udp_session_that_has_nowhere_to_go_ends() {
    let (server, listener) = checked("only");
    let keys = "when_down: close\nhealth: { tcp: true, interval: 100ms, fall: 1 }";
    let narrows =
        Setup::udp(&server, "").upstream_with("app", &[&server], keys).settings("access_log: stdout").start();
    let client = DatagramClient::new(narrows.address("udp"));
    assert_eq!(said(client.exchange("hello")), "only hello");
    drop(listener);
    until("the endpoint is down", || narrows.output().contains(" is down"));
    until("the session has ended", || {
        client.send("again");
        narrows.output().contains("endpoint-down")
    });
}
