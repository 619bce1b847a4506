//! One request that is explained in its answer, because it shows a header signed with the key.

use std::process::Command;

use narrows_conformance::backend::Refusing;
use narrows_conformance::narrows::{binary, command_line};
use narrows_conformance::{Backend, Connection, Folder, Http2, Narrows, output_of};

const KEY: &str = "0123456789abcdef0123456789abcdef";

/// The proxy in front of endpoints that are asked in their order, with two routes.
fn start(endpoints: &[String], upstream: &str) -> Narrows {
    let folder = Folder::new();
    folder.write("explain.key", KEY);
    let endpoints: String = endpoints
        .iter()
        .enumerate()
        .map(|(priority, endpoint)| format!("      - {{ address: \"{endpoint}\", priority: {priority} }}\n"))
        .collect();
    let yaml = format!(
        "explain: {{ secret: explain.key }}
listeners:
  web:
    bind: 127.0.0.1:0
    routes:
      - {{ name: own, path: /own, respond: {{ status: 200, body: here }} }}
      - {{ name: beta, path: /v1/*, when: 'request.headers[\"x-beta\"] == \"1\"', upstream: app }}
      - {{ name: plain, path: /v1/*, upstream: app }}
upstreams:
  app:
    endpoints:
{endpoints}{upstream}"
    );
    Narrows::start_in(folder, &yaml, &["--workers", "1"])
}

/// The header for a request, as the command prints it.
fn signed(narrows: &Narrows, method: &str, url: &str, valid: &str) -> String {
    let key = narrows.folder.join("explain.key");
    let mut command = Command::new(binary());
    command.args(["explain", "--sign", "--secret"]).arg(key).args(["--valid", valid, method, url]);
    output_of(&mut command).trim().to_owned()
}

fn backend() -> Backend {
    Backend::saying("hello")
}

#[test]
fn the_answer_says_which_route_took_it_and_how_each_attempt_ended() {
    let (refusing, second) = (Refusing::new(), backend());
    let narrows = start(&[refusing.to_string(), second.to_string()], "    passive: off\n");
    let header = signed(&narrows, "GET", "http://a/v1/x", "5m");
    let answer = narrows.web().exchange(format!("GET /v1/x?q=1 HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"));
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    let told = answer.header("narrows-explained").expect("an explanation");
    assert!(told.starts_with("route=\"plain\" ("), "{told}");
    assert!(told.contains("rules=2"), "the rule that did not hold was compared too: {told}");
    assert!(told.contains(&format!("attempt={refusing} connect-refused")), "{told}");
    assert!(told.contains("no connection could be made"), "{told}");
    assert!(told.contains(&format!("attempt={second} 200")), "{told}");
    assert!(second.only_request().header("narrows-explain").is_none(), "what grants it stays here");
}

#[test]
fn an_answer_of_our_own_and_one_over_http2_are_explained_too() {
    let backend = backend();
    let narrows = start(&[backend.to_string()], "");
    let header = signed(&narrows, "GET", "http://a/own", "5m");
    let answer = narrows.web().exchange(format!("GET /own HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"));
    assert!(answer.header("narrows-explained").is_some_and(|told| told.contains("route=\"own\"")));

    let header = signed(&narrows, "GET", "http://example.com/v1/y", "5m");
    let (_, value) = header.split_once(": ").expect("a field");
    let mut client = Http2::connect(narrows.address("web"));
    let stream = client.open("GET", "/v1/y", &[("narrows-explain", value), ("x-beta", "1")], true);
    let answer = client.answer(stream);
    assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"));
    assert!(answer.header("narrows-explained").is_some_and(|told| told.contains("route=\"beta\"")));
    assert!(backend.only_request().header("narrows-explain").is_none());
}

#[test]
fn a_header_for_something_else_or_of_another_time_or_key_or_none_changes_nothing() {
    let backend = backend();
    let narrows = start(&[backend.to_string()], "");
    let good = signed(&narrows, "GET", "http://a/v1/x", "5m");
    let mut tampered = good.clone();
    let last = tampered.pop().expect("a letter");
    tampered.push(if last == 'A' { 'E' } else { 'A' });
    let (name, value) = good.split_once(": ").expect("a field");
    let (_, rest) = value.split_once('.').expect("an expiry");
    let other = Folder::new();
    other.write("other.key", "another key of enough bytes");
    let mut command = Command::new(binary());
    command.args(["explain", "--sign", "--secret"]).arg(other.join("other.key"));
    let of_another_key = output_of(command.args(["GET", "http://a/v1/x"])).trim().to_owned();
    let refused = [
        ("another path", "/v1/y", good.clone()),
        ("tampered", "/v1/x", tampered),
        ("expired", "/v1/x", format!("{name}: 1000.{rest}")),
        ("another key", "/v1/x", of_another_key),
        ("garbage", "/v1/x", format!("{name}: x")),
    ];
    let mut client = narrows.web();
    for (what, path, header) in &refused {
        let answer = client.exchange(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{header}\r\n\r\n"));
        assert_eq!((answer.status(), answer.text().as_str()), (200, "hello"), "{what}");
        assert!(answer.header("narrows-explained").is_none(), "{what}");
    }
    for request in backend.requests() {
        assert!(request.header("narrows-explain").is_none(), "it never goes on: {}", request.head);
    }
}

#[test]
fn without_a_key_in_the_configuration_the_header_is_dropped_and_means_nothing() {
    let backend = backend();
    let narrows = narrows_conformance::Setup::web(&backend, "").start();
    let mut client: Connection = narrows.web();
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nNarrows-Explain: 1.v1.x\r\n\r\n");
    assert!(answer.header("narrows-explained").is_none());
    assert!(backend.only_request().header("narrows-explain").is_none());
}

#[test]
fn a_key_that_is_missing_or_too_short_is_an_error_at_its_place() {
    let folder = Folder::new();
    let yaml = "explain:\n  secret: short.key\nlisteners:\n  web: { bind: \"127.0.0.1:0\", routes: [{ path: /*, respond: { status: 204 } }] }\n";
    let file = folder.write("narrows.yaml", yaml);
    for content in [None, Some("short")] {
        content.into_iter().for_each(|content| drop(folder.write("short.key", content)));
        let checked = command_line(&["check", &file]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(!checked.status.success(), "{said}");
        assert!(said.contains("narrows.yaml:2:11") && said.contains("short.key"), "{said}");
    }
}
