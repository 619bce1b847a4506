//! Passive checks: endpoints whose traffic fails are ejected for a while.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use narrows_conformance::backend::{Refusing, Silent, answer, ok};
use narrows_conformance::{Backend, DatagramClient, DatagramServer, Narrows, Setup, until};

/// A server that can fall ill.
struct Patient {
    backend: Backend,
    is_ill: Arc<AtomicBool>,
}

impl Patient {
    fn new(name: &'static str) -> Patient {
        let is_ill = Arc::<AtomicBool>::default();
        let backend = Backend::respond({
            let is_ill = Arc::clone(&is_ill);
            move |_| match is_ill.load(Ordering::SeqCst) {
                true => answer("503 Service Unavailable", name),
                false => ok(name),
            }
        });
        Patient { backend, is_ill }
    }

    fn set_ill(&self, is_ill: bool) {
        self.is_ill.store(is_ill, Ordering::SeqCst);
    }
}

impl Display for Patient {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.backend.fmt(formatter)
    }
}

fn with(endpoints: &[&dyn Display], passive: &str) -> Setup {
    let keys = format!("retries: 0\npassive: {passive}");
    Setup::new().listener("web", "upstream: app").upstream_with("app", endpoints, &keys).telling_status()
}

/// What the status says of an endpoint.
fn endpoint(narrows: &Narrows, address: &dyn Display) -> serde_json::Value {
    let state = narrows.state_of("app");
    let endpoints = state["endpoints"].as_array().cloned().unwrap_or_default();
    endpoints.into_iter().find(|one| one["endpoint"] == address.to_string()).unwrap_or_default()
}

fn said(narrows: &Narrows, address: &dyn Display, what: &str) -> usize {
    narrows.output().matches(&format!("upstream app: endpoint {address} is {what}")).count()
}

/// Asks until an endpoint is said to be ejected for the `times`-th time.
#[track_caller]
fn ask_until_ejected(narrows: &Narrows, address: &dyn Display, times: usize) {
    until("it is ejected", || {
        narrows.get("/", &[]);
        said(narrows, address, "ejected") == times
    });
}

/// Waits for the return of the `times`-th ejection; how long that took.
#[track_caller]
fn wait_for_return(narrows: &Narrows, address: &dyn Display, times: usize) -> Duration {
    let began = Instant::now();
    until("it is back", || said(narrows, address, "up") == times);
    began.elapsed()
}

#[test]
fn a_flood_of_503_ejects_and_the_endpoint_comes_back_after_its_time() {
    let servers = [Patient::new("a"), Patient::new("b")];
    let narrows = with(&[&servers[0], &servers[1]], "{ failures: 5, ejection: 2s }").workers(2).start();
    assert_eq!((narrows.get("/", &[]).status(), narrows.get("/", &[]).status()), (200, 200));
    servers[0].set_ill(true);
    ask_until_ejected(&narrows, &servers[0], 1);
    let line = "failures in a row, the last: status 503; for 2 s)";
    assert!(narrows.output().contains(line), "{}", narrows.output());
    // The line comes a moment before the workers know.
    until("nothing goes there", || (0..20).all(|_| narrows.get("/", &[]).text() == "b"));
    servers[0].set_ill(false);
    let took = wait_for_return(&narrows, &servers[0], 1);
    assert!(took < Duration::from_secs(10), "back after {took:?}");
    until("it gets requests again", || narrows.get("/", &[]).text() == "a");
    until("all is counted", || {
        let state = endpoint(&narrows, &servers[0]);
        let failures = state["bad_statuses_total"].as_u64();
        state["ejections_total"] == 1 && failures >= Some(5) && state["state"] == "up"
    });
}

#[test]
fn the_second_ejection_in_a_row_is_longer() {
    let servers = [Patient::new("a"), Patient::new("b")];
    let narrows = with(&[&servers[0], &servers[1]], "{ failures: 3, ejection: 1s }").start();
    servers[0].set_ill(true);
    for times in 1..=3 {
        ask_until_ejected(&narrows, &servers[0], times);
        let line = format!("failures in a row, the last: status 503; for {times} s)");
        assert!(narrows.output().contains(&line), "{}", narrows.output());
        let took = wait_for_return(&narrows, &servers[0], times);
        let least = Duration::from_secs(times as u64) - Duration::from_millis(300);
        assert!(took > least, "back after {took:?}");
    }
}

