//! Health checks and agents: how they judge, what they ask and what they leave behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use narrows_conformance::backend::{Refusing, answer, ok};
use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::{Backend, Connection, DatagramServer, Folder, Narrows, Setup, TlsServer, until};

/// A backend that answers `/healthz` as `healthz` says and everything else with 200.
fn backend(healthz: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Backend {
    Backend::respond(move |request| if request.target() == "/healthz" { healthz() } else { ok("served") })
}

/// How often a backend was asked for what its checks do not ask for.
fn served(backend: &Backend) -> usize {
    backend.requests().iter().filter(|request| request.target() != "/healthz").count()
}

#[test]
fn an_endpoint_whose_check_fails_gets_no_request_until_it_is_well_again() {
    let is_well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&is_well);
    let sick = backend(move || match state.load(Ordering::Relaxed) {
        true => ok("fine"),
        false => answer("503 Service Unavailable", "fine"),
    });
    let well = backend(|| ok("fine"));
    let narrows = Setup::checked("http", &[&sick, &well], "http: /healthz", "").start();
    narrows.until_checked(&sick, 3);
    is_well.store(false, Ordering::Relaxed);
    let seen = narrows.until_endpoint(&sick, "down", "3 checks failed: status 503");
    assert_eq!(seen["health"]["kind"], "http");
    let before = served(&sick);
    for _ in 0..20 {
        assert_eq!(narrows.get("/", &[]).status(), 200);
    }
    assert_eq!(served(&sick), before, "it gets nothing while it is down");
    is_well.store(true, Ordering::Relaxed);
    narrows.until_endpoint(&sick, "up", "2 checks passed");
    until("it gets requests again", || {
        assert_eq!(narrows.get("/", &[]).status(), 200);
        served(&sick) > before
    });
    assert_eq!((narrows.said(&sick, "down"), narrows.said(&sick, "up")), (1, 1));
}

#[test]
fn a_wrong_body_is_a_failure() {
    let body = Arc::new(Mutex::new("state: good"));
    let said = Arc::clone(&body);
    let server = backend(move || ok(&said.lock().unwrap_or_else(PoisonError::into_inner)));
    let health = "http: { path: /healthz, body: { regex: \"^state: (good|fair)$\" } }";
    let narrows = Setup::checked("http", &[&server], health, "").start();
    narrows.until_checked(&server, 3);
    *body.lock().unwrap() = "state: bad";
    narrows.until_endpoint(&server, "down", "the answer does not have what is expected");
    assert_eq!(narrows.get("/", &[]).status(), 503);
    *body.lock().unwrap() = "state: fair";
    narrows.until_endpoint(&server, "up", "");
    assert_eq!(narrows.get("/", &[]).status(), 200);
}

#[test]
fn an_endpoint_that_flaps_below_its_thresholds_stays_what_it_is() {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    // Two failures of three that are needed, then a success.
    let flapping = backend(move || match counted.fetch_add(1, Ordering::Relaxed) % 3 {
        0 => ok("fine"),
        _ => answer("500 Internal Server Error", ""),
    });
    let narrows = Setup::checked("http", &[&flapping], "http: /healthz", "").start();
    narrows.until_checked(&flapping, 12);
    let seen = narrows.endpoint(&flapping);
    assert_eq!((&seen["state"], &seen["reason"]), (&"up".into(), &"".into()));
    assert!(seen["health"]["failed_total"].as_u64() > seen["health"]["passed_total"].as_u64(), "{seen:#}");
    assert_eq!(narrows.said(&flapping, "down"), 0);
}

#[test]
fn the_request_of_a_check_is_the_configured_one() {
    let server = Backend::saying("fine");
    let health =
        "http: { path: \"/h?x=1\", method: HEAD, host: app.internal, headers: { x-check: \"yes\" } }";
    let narrows = Setup::checked("http", &[&server], health, "").start();
    narrows.until_checked(&server, 1);
    let request = server.requests().remove(0);
    assert_eq!((request.method(), request.target()), ("HEAD", "/h?x=1"));
    assert_eq!((request.header("host"), request.header("x-check")), (Some("app.internal"), Some("yes")));
}

