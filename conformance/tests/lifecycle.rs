//! How the proxy ends.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use narrows_conformance::{Backend, Connection, Narrows, Setup, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A backend that answers each request when told to, in two parts.
fn told() -> (Backend, Sender<()>) {
    let (tell, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Backend::script(move |mut connection, _| {
        while connection.next_request().is_some() {
            let wait = wait.lock().unwrap();
            if wait.recv().is_err() {
                return;
            }
            connection.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst");
            if wait.recv().is_err() {
                return;
            }
            connection.send("final");
        }
    });
    (backend, tell)
}

fn under_way(narrows: &Narrows, backend: &Backend) -> Connection {
    let mut client = narrows.web();
    client.send(GET);
    until("the request is under way", || !backend.requests().is_empty());
    client
}

#[track_caller]
fn until_refused(address: &str) {
    until("new connections are refused", || Connection::try_connect(address).is_err());
}

#[test]
fn a_drain_finishes_what_runs_and_ends_with_0() {
    for signal in ["TERM", "INT"] {
        let (backend, tell) = told();
        let mut narrows = Setup::web(&backend, "").start();
        let mut idle = narrows.web();
        let mut running = under_way(&narrows, &backend);
        let address = narrows.address("web").to_owned();
        narrows.signal(signal);
        until_refused(&address);
        idle.expect_end();
        tell.send(()).unwrap();
        let head = running.response_head();
        assert_eq!(head.status(), 200);
        assert!(head.lists("connection", "close"), "the client learns that this was the last: {}", head.head);
        assert!(narrows.is_running(), "a request is running");
        tell.send(()).unwrap();
        assert_eq!(running.read_to_end(), b"firstfinal");
        assert_eq!(narrows.wait_for_exit().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_drain_closes_a_kept_alive_connection() {
    let backend = Backend::saying("hello");
    let mut narrows = Setup::web(&backend, "").start();
    let mut client = narrows.web();
    assert_eq!(client.exchange(GET).text(), "hello");
    narrows.signal("TERM");
    client.expect_end();
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}

#[test]
fn a_drain_has_a_deadline() {
    let (backend, _tell) = told();
    let mut narrows = Setup::web(&backend, "").settings("drain: 300ms").start();
    let mut running = under_way(&narrows, &backend);
    narrows.signal("TERM");
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
    running.read_to_end();
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let (backend, _tell) = told();
    let mut narrows = Setup::web(&backend, "").start();
    let _running = under_way(&narrows, &backend);
    let address = narrows.address("web").to_owned();
    narrows.signal("INT");
    until_refused(&address);
    assert!(narrows.is_running());
    narrows.signal("INT");
    assert_eq!(narrows.wait_for_exit().code(), Some(130));
}

#[test]
fn a_drain_lets_flows_and_tunnels_finish() {
    let backend = Backend::echo();
    let mut narrows = Setup::tcp(&backend, "").start();
    let mut client = narrows.connect("tcp");
    client.send("x");
    client.read_exactly(1);
    let address = narrows.address("tcp").to_owned();
    narrows.signal("TERM");
    until_refused(&address);
    client.send("still");
    assert_eq!(client.read_exactly(5), b"still");
    client.finish_sending();
    client.expect_end();
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}

#[test]
fn every_worker_drains() {
    let backend = Backend::saying("hello");
    let mut narrows = Setup::web(&backend, "").workers(4).start();
    let mut clients = (0..32).map(|_| narrows.web()).collect::<Vec<_>>();
    for client in &mut clients {
        assert_eq!(client.exchange(GET).text(), "hello");
    }
    narrows.signal("TERM");
    for client in &mut clients {
        client.expect_end();
    }
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}

#[test]
fn a_unix_socket_is_gone_after_the_end() {
    let folder = narrows_conformance::Folder::new();
    let path = folder.join("front");
    let backend = Backend::saying("hello");
    let mut narrows = Setup::web(&backend, &format!("bind: \"unix:{path}\"")).start();
    narrows.signal("TERM");
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
    assert!(Connection::try_connect(&format!("unix:{path}")).is_err());
}

#[test]
fn the_access_log_tells_each_request() {
    let backend = Backend::saying("hello");
    let folder = narrows_conformance::Folder::new();
    let path = folder.join("access.log");
    let settings = format!("access_log: \"{path}\"\nlog_format: json");
    let mut narrows = Setup::web(&backend, "").settings(&settings).start();
    assert_eq!(narrows.get("/logged?x=y", &["User-Agent: quote\" and \\ slash"]).text(), "hello");
    narrows.get("/two", &[]);
    narrows.signal("TERM");
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
    let log = std::fs::read_to_string(&path).expect("the log is there");
    let lines = log
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .collect::<Vec<_>>();
    assert_eq!(lines.len(), 2, "{log}");
    assert!(lines[0].to_string().contains("/logged?x=y") && lines[0].to_string().contains("200"), "{log}");
}