#[test]
fn no_more_than_the_share_is_ejected_and_never_the_only_one() {
    let servers = [Patient::new("a"), Patient::new("b"), Patient::new("c"), Patient::new("d")];
    let all: Vec<&dyn Display> = servers.iter().map(|server| server as &dyn Display).collect();
    let narrows = with(&all, "{ failures: 3, ejection: 60s, share: 50% }").workers(2).start();
    servers.iter().for_each(|server| server.set_ill(true));
    let ejected = || servers.iter().filter(|server| said(&narrows, server, "ejected") == 1).count();
    until("two are ejected", || {
        narrows.get("/", &[]);
        ejected() == 2
    });
    for _ in 0..40 {
        assert_eq!(narrows.get("/", &[]).status(), 503);
    }
    assert_eq!(ejected(), 2);

    let alone = with(&[&servers[0]], "{ failures: 3, ejection: 60s, share: 100% }").start();
    for _ in 0..20 {
        assert_eq!(alone.get("/", &[]).status(), 503);
    }
    assert!(!alone.output().contains("ejected"), "{}", alone.output());
}

#[test]
fn an_endpoint_that_answers_much_more_slowly_than_the_others_is_ejected() {
    let slow = Backend::respond(|_| {
        // What a slow server does is take its time.
        thread::park_timeout(Duration::from_millis(120));
        ok("slow")
    });
    let fast = [Backend::saying("fast"), Backend::saying("fast")];
    let rules = "{ interval: 1s, latency: { factor: 300%, minimum: 50ms, requests: 5 }, ejection: 60s }";
    let narrows = with(&[&slow, &fast[0], &fast[1]], rules).start();
    ask_until_ejected(&narrows, &slow, 1);
    assert!(narrows.output().contains("answers take"), "{}", narrows.output());
    until("nothing goes there", || (0..20).all(|_| narrows.get("/", &[]).text() == "fast"));
}

#[test]
fn an_endpoint_that_fails_more_often_than_the_others_is_ejected() {
    let servers: Vec<_> = ["a", "b", "c", "d", "e", "f"].into_iter().map(Patient::new).collect();
    let flaky = Backend::script(|mut connection, _| {
        for number in 0.. {
            if connection.next_request().is_none() {
                return;
            }
            // Every second one fails: never many in a row.
            let answer = if number % 2 == 0 { answer("502 Bad Gateway", "") } else { ok("flaky") };
            if connection.try_send(answer).is_err() {
                return;
            }
        }
    });
    let mut all: Vec<&dyn Display> = servers.iter().map(|server| server as &dyn Display).collect();
    all.push(&flaky);
    let rules =
        "{ interval: 1s, success_rate: { deviation: 190%, requests: 10, endpoints: 3 }, ejection: 60s }";
    let narrows = with(&all, rules).start();
    ask_until_ejected(&narrows, &flaky, 1);
    assert!(narrows.output().contains("success rate"), "{}", narrows.output());
}

#[test]
fn a_server_that_refuses_tcp_flows_is_ejected_and_so_is_one_that_resets_them_at_once() {
    let refusing = Refusing::new();
    let resetting = Backend::script(|connection, _| connection.reset());
    let bad: [&dyn Display; 2] = [&refusing, &resetting];
    for bad in bad {
        let good = Backend::script(|mut connection, _| {
            connection.send("hello");
            connection.read_to_end();
        });
        let keys = "passive: { failures: 3, ejection: 60s }";
        let narrows = Setup::tcp(&good, "").upstream_with("app", &[bad, &good], keys).start();
        let is_greeted = || narrows.connect("tcp").try_read_exactly(5).is_some();
        until("it is ejected", || {
            is_greeted();
            said(&narrows, bad, "ejected") == 1
        });
        until("nothing goes there", || (0..10).all(|_| is_greeted()));
    }
}

#[test]
fn clients_cannot_eject_with_bytes_that_a_server_resets() {
    let strict = || {
        Backend::script(|mut connection, _| {
            connection.some_bytes();
            connection.reset();
        })
    };
    let servers = [strict(), strict()];
    let narrows = Setup::tcp(&servers[0], "")
        .upstream_with("app", &[&servers[0], &servers[1]], "passive: { failures: 3, ejection: 60s }")
        .telling_status()
        .start();
    for _ in 0..12 {
        let mut client = narrows.connect("tcp");
        client.send("garbage");
        client.expect_end();
    }
    // The counts are told once a second: those of requests come with those of resets.
    let state = || endpoint(&narrows, &servers[0]);
    until("all is told", || state()["requests_total"] == 6);
    assert_eq!((&state()["state"], &state()["resets_total"]), (&"up".into(), &0.into()));
    assert!(!narrows.output().contains("ejected"), "{}", narrows.output());
}

#[test]
fn a_udp_server_that_is_gone_is_ejected() {
    let gone = {
        let server = DatagramServer::echo();
        server.to_string()
    };
    let good = DatagramServer::echo();
    let narrows = Setup::udp(&good, "")
        .upstream_with("app", &[&gone, &good], "passive: { failures: 3, ejection: 60s }")
        .start();
    until("it is ejected", || {
        let client = DatagramClient::new(narrows.address("udp"));
        assert_eq!(client.exchange("hello"), b"hello");
        said(&narrows, &gone, "ejected") == 1
    });
}

