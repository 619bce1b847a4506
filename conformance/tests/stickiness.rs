//! Clients stay where they are: cookies, tables, labels and hash keys.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc::channel;
use std::time::Duration;

use narrows_conformance::{
    Backend, DatagramClient, DatagramServer, Folder, Http2, Message, Narrows, output_of, tool, until,
};

/// A server that answers with its name and the cookies that it saw, and with these further header lines.
fn named_with(address: &str, name: &'static str, lines: &'static str) -> Backend {
    Backend::respond_at(address, move |request| {
        let body = format!("{name} {}", request.header_values("cookie").join(" | "));
        let length = body.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: close\r\n");
        format!("{head}{lines}\r\n{body}").into_bytes()
    })
}

fn named(name: &'static str) -> Backend {
    named_with("127.0.0.1:0", name, "")
}

/// Three of them.
fn servers() -> [Backend; 3] {
    ["a", "b", "c"].map(named)
}

/// The configuration: listener `web` with these keys in front of `app` with these endpoints and keys.
fn yaml(listener: &str, endpoints: &[&dyn Display], upstream: &str) -> String {
    let indented = |keys: &str| keys.lines().map(|line| format!("    {line}\n")).collect::<String>();
    let endpoints: String = endpoints.iter().map(|endpoint| format!("      - {endpoint}\n")).collect();
    format!(
        "listeners:\n  web:\n    bind: 127.0.0.1:0\n    upstream: app\n{}upstreams:\n  app:\n    endpoints:\n{endpoints}{}",
        indented(listener),
        indented(upstream)
    )
}

/// The proxy with two workers in front of all `servers`.
fn start(servers: &[Backend; 3], upstream: &str) -> Narrows {
    let [a, b, c] = servers;
    Narrows::start_in(Folder::new(), &yaml("", &[a, b, c], upstream), &["--workers", "2"])
}

/// Who answered, and the cookies that it saw.
fn told(message: &Message) -> (String, String) {
    let text = message.text();
    let (name, cookies) = text.split_once(' ').unwrap_or_else(|| panic!("{}\n{text}", message.head));
    (name.to_owned(), cookies.to_owned())
}

fn who(narrows: &Narrows, lines: &[&str]) -> String {
    told(&narrows.get("/", lines)).0
}

/// `name=value` of the cookie that an answer sets.
fn set_cookie(message: &Message) -> String {
    let value = message.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {}", message.head));
    value.split(';').next().unwrap_or_default().to_owned()
}

#[test]
fn a_cookie_keeps_a_client_at_its_server_on_all_workers() {
    let servers = servers();
    let narrows = start(&servers, "stickiness: cookie");
    let mut seen = BTreeSet::new();
    for _ in 0..6 {
        let first = narrows.get("/", &["Cookie: theme=dark"]);
        let cookie = set_cookie(&first);
        assert_eq!(first.header("cache-control"), Some("private"));
        assert_eq!(first.header("set-cookie"), Some(&*format!("{cookie}; Path=/; HttpOnly")));
        assert!(!servers.iter().any(|server| cookie.contains(server.address())), "{cookie}");
        let (name, cookies) = told(&first);
        assert_eq!(cookies, "theme=dark");
        for _ in 0..5 {
            let line = format!("Cookie: theme=dark; {cookie}; lang=de");
            let next = narrows.get("/", &[&line]);
            assert_eq!(told(&next), (name.clone(), "theme=dark; lang=de".to_owned()));
            assert_eq!((next.header("set-cookie"), next.header("cache-control")), (None, None));
        }
        seen.insert(name);
    }
    assert_eq!(seen.len(), 3, "new clients are spread: {seen:?}");
}

#[test]
fn the_cookie_has_the_attributes_that_are_asked_for() {
    let servers = servers();
    let keys = "stickiness: { cookie: { name: lb, value: address, path: /shop, domain: example.com, max_age: 1h, \
                secure: true, http_only: false, same_site: lax } }";
    let narrows = start(&servers, keys);
    let first = narrows.get("/", &[]);
    let name = told(&first).0;
    let server = &servers[usize::from(name.as_bytes()[0] - b'a')];
    let expected = format!("lb={server}; Path=/shop; Domain=example.com; Max-Age=3600; Secure; SameSite=Lax");
    assert_eq!(first.header("set-cookie"), Some(&*expected));
    assert_eq!(who(&narrows, &[&format!("Cookie: lb={server}")]), name);
}

