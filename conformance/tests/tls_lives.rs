//! TLS over time: certificates that change, handshakes that stop, wrong protocols on a port, the end.

use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};

use narrows_conformance::servers::certificates::{Authority, Identity};
use narrows_conformance::servers::openssl::s_client;
use narrows_conformance::tls::certificate_der;
use narrows_conformance::{Backend, Connection, End, Folder, Narrows, Setup, TlsClient, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";

fn secure(authority: &Authority, backend: &Backend, keys: &str) -> Narrows {
    Setup::https(backend, &authority.server(&["example.com"]), keys).start()
}

/// Copies a certificate and its key over another pair of files.
fn replace(target: &Identity, source: &Identity) {
    for (target, source) in [(&target.certificate, &source.certificate), (&target.key, &source.key)] {
        std::fs::copy(source, target).expect("a file can be copied");
    }
}

fn shown(narrows: &Narrows) -> Vec<u8> {
    TlsClient::blind().connect(narrows.address("web")).tls().certificates.remove(0)
}

#[test]
fn a_new_certificate_is_used_when_its_files_change() {
    let authority = Authority::new("a root");
    let (used, newer, newest) = (
        authority.server(&["example.com"]),
        authority.server(&["example.com"]),
        authority.server(&["example.com"]),
    );
    let backend = Backend::saying("hello");
    let narrows = Setup::https(&backend, &used, "").workers(2).start();
    let mut kept = TlsClient::blind().connect(narrows.address("web"));
    assert_eq!(kept.exchange(GET).text(), "hello");
    for next in [&newer, &newest] {
        let expected = certificate_der(&next.certificate);
        assert_ne!(shown(&narrows), expected);
        replace(&used, next);
        until("new connections see the new certificate", || shown(&narrows) == expected);
        until("on every worker", || (0..8).all(|_| shown(&narrows) == expected));
        assert_eq!(kept.exchange(GET).text(), "hello", "the old connection lives");
    }
    assert_eq!(backend.requests().len(), 3);
}

#[test]
fn a_certificate_that_cannot_be_used_does_not_replace_the_good_one() {
    let authority = Authority::new("a root");
    let (used, other) = (authority.server(&["example.com"]), authority.server(&["example.com"]));
    let backend = Backend::saying("hello");
    let narrows = Setup::https(&backend, &used, "").start();
    let good = shown(&narrows);
    let key = std::fs::read(&used.key).unwrap();
    std::fs::write(&used.certificate, "half a certif").unwrap();
    until("it is told", || narrows.output().contains(&used.certificate));
    assert_eq!(shown(&narrows), good);
    std::fs::copy(&other.certificate, &used.certificate).unwrap();
    std::fs::write(&used.key, key).unwrap();
    assert_eq!(shown(&narrows), good, "a key that does not fit");
    std::fs::copy(&other.key, &used.key).unwrap();
    let expected = certificate_der(&other.certificate);
    until("the whole pair is used", || shown(&narrows) == expected);
}

#[test]
fn handshakes_that_stop_are_ended_while_others_go_on() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "timeouts: { handshake: 1500ms }");
    let mut good = TlsClient::blind().connect(narrows.address("web"));
    let hello = client_hello();
    let mut stopped = [0, 1, 5, 60, hello.len()]
        .into_iter()
        .map(|size| {
            let mut connection = narrows.web();
            connection.send(&hello[..size]);
            connection
        })
        .collect::<Vec<_>>();
    assert_eq!(good.exchange(GET).text(), "hello");
    for connection in &mut stopped {
        connection.read_to_end();
    }
    assert_eq!(good.exchange(GET).text(), "hello", "a handshake's deadline ends with it");
    let mut drip = narrows.web();
    let mut bytes = hello.iter();
    until("a drip of bytes does not stretch the deadline", || {
        bytes.next().is_none_or(|byte| drip.try_send([*byte]).is_err())
            || drip.anything_within(std::time::Duration::from_millis(20))
    });
    drip.read_to_end();
    assert_eq!(backend.connections(), 1);
}

