//! What upstreams and endpoints are given at most: limits, the queue, breakers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use narrows_conformance::backend::{answer, ok};
use narrows_conformance::http2::setting;
use narrows_conformance::servers::free_port;
use narrows_conformance::servers::postgres::{self, Postgres};
use narrows_conformance::{
    Backend, Connection, DatagramClient, DatagramServer, Gated, Http2, Message, Narrows, Setup,
};
use narrows_conformance::{output_of, until};

fn with(backend: &dyn std::fmt::Display, keys: &str) -> Setup {
    Setup::web(&backend, "").upstream_with("app", &[&backend], keys).telling_status()
}

/// A request whose answer is awaited later.
fn ask(narrows: &Narrows, path: &str) -> Connection {
    let mut client = narrows.web();
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
    client
}

fn waiting(narrows: &Narrows) -> u64 {
    narrows.state_of("app")["requests_waiting"].as_u64().unwrap_or_default()
}

#[track_caller]
fn wait_for_waiting(narrows: &Narrows, count: u64) {
    until(&format!("{count} requests wait"), || waiting(narrows) == count);
}

#[track_caller]
fn assert_shed(answer: &Message, code: &str) {
    let details = format!("details=\"{code}\"");
    assert_eq!(answer.status(), 503);
    let told = answer.header("proxy-status").unwrap_or_default();
    assert!(told.ends_with(&details), "{code} in {told:?}");
    let after = answer.header("retry-after").and_then(|after| after.parse::<u32>().ok());
    assert!(after.is_some_and(|after| after >= 1), "Retry-After: {after:?}");
}

/// Many clients on two workers; the most requests that a backend had at one time.
fn most_under_load(keys: &str) -> usize {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let backend = Backend::respond({
        let (running, most) = (Arc::clone(&running), Arc::clone(&most));
        move |_| {
            most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            thread::yield_now();
            running.fetch_sub(1, Ordering::SeqCst);
            ok("hello")
        }
    });
    let narrows = Arc::new(with(&backend, keys).workers(2).start());
    let clients: Vec<_> = (0..16)
        .map(|_| {
            let narrows = Arc::clone(&narrows);
            thread::spawn(move || {
                let mut client = narrows.web();
                for _ in 0..100 {
                    let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
                    assert_eq!((answer.status(), &*answer.text()), (200, "hello"));
                }
            })
        })
        .collect();
    clients.into_iter().for_each(|client| client.join().expect("every request is answered"));
    until("all is counted", || narrows.state_of("app")["endpoints"][0]["requests_total"] == 1600);
    until("nothing runs", || narrows.state_of("app")["endpoints"][0]["requests_running"] == 0);
    most.load(Ordering::SeqCst)
}

#[test]
fn load_two_workers_never_give_an_endpoint_more_requests_than_its_limit() {
    for limit in [1, 3] {
        let most = most_under_load(&format!("limits: {{ requests: {limit} }}"));
        assert!(most <= limit, "{most} at one time");
    }
}

#[test]
fn load_two_workers_never_give_an_endpoint_more_connections_than_its_limit() {
    for limit in [1, 2] {
        let most = most_under_load(&format!("limits: {{ connections: {limit} }}"));
        assert!(most <= limit, "{most} at one time");
    }
}

#[test]
fn who_waits_is_served_in_order_and_the_more_important_first() {
    let backend = Gated::new();
    let routes = "routes:\n  - { path: /first/*, upstream: app, priority: -5 }\n  - { path: /*, upstream: app }\n  - { path: /last/*, upstream: app, priority: 5 }\n";
    let narrows = Setup::new()
        .listener("web", routes)
        .upstream_with("app", &[&backend], "limits: { requests: 1, queue: { timeout: 60s } }")
        .telling_status()
        .workers(2)
        .start();
    let mut clients = vec![ask(&narrows, "/running")];
    backend.wait_for(1);
    let paths = ["/last/1", "/2", "/3", "/first/4", "/first/5"];
    for (number, path) in (1..).zip(paths) {
        clients.push(ask(&narrows, path));
        wait_for_waiting(&narrows, number);
    }
    backend.open();
    for client in &mut clients {
        assert_eq!(client.final_response("GET").status(), 200);
    }
    assert_eq!(backend.targets(), ["/running", "/first/4", "/first/5", "/2", "/3", "/last/1"]);
    assert_eq!(backend.most(), 1);
    until("the queue is empty", || waiting(&narrows) == 0);
    assert_eq!(narrows.state_of("app")["queued_total"], 5);
}