#[test]
fn a_forged_cookie_moves_nobody_and_breaks_nothing() {
    let servers = servers();
    let narrows = start(&servers, "stickiness: cookie");
    let real = set_cookie(&narrows.get("/", &[]));
    let mut changed = real.clone().into_bytes();
    let last = changed.len() - 2;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    let changed = String::from_utf8(changed).expect("text");
    let address = format!("narrows={}", servers[0]);
    let long = format!("narrows={}", "x".repeat(20_000));
    let many = "narrows=x; ".repeat(1500);
    for forged in
        [&*changed, &address, "narrows=", "narrows", "narrows=\"\u{1F36A}\"", "=;=;;narrows==", &long, &many]
    {
        let answer = narrows.get("/", &[&format!("Cookie: {forged}")]);
        assert_eq!(answer.status(), 200, "{forged}");
        assert!(set_cookie(&answer).len() == real.len(), "a new one is given: {forged}");
    }
}

#[test]
fn a_client_of_http2_keeps_its_cookie_in_crumbs() {
    let servers = servers();
    let narrows = start(&servers, "stickiness: cookie");
    let mut client = Http2::connect(narrows.address("web"));
    let first = client.get("/");
    let cookie =
        first.header("set-cookie").and_then(|value| value.split(';').next()).expect("a cookie").to_owned();
    let name = first.text().split(' ').next().unwrap_or_default().to_owned();
    for _ in 0..6 {
        let stream = client.open(
            "GET",
            "/",
            &[("cookie", "theme=dark"), ("cookie", &cookie), ("cookie", "a=b")],
            true,
        );
        let answer = client.answer(stream);
        assert_eq!(answer.text(), format!("{name} theme=dark; a=b"));
        assert_eq!(answer.header("set-cookie"), None);
    }
}

#[test]
fn a_cookie_of_the_server_is_rewritten() {
    let lines = "Set-Cookie: other=1\r\nSet-Cookie: sid=server; Path=/x; Secure\r\n";
    let servers = ["a", "b", "c"].map(|name| named_with("127.0.0.1:0", name, lines));
    let narrows = start(&servers, "stickiness: { cookie: { name: sid, mode: rewrite } }");
    let first = narrows.get("/", &[]);
    let set = first.header_values("set-cookie");
    let rewritten = *set.iter().find(|value| value.starts_with("sid=")).expect("it is set");
    assert!(set.len() == 2 && set.contains(&"other=1"), "{set:?}");
    assert!(rewritten.ends_with("; Path=/x; Secure") && !rewritten.contains("server"), "{rewritten}");
    let cookie = rewritten.split(';').next().unwrap_or_default();
    for _ in 0..6 {
        assert_eq!(
            told(&narrows.get("/", &[&format!("Cookie: {cookie}")])),
            (told(&first).0, cookie.to_owned())
        );
    }
}

#[test]
fn a_cookie_of_the_server_is_prefixed_and_the_server_gets_back_what_it_set() {
    let servers =
        ["a", "b", "c"].map(|name| named_with("127.0.0.1:0", name, "Set-Cookie: sid=s~1; Path=/\r\n"));
    let narrows = start(&servers, "stickiness: { cookie: { name: sid, mode: prefix } }");
    let first = narrows.get("/", &[]);
    let cookie = set_cookie(&first);
    assert!(cookie.ends_with("~s~1") && cookie.len() == "sid=".len() + 22 + "~s~1".len(), "{cookie}");
    for _ in 0..6 {
        let next = narrows.get("/", &[&format!("Cookie: {cookie}; x=y")]);
        assert_eq!(told(&next), (told(&first).0, "sid=s~1; x=y".to_owned()));
    }
}

#[test]
fn two_processes_with_one_secret_know_each_others_cookies() {
    let servers = servers();
    let [a, b, c] = &servers;
    let secret = "a secret that both of them have\n";
    let begin = |stickiness: &str, content: &str| {
        let folder = Folder::new();
        folder.write("cookie.key", content);
        Narrows::start_in(folder, &yaml("", &[a, b, c], stickiness), &["--workers", "1"])
    };
    let keys = "stickiness: { cookie: { secret: cookie.key } }";
    let (one, two) = (begin(keys, secret), begin(keys, secret));
    let stranger = begin("stickiness: cookie", "");
    let first = one.get("/", &[]);
    let line = format!("Cookie: {}", set_cookie(&first));
    for _ in 0..4 {
        let there = two.get("/", &[&line]);
        assert_eq!((told(&there).0, there.header("set-cookie")), (told(&first).0, None));
    }
    assert!(stranger.get("/", &[&line]).header("set-cookie").is_some());
}