#[test]
fn a_crowd_of_half_open_handshakes_leaves_nothing_behind() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "timeouts: { handshake: 500ms }");
    assert_eq!(TlsClient::blind().connect(narrows.address("web")).exchange(GET).text(), "hello");
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", narrows.pid())).unwrap().count();
    let before = descriptors();
    let hello = client_hello();
    let mut crowd = (0..200).map(|_| narrows.web()).collect::<Vec<_>>();
    for connection in &mut crowd {
        connection.send(&hello);
    }
    assert_eq!(TlsClient::blind().connect(narrows.address("web")).exchange(GET).text(), "hello");
    for connection in &mut crowd {
        connection.read_to_end();
    }
    until("their descriptors are closed", || descriptors() <= before + 2);
    assert!(narrows.peak_memory_kib() < 96 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn garbage_in_a_handshake_harms_nobody() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "timeouts: { handshake: 2s }");
    let mut good = TlsClient::blind().connect(narrows.address("web"));
    let hello = client_hello();
    let mut noise = 0x9E37_79B9_7F4A_7C15_u64;
    for round in 0..200 {
        let mut bytes = hello.clone();
        for _ in 0..=round % 4 {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            let at = usize::try_from(noise >> 40).unwrap() % bytes.len();
            bytes[at] = noise.to_le_bytes()[0];
        }
        let mut connection = narrows.web();
        let _ = connection.try_send(&bytes);
        connection.finish_sending();
        connection.read_to_end();
    }
    for bytes in [
        b"\x16\x03\x01\xff\xff".to_vec(),
        b"\x16\x03\x01\x00\x00".repeat(1000),
        b"\x17\x03\x03\x00\x10aaaaaaaaaaaaaaaa".to_vec(),
        b"\x80\x2e\x01\x00\x02".to_vec(),
        vec![0x16; 70_000],
    ] {
        let mut connection = narrows.web();
        let _ = connection.try_send(&bytes);
        connection.finish_sending();
        connection.read_to_end();
    }
    assert_eq!(good.exchange(GET).text(), "hello");
    assert_eq!(backend.connections(), 1);
}

#[test]
fn bytes_that_are_not_tls_after_the_handshake_end_the_connection() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "");
    let mut connection = TlsClient::blind().connect(narrows.address("web"));
    assert_eq!(connection.exchange(GET).text(), "hello");
    connection.send_below(b"\x17\x03\x03\x00\x20this was never encrypted by anyone");
    connection.read_to_end();
    assert_eq!(TlsClient::blind().connect(narrows.address("web")).exchange(GET).text(), "hello");
}

#[test]
fn a_renegotiation_is_not_done() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "timeouts: { keep_alive: 2s, head: 2s }");
    let mut good = TlsClient::blind().connect(narrows.address("web"));
    assert_eq!(good.exchange(GET).text(), "hello");
    let shown = s_client(narrows.address("web"), &["-tls1_2", "-legacy_renegotiation"], "R\n");
    assert!(shown.contains("RENEGOTIATING") && !shown.contains("hello"), "{shown}");
    assert!(
        shown.contains("no renegotiation") || shown.contains("error") || shown.contains("closed"),
        "{shown}"
    );
    assert_eq!(good.exchange(GET).text(), "hello");
}

#[test]
fn plain_http_on_a_tls_port_gets_a_clear_400() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let log = folder.join("access.log");
    let narrows = Setup::https(&backend, &authority.server(&["example.com"]), "")
        .settings(&format!("access_log: \"{log}\"\nlog_format: json"))
        .start();
    for request in [GET, "POST /x HTTP/1.1\r\nHost: example.com\r\nContent-Length: 5\r\n\r\nhello"] {
        let mut connection = narrows.web();
        connection.send(request);
        let answer = connection.response("GET");
        assert_eq!(answer.status(), 400, "{}", answer.head);
        assert!(
            answer.text().contains("HTTPS") || answer.text().contains("TLS"),
            "it says why: {}",
            answer.text()
        );
        assert!(answer.lists("connection", "close"), "{}", answer.head);
        connection.read_to_end();
    }
    assert_eq!(backend.connections(), 0);
    until("it is logged with its cause", || {
        std::fs::read_to_string(&log)
            .is_ok_and(|log| log.lines().filter(|line| line.contains("tls")).count() == 2)
    });
}

#[test]
fn tls_on_a_plain_port_ends_clearly_and_is_logged() {
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let log = folder.join("access.log");
    let narrows =
        Setup::web(&backend, "").settings(&format!("access_log: \"{log}\"\nlog_format: json")).start();
    let started = std::time::Instant::now();
    let problem = TlsClient::blind().refusal(narrows.address("web"));
    assert!(started.elapsed().as_secs() < 5, "at once, not after a timeout: {problem}");
    let line = || std::fs::read_to_string(&log).unwrap_or_default();
    until("it is logged", || line().contains("tls"));
    assert!(line().contains("\"method\":\"TLS\""), "{}", line());
    assert_eq!(backend.connections(), 0);
    assert_eq!(narrows.web().exchange(GET).text(), "hello");
}

#[test]
fn who_speaks_another_protocol_than_was_agreed_on_is_ended() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "");
    let started = std::time::Instant::now();
    let mut client = TlsClient::blind().alpn(&["h2"]).connect(narrows.address("web"));
    client.send(GET);
    let answer = client.read_to_end();
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_failed_handshake_is_logged_with_its_cause() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let folder = Folder::new();
    let log = folder.join("access.log");
    let narrows =
        Setup::https_with(&backend, &authority.server(&["example.com"]), "minimum_version: \"1.3\"", "")
            .settings(&format!("access_log: \"{log}\"\nlog_format: json"))
            .start();
    TlsClient::blind().only_1_2().refusal(narrows.address("web"));
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    until("it is logged", || {
        lines().lines().any(|line| {
            let record: serde_json::Value = serde_json::from_str(line).expect("JSON");
            record["fault"] == "handshake-incompatible" && record["host"] == "example.com"
        })
    });
}

