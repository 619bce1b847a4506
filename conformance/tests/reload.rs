//! A configuration takes the place of another one while traffic flows.

use narrows_conformance::backend::ok;
use narrows_conformance::{Backend, Connection, DatagramClient, DatagramServer, Http2, Narrows, until};

fn named(name: &'static str) -> Backend {
    Backend::respond(move |_| ok(name))
}

/// One listener `web` on any port, whose route `/` goes to these endpoints.
fn to(endpoints: &[&Backend], further: &str) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(|backend| backend.address()).collect();
    format!(
        "listeners:\n  web:\n    bind: 127.0.0.1:0\n    upstream: app\n{further}upstreams:\n  app:\n    endpoints: [{}]\n",
        endpoints.join(", ")
    )
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn get(connection: &mut Connection) -> String {
    connection.exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text()
}

#[test]
fn the_next_request_on_an_open_connection_belongs_to_the_new_configuration() {
    let (one, two) = (named("one"), named("two"));
    let narrows = Narrows::start(&to(&[&one], ""));
    let mut client = narrows.web();
    assert_eq!(get(&mut client), "one");
    narrows.reload(&to(&[&two], ""));
    assert_eq!(get(&mut client), "two");
}

#[test]
fn a_wrong_configuration_changes_nothing_and_the_operator_is_told_why() {
    let one = named("one");
    let narrows = Narrows::start(&to(&[&one], ""));
    let mut client = narrows.web();
    for wrong in ["listeners: {", "listeners: { web: { bind: nowhere, upstream: app } }", ""] {
        let before = narrows.output().matches("narrows: not reloaded").count();
        narrows.folder.write("narrows.yaml", wrong);
        narrows.signal("HUP");
        until("it is refused", || narrows.output().matches("narrows: not reloaded").count() > before);
        assert_eq!(get(&mut client), "one");
    }
    assert!(narrows.output().contains("narrows.yaml:1:"), "{}", narrows.output());
}

#[test]
fn an_address_that_is_taken_refuses_the_whole_configuration() {
    let one = named("one");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let narrows = Narrows::start(&to(&[&one], ""));
    let further = format!("  other:\n    bind: {}\n    upstream: app\n", taken.local_addr().unwrap());
    narrows.folder.write("narrows.yaml", to(&[&one], &further));
    narrows.signal("HUP");
    until("it is refused", || narrows.output().contains("narrows: not reloaded"));
    assert!(narrows.output().contains("another process listens there"), "{}", narrows.output());
    assert_eq!(get(&mut narrows.web()), "one");
}

#[test]
fn listeners_come_and_go_and_the_others_notice_nothing() {
    let one = named("one");
    let narrows = Narrows::start(&to(&[&one], ""));
    let mut stays = narrows.web();
    assert_eq!(get(&mut stays), "one");
    narrows.reload(&to(&[&one], "  other:\n    bind: 127.0.0.1:0\n    upstream: app\n"));
    let other = narrows.new_address("other");
    let mut leaves = Connection::connect(&other);
    assert_eq!(get(&mut leaves), "one");
    narrows.reload(&to(&[&one], ""));
    leaves.expect_end();
    until("nobody listens there", || std::net::TcpStream::connect(&other).is_err());
    assert_eq!(get(&mut stays), "one");
    assert_eq!(narrows.output().matches("listening on 127.0.0.1").count(), 3, "{}", narrows.output());
}

#[test]
fn a_request_that_runs_ends_as_it_began_even_when_its_listener_goes() {
    let slow = Backend::script(|mut connection, _| {
        connection.next_request_head();
        connection.send("HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf");
        connection.read_until(b"go");
        connection.send("half");
    });
    let one = named("one");
    let yaml = |listeners: &str| {
        let (one, slow) = (one.address(), slow.address());
        let upstreams = format!("app: {{ endpoints: [{one}] }}, slow: {{ endpoints: [{slow}] }}");
        format!(
            "listeners:\n  web: {{ bind: \"127.0.0.1:0\", upstream: app }}\n{listeners}upstreams: {{ {upstreams} }}\n"
        )
    };
    let narrows = Narrows::start(&yaml("  other: { bind: \"127.0.0.1:0\", upstream: slow }\n"));
    let mut client = narrows.connect("other");
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    client.read_until(b"half");
    narrows.reload(&yaml(""));
    client.send("go");
    client.read_until(b"half");
    client.expect_end();
}

#[test]
fn connections_to_endpoints_that_stay_are_kept_and_so_is_what_is_known_of_them() {
    let (one, two) = (Backend::respond(|_| ok("one")), named("two"));
    let status = "  status:\n    bind: 127.0.0.1:0\n    routes: [ { path: /*, status: upstreams } ]\n";
    let narrows = Narrows::start(&to(&[&one], status));
    for _ in 0..3 {
        narrows.get("/", &[]);
    }
    narrows.reload(&to(&[&one, &two], status));
    let mut told: Vec<String> = (0..4).map(|_| narrows.get("/", &[]).text()).collect();
    told.sort();
    assert_eq!(told, ["one", "one", "two", "two"]);
    until("five requests are counted", || narrows.state_of("app")["endpoints"][0]["requests_total"] == 5);
    assert_eq!(one.connections(), 1, "the pooled connection was used again");
}

#[test]
fn an_http2_connection_goes_on_and_one_of_a_listener_that_goes_is_told_so() {
    let (one, two) = (named("one"), named("two"));
    let narrows = Narrows::start(&to(&[&one], "  other:\n    bind: 127.0.0.1:0\n    upstream: app\n"));
    let mut stays = Http2::connect(narrows.address("web"));
    let mut leaves = Http2::connect(narrows.address("other"));
    assert_eq!(stays.get("/").text(), "one");
    assert_eq!(leaves.get("/").text(), "one");
    narrows.reload(&to(&[&two], ""));
    assert_eq!(stays.get("/").text(), "two");
    assert_eq!(leaves.end().map(|(_, code)| code), Some(0), "it is told to go, without a fault");
}

#[test]
fn a_tcp_flow_stays_where_it_is() {
    let (one, two) = (Backend::echo(), named("two"));
    let yaml = |backend: &Backend| {
        format!(
            "listeners:\n  tcp: {{ bind: \"127.0.0.1:0\", protocol: tcp, upstream: app }}\nupstreams:\n  app: {{ endpoints: [{}] }}\n",
            backend.address()
        )
    };
    let narrows = Narrows::start(&yaml(&one));
    let mut flow = narrows.connect("tcp");
    flow.send("before");
    flow.read_until(b"before");
    narrows.reload(&yaml(&two));
    flow.send("after");
    flow.read_until(b"after");
    assert_eq!(get(&mut narrows.connect("tcp")), "two");
}

#[test]
fn a_udp_session_stays_and_a_new_one_goes_where_the_new_configuration_says() {
    let (one, two) = (DatagramServer::named("one"), DatagramServer::named("two"));
    let yaml = |server: &DatagramServer| {
        format!(
            "listeners:\n  udp: {{ bind: \"127.0.0.1:0\", protocol: udp, upstream: app }}\nupstreams:\n  app: {{ endpoints: [{}] }}\n",
            server.address()
        )
    };
    let narrows = Narrows::start(&yaml(&one));
    let old = DatagramClient::new(narrows.address("udp"));
    assert!(text(&old.exchange("?")).starts_with("one"));
    narrows.reload(&yaml(&two));
    assert!(text(&old.exchange("?")).starts_with("one"));
    assert!(text(&DatagramClient::new(narrows.address("udp")).exchange("?")).starts_with("two"));
}
