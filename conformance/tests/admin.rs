//! The admin API of the real process: what it tells, what it changes, and what it refuses.

use narrows_conformance::backend::ok;
use narrows_conformance::{Backend, Connection, Folder, Message, Narrows, until};
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output};

/// A process with its admin API in its folder.
struct Site {
    narrows: Narrows,
    socket: PathBuf,
}

fn yaml(backends: &[&Backend], further: &str) -> String {
    let endpoints: Vec<_> = backends.iter().map(|backend| backend.address()).collect();
    format!(
        "{further}listeners:\n  web: {{ bind: \"127.0.0.1:0\", routes: [ {{ name: all, path: /*, upstream: app }} ] }}\nupstreams:\n  app: {{ endpoints: [{}] }}\n",
        endpoints.join(", ")
    )
}

impl Site {
    fn start(backends: &[&Backend]) -> Site {
        let folder = Folder::new();
        let socket = folder.path().join("admin.sock");
        let further = format!("admin: \"unix:{}\"\n", socket.display());
        let narrows = Narrows::start_in(folder, &yaml(backends, &further), &["--workers", "1"]);
        Site { narrows, socket }
    }

    fn ask(&self, method: &str, path: &str, body: Option<&str>) -> Message {
        let mut connection = Connection::connect(&format!("unix:{}", self.socket.display()));
        let head = match body {
            Some(body) => {
                format!("Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
            None => "\r\n".to_owned(),
        };
        connection.exchange(format!("{method} {path} HTTP/1.1\r\nHost: admin\r\n{head}"))
    }

    fn get(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, None);
        assert_eq!(answer.status(), 200, "{path}: {}", answer.text());
        serde_json::from_str(&answer.text()).expect("JSON")
    }

    fn command(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(narrows_conformance::narrows::binary());
        let place = format!("unix:{}", self.socket.display());
        command.args(arguments).args(["--admin", &place]).output().expect("it runs")
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn only_its_owner_reaches_the_socket_and_it_is_gone_with_the_process() {
    let one = Backend::respond(|_| ok("one"));
    let mut site = Site::start(&[&one]);
    let mode = std::fs::metadata(&site.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    site.narrows.signal("TERM");
    site.narrows.wait_for_exit();
    assert!(!site.socket.exists());
}

#[test]
fn everything_that_can_be_read_is_there() {
    let one = Backend::respond(|_| ok("one"));
    let site = Site::start(&[&one]);
    site.narrows.get("/", &[]);
    assert_eq!(site.get("/v1/status")["phase"], "running");
    assert_eq!(site.get("/v1/listeners")["listeners"][0]["listener"], "web");
    let config = site.get("/v1/config");
    assert_eq!(config["listeners"][0]["routes"][0]["action"]["upstream"], "app");
    assert!(config["listeners"][0]["origin"].as_str().unwrap().contains("narrows.yaml:"));
    let endpoints = site.get("/v1/upstreams/app/endpoints");
    assert_eq!(endpoints["endpoints"][0]["endpoint"], one.address());
    assert_eq!(endpoints["endpoints"][0]["state"], "up");
    until("the route has one hit", || site.get("/v1/routes")["routes"][0]["hits_total"] == 1);
    for path in ["/v1/version", "/v1/pools", "/v1/certificates", "/v1/workers", "/v1/causes", "/openapi.json"]
    {
        site.get(path);
    }
    let metrics = site.ask("GET", "/metrics", None).text();
    assert!(metrics.contains("narrows_requests_total{"), "{metrics}");
    assert_eq!(site.ask("GET", "/health", None).status(), 200);
    assert_eq!(site.ask("GET", "/ready", None).status(), 200);
}

#[test]
fn an_endpoint_is_drained_by_a_command_and_comes_back() {
    let (one, two) = (Backend::respond(|_| ok("one")), Backend::respond(|_| ok("two")));
    let site = Site::start(&[&one, &two]);
    let name = format!("app/{}", one.address());
    let drained = site.command(&["endpoint", "drain", &name]);
    assert!(drained.status.success() && said(&drained).contains("drain"), "{}", said(&drained));
    until("only the other one answers", || (0..6).all(|_| site.narrows.get("/", &[]).text() == "two"));
    assert!(said(&site.command(&["endpoint", "list"])).contains("drain"));
    assert!(site.command(&["endpoint", "ready", &name]).status.success());
    until("both answer", || (0..6).any(|_| site.narrows.get("/", &[]).text() == "one"));
}

#[test]
fn an_endpoint_that_was_added_serves_over_a_reload_until_it_is_removed() {
    let (one, two) = (Backend::respond(|_| ok("one")), Backend::respond(|_| ok("two")));
    let site = Site::start(&[&one]);
    let name = format!("app/{}", two.address());
    let added = site.command(&["endpoint", "add", &name]);
    assert!(added.status.success(), "{}", said(&added));
    let answers = || (0..6).any(|_| site.narrows.get("/", &[]).text() == "two");
    until("the new one answers", answers);
    assert!(site.command(&["reload"]).status.success());
    assert!(answers());
    assert!(site.command(&["endpoint", "remove", &name]).status.success());
    until("it is gone", || !(0..6).any(|_| site.narrows.get("/", &[]).text() == "two"));
    let configured = site.command(&["endpoint", "remove", &format!("app/{}", one.address())]);
    assert_eq!(configured.status.code(), Some(1), "{}", said(&configured));
}

#[test]
fn a_reload_tells_what_changed_and_a_wrong_one_why_not() {
    let (one, two) = (Backend::respond(|_| ok("one")), Backend::respond(|_| ok("two")));
    let site = Site::start(&[&one]);
    let further = format!("admin: \"unix:{}\"\n", site.socket.display());
    site.narrows.folder.write("narrows.yaml", yaml(&[&one, &two], &further));
    let reloaded = site.command(&["reload"]);
    assert!(said(&reloaded).contains("configuration 2 is served: 1 endpoint added"), "{}", said(&reloaded));
    site.narrows.folder.write("narrows.yaml", "listeners: { web: { bind: nowhere } }");
    let answer = site.ask("POST", "/v1/reload", Some("{}"));
    let problem: Value = serde_json::from_str(&answer.text()).unwrap();
    assert_eq!((answer.status(), &problem["cause"]), (422, &Value::from("bad_configuration")));
    assert!(!problem["diagnostics"].as_array().unwrap().is_empty(), "{problem}");
    assert_eq!(site.get("/v1/status")["generation"], 2);
}

#[test]
fn a_configuration_that_nobody_confirms_goes_again() {
    let (one, two) = (Backend::respond(|_| ok("one")), Backend::respond(|_| ok("two")));
    let site = Site::start(&[&one]);
    let further = format!("admin: \"unix:{}\"\n", site.socket.display());
    site.narrows.folder.write("narrows.yaml", yaml(&[&two], &further));
    assert!(site.command(&["reload", "--confirm", "1"]).status.success());
    assert_eq!(site.narrows.get("/", &[]).text(), "two");
    until("the old one is back", || site.narrows.get("/", &[]).text() == "one");
    assert_eq!(site.command(&["confirm"]).status.code(), Some(1));
    assert!(site.command(&["reload", "--confirm", "60"]).status.success());
    assert!(site.command(&["confirm"]).status.success());
    assert_eq!(site.narrows.get("/", &[]).text(), "two");
}

#[test]
fn what_is_wrong_is_refused_and_has_no_effect() {
    let one = Backend::respond(|_| ok("one"));
    let site = Site::start(&[&one]);
    let endpoint = format!("/v1/upstreams/app/endpoints/{}", one.address());
    for (method, path, body, status) in [
        ("GET", "/v1/nothing", None, 404),
        ("GET", "/v1/upstreams/ap", None, 404),
        ("DELETE", "/v1/status", None, 405),
        ("PATCH", &*endpoint, Some("{}"), 400),
        ("PATCH", &endpoint, Some("{\"weight\": 70000}"), 400),
        ("PATCH", &endpoint, Some("{\"weight\": -1}"), 400),
        ("PATCH", &endpoint, Some("{\"state\": \"drained\"}"), 400),
        ("PATCH", &endpoint, Some("{\"other\": 1}"), 400),
        ("PATCH", &endpoint, Some("nonsense"), 400),
        ("POST", "/v1/upstreams/app/endpoints", Some("{\"address\": \"a name:80\"}"), 400),
        ("POST", "/v1/confirm", None, 409),
        ("GET", "/v1/explain?when=request.pat", None, 400),
    ] {
        let answer = site.ask(method, path, body);
        assert_eq!(answer.status(), status, "{method} {path} {body:?}: {}", answer.text());
        let problem: Value = serde_json::from_str(&answer.text()).expect("a problem is JSON");
        assert!(problem["cause"].is_string() && problem["detail"].is_string(), "{problem}");
    }
    let large = "x".repeat(100_000);
    assert_eq!(site.ask("PATCH", &endpoint, Some(&large)).status(), 413);
    let near = site.ask("GET", "/v1/upstreams/ap", None).text();
    assert!(near.contains("did you mean `app`?"), "{near}");
    let mut foreign = Connection::connect(&format!("unix:{}", site.socket.display()));
    let page = "GET /v1/status HTTP/1.1\r\nHost: admin\r\nOrigin: http://evil.example\r\n\r\n";
    assert_eq!(foreign.exchange(page).status(), 403);
    let mut garbage = Connection::connect(&format!("unix:{}", site.socket.display()));
    garbage.send([0xff; 64]);
    garbage.read_to_end();
    assert_eq!(site.get("/v1/upstreams/app/endpoints")["endpoints"][0]["weight"], 1);
    assert_eq!(site.narrows.get("/", &[]).text(), "one");
}

#[test]
fn by_tcp_only_the_token_opens() {
    let one = Backend::respond(|_| ok("one"));
    let folder = Folder::new();
    folder.write("token", "a-long-token-for-this-test\n");
    let port = narrows_conformance::servers::free_port();
    let further = format!("admin: {{ bind: \"127.0.0.1:{port}\", token: token }}\n");
    let narrows = Narrows::start_in(folder, &yaml(&[&one], &further), &["--workers", "1"]);
    let ask = |field: &str| {
        let mut connection = Connection::connect(&format!("127.0.0.1:{port}"));
        connection.exchange(format!("GET /v1/status HTTP/1.1\r\nHost: a\r\n{field}\r\n")).status()
    };
    assert_eq!(ask(""), 401);
    assert_eq!(ask("Authorization: Bearer a-long-token-for-this-tesT\r\n"), 401);
    assert_eq!(ask("Authorization: Bearer a-long-token-for-this-test\r\n"), 200);
    drop(narrows);
}

#[test]
fn live_requests_are_explained_as_they_happen() {
    let one = Backend::respond(|_| ok("one"));
    let site = Site::start(&[&one]);
    let mut command = Command::new(narrows_conformance::narrows::binary());
    command.args(["explain", "--live", "request.path.startsWith(\"/v1\")", "--limit", "1", "--for", "20s"]);
    command.args(["--admin", &format!("unix:{}", site.socket.display())]);
    let listening = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    let mut listening = listening.spawn().expect("it runs");
    until("somebody has been explained", || {
        site.narrows.get("/other", &[]);
        site.narrows.get("/v1/users", &[]);
        listening.try_wait().expect("a child").is_some()
    });
    let told = said(&listening.wait_with_output().expect("its output"));
    assert!(told.contains("/v1/users") && told.contains(one.address()), "{told}");
    assert!(!told.contains("/other"), "{told}");
}