/// A backend that answers in two steps, each when the test says so.
fn told() -> (Backend, Sender<()>) {
    let (tell, wait) = channel::<()>();
    let wait = Mutex::new(wait);
    let backend = Backend::script(move |mut connection, _| {
        while connection.next_request().is_some() {
            let wait = wait.lock().unwrap();
            for piece in ["HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfirst", "final"] {
                if wait.recv().is_err() {
                    return;
                }
                connection.send(piece);
            }
        }
    });
    (backend, tell)
}

#[test]
fn a_drain_finishes_what_runs_and_says_goodbye() {
    let authority = Authority::new("a root");
    let (backend, tell) = told();
    let mut narrows = secure(&authority, &backend, "");
    let address = narrows.address("web").to_owned();
    let mut idle = TlsClient::blind().connect(&address);
    let mut half_open = narrows.web();
    half_open.send(&client_hello()[..20]);
    let mut running = TlsClient::blind().connect(&address);
    running.send(GET);
    until("the request is under way", || !backend.requests().is_empty());
    narrows.signal("TERM");
    let started = std::time::Instant::now();
    until("new connections are refused", || Connection::try_connect(&address).is_err());
    assert_eq!(idle.expect_end(), End::Closed, "a close_notify, not a truncation");
    tell.send(()).unwrap();
    assert_eq!(running.response_head().status(), 200);
    tell.send(()).unwrap();
    assert_eq!(running.read_to_end(), b"firstfinal");
    assert_eq!(running.record().end, Some(End::Closed));
    half_open.read_to_end();
    assert!(started.elapsed().as_secs() < 5, "half a handshake is not waited for: {:?}", started.elapsed());
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}

#[test]
fn a_request_in_records_of_one_byte_is_understood() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "");
    let mut client = TlsClient::blind().connect(narrows.address("web"));
    for _ in 0..2 {
        for byte in GET.bytes() {
            client.send([byte]);
        }
        assert_eq!(client.response("GET").text(), "hello");
    }
}

#[test]
fn a_flood_of_new_keys_is_bounded() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "");
    let mut good = TlsClient::blind().connect(narrows.address("web"));
    let mut client = TlsClient::blind().only_1_3().connect(narrows.address("web"));
    assert_eq!(client.exchange(GET).text(), "hello");
    for _ in 0..2_000 {
        if client.change_keys().is_err() {
            break;
        }
    }
    let _ = client.try_send(GET);
    assert_eq!(good.exchange(GET).text(), "hello");
    assert!(narrows.peak_memory_kib() < 64 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn idle_connections_cost_little_memory() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "");
    let before = narrows.peak_memory_kib();
    let client = TlsClient::blind();
    let mut clients = (0..300).map(|_| client.connect(narrows.address("web"))).collect::<Vec<_>>();
    for client in &mut clients {
        assert_eq!(client.exchange(GET).text(), "hello");
    }
    let each = (narrows.peak_memory_kib() - before) * 1024 / 300;
    assert!(each < 64 * 1024, "{each} bytes for an idle connection");
}

#[test]
fn a_slow_reader_over_tls_is_held_in_constant_memory() {
    let authority = Authority::new("a root");
    let (tell, told) = channel();
    let tell = Mutex::new(tell);
    let size = 128 * 1024 * 1024;
    let backend = Backend::script(move |mut connection, _| {
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
        let taken = connection.flood(&[b'x'; 65_536], size, std::time::Duration::from_millis(700));
        tell.lock().unwrap().send(taken).unwrap();
        connection.flood(&[b'x'; 65_536], size - taken, narrows_conformance::DEADLINE);
    });
    let narrows = secure(&authority, &backend, "");
    let mut client = TlsClient::blind().connect(narrows.address("web"));
    client.send(GET);
    client.response_head();
    let taken = told.recv_timeout(narrows_conformance::DEADLINE).unwrap();
    assert!(taken < 64 * 1024 * 1024, "{taken} bytes were taken for a client that does not read");
    client.discard(size);
    assert!(narrows.peak_memory_kib() < 64 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn openssl_sees_an_orderly_end() {
    let authority = Authority::new("a root");
    let backend = Backend::saying("hello");
    let narrows = secure(&authority, &backend, "");
    let shown = s_client(narrows.address("web"), &["-tls1_3"], LAST);
    assert!(shown.contains("hello") && !shown.contains("unexpected eof"), "{shown}");
}

/// A client hello as a real client writes it.
fn client_hello() -> Vec<u8> {
    let catcher = Backend::script(|mut connection, _| {
        let head = connection.read_exactly(5);
        connection.read_exactly(usize::from(u16::from_be_bytes([head[3], head[4]])));
        connection.reset();
    });
    let _ = TlsClient::blind().alpn(&["h2", "http/1.1"]).over(Connection::connect(catcher.address()));
    catcher.wait_for_script(0);
    catcher.record(0).bytes
}