#[test]
fn a_server_that_hangs_is_down_and_one_that_goes_on_is_up() {
    let nginx = Nginx::start("location = /healthz { return 204; }");
    let narrows = Setup::checked("http", &[&nginx], "http: { path: /healthz, status: 204 }", "").start();
    narrows.until_checked(&nginx, 3);
    assert_eq!(narrows.get("/", &[]).text(), "nginx says hello");
    nginx.signal("STOP");
    narrows.until_endpoint(&nginx, "down", "3 checks failed: timed out");
    nginx.signal("CONT");
    narrows.until_endpoint(&nginx, "up", "2 checks passed");
    assert_eq!(narrows.get("/", &[]).text(), "nginx says hello");
}

#[test]
fn nginx_goes_down_and_comes_back() {
    let nginx = Nginx::start("");
    let address = nginx.address.clone();
    let narrows = Setup::checked("http", &[&nginx], "http: /", "").start();
    narrows.until_checked(&address, 3);
    drop(nginx);
    narrows.until_endpoint(&address, "down", "connection refused");
    let nginx = Nginx::start_at(&address, "");
    narrows.until_endpoint(&address, "up", "");
    assert_eq!(narrows.get("/", &[]).text(), "nginx says hello");
    drop(narrows);
    let log = std::fs::read_to_string(nginx.folder.join("error.log")).unwrap_or_default();
    assert!(!log.contains("[error]"), "checks leave no complaint behind: {log}");
}

#[test]
fn checks_speak_the_upstreams_http2_and_tls_and_proxy_protocol() {
    let authority = Authority::new("a root");
    let tls = format!("tls: {{ ca: {}, server_name: example.com }}\n", authority.certificate);
    let identity = authority.server(&["example.com"]);
    let health = "http: { path: /, body: hello }";
    for (nginx, keys) in [
        (Nginx::start_http2(""), "protocol: http2".to_owned()),
        (Nginx::start_tls(&identity, "", ""), tls.clone()),
        (Nginx::start_tls(&identity, "http2", ""), format!("{tls}protocol: http2")),
        (Nginx::start_tls(&identity, "http2", ""), format!("{tls}protocol: auto")),
        (Nginx::start_behind_proxy_protocol(""), "proxy_protocol: v1".to_owned()),
        (Nginx::start_behind_proxy_protocol(""), "proxy_protocol: v2".to_owned()),
    ] {
        let narrows = Setup::checked("http", &[&nginx], &format!("{health}, start: checked"), &keys).start();
        let seen = narrows.until_checked(&nginx, 3);
        assert_eq!((&seen["state"], &seen["reason"]), (&"up".into(), &"1 check passed".into()), "{keys}");
        assert_eq!(seen["health"]["failed_total"], 0, "{keys}: {seen:#}");
        assert_eq!(narrows.get("/", &[]).text(), "nginx says hello", "{keys}");
    }
}

#[test]
fn a_certificate_that_is_not_accepted_is_a_failure() {
    let authority = Authority::new("a root");
    let other = Authority::new("another root");
    let nginx = Nginx::start_tls(&authority.server(&["example.com"]), "", "");
    for (ca, name, reason) in [
        (&other.certificate, "example.com", "TLS: the certificate's issuer is unknown"),
        (&authority.certificate, "example.net", "TLS: the certificate is for another name"),
    ] {
        let tls = format!("tls: {{ ca: {ca}, server_name: {name} }}");
        let narrows = Setup::checked("http", &[&nginx], "handshake: true", &tls).start();
        narrows.until_endpoint(&nginx, "down", reason);
    }
}