#[test]
fn a_secret_that_cannot_be_used_is_an_error_before_anything_listens() {
    let folder = Folder::new();
    folder.write("cookie.key", "short\n");
    let text = yaml("", &[&"127.0.0.1:9"], "stickiness: { cookie: { secret: cookie.key } }");
    let path = folder.write("narrows.yaml", &text);
    for command in ["check", "run"] {
        let output = narrows_conformance::narrows::command_line(&[command, &path]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success());
        assert!(said.contains("cookie.key") && said.contains("16 are needed"), "{said}");
    }
}

#[test]
fn who_loses_its_server_stays_with_the_next_and_a_table_may_bring_it_back() {
    for (stickiness, returns) in [
        ("cookie", false),
        ("{ key: '${request.headers[\"x-user\"]}' }", false),
        ("{ key: '${request.headers[\"x-user\"]}', return: true }", true),
    ] {
        let [a, b, c] = servers();
        let mut servers = [Some(a), Some(b), Some(c)];
        let addresses =
            servers.each_ref().map(|server| server.as_ref().map(ToString::to_string).unwrap_or_default());
        let endpoints = addresses.each_ref().map(|address| address as &dyn Display);
        let narrows =
            Narrows::start(&yaml("", &endpoints, &format!("passive: off\nstickiness: {stickiness}")));
        let mut cookie = "a=b".to_owned();
        let mut ask = || {
            let answer = narrows.get("/", &["X-User: alice", &format!("Cookie: {cookie}")]);
            assert_eq!(answer.status(), 200);
            if answer.header("set-cookie").is_some() {
                cookie = set_cookie(&answer);
            }
            told(&answer).0
        };
        let first = ask();
        assert_eq!(ask(), first);
        let index = usize::from(first.as_bytes()[0] - b'a');
        servers[index] = None;
        until("the server refuses connections", || std::net::TcpStream::connect(&addresses[index]).is_err());
        let next = ask();
        assert_ne!(next, first, "{stickiness}");
        assert!((0..4).all(|_| ask() == next), "{stickiness}");
        servers[index] = Some(named_with(&addresses[index], ["a", "b", "c"][index], ""));
        // Without checks nobody noticed that it was away: with `return` the next request finds it.
        let expected = if returns { &first } else { &next };
        assert!((0..4).all(|_| ask() == *expected), "{stickiness}");
    }
}

#[test]
fn who_may_not_move_is_told_that_its_server_is_down() {
    let servers = servers();
    let [a, b, c] = &servers;
    let resting = format!("{{ address: \"{a}\", state: maintenance }}");
    let narrows = Narrows::start(&yaml(
        "",
        &[&resting, b, c],
        "stickiness: { cookie: { value: address }, fail_over: false }",
    ));
    let answer = narrows.get("/", &[&format!("Cookie: narrows={a}")]);
    answer.assert_proxy_error(503, "destination_unavailable");
    assert!(answer.header("proxy-status").is_some_and(|value| value.contains("sticky-endpoint-down")));
    assert_eq!(narrows.get("/", &[]).status(), 200);
    assert_eq!(
        narrows.get("/", &["Cookie: narrows=192.0.2.1:80"]).status(),
        200,
        "nobody waits for a stranger"
    );
}

