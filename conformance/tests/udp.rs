//! Datagrams: sessions by the client's address, their ends, their limits, and what goes wrong.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use narrows_conformance::datagrams::unreachable_address;
use narrows_conformance::{DatagramClient, DatagramServer, Narrows, Setup, until};

/// The largest payload of UDP over IPv4.
const LARGEST: usize = 65_507;

/// A client of the listener `udp`.
fn client(narrows: &Narrows) -> DatagramClient {
    DatagramClient::new(narrows.address("udp"))
}

/// The lines of the access log, which goes to the standard output as JSON.
fn records(narrows: &Narrows) -> Vec<serde_json::Value> {
    narrows.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// Waits for a record that fits and returns it.
#[track_caller]
fn record(narrows: &Narrows, fits: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    until("the record is written", || records(narrows).iter().any(&fits));
    records(narrows).into_iter().find(fits).expect("it was there")
}

fn with_log(setup: Setup) -> Setup {
    setup.settings("access_log: stdout\nlog_format: json")
}

#[test]
fn datagrams_of_every_size_pass_both_ways() {
    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, "").start();
    let client = client(&narrows);
    for size in [0, 1, 512, 1472, 1473, 9000, 65_000, LARGEST] {
        let bytes: Vec<u8> = (0..size).map(|number| (number * 7) as u8).collect();
        assert!(client.exchange(&bytes) == bytes, "{size} bytes");
    }
    assert_eq!(server.sessions().len(), 1);
}

#[test]
fn each_client_has_a_session_of_its_own_and_keeps_it() {
    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, "").start();
    let (one, two) = (client(&narrows), client(&narrows));
    for _ in 0..3 {
        assert_eq!((one.exchange("one"), two.exchange("two")), (b"one".to_vec(), b"two".to_vec()));
    }
    assert_eq!(server.sessions().len(), 2);
    // What nobody asked for goes to whose session it is.
    server.send(server.sessions()[1], b"pushed");
    assert_eq!(two.receive(), b"pushed");
    assert!(!one.hears_within(Duration::from_millis(50)));
}

#[test]
fn a_stranger_cannot_answer_in_the_place_of_the_endpoint() {
    let (server, stranger) = (DatagramServer::echo(), DatagramServer::echo());
    let narrows = Setup::udp(&server, "").start();
    let client = client(&narrows);
    client.exchange("x");
    stranger.send(server.sessions()[0], b"forged");
    assert!(!client.hears_within(Duration::from_millis(100)));
}

#[test]
fn ipv6_passes_on_either_side() {
    let (six, four) =
        (DatagramServer::script_at("[::1]:0", |bytes| vec![bytes.to_vec()]), DatagramServer::echo());
    for server in [&six, &four] {
        for bind in ["[::1]:0", "127.0.0.1:0"] {
            let narrows = Setup::udp(server, &format!("bind: \"{bind}\"")).start();
            assert_eq!(client(&narrows).exchange("x"), b"x", "{bind} to {server}");
        }
    }
}

#[test]
fn answers_leave_from_the_address_that_was_asked() {
    let server = DatagramServer::echo();
    for bind in ["0.0.0.0:0", "[::]:0"] {
        let narrows = Setup::udp(&server, &format!("bind: \"{bind}\"")).start();
        let port = narrows.port("udp");
        let mut targets = vec![format!("127.0.0.1:{port}"), format!("127.0.0.77:{port}")];
        if bind == "[::]:0" {
            targets.push(format!("[::1]:{port}"));
        }
        for target in targets {
            // The client asserts where answers come from.
            assert_eq!(DatagramClient::new(&target).exchange("x"), b"x", "{bind} {target}");
        }
    }
}

#[test]
fn one_client_that_asks_two_of_our_addresses_has_two_sessions() {
    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, "bind: \"0.0.0.0:0\"").start();
    let port = narrows.port("udp");
    let one = DatagramClient::from_address("127.0.0.1:0", ([127, 0, 0, 1], port).into());
    one.exchange("x");
    let address = one.address().to_string();
    drop(one);
    DatagramClient::from_address(&address, ([127, 0, 0, 2], port).into()).exchange("x");
    assert_eq!(server.sessions().len(), 2);
}

