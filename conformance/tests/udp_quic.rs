//! QUIC that passes through: two names on one port, hellos of every size, clients that move, garbage.

use std::net::SocketAddr;
use std::time::Duration;

use narrows_conformance::servers::quic::{QuicClient, QuicServer};
use narrows_conformance::{DatagramClient, DatagramServer, Narrows, Setup, until};

/// Three services on one port: two names with two servers each, and a default.
struct House {
    narrows: Narrows,
    _servers: Vec<QuicServer>,
}

fn house() -> House {
    let servers: Vec<QuicServer> = ["a1", "a2", "b1", "b2", "other"].map(QuicServer::start).into();
    let keys = "protocol: udp
bind: \"0.0.0.0:0\"
quic: true
timeouts: { idle: 3s }
routes:
  - { name: a, sni: a.example.com, upstream: a }
  - { name: b, sni: \"*.b.example.com\", alpn: h3, upstream: b }
upstream: other";
    let narrows = Setup::new()
        .upstream("a", &[&servers[0], &servers[1]])
        .upstream("b", &[&servers[2], &servers[3]])
        .upstream("other", &[&servers[4]])
        .listener("quic", keys)
        .settings("access_log: stdout\nlog_format: json")
        .workers(2)
        .start();
    House { narrows, _servers: servers }
}

impl House {
    fn port(&self) -> u16 {
        self.narrows.port("quic")
    }
}

/// The server that answered all questions of one connection, which must be one.
#[track_caller]
fn only_server(answers: &[String]) -> String {
    let servers: Vec<&str> = answers.iter().filter_map(|answer| answer.split(' ').next()).collect();
    let connections: Vec<&str> = answers.iter().filter_map(|answer| answer.split(' ').nth(1)).collect();
    assert!(servers.iter().all(|server| *server == servers[0]), "{answers:?}");
    assert!(connections.iter().all(|connection| *connection == connections[0]), "{answers:?}");
    servers[0].to_owned()
}

#[test]
fn names_and_protocols_choose_among_services_of_one_port() {
    let house = house();
    let ask =
        |name, alpn| only_server(&QuicClient { alpn, ..QuicClient::new(name) }.run(house.port(), &["stay"]));
    assert!(ask("a.example.com", "h3").starts_with('a'));
    assert!(ask("x.b.example.com", "h3").starts_with('b'));
    assert_eq!(ask("x.b.example.com", "other"), "other");
    assert_eq!(ask("c.example.com", "h3"), "other");
    until("the record tells name and route", || {
        let output = house.narrows.output();
        ["\"host\":\"a.example.com\"", "\"route\":\"b\"", "\"method\":\"QUIC\""]
            .iter()
            .all(|text| output.contains(text))
    });
}

#[test]
fn a_hello_that_takes_several_datagrams_and_the_second_version_are_understood() {
    let house = house();
    for (version, extra) in [(1, 1500), (1, 4000), (2, 0), (2, 2500)] {
        let client = QuicClient { version, extra, ..QuicClient::new("a.example.com") };
        let server = only_server(&client.run(house.port(), &["stay"]));
        assert!(server.starts_with('a'), "version {version}, {extra} bytes more: {server}");
    }
}

#[test]
fn a_client_whose_address_changes_stays_with_its_server() {
    let house = house();
    // Several times, so that the other server would be met if it were chance.
    for _ in 0..3 {
        let steps = ["move:127.0.0.1", "move:127.0.0.44", "stay", "move:127.0.0.45"];
        let server = only_server(&QuicClient::new("a.example.com").run(house.port(), &steps));
        assert!(server.starts_with('a'));
    }
}

#[test]
fn a_client_that_renames_its_server_and_moves_stays_with_it() {
    let house = house();
    for _ in 0..3 {
        let steps = ["rename", "move:127.0.0.46", "rename", "rename", "move:127.0.0.47", "move:127.0.0.47"];
        only_server(&QuicClient::new("x.b.example.com").run(house.port(), &steps));
    }
}

#[test]
fn two_connections_through_one_socket_go_to_the_servers_of_their_names() {
    let house = house();
    let answers = QuicClient::new("a.example.com").run(house.port(), &["second:x.b.example.com", "stay"]);
    assert_eq!(answers.len(), 5, "{answers:?}");
    for line in &answers[1..4] {
        let words: Vec<&str> = line.split(' ').collect();
        assert!(words[0].starts_with('b') && words[3].starts_with('a'), "{answers:?}");
    }
    only_server(&[answers[0].clone(), answers[4].clone()]);
}

#[test]
fn garbage_begins_nothing_and_disturbs_nobody() {
    let server = DatagramServer::echo();
    let keys = "protocol: udp
quic: true
timeouts: { peek: 300ms }
routes:
  - { sni: a.example.com, upstream: a }";
    let narrows = Setup::new()
        .upstream("a", &[&server])
        .listener("quic", keys)
        .settings("access_log: stdout\nlog_format: json")
        .start();
    let client = DatagramClient::new(narrows.address("quic"));
    let mut noise = 7_u32;
    let mut random = |length: usize| -> Vec<u8> {
        (0..length)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .collect()
    };
    for round in 0..300 {
        let mut bytes = random([0, 1, 5, 20, 400, 1200, 1400, 9000][round % 8]);
        // Half of them look like Initial packets of version 1.
        if round % 2 == 0 {
            let head = [0xc0 | (round as u8 & 0x3f), 0, 0, 0, 1, 8];
            bytes.splice(..bytes.len().min(6), head);
        }
        client.send(&bytes);
    }
    until("garbage is told", || narrows.output().contains("quic-initial-invalid"));
    let told = narrows.output().lines().filter(|line| line.contains("quic-initial-invalid")).count();
    assert_eq!(told, 1, "once, not for each packet");
    assert!(!client.hears_within(Duration::from_millis(100)) && server.arrivals().is_empty());
}

#[test]
fn packets_of_connections_from_before_a_restart_go_where_the_hash_says() {
    let servers = [DatagramServer::named("a"), DatagramServer::named("b"), DatagramServer::named("c")];
    let start = || {
        Setup::new()
            .upstream_with("app", &[&servers[0], &servers[1], &servers[2]], "balance: consistent-hash")
            .listener("quic", "protocol: udp\nquic: true\nupstream: app")
            .start()
    };
    let short_header = [&[0x43][..], &[9; 40]].concat();
    let ask = |narrows: &Narrows, host: u8| {
        let to: SocketAddr = narrows.address("quic").parse().unwrap();
        let client = DatagramClient::from_address(&format!("127.0.0.{host}:0"), to);
        client.exchange(&short_header)[0]
    };
    let hosts = 2..12;
    let before = start();
    let homes: Vec<u8> = hosts.clone().map(|host| ask(&before, host)).collect();
    drop(before);
    let after = start();
    assert_eq!(hosts.map(|host| ask(&after, host)).collect::<Vec<u8>>(), homes);
}

#[test]
fn a_hello_that_never_ends_is_let_go_of() {
    // The first datagram of a long hello, captured from aioquic; the others never come.
    let flight = include_str!("../../crates/narrows-quic/src/tests/long.hex");
    let line = flight.lines().next().unwrap();
    let first: Vec<u8> =
        (0..line.len()).step_by(2).map(|at| u8::from_str_radix(&line[at..at + 2], 16).unwrap()).collect();
    let server = DatagramServer::echo();
    let keys = "protocol: udp\nquic: true\ntimeouts: { peek: 200ms }\nroutes:\n  - { sni: a.example.com, upstream: a }";
    let narrows = Setup::new()
        .upstream("a", &[&server])
        .listener("quic", keys)
        .settings("access_log: stdout\nlog_format: json")
        .start();
    DatagramClient::new(narrows.address("quic")).send(&first);
    until("it is told", || narrows.output().contains("client-hello-timed-out"));
    assert!(server.arrivals().is_empty());
}