#[test]
fn a_tls_server_behind_a_passing_listener_is_checked_by_a_handshake() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let tls = TlsServer::new(&identity, &[]);
    let secure = Backend::script(move |connection, _| drop(tls.accept(connection)));
    let plain = Backend::script(|mut connection, _| {
        connection.some_bytes();
        connection.send("220 this is not TLS\r\n");
    });
    let narrows = Setup::checked("tcp", &[&secure, &plain], "handshake: true", "").start();
    narrows.until_endpoint(&plain, "down", "TLS: ");
    assert_eq!(narrows.until_checked(&secure, 3)["state"], "up");
}

#[test]
fn an_endpoint_that_is_checked_first_gets_no_request_before() {
    let (refusing, well) = (Refusing::new(), backend(|| ok("fine")));
    let health = "http: /healthz, start: checked";
    let narrows = Setup::checked("http", &[&refusing, &well], health, "").start();
    // The start has waited for the first checks: no request ever meets the dead one.
    for _ in 0..20 {
        assert_eq!(narrows.get("/", &[]).status(), 200);
    }
    let output = narrows.output();
    assert!(output.contains(&format!("endpoint {refusing} is down (1 check failed: connection refused)")));
    assert!(output.find("is down") < output.find("narrows: ready"), "{output}");
    assert_eq!(narrows.until_endpoint(&well, "up", "1 check passed")["health"]["failed_total"], 0);
}

#[test]
fn checks_of_tcp_leave_no_connection_waiting_behind() {
    let server = Backend::echo();
    let health = "tcp: { send: \"ping\", expect: ping }";
    let narrows = Setup::checked("tcp", &[&server], health, "").start();
    assert_eq!(narrows.until_checked(&server, 10)["health"]["failed_total"], 0);
    let port = server.address().rsplit(':').next().and_then(|port| port.parse::<u16>().ok()).unwrap();
    let sockets = std::fs::read_to_string("/proc/net/tcp").unwrap();
    // Local address, remote address, state; 06 is TIME_WAIT.
    let waiting = sockets.lines().filter(|line| {
        let columns = line.split_whitespace().collect::<Vec<_>>();
        let is_there = |column: usize| columns[column].ends_with(&format!(":{port:04X}"));
        columns[3] == "06" && (is_there(1) || is_there(2))
    });
    assert_eq!(waiting.count(), 0, "{sockets}");
}

#[test]
fn a_check_on_another_port_judges_the_endpoint() {
    let server = Backend::saying("served");
    let is_well = Arc::new(AtomicBool::new(true));
    let state = Arc::clone(&is_well);
    let side = backend(move || match state.load(Ordering::Relaxed) {
        true => ok("fine"),
        false => answer("500 Internal Server Error", ""),
    });
    let port = side.address().rsplit(':').next().unwrap().to_owned();
    let health = format!("http: /healthz, port: {port}");
    let narrows = Setup::checked("http", &[&server], &health, "").start();
    narrows.until_checked(&server, 2);
    is_well.store(false, Ordering::Relaxed);
    narrows.until_endpoint(&server, "down", "status 500");
    assert_eq!(server.connections(), 0, "the endpoint itself was never asked");
}

#[test]
fn a_program_judges_its_endpoint() {
    let folder = Folder::new();
    let server = Backend::saying("served");
    let script = folder.write(
        "check",
        format!(
            "#!/bin/sh\ntest \"$NARROWS_UPSTREAM $NARROWS_ENDPOINT $NARROWS_ADDRESS:$NARROWS_PORT\" = \"app $1 $1\" || exit 9\n\
             test -e {}",
            folder.join("well")
        ),
    );
    folder.write("well", "");
    let health = format!("command: [/bin/sh, {script}, \"{server}\"]");
    let narrows = Setup::checked("http", &[&server], &health, "").start();
    assert_eq!(narrows.until_checked(&server, 3)["health"]["failed_total"], 0);
    std::fs::remove_file(folder.join("well")).unwrap();
    narrows.until_endpoint(&server, "down", "3 checks failed: the program ended with status 1");
    folder.write("well", "");
    narrows.until_endpoint(&server, "up", "2 checks passed");
}