#[test]
fn many_clients_of_several_workers_keep_their_sessions() {
    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, "").workers(3).start();
    let clients: Vec<DatagramClient> = (0..400).map(|_| client(&narrows)).collect();
    for round in 0..4 {
        for (number, client) in clients.iter().enumerate() {
            client.send(format!("{round} {number}"));
        }
        for (number, client) in clients.iter().enumerate() {
            assert_eq!(client.receive(), format!("{round} {number}").as_bytes());
        }
    }
    assert_eq!(server.sessions().len(), 400);
}

#[test]
fn a_stream_of_numbered_packets_loses_none_and_keeps_their_order() {
    // As RTP: 20 ms of G.711 are 172 bytes; the window stands for the clock.
    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, "").start();
    let client = client(&narrows);
    let (packets, window) = (20_000_u32, 64);
    let packet = |number: u32| [&number.to_be_bytes()[..], &[0x80; 168]].concat();
    (0..window).for_each(|number| client.send(packet(number)));
    for number in 0..packets {
        let received = client.receive();
        let which = u32::from_be_bytes(received[..4].try_into().unwrap());
        assert_eq!((which, received.len()), (number, 172), "lost or out of order");
        if number + window < packets {
            client.send(packet(number + window));
        }
    }
    assert_eq!(server.sessions().len(), 1);
}

#[test]
fn a_session_ends_when_nothing_moves_and_is_recorded() {
    let server = DatagramServer::echo();
    let narrows = with_log(Setup::udp(&server, "timeouts: { idle: 300ms }")).start();
    let client = client(&narrows);
    client.exchange("four");
    client.exchange("four");
    let ended = record(&narrows, |record| record["listener"] == "udp");
    assert_eq!((&ended["method"], &ended["upstream"]), (&"UDP".into(), &"app".into()));
    assert_eq!((&ended["bytes_received"], &ended["bytes_sent"]), (&8.into(), &8.into()));
    assert_eq!((&ended["datagrams_received"], &ended["datagrams_sent"]), (&2.into(), &2.into()));
    assert_eq!((&ended["datagrams_dropped"], &ended["fault"]), (&0.into(), &serde_json::Value::Null));
    client.exchange("x");
    assert_eq!(server.sessions().len(), 2);
}

#[test]
fn a_session_on_which_one_side_speaks_is_not_idle() {
    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, "timeouts: { idle: 600ms }").start();
    let client = client(&narrows);
    client.exchange("x");
    let session = server.sessions()[0];
    for _ in 0..15 {
        assert!(!client.hears_within(Duration::from_millis(80)));
        server.send(session, b"news");
        assert_eq!(client.receive(), b"news", "a server that speaks each 80 ms is not idle");
    }
}

#[test]
fn a_session_ends_with_the_answers_that_are_expected() {
    let server = DatagramServer::echo();
    let narrows = with_log(Setup::udp(&server, "sessions: { answers: 1 }")).start();
    let client = client(&narrows);
    for _ in 0..3 {
        client.exchange("x");
    }
    assert_eq!(server.sessions().len(), 3, "each question had a session");
    until("three records", || records(&narrows).len() == 3);
    assert!(
        records(&narrows).iter().all(|record| record["datagrams_sent"] == 1 && record["fault"].is_null())
    );
}

#[test]
fn as_many_answers_are_awaited_as_there_were_questions() {
    let mut questions = Vec::new();
    let server = DatagramServer::script(move |bytes| {
        questions.push(bytes.to_vec());
        // Silent until both are there.
        if questions.len() == 2 { questions.clone() } else { Vec::new() }
    });
    let narrows = Setup::udp(&server, "sessions: { answers: 1 }").start();
    let client = client(&narrows);
    client.send("one");
    client.send("two");
    assert_eq!((client.receive(), client.receive()), (b"one".to_vec(), b"two".to_vec()));
    assert_eq!(server.sessions().len(), 1);
}

#[test]
fn an_answer_that_never_comes_is_told() {
    let server = DatagramServer::script(|_| Vec::new());
    let keys = "sessions: { answers: 1 }\ntimeouts: { idle: 200ms }";
    let narrows = with_log(Setup::udp(&server, keys)).start();
    client(&narrows).send("x");
    record(&narrows, |record| record["fault"] == "idle-timed-out" && record["datagrams_sent"] == 0);
}