#[test]
fn a_udp_server_that_gives_none_of_the_answers_that_are_expected_is_ejected() {
    let (silent, good) = (DatagramServer::script(|_| Vec::new()), DatagramServer::echo());
    let narrows = Setup::udp(&good, "sessions: { answers: 1 }\ntimeouts: { idle: 200ms }")
        .upstream_with("app", &[&silent, &good], "passive: { failures: 3, ejection: 60s }")
        .start();
    until("it is ejected", || {
        DatagramClient::new(narrows.address("udp")).send("hello");
        said(&narrows, &silent, "ejected") == 1
    });
    assert!(narrows.output().contains("the last: no answer in time"), "{}", narrows.output());
    let is_answered = || {
        let client = DatagramClient::new(narrows.address("udp"));
        client.send("hello");
        client.hears_within(Duration::from_secs(1))
    };
    until("nothing goes there", || (0..10).all(|_| is_answered()));
}

#[test]
fn a_udp_server_that_owes_no_answers_may_be_silent() {
    let (silent, good) = (DatagramServer::script(|_| Vec::new()), DatagramServer::echo());
    let narrows = Setup::udp(&good, "timeouts: { idle: 200ms }")
        .upstream_with("app", &[&silent, &good], "passive: { failures: 2, ejection: 60s }")
        .telling_status()
        .start();
    (0..8).for_each(|_| DatagramClient::new(narrows.address("udp")).send("hello"));
    until("all sessions are over", || {
        endpoint(&narrows, &silent)["requests_running"] == 0 && silent.arrivals().len() == 4
    });
    assert!(!narrows.output().contains("ejected"), "{}", narrows.output());
}

/// A server that takes requests and says nothing.
fn hung() -> Backend {
    Backend::script(|mut connection, _| while connection.next_request().is_some() {})
}

fn limited(endpoints: &[&dyn Display], limit: &str) -> Setup {
    Setup::new()
        .listener("web", &format!("upstream: app\ntimeouts: {{ request: {limit} }}"))
        .upstream_with("app", endpoints, "retries: 0\npassive: { failures: 2, ejection: 60s }")
        .telling_status()
}

#[test]
fn a_server_that_hangs_is_ejected_where_the_limit_of_the_request_ends_first() {
    let (hung, silent) = (hung(), Silent::new());
    // One does not answer, the other one does not even accept.
    let bad: [&dyn Display; 2] = [&hung, &silent];
    for bad in bad {
        let good = Backend::saying("good");
        let narrows = limited(&[bad, &good], "300ms").start();
        ask_until_ejected(&narrows, bad, 1);
        assert!(narrows.output().contains("the last: no answer in time"), "{}", narrows.output());
        until("nothing goes there", || (0..10).all(|_| narrows.get("/", &[]).text() == "good"));
    }
}

#[test]
fn clients_cannot_eject_with_deadlines_that_are_too_short_for_any_server() {
    let (hung, good) = (hung(), Backend::saying("good"));
    let narrows = limited(&[&hung, &good], "60s").start();
    let ask = |limit: &str| {
        narrows.get("/", &["Content-Type: application/grpc", &format!("grpc-timeout: {limit}")]);
    };
    (0..8).for_each(|_| ask("200m"));
    // What is counted is told within a second.
    until("all is counted", || endpoint(&narrows, &good)["requests_total"] == 4);
    let state = endpoint(&narrows, &hung);
    assert_eq!((&state["state"], &state["timeouts_total"]), (&"up".into(), &0.into()));
    until("it is ejected", || {
        ask("1S");
        said(&narrows, &hung, "ejected") == 1
    });
}

#[test]
fn a_server_is_not_blamed_for_the_time_that_the_client_took() {
    let (hung, good) = (hung(), Backend::saying("good"));
    let narrows = limited(&[&hung, &good], "1s").start();
    for _ in 0..4 {
        let mut client = narrows.web();
        client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
        assert!(!client.anything_within(Duration::from_millis(800)), "half of the body is there");
        client.send("cd");
        let answer = client.final_response("PUT");
        assert!([200, 504].contains(&answer.status()), "{answer:?}");
    }
    until("all is counted", || endpoint(&narrows, &good)["requests_total"] == 2);
    let state = endpoint(&narrows, &hung);
    assert_eq!((&state["state"], &state["timeouts_total"]), (&"up".into(), &0.into()));
}

#[test]
fn nobody_is_ejected_where_that_is_switched_off() {
    let servers = [Patient::new("a"), Patient::new("b")];
    let keys = "retries: 0\npassive: off";
    let narrows = Setup::new()
        .listener("web", "upstream: app")
        .upstream_with("app", &[&servers[0], &servers[1]], keys)
        .start();
    servers[0].set_ill(true);
    let bad = (0..40).filter(|_| narrows.get("/", &[]).status() == 503).count();
    assert_eq!(bad, 20, "each second request");
    assert!(!narrows.output().contains("ejected"), "{}", narrows.output());
}
