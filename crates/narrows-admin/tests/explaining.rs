//! Live explanations, from a proxy that serves to the lines that a reader gets.

use bytes::Bytes;
use narrows_admin::{pump, read_ask};
use narrows_config::load_text;
use narrows_proxy::{Running, Server};
use narrows_tls::TlsContexts;
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::time::Duration;
use tokio::sync::mpsc;

/// Nothing here takes longer.
const DEADLINE: Duration = Duration::from_secs(20);

/// A server that answers every connection once, and gives its address.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut read = [0; 4096];
            let _ = stream.read(&mut read);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: session=secret\r\nServer: x\r\nConnection: close\r\n\r\nhi";

/// An address where nobody listens.
fn nobody() -> (std::net::UdpSocket, String) {
    // Its port of TCP stays free as long as nobody else happens to take it.
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let address = socket.local_addr().expect("an address").to_string();
    (socket, address)
}

fn serve(yaml: &str) -> Running {
    let loaded = load_text("test.yaml", yaml, Path::new("."));
    let plan = loaded.plan.unwrap_or_else(|| panic!("{}", loaded.diagnostics.render(false)));
    let (tls, _) = TlsContexts::load(&plan);
    let server = Server::bind(plan, tls.expect("no certificates"), 1).expect("free ports");
    server.start().expect("threads")
}

fn address(running: &Running, listener: &str) -> String {
    let bound = running.bound().into_iter().find(|bound| bound.listener == listener);
    bound.expect("a listener").address
}

/// Sends a request and reads the answer to its end.
fn request(running: &Running, head: &str) -> String {
    let mut stream = TcpStream::connect(address(running, "web")).expect("a proxy");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    stream.write_all(format!("{head}Host: a\r\nConnection: close\r\n\r\n").as_bytes()).expect("a client");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

/// Runs `work` while the query is listened to, and gives what came of `count` lines. `work` begins once the worker knows of it: it repeats what it does until
/// there are enough.
fn listen(running: &Running, query: &str, count: usize, mut work: impl FnMut()) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let (to, mut from) = mpsc::channel::<Bytes>(64);
    let listening = {
        let _inside = runtime.enter();
        running.explain(read_ask(query).expect("an ask")).expect("room")
    };
    let pumping = runtime.spawn(pump(listening, to));
    let began = std::time::Instant::now();
    let mut lines = Vec::new();
    while lines.len() < count {
        assert!(began.elapsed() < DEADLINE, "only {lines:?} of {count} lines came");
        work();
        let heard = |from: &mut mpsc::Receiver<Bytes>| {
            runtime.block_on(async { tokio::time::timeout(Duration::from_millis(200), from.recv()).await })
        };
        while let Ok(Some(line)) = heard(&mut from) {
            lines.push(serde_json::from_slice(&line).expect("a line of JSON"));
        }
    }
    drop(from);
    runtime.block_on(pumping).expect("it ends when its reader is gone");
    lines
}