#[test]
fn who_finds_its_server_full_moves_or_waits_as_it_is_configured() {
    for fails_over in [true, false] {
        let (release, released) = channel::<()>();
        let released = Mutex::new(released);
        let busy = Backend::respond(move |request| {
            if request.target() == "/hold" {
                let _ = released.lock().expect("no poison").recv();
            }
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na ".to_vec()
        });
        let other = named("b");
        let keys = format!(
            "stickiness: {{ cookie: {{ value: address }}, fail_over: {fails_over} }}\nlimits: {{ requests: 1, queue: {{ timeout: 1m }} }}"
        );
        let narrows = Narrows::start(&yaml("", &[&busy, &other], &keys));
        let cookie = format!("Cookie: narrows={busy}\r\n");
        let request = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n{cookie}\r\n");
        let mut holding = narrows.web();
        holding.send(request("/hold"));
        until("the server is full", || !busy.requests().is_empty());
        let mut next = narrows.web();
        next.send(request("/"));
        if fails_over {
            let answer = next.final_response("GET");
            assert_eq!((told(&answer).0, set_cookie(&answer)), ("b".to_owned(), format!("narrows={other}")));
        } else {
            assert!(!next.anything_within(Duration::from_millis(200)), "it waits for its server");
        }
        release.send(()).expect("the server waits");
        assert_eq!(holding.final_response("GET").status(), 200);
        if !fails_over {
            assert_eq!(told(&next.final_response("GET")).0, "a");
        }
    }
}

#[test]
fn a_slow_server_is_not_hedged_for_who_sticks_to_it() {
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let slow = Backend::respond(move |_| {
        let _ = released.lock().expect("no poison").recv();
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na ".to_vec()
    });
    let other = named("b");
    let keys = "stickiness: { cookie: { value: address } }\nretries: { hedge: 50ms }";
    let narrows = Narrows::start(&yaml("", &[&slow, &other], keys));
    let mut client = narrows.web();
    client.send(format!("GET / HTTP/1.1\r\nHost: example.com\r\nCookie: narrows={slow}\r\n\r\n"));
    until("the server has the request", || !slow.requests().is_empty());
    assert!(!client.anything_within(Duration::from_millis(400)), "nobody else answers");
    release.send(()).expect("the server waits");
    assert_eq!(told(&client.final_response("GET")).0, "a");
    assert!(other.requests().is_empty());
}

#[test]
fn a_draining_server_and_one_of_weight_0_keep_their_clients_and_get_no_others() {
    let servers = servers();
    let [a, b, c] = &servers;
    let drained = format!("{{ address: \"{a}\", state: drain }}");
    let weightless = format!("{{ address: \"{b}\", weight: 0 }}");
    let keys = "stickiness: { cookie: { value: address } }";
    let narrows = Narrows::start(&yaml("", &[&drained, &weightless, c], keys));
    for _ in 0..5 {
        assert_eq!(who(&narrows, &[]), "c");
        for (server, name) in servers.iter().zip(["a", "b", "c"]) {
            assert_eq!(who(&narrows, &[&format!("Cookie: narrows={server}")]), name);
        }
    }
}

#[test]
fn a_session_is_learned_from_the_answer_that_begins_it() {
    /// A server of sessions: `/login/ID` begins one.
    fn server(name: &'static str) -> Backend {
        Backend::respond(move |request| {
            let session = request.target().strip_prefix("/login/");
            let line = session.map(|id| format!("Set-Cookie: sid={id}; Path=/\r\n")).unwrap_or_default();
            format!("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n{line}\r\n{name} ").into_bytes()
        })
    }
    let servers = ["a", "b", "c"].map(server);
    let keys = "stickiness:\n  learn: { response: '${response.cookies[\"sid\"]}', request: '${request.cookies[\"sid\"]}' }\n  size: 1000\n  expire: 10m";
    let narrows = start(&servers, keys);
    let mut homes = BTreeSet::new();
    for id in 0..6 {
        let home = told(&narrows.get(&format!("/login/{id}"), &[])).0;
        for _ in 0..4 {
            assert_eq!(who(&narrows, &[&format!("Cookie: sid={id}")]), home);
        }
        homes.insert(home);
    }
    assert_eq!(homes.len(), 3, "{homes:?}");
    let strangers: BTreeSet<_> = (0..6).map(|_| who(&narrows, &["Cookie: sid=unknown"])).collect();
    assert_eq!(strangers.len(), 3, "what no server told is no session: {strangers:?}");
}