#[test]
fn a_full_queue_and_a_long_wait_end_with_503_and_retry_after() {
    let backend = Gated::new();
    let narrows = with(&backend, "limits: { requests: 1, queue: { length: 1, timeout: 2s } }").start();
    let mut running = ask(&narrows, "/running");
    backend.wait_for(1);
    let mut queued = ask(&narrows, "/queued");
    wait_for_waiting(&narrows, 1);
    assert_shed(&narrows.get("/third", &[]), "queue-full");
    let answer = queued.final_response("GET");
    assert_shed(&answer, "queue-timed-out");
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert!(!answer.lists("connection", "close"), "the connection is as good as before");
    backend.open();
    assert_eq!(running.final_response("GET").status(), 200);
    assert_eq!(queued.exchange("GET /again HTTP/1.1\r\nHost: a\r\n\r\n").status(), 200);
    until("all is counted", || {
        let state = narrows.state_of("app");
        state["queue_full_total"] == 1 && state["queue_timed_out_total"] == 1
    });
}

#[test]
fn without_a_queue_nobody_waits() {
    let backend = Gated::new();
    let narrows = with(&backend, "limits: { requests: 1, queue: off }").start();
    let mut running = ask(&narrows, "/running");
    backend.wait_for(1);
    assert_shed(&narrows.get("/second", &[]), "queue-full");
    backend.open();
    assert_eq!(running.final_response("GET").status(), 200);
    assert_eq!(narrows.get("/third", &[]).status(), 200);
}

#[test]
fn a_client_that_leaves_gives_its_place_in_the_queue_up() {
    let backend = Gated::new();
    let narrows = with(&backend, "limits: { requests: 1, queue: { length: 1, timeout: 60s } }").start();
    let mut running = ask(&narrows, "/running");
    backend.wait_for(1);
    let leaving = ask(&narrows, "/leaving");
    wait_for_waiting(&narrows, 1);
    leaving.reset();
    wait_for_waiting(&narrows, 0);
    let mut next = ask(&narrows, "/next");
    wait_for_waiting(&narrows, 1);
    backend.open();
    assert_eq!(running.final_response("GET").status(), 200);
    assert_eq!(next.final_response("GET").status(), 200);
    assert_eq!(backend.targets(), ["/running", "/next"]);
}

#[test]
fn an_endpoint_that_is_full_leaves_the_rest_to_the_others() {
    let backends = [Gated::new(), Gated::new()];
    let endpoints =
        format!("endpoints:\n  - {{ address: \"{}\", requests: 1 }}\n  - \"{}\"\n", backends[0], backends[1]);
    let narrows = Setup::new().listener("web", "upstream: app").upstream_written("app", &endpoints).start();
    let mut clients: Vec<_> = (0..6).map(|number| ask(&narrows, &format!("/{number}"))).collect();
    until("all are there", || backends[0].running() + backends[1].running() == 6);
    assert_eq!(backends[0].most(), 1);
    backends.iter().for_each(Gated::open);
    clients.iter_mut().for_each(|client| assert_eq!(client.final_response("GET").status(), 200));
}

#[test]
fn what_is_over_the_limit_of_the_whole_upstream_is_answered_at_once() {
    let backend = Gated::new();
    let narrows = with(&backend, "limits: { upstream_requests: 2 }").workers(2).start();
    let mut running = [ask(&narrows, "/1"), ask(&narrows, "/2")];
    backend.wait_for(2);
    assert_shed(&narrows.get("/3", &[]), "upstream-overloaded");
    backend.open();
    running.iter_mut().for_each(|client| assert_eq!(client.final_response("GET").status(), 200));
    assert_eq!(narrows.get("/4", &[]).status(), 200);
}

#[test]
fn a_breaker_opens_lets_probes_through_and_closes() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let backend = Backend::respond({
        let is_ill = Arc::clone(&is_ill);
        move |_| match is_ill.load(Ordering::SeqCst) {
            true => answer("500 Internal Server Error", "ill"),
            false => ok("well"),
        }
    });
    let keys = "breaker: { failure_rate: 50%, requests: 10, window: 10s, open: 1s, probes: 2 }";
    let narrows = with(&backend, keys).workers(2).start();
    for _ in 0..10 {
        assert_eq!(narrows.get("/", &[]).status(), 500);
    }
    let opened = Instant::now();
    assert_shed(&narrows.get("/", &[]), "breaker-open");
    assert_eq!(backend.requests().len(), 10, "an open breaker spares the upstream");
    // A probe fails: it is open again.
    until("probes go through", || narrows.get("/", &[]).status() == 500);
    assert!(opened.elapsed() >= Duration::from_millis(900), "open for a second");
    assert_shed(&narrows.get("/", &[]), "breaker-open");
    is_ill.store(false, Ordering::SeqCst);
    until("probes go through", || narrows.get("/", &[]).status() == 200);
    assert_eq!(narrows.get("/", &[]).status(), 200);
    until("it is closed", || narrows.state_of("app")["breaker"] == "closed");
    let state = narrows.state_of("app");
    assert_eq!(state["breaker_opened_total"], 2);
    assert!(state["breaker_refused_total"].as_u64() >= Some(2));
    for line in [
        "upstream app: the breaker is open (10 of 10 requests failed)",
        "upstream app: the breaker is half-open (probes go through)",
        "upstream app: the breaker is open again (a probe failed)",
        "upstream app: the breaker is closed (all probes succeeded)",
    ] {
        until(line, || narrows.output().contains(line));
    }
}