fn web(upstream: &str) -> String {
    format!(
        "listeners:
  web:
    bind: 127.0.0.1:0
    routes:
      - {{ name: own, path: /own, respond: {{ status: 404, body: no }} }}
      - {{ name: beta, path: /v1/*, when: 'request.headers[\"authorization\"] == \"x\"', upstream: app }}
      - name: plain
        path: /v1/*
        upstream: app
        request_headers: {{ set: {{ x-added: yes }} }}
        response_headers: {{ remove: [server] }}
upstreams:
  app:
{upstream}"
    )
}

#[test]
fn a_request_is_explained_from_its_rules_to_its_last_attempt() {
    let (_reserved, refusing) = nobody();
    let good = server(OK);
    let running = serve(&web(&format!(
        "    passive: off\n    endpoints:\n      - {{ address: \"{refusing}\", priority: 0 }}\n      - {{ address: \"{good}\", priority: 1 }}\n"
    )));
    let lines = listen(&running, "when=request.path.startsWith(%22/v1%22)", 1, || {
        request(&running, "GET /own HTTP/1.1\r\n");
        request(&running, "GET /v1/x HTTP/1.1\r\nAuthorization: Bearer topsecret\r\nCookie: a=topsecret\r\n");
    });
    let told = &lines[0]["explained"];
    assert_eq!(told["protocol"], "http");
    assert_eq!(told["subject"], "GET http://a/v1/x HTTP/1.1");
    assert_eq!((told["route"]["name"].as_str(), told["upstream"].as_str()), (Some("plain"), Some("app")));
    assert_eq!(told["rules"][0]["route"], "beta");
    assert_eq!(told["rules"][0]["conditions"][0]["held"], false);
    assert!(
        told["rules"][0]["place"].as_str().is_some_and(|place| place.starts_with("test.yaml:6:")),
        "{told}"
    );
    assert_eq!(told["rules"][1]["taken"], true);
    let attempts = told["attempts"].as_array().expect("attempts");
    assert_eq!(attempts.len(), 2, "{told}");
    assert_eq!(
        (&attempts[0]["endpoint"], &attempts[0]["fault"]),
        (&refusing.into(), &"connect-refused".into())
    );
    assert!(attempts[0]["again"].as_str().is_some_and(|why| !why.is_empty()), "{told}");
    assert_eq!((&attempts[1]["endpoint"], &attempts[1]["status"]), (&good.into(), &200.into()));
    assert_eq!(attempts[1]["candidates"].as_array().map(Vec::len), Some(2));
    let line = |head: &str, mark: &str, line: &str| {
        let lines = told[head].as_array().expect("a head");
        lines.iter().any(|one| one["mark"] == mark && one["line"] == line)
    };
    assert!(line("request", "added", "x-added: yes"), "{told}");
    assert!(line("request", "removed", "Connection: close"), "{told}");
    assert!(line("response", "removed", "Server: x"), "{told}");
    assert!(line("response", "same", "Set-Cookie: (hidden)"), "{told}");
    assert_eq!((&told["status"], &told["sent"]), (&200.into(), &2.into()));
    assert!(told["times"]["total"].as_u64().is_some_and(|time| time > 0));
    assert!(!told.to_string().contains("secret"), "credentials are hidden: {told}");
    assert!(
        lines.iter().all(|line| line["explained"]["subject"] != "GET http://a/own HTTP/1.1"),
        "the filter holds"
    );
}

#[test]
fn who_may_see_credentials_does_and_a_limit_ends_it() {
    let good = server(OK);
    let running = serve(&web(&format!("    endpoints: [\"{good}\"]\n")));
    let mut sent = 0;
    let lines = listen(&running, "secrets=true&limit=2", 2, || {
        sent += 4;
        (0..4).for_each(|_| drop(request(&running, "GET /v1/x HTTP/1.1\r\nAuthorization: x\r\n")));
    });
    assert_eq!(lines.len(), 2, "{sent} were sent");
    assert!(lines[0].to_string().contains("Authorization: x"));
    assert!(lines[0].to_string().contains("session=secret"));
    assert_eq!(lines[0]["explained"]["route"]["name"], "beta");
}

#[test]
fn an_answer_of_our_own_and_one_without_a_route_are_explained() {
    let running = serve(&web("    endpoints: [\"127.0.0.1:9\"]\n"));
    let lines = listen(&running, "", 2, || {
        request(&running, "GET /own HTTP/1.1\r\n");
        request(&running, "GET /other HTTP/1.1\r\n");
    });
    let of = |path: &str| {
        let subject = format!("GET http://a{path} HTTP/1.1");
        lines.iter().find(|line| line["explained"]["subject"] == subject.as_str()).expect("explained")
    };
    assert_eq!(of("/own")["explained"]["status"], 404);
    assert_eq!(of("/own")["explained"]["response"][0]["line"], "HTTP/1.1 404 Not Found");
    assert_eq!(of("/other")["explained"]["fault"], "no-route");
    assert!(of("/other")["explained"]["route"].is_null());
}

#[test]
fn a_client_that_sticks_and_a_connection_that_is_switched_are_explained() {
    let (first, second) = (server(OK), server(OK));
    let running = serve(&web(&format!(
        "    endpoints: [\"{first}\", \"{second}\"]\n    stickiness: {{ cookie: {{ name: stick }} }}\n"
    )));
    let answer = request(&running, "GET /v1/x HTTP/1.1\r\n");
    let (_, cookie) = answer.split_once("stick=").unwrap_or_else(|| panic!("no cookie in {answer}"));
    let cookie = cookie.split([';', '\r']).next().expect("a value").to_owned();
    let lines = listen(&running, "", 1, || {
        request(&running, &format!("GET /v1/x HTTP/1.1\r\nCookie: stick={cookie}\r\n"));
    });
    let why = lines[0]["explained"]["attempts"][0]["why"].as_str().unwrap_or_default();
    assert!(why.starts_with("sticky"), "{lines:?}");

    let switching =
        server("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nhey");
    let running = serve(&web(&format!("    endpoints: [\"{switching}\"]\n")));
    let lines = listen(&running, "", 1, || {
        let mut stream = TcpStream::connect(address(&running, "web")).expect("a proxy");
        let head = "GET /v1/chat HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
        stream.write_all(head.as_bytes()).expect("a client");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        assert!(answer.ends_with("\r\n\r\nhey"), "{answer}");
    });
    let told = &lines[0]["explained"];
    assert_eq!((&told["status"], &told["attempts"][0]["status"]), (&101.into(), &101.into()), "{told}");
    assert_eq!(told["response"][0]["line"], "HTTP/1.1 101 Switching Protocols");
}

#[test]
fn flows_and_sessions_are_explained_when_they_end() {
    let echo = UdpSocket::bind("127.0.0.1:0").expect("a port");
    let udp = echo.local_addr().expect("an address");
    std::thread::spawn(move || {
        let mut datagram = [0; 2048];
        while let Ok((length, from)) = echo.recv_from(&mut datagram) {
            let _ = echo.send_to(&datagram[..length], from);
        }
    });
    let running = serve(&format!(
        "listeners:
  flows: {{ bind: 127.0.0.1:0, protocol: tcp, upstream: tcp }}
  sessions: {{ bind: 127.0.0.1:0, protocol: udp, upstream: udp, sessions: {{ answers: 1 }} }}
upstreams:
  tcp: {{ endpoints: [\"{}\"] }}
  udp: {{ endpoints: [\"{udp}\"] }}
",
        server("hello")
    ));
    let (flows, sessions) = (address(&running, "flows"), address(&running, "sessions"));
    let lines = listen(&running, "", 2, || {
        let mut stream = TcpStream::connect(&flows).expect("a proxy");
        stream.write_all(b"x").expect("a client");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let _ = stream.shutdown(Shutdown::Both);
        let client = UdpSocket::bind("127.0.0.1:0").expect("a port");
        client.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        client.send_to(b"ping", &sessions).expect("a client");
        client.recv_from(&mut [0; 16]).expect("an answer");
    });
    let of = |protocol: &str| {
        let line = lines.iter().find(|line| line["explained"]["protocol"] == protocol);
        &line.unwrap_or_else(|| panic!("no {protocol} in {lines:?}"))["explained"]
    };
    assert_eq!((&of("tcp")["upstream"], &of("tcp")["sent"]), (&"tcp".into(), &5.into()));
    assert_eq!(of("tcp")["attempts"].as_array().map(Vec::len), Some(1));
    assert_eq!((&of("udp")["upstream"], &of("udp")["received"]), (&"udp".into(), &4.into()));
    assert_eq!(of("udp")["attempts"][0]["endpoint"], udp.to_string().as_str());
}

#[test]
fn traffic_goes_on_whoever_listens_and_reads_nothing() {
    let good = server(OK);
    let running = serve(&web(&format!("    endpoints: [\"{good}\"]\n")));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut listening = {
        let _inside = runtime.enter();
        running.explain(read_ask("").expect("an ask")).expect("room")
    };
    for _ in 0..600 {
        assert!(request(&running, "GET /v1/x HTTP/1.1\r\n").ends_with("hi"));
    }
    let lost = runtime.block_on(async {
        match listening.next().await {
            Some(narrows_proxy::Heard::Lost(count)) => count,
            other => panic!("the loss is told first: {other:?}"),
        }
    });
    assert!(lost > 0 && lost < 600, "{lost}");
}
