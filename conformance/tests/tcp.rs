//! Layer 4: bytes are pumped, connections are chosen by what their first bytes say.

use std::process::Command;
use std::thread;
use std::time::Duration;

use narrows_conformance::backend::{Refusing, Silent};
use narrows_conformance::servers::openssl::TlsService;
use narrows_conformance::{Backend, DEADLINE, Narrows, Setup, output_of, tool, until};

const MIB: u64 = 1024 * 1024;

#[test]
fn every_byte_passes_both_ways() {
    let backend = Backend::echo();
    let narrows = Setup::tcp(&backend, "").start();
    let mut client = narrows.connect("tcp");
    let all = (0..=255).cycle().take(300_000).collect::<Vec<u8>>();
    let mut writer = client.second_handle();
    let sent = all.clone();
    let writing = thread::spawn(move || writer.send(sent));
    assert!(client.read_exactly(all.len()) == all, "the same bytes in the same order");
    writing.join().unwrap();
}

#[test]
fn a_server_that_speaks_first_is_heard() {
    let backend = Backend::script(|mut connection, _| {
        connection.send("220 welcome\r\n");
        connection.read_to_end();
    });
    let narrows = Setup::tcp(&backend, "").start();
    assert_eq!(narrows.connect("tcp").read_exactly(13), b"220 welcome\r\n");
}

#[test]
fn a_client_that_ends_its_direction_still_hears_the_answer() {
    let backend = Backend::script(|mut connection, _| {
        let question = connection.read_to_end();
        connection.send(format!("{} bytes", question.len()));
    });
    let narrows = Setup::tcp(&backend, "").start();
    let mut client = narrows.connect("tcp");
    client.send("hello");
    client.finish_sending();
    assert_eq!(client.read_to_end(), b"5 bytes");
}

#[test]
fn a_server_that_ends_its_direction_still_hears_the_client() {
    let backend = Backend::script(|mut connection, _| {
        connection.send("bye");
        connection.finish_sending();
        connection.read_to_end();
    });
    let narrows = Setup::tcp(&backend, "").start();
    let mut client = narrows.connect("tcp");
    assert_eq!(client.read_to_end(), b"bye");
    client.send("but wait");
    client.finish_sending();
    backend.wait_for_end(0);
    assert_eq!(backend.received(), b"but wait");
}

#[test]
fn a_reset_on_one_side_ends_the_other() {
    let backend = Backend::echo();
    let narrows = Setup::tcp(&backend, "").start();
    let mut client = narrows.connect("tcp");
    client.send("x");
    client.read_exactly(1);
    client.reset();
    backend.wait_for_end(0);
    let resetting = Backend::script(|mut connection, _| {
        connection.read_exactly(1);
        connection.reset();
    });
    let narrows = Setup::tcp(&resetting, "").start();
    let mut client = narrows.connect("tcp");
    client.send("x");
    assert!(client.read_to_end().is_empty());
}