#[test]
fn a_breaker_counts_requests_whose_time_ran_out_at_an_endpoint_that_hangs() {
    let backend = Gated::new();
    let keys = "retries: 0\nbreaker: { failure_rate: 50%, requests: 3, window: 60s, open: 60s }";
    let narrows = Setup::web(&backend, "timeouts: { request: 200ms }")
        .upstream_with("app", &[&backend], keys)
        .telling_status()
        .start();
    for _ in 0..3 {
        assert_eq!(narrows.get("/", &[]).status(), 504);
    }
    assert_shed(&narrows.get("/", &[]), "breaker-open");
}

#[test]
fn adaptive_concurrency_sheds_what_piles_up() {
    let backend = Gated::new();
    let keys = "adaptive_concurrency: { minimum: 2, maximum: 4, baseline: 60s }";
    let narrows = with(&backend, keys).start();
    let mut running: Vec<_> = (0..4).map(|number| ask(&narrows, &format!("/{number}"))).collect();
    backend.wait_for(4);
    assert_shed(&narrows.get("/fifth", &[]), "upstream-overloaded");
    backend.open();
    running.iter_mut().for_each(|client| assert_eq!(client.final_response("GET").status(), 200));
    assert_eq!(narrows.get("/sixth", &[]).status(), 200);
}

fn tcp(backend: &dyn std::fmt::Display, keys: &str) -> Setup {
    Setup::tcp(&backend, "").upstream_with("app", &[&backend], keys).telling_status()
}

#[test]
fn a_tcp_flow_waits_for_a_connection_and_what_it_sent_meanwhile_is_not_lost() {
    let backend = Backend::echo();
    let narrows = tcp(&backend, "limits: { connections: 1, queue: { timeout: 60s } }").workers(2).start();
    let mut first = narrows.connect("tcp");
    first.send("one");
    first.read_until(b"one");
    let mut second = narrows.connect("tcp");
    second.send("two");
    wait_for_waiting(&narrows, 1);
    second.send(" and three");
    first.finish_sending();
    first.read_to_end();
    second.read_until(b"two and three");
    assert_eq!(backend.connections(), 2);
}

#[test]
fn adaptive_concurrency_is_for_requests_and_not_for_flows_and_sessions() {
    let backend = Backend::echo();
    let keys = "adaptive_concurrency: { minimum: 1, maximum: 1 }";
    let narrows = tcp(&backend, keys).start();
    let mut flows: Vec<_> = (0..3).map(|_| narrows.connect("tcp")).collect();
    for flow in &mut flows {
        flow.send("hello");
        flow.read_until(b"hello");
    }

    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, "").upstream_with("app", &[&server], keys).start();
    let clients: Vec<_> = (0..3).map(|_| DatagramClient::new(narrows.address("udp"))).collect();
    clients.iter().for_each(|client| assert_eq!(client.exchange("hello"), b"hello"));
}

#[test]
fn a_tcp_flow_that_waits_in_vain_is_reset() {
    let backend = Backend::echo();
    let narrows = tcp(&backend, "limits: { connections: 1, queue: { timeout: 1s } }").start();
    let mut first = narrows.connect("tcp");
    first.send("one");
    first.read_until(b"one");
    let mut second = narrows.connect("tcp");
    second.send("two");
    second.expect_end();
    until("it is counted", || narrows.state_of("app")["queue_timed_out_total"] == 1);
}