#[test]
fn further_clients_are_refused_at_the_limit_and_that_is_told_once() {
    let server = DatagramServer::echo();
    let keys = "sessions: { limit: 2 }\ntimeouts: { idle: 1s }";
    let narrows = with_log(Setup::udp(&server, keys)).start();
    let clients: Vec<DatagramClient> = (0..3).map(|_| client(&narrows)).collect();
    clients[0].exchange("x");
    clients[1].exchange("x");
    (0..50).for_each(|_| clients[2].send("x"));
    assert!(!clients[2].hears_within(Duration::from_millis(100)));
    clients[0].exchange("those that are in go on");
    let refused = |record: &serde_json::Value| record["fault"] == "session-limit";
    assert!(record(&narrows, refused)["datagrams_received"].as_u64() >= Some(1));
    assert_eq!(
        records(&narrows).iter().filter(|record| refused(record)).count(),
        1,
        "once, not for each packet"
    );
    until("a place is free", || {
        clients[2].send("y");
        clients[2].hears_within(Duration::from_millis(50))
    });
    assert!(narrows.output().contains("all sessions are taken"), "{}", narrows.output());
}

#[test]
fn an_endpoint_that_is_gone_is_noticed_and_told() {
    let narrows = with_log(Setup::udp(&unreachable_address(), "")).start();
    client(&narrows).send("x");
    let ended = record(&narrows, |record| record["fault"] == "connect-refused");
    assert_eq!((&ended["datagrams_received"], &ended["attempts"]), (&1.into(), &1.into()));
}

#[test]
fn the_first_datagram_goes_to_the_next_endpoint_when_one_is_gone() {
    let server = DatagramServer::echo();
    let (gone, also_gone) = (unreachable_address(), unreachable_address());
    let narrows = Setup::udp(&server, "").upstream("app", &[&gone, &also_gone, &server]).start();
    for number in 0..9 {
        let text = format!("sent once {number}");
        assert_eq!(client(&narrows).exchange(&text), text.as_bytes());
    }
}

#[test]
fn an_endpoint_that_goes_later_ends_the_session_and_the_next_begins_elsewhere() {
    let stays = DatagramServer::named("stays");
    let goes = DatagramServer::named("goes");
    let narrows = with_log(Setup::udp(&stays, "").upstream("app", &[&goes, &stays])).start();
    let clients: Vec<DatagramClient> = (0..2).map(|_| client(&narrows)).collect();
    let client =
        clients.into_iter().find(|client| client.exchange("x") == b"goes x").expect("they take turns");
    drop(goes);
    until("the other one answers", || {
        client.send("y");
        client.receive_within(Duration::from_millis(100)) == Some(b"stays y".to_vec())
    });
    record(&narrows, |record| {
        record["fault"] == "connect-refused" && record["datagrams_sent"].as_u64() >= Some(1)
    });
}

#[test]
fn source_and_expression_choose_the_upstream() {
    let (near, far, other) =
        (DatagramServer::named("near"), DatagramServer::named("far"), DatagramServer::named("other"));
    let keys = "protocol: udp
bind: \"127.0.0.1:0\"
routes:
  - { source: 127.0.0.5/32, upstream: near }
  - { when: 'connection.source == \"127.0.0.6\" && connection.listener == \"udp\"', upstream: far }
upstream: other";
    let narrows = Setup::new()
        .upstream("near", &[&near])
        .upstream("far", &[&far])
        .upstream("other", &[&other])
        .listener("udp", keys)
        .start();
    let to: SocketAddr = narrows.address("udp").parse().unwrap();
    for (from, answer) in [("127.0.0.5:0", "near x"), ("127.0.0.6:0", "far x"), ("127.0.0.7:0", "other x")] {
        assert_eq!(DatagramClient::from_address(from, to).exchange("x"), answer.as_bytes());
    }
}

#[test]
fn datagrams_that_no_route_takes_are_dropped_and_told_once() {
    let far = DatagramServer::echo();
    let keys = "protocol: udp\nroutes:\n  - { source: 10.0.0.0/8, upstream: far }";
    let narrows = with_log(Setup::new().upstream("far", &[&far]).listener("udp", keys)).start();
    let client = client(&narrows);
    (0..20).for_each(|_| client.send("x"));
    record(&narrows, |record| record["fault"] == "no-route");
    assert!(!client.hears_within(Duration::from_millis(50)) && far.arrivals().is_empty());
    assert_eq!(records(&narrows).len(), 1);
}