#[test]
fn a_datagram_is_answered_or_refused() {
    let server = DatagramServer::echo();
    let address = server.to_string();
    let health = "udp: { send: { hex: 70696e67 }, expect: ping }";
    let narrows = Setup::checked("udp", &[&address], health, "").start();
    assert_eq!(narrows.until_checked(&address, 3)["health"]["failed_total"], 0);
    drop(server);
    narrows.until_endpoint(&address, "down", "3 checks failed: ");
}

/// An agent that says `line`, and a backend beside it with its configuration.
struct Agent {
    line: Arc<Mutex<String>>,
    agent: Backend,
}

impl Agent {
    fn saying(line: &str) -> Agent {
        let line = Arc::new(Mutex::new(line.to_owned()));
        let said = Arc::clone(&line);
        let agent = Backend::script(move |mut connection: Connection, _| {
            assert_eq!(connection.read_exactly(6), b"state\n");
            let line = said.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = connection.try_send(line + "\n");
        });
        Agent { line, agent }
    }

    fn say(&self, line: &str) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = line.to_owned();
    }

    fn start(&self, server: &Backend, keys: &str) -> Narrows {
        let port = self.agent.address().rsplit(':').next().unwrap();
        let agent = format!("agent: {{ port: {port}, send: \"state\\n\", interval: 100ms }}\n{keys}");
        Setup::new()
            .upstream_with("app", &[server], &agent)
            .listener("web", "upstream: app")
            .listener("status", narrows_conformance::health::STATUS)
            .start()
    }
}

#[test]
fn an_agent_takes_its_server_out_and_back() {
    let server = Backend::saying("served");
    let agent = Agent::saying("up");
    let narrows = agent.start(&server, "");
    for (line, state, reason, status) in [
        ("drain # deploying", "drain", "agent: drain (deploying)", 503),
        ("ready", "up", "", 200),
        ("down", "down", "agent: down", 503),
        ("up", "up", "", 200),
        ("maint", "maintenance", "agent: maint", 503),
        ("up", "maintenance", "agent: maint", 503),
        ("up ready", "up", "", 200),
    ] {
        agent.say(line);
        narrows.until_endpoint(&server, state, reason);
        assert_eq!(narrows.get("/", &[]).status(), status, "{line}");
    }
    agent.say("40% maxconn:7");
    until("the agent is heard", || narrows.endpoint(&server)["agent"]["connections"] == 7);
    assert_eq!(narrows.endpoint(&server)["agent"]["weight_per_cent"], 40);
    agent.say("what?");
    until("nonsense is counted", || narrows.endpoint(&server)["agent"]["failures_total"].as_u64() > Some(0));
    assert_eq!(narrows.endpoint(&server)["state"], "up", "and changes nothing");
}

#[test]
fn a_server_in_maintenance_by_its_agent_is_not_checked() {
    let server = backend(|| ok("fine"));
    let agent = Agent::saying("maint");
    let health = "health: { http: /healthz, interval: 100ms, start: down }";
    let narrows = agent.start(&server, health);
    narrows.until_endpoint(&server, "maintenance", "agent: maint");
    until("checks rest", || {
        let count = |narrows: &Narrows| narrows.endpoint(&server)["health"]["passed_total"].clone();
        let before = count(&narrows);
        let answers = |narrows: &Narrows| narrows.endpoint(&server)["agent"]["answers_total"].as_u64();
        let asked = answers(&narrows);
        until("the agent was asked five times more", || answers(&narrows) >= asked.map(|asked| asked + 5));
        count(&narrows) == before
    });
    agent.say("ready");
    narrows.until_endpoint(&server, "up", "2 checks passed");
}