#[test]
fn a_breaker_counts_udp_sessions_without_the_answers_that_are_expected_and_closes_with_those_that_end_well() {
    let is_ill = Arc::new(AtomicBool::new(true));
    let server = DatagramServer::script({
        let is_ill = Arc::clone(&is_ill);
        move |bytes| if is_ill.load(Ordering::SeqCst) { Vec::new() } else { vec![bytes.to_vec()] }
    });
    let keys = "protocol: udp\nupstream: app\nsessions: { answers: 2 }\ntimeouts: { idle: 300ms }";
    let narrows = Setup::new()
        .listener("udp", keys)
        .upstream_with(
            "app",
            &[&server],
            "breaker: { failure_rate: 50%, requests: 3, window: 60s, open: 1s, probes: 1 }",
        )
        .telling_status()
        .start();
    let state = || narrows.state_of("app")["breaker"].clone();
    (0..3).for_each(|_| DatagramClient::new(narrows.address("udp")).send("hello"));
    until("it is open", || state() == "open");
    is_ill.store(false, Ordering::SeqCst);
    until("a probe is answered", || {
        let client = DatagramClient::new(narrows.address("udp"));
        client.send("hello");
        client.hears_within(Duration::from_millis(100))
    });
    until("it is closed", || state() == "closed");
}

#[test]
fn a_breaker_closes_with_a_udp_session_that_expects_no_answers() {
    let address = {
        let gone = DatagramServer::echo();
        gone.to_string()
    };
    let keys = "breaker: { failure_rate: 50%, requests: 3, window: 60s, open: 1s, probes: 1 }";
    let narrows = Setup::udp(&address, "timeouts: { idle: 300ms }")
        .upstream_with("app", &[&address], keys)
        .telling_status()
        .start();
    let state = || narrows.state_of("app")["breaker"].clone();
    until("it is open", || {
        DatagramClient::new(narrows.address("udp")).send("hello");
        state() == "open"
    });
    let silent = DatagramServer::script_at(&address, |_| Vec::new());
    until("a probe goes through", || {
        DatagramClient::new(narrows.address("udp")).send("hello");
        !silent.arrivals().is_empty()
    });
    until("it is closed", || state() == "closed");
}

#[test]
fn a_udp_session_over_the_limit_is_not_opened() {
    let server = DatagramServer::echo();
    let keys = "protocol: udp\nupstream: app\nsessions: { answers: 1 }";
    let narrows = Setup::new()
        .listener("udp", keys)
        .upstream_with("app", &[&server], "limits: { requests: 1 }")
        .telling_status()
        .start();
    let client = DatagramClient::new(narrows.address("udp"));
    for _ in 0..3 {
        assert_eq!(client.exchange("hello"), b"hello", "a session that is over gives its place back");
    }
}

/// A backend of HTTP/2 that takes few streams at one time.
fn narrow() -> Backend {
    Backend::script(|connection, _| {
        let Some(mut peer) = Http2::accept(connection, &[(setting::MAX_CONCURRENT_STREAMS, 4)]) else {
            return;
        };
        while let Some(stream) = peer.next_request() {
            peer.respond(stream, &[(":status", "200")], "hello");
        }
    })
}