#[test]
fn load_bulk_in_one_direction_with_a_reader_that_stops_takes_constant_memory() {
    let size = 512 * MIB;
    let (resume, resumed) = std::sync::mpsc::channel::<()>();
    let resumed = std::sync::Mutex::new(resumed);
    let backend = Backend::script(move |mut connection, _| {
        connection.discard(MIB);
        resumed.lock().unwrap().recv().expect("the test goes on");
        connection.discard(size - MIB);
        connection.send("done");
    });
    let narrows = Setup::tcp(&backend, "").start();
    let mut client = narrows.connect("tcp");
    let piece = vec![b'x'; 256 * 1024];
    let taken = client.flood(&piece, size, Duration::from_millis(700));
    assert!(
        taken < 64 * MIB,
        "an upstream that does not read holds the client back: {taken} bytes were taken"
    );
    resume.send(()).unwrap();
    assert_eq!(taken + client.flood(&piece, size - taken, DEADLINE), size);
    assert_eq!(client.read_exactly(4), b"done");
    assert!(narrows.peak_memory_kib() < 64 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn the_next_endpoint_takes_over_when_one_refuses_or_is_silent() {
    let (backend, refusing, silent) = (Backend::echo(), Refusing::new(), Silent::new());
    let narrows = Setup::tcp(&backend, "timeouts: { connect: 300ms }")
        .upstream("app", &[&refusing, &silent, &backend])
        .start();
    for _ in 0..4 {
        let mut client = narrows.connect("tcp");
        client.send("x");
        assert_eq!(client.read_exactly(1), b"x");
    }
}

#[test]
fn no_endpoint_left_ends_the_client() {
    let refusing = Refusing::new();
    let narrows = Setup::tcp(&refusing, "").start();
    assert!(narrows.connect("tcp").read_to_end().is_empty());
}

#[test]
fn an_idle_flow_is_ended_on_both_sides() {
    let backend = Backend::echo();
    let narrows = Setup::tcp(&backend, "timeouts: { idle: 300ms }").start();
    let mut client = narrows.connect("tcp");
    client.send("x");
    client.read_exactly(1);
    client.expect_end();
    backend.wait_for_end(0);
}

#[test]
fn a_flow_that_moves_in_one_direction_is_not_idle() {
    let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
    let narrows = Setup::tcp(&backend, "timeouts: { idle: 400ms }").start();
    let mut client = narrows.connect("tcp");
    for _ in 0..20 {
        client.send("x");
        assert!(!client.anything_within(Duration::from_millis(60)), "one byte each 60 ms is not idle");
    }
}

#[test]
fn the_source_network_chooses_the_upstream() {
    let (local, far) = (Backend::echo(), Backend::script(|_, _| ()));
    let keys = "protocol: tcp
routes:
  - { source: [10.0.0.0/8, \"fd00::/8\"], upstream: far }
  - { source: [127.0.0.0/8], upstream: local }";
    let narrows =
        Setup::new().upstream("local", &[&local]).upstream("far", &[&far]).listener("tcp", keys).start();
    let mut client = narrows.connect("tcp");
    client.send("x");
    assert_eq!(client.read_exactly(1), b"x");
    assert_eq!(far.connections(), 0);
}

#[test]
fn no_route_and_no_default_ends_the_client() {
    let far = Backend::echo();
    let keys = "protocol: tcp\nroutes:\n  - { source: [10.0.0.0/8], upstream: far }";
    let narrows = Setup::new().upstream("far", &[&far]).listener("tcp", keys).start();
    assert!(narrows.connect("tcp").read_to_end().is_empty());
    assert_eq!(far.connections(), 0);
}

#[test]
fn an_expression_chooses_the_upstream() {
    let (one, two) = (
        Backend::script(|mut connection, _| connection.send("one")),
        Backend::script(|mut connection, _| connection.send("two")),
    );
    let keys = "protocol: tcp
upstream: two
routes:
  - { when: 'connection.source.inCidr(\"127.0.0.0/8\") && connection.listener == \"tcp\"', upstream: one }";
    let narrows =
        Setup::new().upstream("one", &[&one]).upstream("two", &[&two]).listener("tcp", keys).start();
    assert_eq!(narrows.connect("tcp").read_to_end(), b"one");
}

/// Three TLS services and one that is not, on one port.
struct TlsHouse {
    narrows: Narrows,
    one: TlsService,
    two: TlsService,
    _multiplexed: TlsService,
    plain: Backend,
}

fn tls_house() -> TlsHouse {
    let one = TlsService::start("one.example.com", "http/1.1");
    let two = TlsService::start("deep.two.example.com", "http/1.1");
    let multiplexed = TlsService::start("multiplexed.example.com", "h2");
    let plain = Backend::script(|mut connection, _| {
        let first = connection.read_exactly(5);
        connection.send(format!("plain got {}", String::from_utf8_lossy(&first)));
    });
    let keys = "protocol: tcp
upstream: plain
timeouts: { peek: 500ms }
routes:
  - { sni: one.example.com, alpn: [h2], upstream: multiplexed }
  - { sni: [one.example.com], upstream: one }
  - { sni: [\"*.two.example.com\"], upstream: two }";
    let narrows = Setup::new()
        .upstream("one", &[&one])
        .upstream("two", &[&two])
        .upstream("multiplexed", &[&multiplexed])
        .upstream("plain", &[&plain])
        .listener("tcp", keys)
        .start();
    TlsHouse { narrows, one, two, _multiplexed: multiplexed, plain }
}

#[test]
fn curl_reaches_three_tls_services_on_one_port_by_name() {
    let house = tls_house();
    let port = house.narrows.port("tcp");
    for (name, service) in [("one.example.com", &house.one), ("deep.two.example.com", &house.two)] {
        let body = output_of(
            Command::new(tool("curl"))
                .args(["-sS", "--max-time", "20", "--http1.1", "--cacert", &service.certificate])
                .args(["--resolve", &format!("{name}:{port}:127.0.0.1")])
                .arg(format!("https://{name}:{port}/name")),
        );
        assert_eq!(body, name);
    }
}

#[test]
fn the_offered_protocol_chooses_among_services_of_one_name() {
    let house = tls_house();
    let address = house.narrows.address("tcp");
    for (protocols, subject) in [("h2,http/1.1", "multiplexed.example.com"), ("http/1.1", "one.example.com")]
    {
        let mut command = Command::new(tool("openssl"));
        command.args(["s_client", "-connect", address, "-servername", "one.example.com", "-alpn", protocols]);
        let shown =
            String::from_utf8_lossy(&narrows_conformance::program::run(&mut command).stdout).into_owned();
        assert!(shown.contains(&format!("CN = {subject}")), "{protocols}: {shown}");
    }
}

#[test]
fn what_is_not_tls_or_has_an_unknown_name_goes_to_the_default() {
    let house = tls_house();
    let mut client = house.narrows.connect("tcp");
    client.send("SSH-2.0-x\r\n");
    assert_eq!(client.read_to_end(), b"plain got SSH-2");
    let mut command = Command::new(tool("openssl"));
    let address = house.narrows.address("tcp");
    command.args(["s_client", "-connect", address, "-servername", "three.example.com"]);
    narrows_conformance::program::run(&mut command);
    until("the default was reached", || house.plain.connections() == 2);
    assert!(house.plain.record(1).bytes.starts_with(b"\x16\x03"), "the hello is passed on whole");
}

#[test]
fn a_client_hello_in_single_bytes_is_understood() {
    let house = tls_house();
    let mut client = house.narrows.connect("tcp");
    for byte in client_hello("ONE.example.com") {
        client.send([byte]);
    }
    let answer = client.read_exactly(1);
    assert!(answer == [22] || answer == [21], "the TLS service answers with a record: {answer:?}");
    assert_eq!(house.plain.connections(), 0);
}

#[test]
fn a_client_that_says_nothing_goes_to_the_default_after_the_peek() {
    let house = tls_house();
    let mut client = house.narrows.connect("tcp");
    until("the default is reached", || house.plain.connections() == 1);
    client.send("hello");
    assert_eq!(client.read_to_end(), b"plain got hello");
}

#[test]
fn a_client_hello_that_stops_is_ended_after_the_peek() {
    let house = tls_house();
    let mut client = house.narrows.connect("tcp");
    client.send(&client_hello("one.example.com")[..40]);
    client.read_to_end();
    assert_eq!(house.plain.connections(), 0, "half a hello is nobody's");
}

#[test]
fn garbage_after_a_tls_record_header_harms_nobody() {
    let house = tls_house();
    for size in [1_usize, 4, 5, 6, 40, 600] {
        let mut client = house.narrows.connect("tcp");
        let mut bytes = vec![0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc];
        bytes.resize(9 + size, 0xff);
        let _ = client.try_send(&bytes);
        client.finish_sending();
        client.read_to_end();
    }
    let mut client = house.narrows.connect("tcp");
    client.send("hello");
    assert_eq!(client.read_to_end(), b"plain got hello");
}

/// A minimal TLS 1.2 client hello with a server name (RFC 8446 section 4.1.2, RFC 6066 section 3).
fn client_hello(name: &str) -> Vec<u8> {
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let mut entry = vec![0];
    entry.extend(length(name.as_bytes()));
    entry.extend(name.as_bytes());
    let mut extension = vec![0, 0];
    extension.extend(u16::try_from(entry.len() + 2).unwrap().to_be_bytes());
    extension.extend(length(&entry));
    extension.extend(&entry);
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.extend([0, 0, 4, 0xc0, 0x2b, 0xc0, 0x2f, 1, 0]);
    body.extend(length(&extension));
    body.extend(&extension);
    let mut handshake = vec![1, 0];
    handshake.extend(length(&body));
    handshake.extend(&body);
    let mut record = vec![0x16, 3, 1];
    record.extend(length(&handshake));
    record.extend(&handshake);
    record
}
