//! TCP, with and without bytes.

use super::harness::*;
use narrows_plan::{Address, CheckKind, Expect, Pattern};
use std::io::Write;
use std::net::TcpListener;

fn tcp(send: &str, expect: Option<Expect>) -> CheckKind {
    CheckKind::Tcp { send: send.as_bytes().into(), expect }
}

#[test]
fn a_connection_is_enough_and_is_reset() {
    let server = Server::playing(|stream| assert_eq!(how_it_ended(stream), "reset"));
    assert_eq!(ask(&server, tcp("", None)), "passed");
    server.done();
}

#[test]
fn nobody_listening_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let subject = subject(listener.local_addr().unwrap());
    drop(listener);
    assert_eq!(result_of(&subject, tcp("", None), LONG), "connection refused");
    let mut unix = subject;
    unix.address = Address::Unix("/nonexistent/socket".into());
    assert_eq!(result_of(&unix, tcp("", None), LONG), "connection refused");
}

#[test]
fn what_is_expected_may_come_in_pieces_behind_other_bytes() {
    let server = Server::playing(|stream| {
        assert_eq!(read_exactly(stream, 5), b"ping\n");
        for piece in [&b"\x00hello po"[..], b"n", b"g\n"] {
            stream.write_all(piece).unwrap();
        }
        assert_eq!(how_it_ended(stream), "reset");
    });
    assert_eq!(ask(&server, tcp("ping\n", contains("pong"))), "passed");
    server.done();
    let server = Server::playing(|stream| stream.write_all(b"ready 42").unwrap());
    let pattern = Pattern::new("ready [0-9]+").unwrap();
    assert_eq!(ask(&server, tcp("", Some(Expect::Matches(pattern)))), "passed");
    server.done();
}

#[test]
fn an_end_without_what_is_expected_is_a_failure() {
    let server = Server::playing(|stream| stream.write_all(b"not today").unwrap());
    assert_eq!(ask(&server, tcp("", contains("pong"))), "the answer does not have what is expected");
    server.done();
    let server = Server::playing(|_| {});
    assert_eq!(ask(&server, tcp("", contains("pong"))), "the answer does not have what is expected");
    server.done();
}

#[test]
fn only_64_kib_are_looked_at() {
    let server = Server::playing(|stream| {
        let _ = stream.write_all(&[b'x'; 80 << 10]).and_then(|()| stream.write_all(b"pong"));
        let _ = stream.write_all(&vec![b'x'; 8 << 20]);
    });
    assert_eq!(ask(&server, tcp("", contains("pong"))), "the answer does not have what is expected");
    server.done();
}

#[test]
fn silence_lasts_until_the_timeout() {
    let server = Server::playing(|stream| assert_eq!(how_it_ended(stream), "reset"));
    assert_eq!(result_of(&subject(server.address), tcp("", contains("x")), SHORT), "timed out");
    server.done();
}

#[test]
fn a_connection_begins_with_what_the_upstream_wants_there() {
    let server = Server::playing(|stream| {
        assert_eq!(read_exactly(stream, 19), b"PROXY UNKNOWN\r\nping");
        stream.write_all(b"pong").unwrap();
    });
    let mut subject = subject(server.address);
    subject.preface = (*b"PROXY UNKNOWN\r\n").into();
    assert_eq!(result_of(&subject, tcp("ping", contains("pong")), LONG), "passed");
    server.done();
}