#[test]
fn the_address_of_a_client_sticks_for_http_flows_and_datagrams() {
    let servers = servers();
    let [a, b, c] = &servers;
    for protocol in ["http", "tcp"] {
        let text = yaml(&format!("protocol: {protocol}"), &[a, b, c], "stickiness: { key: source }");
        let narrows = Narrows::start_in(Folder::new(), &text, &["--workers", "2"]);
        let ask = |host: u8| {
            let mut curl = Command::new(tool("curl"));
            curl.args(["-sS", "--max-time", "20", "--interface", &format!("127.0.0.{host}")]);
            output_of(curl.arg(format!("http://{}/", narrows.address("web"))))
        };
        let mut seen = BTreeSet::new();
        for host in 2..14 {
            let first = ask(host);
            assert!((0..3).all(|_| ask(host) == first), "{protocol}: 127.0.0.{host} moved");
            seen.insert(first);
        }
        assert_eq!(seen.len(), 3, "{protocol}: {seen:?}");
    }
    let servers = ["a", "b", "c"].map(DatagramServer::named);
    let [a, b, c] = &servers;
    let text = yaml("protocol: udp", &[a, b, c], "stickiness: { key: source }");
    let narrows = Narrows::start_in(Folder::new(), &text, &["--workers", "2"]);
    let address = narrows.address("web").parse().expect("an address");
    let mut seen = BTreeSet::new();
    for host in 2..14 {
        // Each from a port of its own: a session of its own.
        let ask = || DatagramClient::from_address(&format!("127.0.0.{host}:0"), address).exchange("x");
        let first = ask();
        assert!((0..3).all(|_| ask() == first), "127.0.0.{host} moved");
        seen.insert(first);
    }
    assert_eq!(seen.len(), 3, "{seen:?}");
}

#[test]
fn a_route_chooses_among_the_endpoints_with_its_labels() {
    let servers = servers();
    let labelled = |server: &Backend, version: &str| {
        format!("{{ address: \"{server}\", labels: {{ version: {version} }} }}")
    };
    let [a, b, c] = &servers;
    let (old, new, newer) = (labelled(a, "v1"), labelled(b, "v2"), labelled(c, "v2"));
    let routes = "routes:\n  - path: /new\n    upstream: app\n    subset: { version: v2 }\n  - path: /asked\n    upstream: app\n    subset: { version: '${request.headers[\"x-version\"]}' }";
    let narrows =
        Narrows::start(&yaml(routes, &[&old, &new, &newer], "stickiness: { cookie: { value: address } }"));
    let ask = |path: &str, lines: &[&str]| told(&narrows.get(path, lines)).0;
    let all = |path: &str, lines: &[&str]| (0..8).map(|_| ask(path, lines)).collect::<BTreeSet<_>>();
    let set = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
    assert_eq!(all("/new", &[]), set(&["b", "c"]));
    assert_eq!(all("/asked", &["X-Version: v1"]), set(&["a"]));
    assert_eq!(all("/asked", &["X-Version: v2"]), set(&["b", "c"]));
    assert_eq!(narrows.get("/asked", &["X-Version: v3"]).status(), 503);
    assert_eq!(all("/", &[]), set(&["a", "b", "c"]));
    // A cookie does not lead out of the labels.
    assert_eq!(all("/new", &[&format!("Cookie: narrows={b}")]), set(&["b"]));
    assert_eq!(all("/new", &[&format!("Cookie: narrows={a}")]), set(&["b", "c"]));
}

#[test]
fn any_part_of_a_request_can_be_the_key_of_a_hash() {
    let servers = servers();
    let [a, b, c] = &servers;
    for balance in ["hash", "consistent-hash", "ketama", "maglev"] {
        for (key, path, line) in [
            ("request.headers[\"x-user\"]", "/", "X-User: KEY"),
            ("request.cookies[\"user\"]", "/", "Cookie: x=y; user=KEY"),
            ("request.params[\"user\"]", "/?x=y&user=KEY", "X-None: x"),
        ] {
            let keys = format!("balance: {balance}\nhash_key: '${{{key}}}'");
            let text = yaml("", &[a, b, c], &keys);
            let narrows = Narrows::start_in(Folder::new(), &text, &["--workers", "2"]);
            let ask = |user: &str| {
                let answer = narrows.get(&path.replace("KEY", user), &[&line.replace("KEY", user)]);
                told(&answer).0
            };
            let mut seen = BTreeSet::new();
            // So many that chance leaves no server without a key: the ports, and with them the hashes, are others each time.
            for user in (0..60).map(|number| format!("user{number}")) {
                let user = user.as_str();
                let first = ask(user);
                assert_eq!(ask(user), first, "{balance} {key}: {user} moved");
                seen.insert(first);
            }
            assert_eq!(seen.len(), 3, "{balance} {key}: {seen:?}");
        }
    }
}
