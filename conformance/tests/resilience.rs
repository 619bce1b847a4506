//! Endpoints that die, hang and misbehave under load: what clients notice of it.
//!
//! With defaults, no client sees an error of a request that may be repeated when an endpoint dies, refuses, or breaks connections. An endpoint that
//! hangs (SIGSTOP: the kernel still accepts for it) keeps its requests waiting for `timeouts.response_head`, 60 s, and then answers 504 for
//! it: whether a request that takes long is one that hangs, only the operator knows, and says with `try_timeout`. An answer such as
//! 500 is an answer, unless `retries.on` names it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};

use narrows_conformance::backend::answer;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::{Backend, DEADLINE, Narrows, Setup, until};

/// Clients that each ask again as soon as they have their answer.
const CLIENTS: usize = 24;
/// Answers that are waited for between two steps of a test.
const MANY: usize = 1500;

/// Clients at work. What they did not like is told when they are stopped.
struct Load {
    answered: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    faults: Arc<Mutex<Vec<String>>>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(narrows: &Narrows) -> Load {
        let mut load = Load {
            answered: Arc::default(),
            stop: Arc::default(),
            faults: Arc::default(),
            clients: Vec::new(),
        };
        for _ in 0..CLIENTS {
            let (answered, stop) = (Arc::clone(&load.answered), Arc::clone(&load.stop));
            let (faults, address) = (Arc::clone(&load.faults), narrows.address("web").to_owned());
            load.clients.push(thread::spawn(move || {
                while !stop.load(Ordering::SeqCst) {
                    if let Err(fault) = ask(&address, &answered, &stop) {
                        faults.lock().unwrap().push(fault);
                    }
                }
            }));
        }
        load
    }

    /// Waits until many more requests were answered.
    #[track_caller]
    fn wait_for_many(&self) {
        let before = self.answered.load(Ordering::SeqCst);
        until("many requests are answered", || {
            self.answered.load(Ordering::SeqCst) >= before + MANY || !self.faults.lock().unwrap().is_empty()
        });
    }

    /// Stops the clients; how many requests were answered, and what went wrong.
    fn stop(self) -> (usize, Vec<String>) {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.into_iter().for_each(|client| client.join().expect("a client ends"));
        (self.answered.load(Ordering::SeqCst), std::mem::take(&mut *self.faults.lock().unwrap()))
    }

    #[track_caller]
    fn stop_without_faults(self) {
        let (answered, faults) = self.stop();
        let shown = &faults[..faults.len().min(5)];
        assert!(
            faults.is_empty(),
            "{} of {answered} requests were not answered well: {shown:#?}",
            faults.len()
        );
    }
}

/// Asks on one connection until told to stop; what went wrong.
fn ask(address: &str, answered: &AtomicUsize, stop: &AtomicBool) -> Result<(), String> {
    let error = |error: std::io::Error| format!("the connection failed: {error}");
    let mut stream = TcpStream::connect(address).map_err(error)?;
    stream.set_read_timeout(Some(DEADLINE)).map_err(error)?;
    let mut buffer = vec![0; 16 << 10];
    while !stop.load(Ordering::SeqCst) {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").map_err(error)?;
        let mut filled = 0;
        loop {
            match stream.read(&mut buffer[filled..]).map_err(error)? {
                0 => return Err(format!("the end came after {filled} bytes")),
                count => filled += count,
            }
            let text = String::from_utf8_lossy(&buffer[..filled]);
            let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
            if !head.starts_with("HTTP/1.1 200 ") {
                return Err(head.to_owned());
            }
            let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
            if length.and_then(|length| length.parse().ok()) == Some(body.len()) {
                break;
            }
        }
        answered.fetch_add(1, Ordering::SeqCst);
    }
    Ok(())
}

fn three() -> [Nginx; 3] {
    [Nginx::start(""), Nginx::start(""), Nginx::start("")]
}

fn before(nginx: &[Nginx; 3], keys: &str) -> Narrows {
    Setup::web(&"", "").upstream_with("app", &[&nginx[0], &nginx[1], &nginx[2]], keys).workers(2).start()
}

#[test]
fn nobody_notices_an_endpoint_that_is_killed() {
    let nginx = three();
    let narrows = before(&nginx, "");
    let load = Load::start(&narrows);
    load.wait_for_many();
    nginx[1].signal("KILL");
    load.wait_for_many();
    load.wait_for_many();
    load.stop_without_faults();
}

#[test]
fn nobody_notices_an_endpoint_that_comes_and_goes() {
    let [first, second, third] = three();
    let address = third.address.clone();
    let mut flapping = Some(third);
    let narrows = Setup::web(&"", "").upstream("app", &[&first, &second, &address]).workers(2).start();
    let load = Load::start(&narrows);
    for _ in 0..5 {
        load.wait_for_many();
        if let Some(nginx) = flapping.take() {
            nginx.signal("KILL");
        }
        load.wait_for_many();
        flapping = Some(Nginx::start_at(&address, ""));
    }
    load.stop_without_faults();
}

#[test]
fn nobody_notices_an_endpoint_that_breaks_every_connection() {
    let [first, second, _] = three();
    let breaking = Backend::script(|mut connection, _| {
        connection.some_bytes();
        connection.reset();
    });
    let narrows = Setup::web(&"", "").upstream("app", &[&first, &second, &breaking]).workers(2).start();
    let load = Load::start(&narrows);
    load.wait_for_many();
    load.wait_for_many();
    load.stop_without_faults();
    assert!(breaking.connections() > 0, "it was tried");
}

/// One of three servers hangs for a while under load.
fn nobody_notices_a_hang(keys: &str) {
    let nginx = three();
    let narrows = before(&nginx, keys);
    let load = Load::start(&narrows);
    load.wait_for_many();
    nginx[1].signal("STOP");
    load.wait_for_many();
    nginx[1].signal("CONT");
    load.wait_for_many();
    load.stop_without_faults();
}

#[test]
fn nobody_notices_an_endpoint_that_hangs_where_tries_have_a_limit() {
    nobody_notices_a_hang("retries: { try_timeout: 300ms }");
}

#[test]
fn nobody_waits_for_an_endpoint_that_hangs_where_requests_are_hedged() {
    nobody_notices_a_hang("retries: { hedge: 200ms }");
}

#[test]
fn nobody_notices_errors_that_are_named_as_worth_another_attempt() {
    let [first, second, _] = three();
    let failing = Backend::answering(answer("500 No", "no"));
    let keys =
        "retries: { on: [connect-failure, reset, 500-504], budget: off }\npassive: { statuses: [500-504] }";
    let narrows =
        Setup::web(&"", "").upstream_with("app", &[&first, &second, &failing], keys).workers(2).start();
    let load = Load::start(&narrows);
    load.wait_for_many();
    load.wait_for_many();
    load.stop_without_faults();
    assert!(!failing.requests().is_empty(), "it was tried");
}

#[test]
fn an_error_that_nobody_named_is_an_answer() {
    let failing = Backend::answering(answer("500 No", "no"));
    let narrows = Setup::web(&failing, "").start();
    assert_eq!(narrows.get("/", &[]).status(), 500);
    assert_eq!(failing.requests().len(), 1);
}
