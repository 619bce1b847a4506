//! The PROXY protocol in front of datagrams: what is told to endpoints, and what is believed of a proxy in front.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use narrows_conformance::datagrams::unreachable_address;
use narrows_conformance::proxy_header::{Received, SIGNATURE, binary, proxy, with_checksum};
use narrows_conformance::servers::quic::{QuicClient, QuicServer};
use narrows_conformance::{DatagramClient, DatagramServer, Narrows, Setup, until};

const DATAGRAM: u8 = 2;
const REQUIRED: &str = "proxy_protocol: { mode: required, sources: [127.0.0.0/30] }";
const ALLOWED: &str = "proxy_protocol: { mode: allowed, sources: [127.0.0.0/30] }";
/// An address that is not among the sources.
const STRANGER: &str = "127.0.0.9:0";

/// A client of the listener `udp`.
fn client(narrows: &Narrows) -> DatagramClient {
    DatagramClient::new(narrows.address("udp"))
}

fn records(narrows: &Narrows) -> Vec<serde_json::Value> {
    narrows.output().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[track_caller]
fn record(narrows: &Narrows, fits: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    until("the record is written", || records(narrows).iter().any(&fits));
    records(narrows).into_iter().find(fits).expect("it was there")
}

fn with_log(setup: Setup) -> Setup {
    setup.settings("access_log: stdout\nlog_format: json")
}

/// The upstream `app` is told who the client is.
fn telling(server: &DatagramServer, keys: &str) -> Setup {
    Setup::udp(server, keys).upstream_with("app", &[server], "proxy_protocol: v2")
}

/// The header in front of a datagram, and the payload.
#[track_caller]
fn split(datagram: &[u8]) -> (Received, &[u8]) {
    assert!(datagram.len() >= 16, "{datagram:?} has no header");
    let length = 16 + usize::from(u16::from_be_bytes([datagram[14], datagram[15]]));
    (Received::read(&datagram[..length]), &datagram[length..])
}

/// A datagram of a client, as a proxy in front passes it on.
fn from_client(source: &str, payload: impl AsRef<[u8]>) -> Vec<u8> {
    [&proxy(DATAGRAM, source, "192.0.2.1:53", &[])[..], payload.as_ref()].concat()
}

/// Answers with the payload behind the header.
fn unwrapping() -> DatagramServer {
    DatagramServer::script(|bytes| vec![split(bytes).1.to_vec()])
}

#[test]
fn every_datagram_to_the_endpoint_begins_with_the_header() {
    let server = unwrapping();
    let narrows = telling(&server, "").start();
    let client = client(&narrows);
    let sizes = [0, 1, 512, 1200, 1472, 9000, 65_000];
    for size in sizes {
        let bytes: Vec<u8> = (0..size).map(|number| (number * 7) as u8).collect();
        assert!(client.exchange(&bytes) == bytes, "{size} bytes");
    }
    assert_eq!(server.sessions().len(), 1);
    for (arrival, size) in server.arrivals().iter().zip(sizes) {
        let (header, payload) = split(&arrival.bytes);
        assert_eq!((header.command, header.family, header.checked), (0x21, 0x12, true));
        assert_eq!(header.ends, Some((client.address(), narrows.address("udp").parse().unwrap())));
        assert_eq!((header.tlvs, payload.len()), (Vec::new(), size));
    }
}

#[test]
fn the_address_that_the_client_asked_is_told() {
    let server = unwrapping();
    let narrows = telling(&server, "bind: \"[::]:0\"").start();
    let port = narrows.port("udp");
    for (target, family) in [("127.0.0.1", 0x12), ("127.0.0.77", 0x12), ("[::1]", 0x22)] {
        let target = format!("{target}:{port}");
        let client = DatagramClient::new(&target);
        assert_eq!(client.exchange("x"), b"x");
        let arrivals = server.arrivals();
        let (header, _) = split(&arrivals.last().unwrap().bytes);
        assert_eq!(header.family, family, "{target}");
        assert_eq!(header.ends, Some((client.address(), target.parse().unwrap())));
    }
}

#[test]
fn the_next_endpoint_is_told_as_well() {
    let server = unwrapping();
    let (gone, also_gone) = (unreachable_address(), unreachable_address());
    let endpoints: [&dyn std::fmt::Display; 3] = [&gone, &also_gone, &server];
    let narrows = Setup::udp(&server, "").upstream_with("app", &endpoints, "proxy_protocol: v2").start();
    for number in 0..9 {
        let text = format!("sent once {number}");
        assert_eq!(client(&narrows).exchange(&text), text.as_bytes());
    }
}

#[test]
fn a_datagram_that_has_no_room_for_the_header_is_dropped_and_told() {
    let server = unwrapping();
    let narrows = with_log(telling(&server, "timeouts: { idle: 300ms }")).start();
    let client = client(&narrows);
    // 28 bytes of header and addresses, 7 of its checksum.
    client.send(vec![7; 65_507 - 34]);
    client.send("small");
    assert_eq!(client.receive(), b"small");
    let ended = record(&narrows, |record| record["fault"] == "datagram-too-large");
    assert_eq!((&ended["datagrams_received"], &ended["datagrams_dropped"]), (&2.into(), &1.into()));
    assert_eq!(client.exchange(vec![7; 65_507 - 35]).len(), 65_507 - 35);
    assert!(server.arrivals().iter().all(|arrival| arrival.bytes.len() != 65_507 - 34 + 28));
}

#[test]
fn streams_pass_two_proxies_joined_and_each_packet_keeps_its_header() {
    // The first proxy joins what it sends, so the second receives joined datagrams with a header in each.
    let server = unwrapping();
    let inner = telling(&server, REQUIRED).start();
    let outer = Setup::udp(&inner.address("udp"), "")
        .upstream_with("app", &[&inner.address("udp")], "proxy_protocol: v2")
        .start();
    let clients = [client(&outer), client(&outer)];
    let (packets, window) = (4000_u32, 64);
    let packet = |number: u32| [&number.to_be_bytes()[..], &[0x80; 168]].concat();
    for number in 0..window {
        clients.iter().for_each(|client| client.send(packet(number)));
    }
    for number in 0..packets {
        for client in &clients {
            let received = client.receive();
            let which = u32::from_be_bytes(received[..4].try_into().unwrap());
            assert_eq!((which, received.len()), (number, 172), "lost or out of order");
            if number + window < packets {
                client.send(packet(number + window));
            }
        }
    }
    assert_eq!(server.sessions().len(), 2);
    let told: BTreeSet<_> =
        server.arrivals().iter().map(|arrival| split(&arrival.bytes).0.ends.unwrap()).collect();
    let asked: SocketAddr = outer.address("udp").parse().unwrap();
    assert_eq!(told, clients.iter().map(|client| (client.address(), asked)).collect());
}

#[test]
fn clients_behind_one_socket_have_a_session_each() {
    let server = DatagramServer::echo();
    let narrows = with_log(Setup::udp(&server, &format!("{REQUIRED}\ntimeouts: {{ idle: 300ms }}"))).start();
    let front = client(&narrows);
    let clients: Vec<String> = (1..=40).map(|host| format!("198.51.100.{host}:{host}")).collect();
    for round in 0..3 {
        for client in &clients {
            let text = format!("{client} {round}");
            assert_eq!(front.exchange(from_client(client, &text)), text.as_bytes(), "answers have no header");
        }
    }
    // Another port is another client, and so is another address that was asked.
    front.exchange(from_client("198.51.100.1:9", ""));
    front.exchange([&proxy(DATAGRAM, &clients[0], "192.0.2.2:53", &[])[..], b"x"].concat());
    assert_eq!(server.sessions().len(), 42);
    let ended = record(&narrows, |record| record["client"] == "198.51.100.7");
    assert_eq!((&ended["datagrams_received"], &ended["datagrams_sent"]), (&3.into(), &3.into()));
    assert_eq!(ended["bytes_received"], u64::try_from(3 * "198.51.100.7:7 0".len()).unwrap());
}

#[test]
fn answers_go_to_the_proxy_that_asked() {
    let server = DatagramServer::echo();
    let narrows = Setup::udp(&server, &format!("{REQUIRED}\nbind: \"0.0.0.0:0\"")).workers(2).start();
    let to = SocketAddr::from(([127, 0, 0, 1], narrows.port("udp")));
    let fronts: Vec<DatagramClient> =
        (1..4).map(|host| DatagramClient::from_address(&format!("127.0.0.{host}:0"), to)).collect();
    for round in 0..3 {
        for (number, front) in fronts.iter().enumerate() {
            front.send(from_client("198.51.100.1:1", format!("{round} {number}")));
        }
        for (number, front) in fronts.iter().enumerate() {
            assert_eq!(front.receive(), format!("{round} {number}").as_bytes());
        }
    }
    assert_eq!(server.sessions().len(), 3, "one client that came by three ways");
}

#[test]
fn ipv6_clients_and_mapped_ones_are_told_as_what_they_are() {
    let server = unwrapping();
    let narrows = telling(&server, REQUIRED).start();
    let front = client(&narrows);
    let ends = |arrival: usize| split(&server.arrivals()[arrival].bytes).0.ends.unwrap();
    let header = proxy(DATAGRAM, "[2001:db8::1]:7", "[2001:db8::2]:53", &[]);
    assert_eq!(front.exchange([&header[..], b"x"].concat()), b"x");
    assert_eq!(ends(0), ("[2001:db8::1]:7".parse().unwrap(), "[2001:db8::2]:53".parse().unwrap()));
    let header = proxy(DATAGRAM, "[::ffff:198.51.100.1]:7", "[::ffff:192.0.2.1]:53", &[]);
    front.exchange([&header[..], b"x"].concat());
    front.exchange(from_client("198.51.100.1:7", "x"));
    assert_eq!(ends(1), ("198.51.100.1:7".parse().unwrap(), "192.0.2.1:53".parse().unwrap()));
    assert_eq!(server.sessions().len(), 2, "both forms are one client");
}

#[test]
fn what_the_header_says_chooses_the_route() {
    let servers = ["near", "partner", "named", "port", "other"].map(DatagramServer::named);
    let keys = format!(
        "protocol: udp
{REQUIRED}
routes:
  - {{ source: 198.51.100.0/24, upstream: near }}
  - {{ when: 'proxy_protocol.tlv[\"0xEA\"] == \"vpce-1\"', upstream: partner }}
  - {{ when: 'proxy_protocol.authority == \"a.example.com\"', upstream: named }}
  - {{ when: 'connection.port == 5353', upstream: port }}
upstream: other"
    );
    let mut setup = Setup::new();
    for (name, server) in ["near", "partner", "named", "port", "other"].iter().zip(&servers) {
        setup = setup.upstream(name, &[server]);
    }
    let narrows = setup.listener("udp", &keys).start();
    let front = client(&narrows);
    let mut sources = 1..;
    let mut ask = |network: &str, destination: &str, tlvs: &[(u8, &[u8])]| {
        let source = format!("{network}.{}:9", sources.next().unwrap());
        let header = with_checksum(proxy(DATAGRAM, &source, destination, tlvs));
        String::from_utf8(front.exchange([&header[..], b"x"].concat())).unwrap()
    };
    assert_eq!(ask("198.51.100", "192.0.2.1:53", &[]), "near x");
    assert_eq!(ask("203.0.113", "192.0.2.1:53", &[(0xEA, b"vpce-1")]), "partner x");
    assert_eq!(ask("203.0.113", "192.0.2.1:53", &[(0xEA, b"vpce-2")]), "other x");
    assert_eq!(ask("203.0.113", "192.0.2.1:53", &[(0x02, b"a.example.com")]), "named x");
    assert_eq!(ask("203.0.113", "192.0.2.1:5353", &[]), "port x");
}

#[test]
fn what_was_received_is_told_on() {
    let server = unwrapping();
    let narrows = telling(&server, REQUIRED).start();
    let tlvs: [(u8, &[u8]); 4] = [(0x01, b"dot"), (0x02, b"a.example.com"), (0x05, b"id-7"), (0xEA, b"own")];
    let header = proxy(DATAGRAM, "198.51.100.1:7", "192.0.2.1:53", &tlvs);
    client(&narrows).exchange([&header[..], b"x"].concat());
    let arrivals = server.arrivals();
    let (told, _) = split(&arrivals[0].bytes);
    assert_eq!(told.ends, Some(("198.51.100.1:7".parse().unwrap(), "192.0.2.1:53".parse().unwrap())));
    let text = |kind| told.text(kind).unwrap_or_default();
    assert_eq!((text(1), text(2), text(5)), ("dot".into(), "a.example.com".into(), "id-7".into()));
    assert_eq!(told.text(0xEA), None);
}

#[test]
fn who_names_nobody_speaks_for_itself() {
    let server = unwrapping();
    for mode in [REQUIRED, ALLOWED] {
        let narrows = telling(&server, mode).start();
        let front = client(&narrows);
        let unix = binary(0x21, 0x32, &[0; 216]);
        for header in [binary(0x20, 0, b""), binary(0x20, 0x12, &[9; 30]), binary(0x21, 0, b""), unix] {
            assert_eq!(front.exchange([&header[..], b"check"].concat()), b"check");
            let arrivals = server.arrivals();
            let (told, _) = split(&arrivals.last().unwrap().bytes);
            assert_eq!(told.ends.unwrap().0, front.address());
        }
    }
    assert_eq!(server.sessions().len(), 2, "they are one client in either mode");
}

#[test]
fn what_a_required_header_is_missing_from_is_dropped_and_each_reason_is_told_once() {
    let server = DatagramServer::echo();
    let narrows = with_log(Setup::udp(&server, REQUIRED)).start();
    let front = client(&narrows);
    let stranger = DatagramClient::from_address(STRANGER, narrows.address("udp").parse().unwrap());
    let whole = from_client("198.51.100.1:1", "");
    let mut damaged = with_checksum(whole.clone());
    damaged[16] ^= 1;
    for _ in 0..20 {
        stranger.send(&whole);
        stranger.send("x");
        for payload in [&b""[..], b"x", b"PROX", &SIGNATURE[..11]] {
            front.send(payload);
        }
        front.send("PROXY TCP4 198.51.100.1 192.0.2.1 1 53\r\nx");
        front.send("PROXY UDP4 198.51.100.1 192.0.2.1 1 53\r\nx");
        front.send(proxy(1, "198.51.100.1:1", "192.0.2.1:53", &[]));
        front.send(&whole[..20]);
        front.send(&damaged);
    }
    for fault in ["proxy-protocol-untrusted", "proxy-protocol-missing", "proxy-protocol-invalid"] {
        let told = record(&narrows, |record| record["fault"] == fault);
        let by = if fault == "proxy-protocol-untrusted" { "127.0.0.9" } else { "127.0.0.1" };
        assert_eq!((&told["client"], &told["method"]), (&by.into(), &"UDP".into()));
        assert_eq!(told["datagrams_dropped"], told["datagrams_received"]);
    }
    assert_eq!(front.exchange(from_client("198.51.100.1:1", "right")), b"right");
    assert!(!stranger.hears_within(Duration::from_millis(50)));
    assert_eq!(server.arrivals().len(), 1);
    let count = |fault: &str| records(&narrows).iter().filter(|record| record["fault"] == fault).count();
    assert_eq!((count("proxy-protocol-untrusted"), count("proxy-protocol-missing")), (1, 1));
    assert_eq!(count("proxy-protocol-invalid"), 4, "version, transport, length and checksum, once each");
}

#[test]
fn where_a_header_is_allowed_strangers_are_plain_clients_and_never_believed() {
    let server = DatagramServer::echo();
    let narrows = with_log(Setup::udp(&server, ALLOWED)).start();
    let front = client(&narrows);
    let stranger = DatagramClient::from_address(STRANGER, narrows.address("udp").parse().unwrap());
    let forged = from_client("198.51.100.1:1", "x");
    assert_eq!(stranger.exchange(&forged), forged, "it is payload");
    for plain in [&b"x"[..], b"", b"PROX", b"\r\n\r\n"] {
        assert_eq!(front.exchange(plain), plain);
    }
    assert_eq!(front.exchange(from_client("198.51.100.1:1", "told")), b"told");
    assert_eq!(server.sessions().len(), 3);
    front.send(proxy(1, "198.51.100.1:1", "192.0.2.1:53", &[]));
    record(&narrows, |record| record["fault"] == "proxy-protocol-invalid");
    assert_eq!(server.arrivals().len(), 6);
}

#[test]
fn hashing_looks_at_the_client_that_the_header_names() {
    let servers = ["a", "b", "c"].map(DatagramServer::named);
    let narrows = Setup::udp(&servers[0], REQUIRED)
        .upstream_with("app", &[&servers[0], &servers[1], &servers[2]], "balance: consistent-hash")
        .start();
    let mut seen = BTreeSet::new();
    for host in 1..60 {
        let ask =
            |port: u16| client(&narrows).exchange(from_client(&format!("198.51.100.{host}:{port}"), "x"));
        let first = ask(1);
        assert!((2..4).all(|port| ask(port) == first), "198.51.100.{host} moved");
        seen.insert(first);
    }
    assert_eq!(seen.len(), 3);
}

#[test]
fn the_limit_of_sessions_counts_clients_and_not_proxies() {
    let server = DatagramServer::echo();
    let keys = format!("{REQUIRED}\nsessions: {{ limit: 2 }}");
    let narrows = with_log(Setup::udp(&server, &keys)).start();
    let front = client(&narrows);
    front.exchange(from_client("198.51.100.1:1", "x"));
    front.exchange(from_client("198.51.100.2:1", "x"));
    front.send(from_client("198.51.100.3:1", "x"));
    let refused = record(&narrows, |record| record["fault"] == "session-limit");
    assert_eq!(refused["client"], "198.51.100.3");
    assert_eq!(front.exchange(from_client("198.51.100.1:1", "goes on")), b"goes on");
}

#[test]
fn quic_passes_two_proxies_and_the_inner_one_knows_name_and_client() {
    let servers = ["a1", "a2", "b1", "other"].map(QuicServer::start);
    let quic = "protocol: udp\nquic: true\ntimeouts: { idle: 3s }";
    let inner_keys = format!(
        "{quic}
{REQUIRED}
routes:
  - {{ name: a, sni: a.example.com, source: 127.0.0.0/8, upstream: a }}
  - {{ name: b, when: 'proxy_protocol.authority == \"b.example.com\"', upstream: b }}
upstream: other"
    );
    let inner = with_log(Setup::new())
        .upstream("a", &[&servers[0], &servers[1]])
        .upstream("b", &[&servers[2]])
        .upstream("other", &[&servers[3]])
        .listener("quic", &inner_keys)
        .start();
    let outer_keys = format!(
        "{quic}
bind: \"0.0.0.0:0\"
routes:
  - {{ sni: \"*.example.com\", upstream: inner }}
upstream: inner"
    );
    let outer = Setup::new()
        .upstream_with("inner", &[&inner.address("quic")], "proxy_protocol: v2")
        .listener("quic", &outer_keys)
        .start();
    let ask = |name: &str, extra: usize, steps: &[&str]| {
        let answers = QuicClient { extra, ..QuicClient::new(name) }.run(outer.port("quic"), steps);
        let of_server = |answer: &String| answer.split(' ').take(2).collect::<Vec<_>>().join(" ");
        let servers: BTreeSet<String> = answers.iter().map(of_server).collect();
        assert_eq!((servers.len(), answers.len()), (1, steps.len() + 1), "{answers:?}");
        servers.into_iter().next().unwrap()
    };
    for extra in [0, 4000] {
        assert!(ask("a.example.com", extra, &["stay", "move:127.0.0.44", "rename"]).starts_with('a'));
        assert!(ask("b.example.com", extra, &["stay"]).starts_with("b1"));
        assert!(ask("c.example.com", extra, &["stay"]).starts_with("other"));
    }
    record(&inner, |record| record["client"] == "127.0.0.44" && record["method"] == "QUIC");
}
