//! The real peers work without the proxy, so that a failure elsewhere is not theirs.

use std::process::Command;

use narrows_conformance::backend::{Refusing, Silent};
use narrows_conformance::servers::mariadb::{self, Mariadb};
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::servers::openssl::TlsService;
use narrows_conformance::servers::postgres::{self, Postgres};
use narrows_conformance::servers::websocket::{WebSocketEcho, python};
use narrows_conformance::{Backend, Connection, End, output_of, tool};

fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn nginx_answers() {
    let nginx = Nginx::start("");
    let answer = Connection::connect(&nginx.address).exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "nginx says hello"));
}

#[test]
fn postgres_answers_in_its_protocol() {
    let postgres = Postgres::start();
    let answer = output_of(postgres::client("psql", port(&postgres.address)).args(["-Atc", "select 6 * 7"]));
    assert_eq!(answer.trim(), "42");
}

#[test]
fn mariadb_answers_in_its_protocol() {
    let mariadb = Mariadb::start();
    let answer = output_of(mariadb::client(port(&mariadb.address)).args(["-e", "select 6 * 7"]));
    assert_eq!(answer.trim(), "42");
}

#[test]
fn a_tls_service_answers_curl() {
    let service = TlsService::start("one.example.com", "http/1.1");
    let answer = output_of(
        Command::new(tool("curl"))
            .args(["-sS", "--cacert", &service.certificate])
            .args(["--connect-to", &format!("one.example.com:443:{}", service.address)])
            .arg("https://one.example.com/name"),
    );
    assert_eq!(answer, "one.example.com", "{}", service.output());
}

#[test]
fn the_websocket_echo_starts() {
    let echo = WebSocketEcho::start();
    let script = format!(
        "import websockets.sync.client as c\nwith c.connect('ws://{echo}') as s: s.send('hello'); print(s.recv())"
    );
    assert_eq!(output_of(Command::new(python()).args(["-c", &script])).trim(), "hello");
}

#[test]
fn a_refusing_address_refuses_and_a_silent_one_is_silent() {
    assert!(Connection::try_connect(&Refusing::new().to_string()).is_err());
    let _full = Silent::new();
}

#[test]
fn a_script_plays_on_each_connection_and_records_it() {
    let backend = Backend::script(|mut connection, number| {
        let request = connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}"));
        assert_eq!(request.target(), "/x");
        connection.reset();
    });
    for number in ["0", "1"] {
        let mut connection = Connection::connect(backend.address());
        let answer = connection.exchange("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.text(), number);
        assert_eq!(connection.expect_end(), End::Reset);
    }
    assert_eq!((backend.connections(), backend.requests().len()), (2, 2));
}