#[test]
fn more_than_the_one_connection_in_the_making_carries_waits_for_its_streams() {
    for keys in ["", "retries: { hedge: 1ms }\n", "retries: 0\n", "connections: { requests: 30 }\n"] {
        let backend = narrow();
        let keys = format!("protocol: http2\n{keys}limits: {{ connections: 1, queue: {{ timeout: 60s }} }}");
        let narrows = with(&backend, &keys).workers(1).start();
        // More than a connection carries at all, and all there before it is.
        let mut clients: Vec<_> = (0..150).map(|_| narrows.web()).collect();
        narrows.signal("STOP");
        clients.iter_mut().for_each(|client| client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
        narrows.signal("CONT");
        for client in &mut clients {
            assert_eq!(client.final_response("GET").status(), 200, "{keys}");
        }
        until("all is counted", || {
            narrows.state_of("app")["endpoints"][0]["requests_total"].as_u64() >= Some(150)
        });
        assert_eq!(narrows.state_of("app")["retries_total"], 0);
    }
}

/// A backend each of whose connections dies with its second request.
fn flaky() -> Backend {
    Backend::script(|mut connection, _| {
        let first = connection.next_request();
        thread::sleep(Duration::from_millis(2));
        if first.is_some() && connection.try_send(ok("hello")).is_ok() {
            connection.next_request();
            connection.reset();
        }
    })
}

#[test]
fn load_a_pooled_connection_that_died_hands_its_place_on_to_the_repetition() {
    let backend = flaky();
    let limits = "passive: off\nlimits: { connections: 2, requests: 2, queue: { timeout: 60s } }";
    let narrows = Arc::new(with(&backend, limits).workers(2).start());
    let clients: Vec<_> = (0..32)
        .map(|_| {
            let narrows = Arc::clone(&narrows);
            thread::spawn(move || {
                let mut client = narrows.web();
                (0..60).all(|_| client.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").status() == 200)
            })
        })
        .collect();
    assert!(
        clients.into_iter().all(|client| client.join().is_ok_and(|all| all)),
        "every request is answered"
    );
}

#[test]
fn an_answer_is_kept_where_there_is_nobody_else_to_ask_although_others_wait() {
    let (sender, ready) = std::sync::mpsc::channel();
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let (sender, gate) = (std::sync::Mutex::new(sender), std::sync::Mutex::new(gate));
    let backend = Backend::respond(move |_| {
        sender.lock().expect("a sender").send(()).expect("a test");
        gate.lock().expect("a gate").recv().expect("a test");
        answer("503 Service Unavailable", "mine")
    });
    let keys = "passive: off\nretries: { on: [503] }\nlimits: { requests: 1, queue: { timeout: 60s } }";
    let narrows = with(&backend, keys).workers(1).start();
    let mut first = ask(&narrows, "/first");
    ready.recv().expect("the first request");
    let mut second = ask(&narrows, "/second");
    wait_for_waiting(&narrows, 1);
    go.send(()).expect("a backend");
    go.send(()).expect("a backend");
    for client in [&mut first, &mut second] {
        assert_eq!(client.final_response("GET").text(), "mine");
    }
}

#[test]
fn a_retry_that_the_limit_denies_is_counted() {
    let backends = [0, 1].map(|_| Backend::answering(answer("503 Service Unavailable", "ill")));
    let keys = "passive: off\nretries: { on: [503] }\nlimits: { retries: 0 }";
    let endpoints: [&dyn std::fmt::Display; 2] = [&backends[0], &backends[1]];
    let narrows = Setup::new()
        .listener("web", "upstream: app")
        .upstream_with("app", &endpoints, keys)
        .telling_status()
        .start();
    assert_eq!(narrows.get("/", &[]).status(), 503);
    until("it is counted", || narrows.state_of("app")["retries_denied_total"] == 1);
    assert_eq!(narrows.state_of("app")["retries_total"], 0);
}

#[test]
fn a_retry_takes_its_place_after_the_pause() {
    let ill = Backend::answering(answer("503 Service Unavailable", "ill"));
    let well = Backend::saying("well");
    let keys = "passive: off\nretries: { on: [503], backoff: 60s }\nlimits: { requests: 1 }";
    let narrows = Setup::new()
        .listener("web", "upstream: app")
        .upstream_in_order("app", &[&ill, &well], keys)
        .telling_status()
        .workers(1)
        .start();
    let _paused = ask(&narrows, "/");
    until("the first endpoint has answered", || ill.requests().len() == 1);
    until("nothing runs", || {
        let state = narrows.state_of("app");
        (0..2).all(|one| state["endpoints"][one]["requests_running"] == 0)
            && state["endpoints"][0]["requests_total"] == 1
    });
}

#[test]
fn a_tcp_client_that_resets_ends_the_pause_before_a_retry() {
    let refusing = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let keys = "passive: off\nretries: { backoff: 60s }\nlimits: { upstream_requests: 1 }";
    let narrows = Setup::tcp(&refusing[0], "")
        .upstream_with("app", &[&refusing[0], &refusing[1]], keys)
        .telling_status()
        .workers(1)
        .start();
    let failures = || -> u64 {
        let state = narrows.state_of("app");
        (0..2).filter_map(|one| state["endpoints"][one]["connect_failures_total"].as_u64()).sum()
    };
    let client = narrows.connect("tcp");
    until("the first attempt has failed", || failures() == 1);
    client.reset();
    // There is room for another flow, which fails as well.
    until("the place of the first is free", || {
        let _client = Connection::try_connect(narrows.address("tcp"));
        failures() > 1
    });
}

#[test]
fn load_postgresql_never_sees_more_connections_than_the_limit() {
    let postgres = Postgres::start();
    let narrows = tcp(&postgres, "limits: { connections: 2, queue: { timeout: 60s } }").workers(2).start();
    let port = narrows.port("tcp");
    let sql = "select count(*) from pg_stat_activity where backend_type = 'client backend'";
    let clients: Vec<_> = (0..8)
        .map(|_| {
            thread::spawn(move || {
                let mut psql = postgres::client("psql", port);
                output_of(psql.args(["-v", "ON_ERROR_STOP=1", "-Atqc", sql, "postgres"]))
                    .trim()
                    .parse::<u32>()
            })
        })
        .collect();
    for client in clients {
        let seen = client.join().expect("psql is answered").expect("a number");
        // A backend process that has just lost its client may still be listed for a moment.
        assert!((1..=3).contains(&seen), "{seen} connections");
    }
}