#[test]
fn hashing_keeps_a_client_address_with_its_endpoint() {
    for balance in ["hash", "consistent-hash"] {
        let servers = [DatagramServer::named("a"), DatagramServer::named("b"), DatagramServer::named("c")];
        let narrows = Setup::udp(&servers[0], "")
            .upstream_with("app", &[&servers[0], &servers[1], &servers[2]], &format!("balance: {balance}"))
            .workers(2)
            .start();
        let to: SocketAddr = narrows.address("udp").parse().unwrap();
        let mut seen = BTreeSet::new();
        for host in 1..60 {
            let ask = || DatagramClient::from_address(&format!("127.0.0.{host}:0"), to).exchange("x");
            let first = ask();
            assert!((0..3).all(|_| ask() == first), "{balance}: another port of 127.0.0.{host} moved");
            seen.insert(first);
        }
        assert_eq!(seen.len(), 3, "{balance}: each endpoint has clients");
    }
}

#[test]
fn a_drain_finishes_sessions_that_move_and_ends_quiet_ones() {
    let server = DatagramServer::echo();
    let mut narrows = with_log(Setup::udp(&server, "")).start();
    let (moving, quiet) = (client(&narrows), client(&narrows));
    moving.exchange("x");
    quiet.exchange("x");
    narrows.signal("TERM");
    until("the drain began", || narrows.output().contains("draining"));
    for _ in 0..10 {
        assert_eq!(moving.exchange("still here"), b"still here");
        assert!(!moving.hears_within(Duration::from_millis(50)));
    }
    assert!(narrows.is_running());
    assert!(narrows.wait_for_exit().success());
    assert_eq!(records(&narrows).len(), 2);
}

#[test]
fn what_sessions_moved_is_told_when_the_process_is_stopped() {
    let server = DatagramServer::echo();
    let mut narrows = with_log(Setup::udp(&server, "").settings("drain: 300ms")).start();
    client(&narrows).exchange("x");
    narrows.signal("TERM");
    assert!(narrows.wait_for_exit().success());
    assert_eq!(records(&narrows).len(), 1);
}

#[test]
fn running_out_of_descriptors_refuses_new_clients_and_keeps_the_others() {
    let server = DatagramServer::echo();
    let narrows = with_log(Setup::udp(&server, "")).start_with_open_files(64);
    let clients: Vec<DatagramClient> = (0..80).map(|_| client(&narrows)).collect();
    clients[0].exchange("x");
    clients.iter().for_each(|client| client.send("y"));
    record(&narrows, |record| record["fault"] == "resources-exhausted");
    assert_eq!(clients[0].receive(), b"y");
    assert_eq!(clients[0].exchange("z"), b"z");
}

#[test]
fn a_datagram_that_the_other_side_cannot_carry_is_told() {
    // IPv6 does not count its header and carries 20 bytes more than IPv4.
    let server = DatagramServer::echo();
    let keys = "bind: \"[::1]:0\"\ntimeouts: { idle: 300ms }";
    let narrows = with_log(Setup::udp(&server, keys)).start();
    let client = client(&narrows);
    client.send(vec![7; LARGEST + 20]);
    let ended = record(&narrows, |record| record["fault"] == "datagram-too-large");
    assert_eq!((&ended["datagrams_received"], &ended["datagrams_dropped"]), (&1.into(), &1.into()));
    assert_eq!(client.exchange(vec![7; LARGEST]).len(), LARGEST);
}

#[test]
fn tcp_and_udp_share_a_port_number() {
    let (server, port) = (DatagramServer::echo(), narrows_conformance::servers::free_port());
    let bind = format!("bind: \"127.0.0.1:{port}\"");
    let narrows = Setup::udp(&server, &bind)
        .listener("web", &format!("{bind}\nroutes:\n  - respond: {{ status: 200, body: tcp }}"))
        .start();
    assert_eq!(client(&narrows).exchange("x"), b"x");
    assert_eq!(narrows.get("/", &[]).text(), "tcp");
}
