//! PROXY protocol: received behind the gate, sent in front of everything else.

use std::process::Command;
use std::time::Duration;

use narrows_conformance::backend::{Refusing, ok};
use narrows_conformance::proxy_header::{Received, SIGNATURE, binary, proxy, with_checksum};
use narrows_conformance::servers::haproxy::Haproxy;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::servers::openssl::TlsService;
use narrows_conformance::{Backend, Connection, End, Folder, Narrows, Setup, output_of, tool, until};

/// The gate that tests on loopback use.
const REQUIRED: &str = "proxy_protocol: { mode: required, sources: [127.0.0.1, \"::1\"] }\n";
const ALLOWED: &str = "proxy_protocol: { mode: allowed, sources: [127.0.0.1, \"::1\"] }\n";
/// A gate that believes somebody else.
const STRANGERS: &str = "sources: 192.0.2.0/24 }\n";
const TELLING: &str = "routes:\n  - respond:\n      body: >-\n        \
    ${ connection.source } ${ connection.source_port } ${ connection.port }\n";
const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const V1: &str = "PROXY TCP4 192.0.2.7 198.51.100.1 4711 443\r\n";

/// A listener `web` that answers with what it knows of the connection, and a log on standard output.
fn telling(gate: &str) -> Setup {
    Setup::new().listener("web", &format!("{gate}{TELLING}")).settings("access_log: stdout")
}

/// A listener `tcp` in front of an echo.
fn echoing(backend: &Backend, gate: &str) -> Setup {
    Setup::tcp(backend, gate).settings("access_log: stdout")
}

#[track_caller]
fn expect_log(narrows: &Narrows, part: &str) {
    until("the access log tells it", || narrows.output().contains(part));
}

/// What the proxy says after `header` of the connection that it came on.
#[track_caller]
fn told(narrows: &Narrows, header: &[u8]) -> String {
    let mut client = narrows.web();
    client.send(header);
    client.exchange(GET).text()
}

fn v2(tlvs: &[(u8, &[u8])]) -> Vec<u8> {
    proxy(1, "192.0.2.7:4711", "198.51.100.1:443", tlvs)
}

#[test]
fn a_header_says_who_the_client_is() {
    let narrows = telling(REQUIRED).start();
    let mut unix = vec![0; 216];
    unix[..6].copy_from_slice(b"/run/a");
    for (header, client) in [
        (V1.as_bytes().to_vec(), "192.0.2.7 4711 443"),
        (b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n".to_vec(), "2001:db8::7 4711 443"),
        (b"PROXY TCP6 ::ffff:192.0.2.7 ::ffff:10.0.0.1 1 2\r\n".to_vec(), "192.0.2.7 1 2"),
        (v2(&[]), "192.0.2.7 4711 443"),
        (proxy(1, "[2001:db8::7]:4711", "[2001:db8::1]:443", &[]), "2001:db8::7 4711 443"),
        (with_checksum(v2(&[(1, b"h2"), (4, b"")])), "192.0.2.7 4711 443"),
        (v2(&[(0xE1, &[b'x'; 15_000])]), "192.0.2.7 4711 443"),
    ] {
        assert_eq!(told(&narrows, &header), client);
    }
    // Where nobody is named, the connection speaks for itself.
    let port = narrows.port("web");
    for header in [
        b"PROXY UNKNOWN\r\n".to_vec(),
        b"PROXY UNKNOWN 192.0.2.7 10.0.0.1 1 2\r\n".to_vec(),
        binary(0x20, 0x00, &[]),
        binary(0x20, 0x11, &v2(&[])[16..]),
        binary(0x21, 0x00, &[]),
        binary(0x21, 0x31, &unix),
    ] {
        let mut client = narrows.web();
        client.send(&header);
        let own = client.local_address().port();
        assert_eq!(client.exchange(GET).text(), format!("127.0.0.1 {own} {port}"), "{header:?}");
    }
}

#[test]
fn exactly_the_header_is_taken_however_it_arrives() {
    let backend = Backend::echo();
    let narrows = echoing(&backend, REQUIRED)
        .listener("web", &format!("{REQUIRED}{TELLING}"))
        .listener("ping", "routes: [{ respond: { body: pong } }]")
        .start();
    // An answer to somebody else shows that the worker has seen what was sent before.
    let mut other = narrows.connect("ping");
    let mut seen = || assert_eq!(other.exchange(GET).text(), "pong");
    for header in [V1.as_bytes().to_vec(), with_checksum(v2(&[(2, b"a.example")]))] {
        let mut client = narrows.web();
        client.send([&header[..], GET.as_bytes(), GET.as_bytes()].concat());
        assert_eq!(client.final_response("GET").text(), "192.0.2.7 4711 443");
        assert_eq!(client.final_response("GET").text(), "192.0.2.7 4711 443");

        let mut client = narrows.web();
        for byte in &header {
            client.send([*byte]);
            seen();
        }
        for _ in 0..3 {
            assert_eq!(client.exchange(GET).text(), "192.0.2.7 4711 443");
        }

        let mut client = narrows.connect("tcp");
        for byte in &header {
            client.send([*byte]);
            seen();
        }
        client.send([&header[..], b"hello"].concat());
        assert_eq!(client.read_exactly(header.len()), header, "a second header is payload");
        assert_eq!(client.read_exactly(5), b"hello");
    }
}

#[test]
fn a_required_header_that_is_missing_or_wrong_closes_the_connection() {
    let backend = Backend::echo();
    let narrows = echoing(&backend, REQUIRED).listener("web", &format!("{REQUIRED}{TELLING}")).start();
    let too_long = [V1.trim_end().as_bytes(), &[b' '; 80], b"\r\n"].concat();
    let mut flipped = with_checksum(v2(&[(2, b"a.example")]));
    *flipped.last_mut().unwrap() ^= 1;
    let mut overlong = v2(&[]);
    overlong[14..16].copy_from_slice(&[0xFF, 0xFF]);
    let mut other_version = v2(&[]);
    other_version[12] = 0x11;
    let cases = [
        (GET.as_bytes().to_vec(), "missing"),
        (b"\r\n\r\n\0\r\nQUIX\n\x21\x11\0\x0c............".to_vec(), "missing"),
        (vec![0x16, 3, 1, 0, 5, 1, 0, 0, 1, 0], "missing"),
        (b"PROXYTCP4 1.2.3.4 1.2.3.4 1 2\r\n".to_vec(), "missing"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1\r\n".to_vec(), "invalid"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 2\nGET / HTTP/1.1\r\n\r\n".to_vec(), "invalid"),
        (b"PROXY TCP4 2001:db8::1 1.2.3.4 1 2\r\n".to_vec(), "invalid"),
        (b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n".to_vec(), "invalid"),
        (too_long, "invalid"),
        (flipped, "invalid"),
        (overlong, "invalid"),
        (other_version, "invalid"),
        (binary(0x22, 0x11, &[0; 12]), "invalid"),
        (binary(0x21, 0x11, &[0; 11]), "invalid"),
        (binary(0x21, 0x99, &[0; 216]), "invalid"),
        (v2(&[(5, &[0; 129])]), "invalid"),
        (binary(0x21, 0x11, &[&v2(&[])[16..], &[2, 0, 9, b'a'][..]].concat()), "invalid"),
        (proxy(2, "192.0.2.7:1", "192.0.2.1:2", &[]), "invalid"),
    ];
    for listener in ["web", "tcp"] {
        for (number, (bytes, _)) in cases.iter().enumerate() {
            let mut client = narrows.connect(listener);
            let _ = client.try_send(bytes);
            assert_eq!(client.expect_end(), End::Reset, "{listener} {number}");
        }
    }
    let wanted = |end: &str| 2 * cases.iter().filter(|(_, expected)| *expected == end).count();
    for end in ["missing", "invalid"] {
        let fault = format!("fault=proxy-protocol-{end}\n");
        until("every refusal is logged", || narrows.output().matches(&fault).count() == wanted(end));
    }
    assert_eq!(backend.connections(), 0, "nobody got through");
    assert_eq!(told(&narrows, V1.as_bytes()), "192.0.2.7 4711 443", "the others go on");
}

#[test]
fn a_header_that_breaks_off_is_invalid_and_a_silent_end_is_nothing() {
    let narrows = telling(REQUIRED).start();
    let whole = v2(&[(2, b"a.example")]);
    for part in [&whole[..30], &V1.as_bytes()[..20]] {
        let mut client = narrows.web();
        client.send(part);
        client.finish_sending();
        client.expect_end();
    }
    narrows.web().finish_sending();
    until("both are logged", || narrows.output().matches("fault=proxy-protocol-invalid").count() == 2);
    assert_eq!(narrows.output().matches("listener=web").count(), 2, "{}", narrows.output());
}

#[test]
fn a_header_that_does_not_come_in_time_closes_the_connection() {
    let backend = Backend::echo();
    let keys = |gate: &str, timeout: &str| format!("{gate}timeouts: {{ {timeout}: 200ms }}\n");
    let narrows = echoing(&backend, &keys(REQUIRED, "peek"))
        .listener("web", &format!("{}{TELLING}", keys(REQUIRED, "head")))
        .start();
    for listener in ["web", "tcp"] {
        assert_eq!(narrows.connect(listener).expect_end(), End::Reset);
        let mut slow = narrows.connect(listener);
        slow.send(&V1.as_bytes()[..30]);
        assert_eq!(slow.expect_end(), End::Reset);
    }
    for end in ["missing", "invalid"] {
        let fault = format!("fault=proxy-protocol-{end}\n");
        until("each is logged", || narrows.output().matches(&fault).count() == 2);
    }
    assert_eq!(backend.connections(), 0);
}

#[test]
fn a_stranger_is_never_believed() {
    let backend = Backend::echo();
    let narrows = echoing(&backend, &format!("proxy_protocol: {{ mode: required, {STRANGERS}"))
        .listener(
            "allowed",
            &format!("protocol: tcp\nupstream: app\nproxy_protocol: {{ mode: allowed, {STRANGERS}"),
        )
        .listener("web", &format!("proxy_protocol: {{ mode: allowed, {STRANGERS}{TELLING}"))
        .start();
    // The reset may come before the client has seen that it is connected.
    if let Ok(mut client) = Connection::try_connect(narrows.address("tcp")) {
        let _ = client.try_send(V1);
        assert_eq!(client.expect_end(), End::Reset);
    }
    expect_log(&narrows, "fault=proxy-protocol-untrusted");
    assert_eq!(backend.connections(), 0);

    let mut client = narrows.connect("allowed");
    client.send(V1);
    assert_eq!(client.read_exactly(V1.len()), V1.as_bytes(), "what looks like a header is payload");
    let mut client = narrows.web();
    client.send(V1);
    assert_eq!(client.final_response("GET").status(), 400);
    let mut client = narrows.web();
    let own = client.local_address().port();
    assert_eq!(client.exchange(GET).text(), format!("127.0.0.1 {own} {}", narrows.port("web")));
}

#[test]
fn where_a_header_is_allowed_plain_connections_pass_too() {
    let greeting = Backend::script(|mut connection, _| {
        connection.send("220 ready\r\n");
        while let Some(bytes) = connection.some_bytes() {
            connection.send(bytes);
        }
    });
    let narrows = Setup::tcp(&greeting, &format!("{ALLOWED}timeouts: {{ peek: 200ms }}\n"))
        .listener("web", &format!("{ALLOWED}{TELLING}"))
        .listener("ping", "routes: [{ respond: { body: pong } }]")
        .start();
    assert_eq!(told(&narrows, V1.as_bytes()), "192.0.2.7 4711 443");
    assert_eq!(told(&narrows, &v2(&[])), "192.0.2.7 4711 443");
    assert_eq!(narrows.get("/", &[]).status(), 200);
    // Its first byte could begin a header.
    let mut client = narrows.web();
    client.send("P");
    assert_eq!(narrows.connect("ping").exchange(GET).text(), "pong");
    client.send("OST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(client.final_response("POST").status(), 200);

    let mut silent = narrows.connect("tcp");
    assert_eq!(silent.read_exactly(11), b"220 ready\r\n", "the server speaks first");
    let mut half = narrows.connect("tcp");
    half.send("PRO");
    assert_eq!(half.read_exactly(14), b"220 ready\r\nPRO");
    let mut client = narrows.connect("tcp");
    client.send([V1.as_bytes(), b"hello"].concat());
    assert_eq!(client.read_exactly(16), b"220 ready\r\nhello");
    // A header that began has to end.
    let mut broken = narrows.web();
    broken.send("PROXY TCP4 nonsense\r\n");
    broken.expect_end();
}

#[test]
fn a_connection_that_waits_for_its_header_does_not_hold_a_stop_up() {
    let mut narrows = telling(REQUIRED).start();
    let mut silent = narrows.web();
    let mut half = narrows.web();
    half.send(&V1[..20]);
    told(&narrows, V1.as_bytes());
    narrows.signal("TERM");
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
    silent.expect_end();
    half.expect_end();
}

#[test]
fn rules_logs_and_headers_see_the_client_of_the_header() {
    let backend = Backend::respond(|request| ok(request.header("x-forwarded-for").unwrap_or_default()));
    let keys = format!(
        "{REQUIRED}routes:\n  - source: 192.0.2.0/24\n    upstream: app\n  - source: 127.0.0.0/8\n    respond: {{ status: 403 }}\n"
    );
    let narrows = Setup::web(&backend, &keys).settings("access_log: stdout").start();
    let mut client = narrows.web();
    client.send(V1);
    let answer = client.exchange("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.9.9.9\r\n\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "192.0.2.7"));
    expect_log(&narrows, "192.0.2.7 - - [");
    let mut local = narrows.web();
    local.send(binary(0x20, 0, &[]));
    assert_eq!(local.exchange(GET).status(), 403);

    let echo = Backend::echo();
    let narrows = echoing(&echo, REQUIRED).start();
    let mut client = narrows.connect("tcp");
    client.send([V1.as_bytes(), b"x"].concat());
    client.read_exactly(1);
    drop(client);
    expect_log(&narrows, "192.0.2.7 - - [");
}

#[test]
fn tlvs_can_be_asked_at_both_layers() {
    let (blue, green) = (Backend::saying("blue"), Backend::saying("green"));
    let routes = "routes:\n\
        \x20 - when: 'proxy_protocol.tlv[\"0xE1\"] == \"blue\" && proxy_protocol.alpn == \"h2\"'\n    upstream: blue\n\
        \x20 - when: '\"0xEA\" in proxy_protocol.tlv || proxy_protocol.authority == \"green.example\"'\n    upstream: green\n";
    let shown = "routes:\n  - respond:\n      body: >-\n        \
        ${ proxy_protocol.authority }|${ proxy_protocol.unique_id }|${ proxy_protocol.tlv[\"0xe0\"] }|${ proxy_protocol.tlv[\"0x22\"] }\n";
    let narrows = Setup::new()
        .upstream("blue", &[&blue])
        .upstream("green", &[&green])
        .listener("web", &format!("{REQUIRED}{routes}"))
        .listener("tcp", &format!("protocol: tcp\n{REQUIRED}{routes}"))
        .listener("shown", &format!("{REQUIRED}{shown}"))
        .start();
    for listener in ["web", "tcp"] {
        for (tlvs, answer) in [
            (&[(0xE1, &b"blue"[..]), (1, b"h2")][..], "blue"),
            (&[(0xEA, b"")], "green"),
            (&[(0xE1, b"blue"), (2, b"green.example")], "green"),
        ] {
            let mut client = narrows.connect(listener);
            client.send(v2(tlvs));
            assert_eq!(client.exchange(GET).text(), answer, "{listener} {tlvs:?}");
        }
    }
    let mut client = narrows.web();
    client.send(v2(&[(0xE1, b"blue")]));
    assert_eq!(client.exchange(GET).status(), 404);
    let mut client = narrows.connect("tcp");
    let _ = client.try_send(v2(&[]));
    client.expect_end();

    let ssl = [&[1, 0, 0, 0, 0][..], &[0x21, 0, 7], b"TLSv1.3", &[0x22, 0, 4], b"alia"].concat();
    let tlvs = [(2, "größe.example".as_bytes()), (5, b"id-1"), (0xE0, &[0xFF, 0x01]), (0x20, &ssl)];
    let mut client = narrows.connect("shown");
    client.send(v2(&tlvs));
    assert_eq!(client.exchange(GET).text(), "größe.example|id-1|ff01|alia");
}

#[test]
fn a_flow_begins_with_the_header_of_its_client() {
    for (version, family) in [("v1", 0), ("v2", 0x11)] {
        let backend = Backend::script(move |mut connection, _| {
            let told = match family {
                0 => String::from_utf8(connection.read_until(b"\r\n")).unwrap(),
                _ => {
                    let header = Received::from(&mut connection);
                    assert_eq!((header.command, header.family, header.checked), (0x21, family, true));
                    let (source, destination) = header.ends.unwrap();
                    format!("{source} {destination}\r\n")
                }
            };
            connection.send(told);
            while let Some(bytes) = connection.some_bytes() {
                connection.send(bytes);
            }
        });
        let refusing = Refusing::new();
        let narrows = Setup::new()
            .upstream_with("app", &[&refusing, &backend], &format!("proxy_protocol: {version}\n"))
            .listener("tcp", "protocol: tcp\nupstream: app\n")
            .start();
        let mut client = narrows.connect("tcp");
        let (own, port) = (client.local_address().port(), narrows.port("tcp"));
        let expected = match family {
            0 => format!("PROXY TCP4 127.0.0.1 127.0.0.1 {own} {port}\r\n"),
            _ => format!("127.0.0.1:{own} 127.0.0.1:{port}\r\n"),
        };
        assert_eq!(String::from_utf8(client.read_until(b"\r\n")).unwrap(), expected);
        client.send("hello");
        assert_eq!(client.read_exactly(5), b"hello");
    }
}

#[test]
fn what_a_header_said_is_passed_on() {
    let backend = Backend::script(|mut connection, _| {
        let header = Received::from(&mut connection);
        let (source, destination) = header.ends.unwrap();
        let tlvs = [1, 2, 5].map(|kind| header.text(kind).unwrap_or_default()).join(" ");
        let extra = header.tlvs.len();
        while let Some(_request) = connection.next_request() {
            connection.send(ok(&format!("{source} {destination} {tlvs} {extra}")));
        }
    });
    let narrows = Setup::new()
        .upstream_with("app", &[&backend], "proxy_protocol: v2\n")
        .listener("tcp", &format!("protocol: tcp\nupstream: app\n{REQUIRED}"))
        .listener("web", &format!("upstream: app\n{REQUIRED}"))
        .start();
    let header = v2(&[(2, b"a.example"), (5, b"id-1"), (1, b"h2"), (0xE1, b"private"), (4, b"fill")]);
    for listener in ["tcp", "web"] {
        let mut client = narrows.connect(listener);
        client.send(&header);
        assert_eq!(
            client.exchange(GET).text(),
            "192.0.2.7:4711 198.51.100.1:443 h2 a.example id-1 3",
            "{listener}"
        );
    }
}

#[test]
fn an_http_connection_with_a_header_serves_one_request() {
    for version in ["v1", "v2"] {
        let backend = Backend::script(move |mut connection, _| {
            let source = match version {
                "v1" => {
                    let line = String::from_utf8(connection.read_until(b"\r\n")).unwrap();
                    line.split(' ').nth(4).unwrap().to_owned()
                }
                _ => Received::from(&mut connection).ends.unwrap().0.port().to_string(),
            };
            let mut number = 0;
            while let Some(_request) = connection.next_request() {
                number += 1;
                if connection.try_send(ok(&format!("{source} {number}"))).is_err() {
                    return;
                }
            }
        });
        let narrows = Setup::new()
            .upstream_with("app", &[&backend], &format!("proxy_protocol: {version}\n"))
            .listener("web", "upstream: app\n")
            .start();
        let (mut one, mut two) = (narrows.web(), narrows.web());
        for _ in 0..3 {
            for client in [&mut one, &mut two] {
                let own = client.local_address().port();
                assert_eq!(client.exchange(GET).text(), format!("{own} 1"), "{version}");
            }
        }
        assert_eq!(backend.connections(), 6);
        (0..6).for_each(|number| backend.wait_for_end(number));
    }
}

#[test]
fn a_client_without_an_address_is_local() {
    let folder = Folder::new();
    let socket = folder.join("in.sock");
    let v1 = Backend::script(|mut connection, _| {
        let line = connection.read_until(b"\r\n");
        connection.request();
        connection.send(ok(&String::from_utf8_lossy(&line)));
    });
    let v2 = Backend::script(|mut connection, _| {
        let header = Received::from(&mut connection);
        connection.request();
        connection.send(ok(&format!("{:#x} {:?}", header.command, header.ends)));
    });
    let narrows = Setup::new()
        .upstream_with("one", &[&v1], "proxy_protocol: v1\n")
        .upstream_with("two", &[&v2], "proxy_protocol: v2\n")
        .listener(
            "web",
            &format!("bind: \"unix:{socket}\"\nroutes: [{{ path: /one, upstream: one }}]\nupstream: two\n"),
        )
        .start();
    assert_eq!(narrows.get("/one", &[]).text(), "PROXY UNKNOWN\r\n");
    assert_eq!(narrows.get("/two", &[]).text(), "0x20 None");
}

#[test]
fn a_unix_listener_takes_headers_byte_by_byte() {
    let folder = Folder::new();
    let socket = folder.join("in.sock");
    let keys = format!("bind: \"unix:{socket}\"\n{REQUIRED}{TELLING}");
    let narrows = Setup::new().listener("web", &keys).start();
    assert_eq!(told(&narrows, V1.as_bytes()), "192.0.2.7 4711 443");
    let mut client = narrows.web();
    with_checksum(v2(&[])).iter().for_each(|byte| client.send([*byte]));
    assert_eq!(client.exchange(GET).text(), "192.0.2.7 4711 443");
}

#[test]
fn a_slow_reader_of_the_header_counts_as_connecting() {
    // The connection is accepted by the kernel alone; the header fits into its buffer.
    let silent = Backend::script(|mut connection, _| {
        connection.read_to_end();
    });
    let narrows = Setup::new()
        .upstream_with("app", &[&silent], "proxy_protocol: v2\n")
        .listener("web", "upstream: app\ntimeouts: { response_head: 300ms }\n")
        .start();
    narrows.get("/", &[]).assert_proxy_error(504, "http_response_timeout");
    assert!(silent.received().starts_with(SIGNATURE));
}

#[test]
fn haproxy_in_front_is_understood() {
    let narrows = telling(REQUIRED)
        .listener(
            "id",
            &format!("{REQUIRED}routes: [{{ respond: {{ body: \"${{ proxy_protocol.unique_id }}\" }} }}]\n"),
        )
        .start();
    for send in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        let server = format!("{} {send}", narrows.address("web"));
        for mode in ["tcp", "http"] {
            let haproxy = Haproxy::passing(mode, "", &server);
            let mut client = Connection::connect(&haproxy.address);
            let (own, port) = (client.local_address().port(), haproxy.address.rsplit(':').next().unwrap());
            assert_eq!(client.exchange(GET).text(), format!("127.0.0.1 {own} {port}"), "{mode} {send}");
        }
    }
    let lines = format!(
        "unique-id-format id-%ms\n    server one {} send-proxy-v2 proxy-v2-options crc32c,unique-id",
        narrows.address("id")
    );
    let haproxy = Haproxy::listening("http", "", &lines);
    let answer = Connection::connect(&haproxy.address).exchange(GET).text();
    assert!(answer.starts_with("id-"), "{answer:?}");
}

#[test]
fn haproxy_behind_understands_us() {
    let answer = "http-request return status 200 content-type text/plain lf-string \
                  \"%[src] %[src_port] %[dst] %[dst_port]\"";
    let haproxy = Haproxy::listening("http", "accept-proxy", answer);
    for version in ["v1", "v2"] {
        let narrows = Setup::new()
            .upstream_with("app", &[&haproxy], &format!("proxy_protocol: {version}\n"))
            .listener("web", "upstream: app\n")
            .listener("tcp", "protocol: tcp\nupstream: app\n")
            .start();
        for listener in ["web", "tcp"] {
            let mut client = narrows.connect(listener);
            let (own, port) = (client.local_address().port(), narrows.port(listener));
            let expected = format!("127.0.0.1 {own} 127.0.0.1 {port}");
            assert_eq!(client.exchange(GET).text(), expected, "{version} {listener}");
        }
    }
}

#[test]
fn the_server_name_of_a_hello_is_the_authority() {
    let service = TlsService::start("one.example.com", "http/1.1");
    let lines = format!("log-format \"from=%[src] authority=%[fc_pp_authority]\"\n    server one {service}");
    let haproxy = Haproxy::listening("tcp", "accept-proxy", &lines);
    let narrows = Setup::new()
        .upstream_with("app", &[&haproxy], "proxy_protocol: v2\n")
        .listener("tcp", "protocol: tcp\nroutes: [{ sni: one.example.com, upstream: app }]\n")
        .start();
    let answer = output_of(
        Command::new(tool("curl"))
            .args(["-sS", "--cacert", &service.certificate])
            .args(["--connect-to", &format!("one.example.com:443:{}", narrows.address("tcp"))])
            .arg("https://one.example.com/name"),
    );
    assert_eq!(answer, "one.example.com");
    until("haproxy logs the authority", || {
        haproxy.output().contains("from=127.0.0.1 authority=one.example.com")
    });
}

#[test]
fn nginx_in_front_is_understood() {
    let narrows = telling(REQUIRED).start();
    let nginx = Nginx::stream(&narrows.address("web"), "proxy_protocol on;");
    let mut client = Connection::connect(&nginx.address);
    let (own, port) = (client.local_address().port(), nginx.address.rsplit(':').next().unwrap());
    assert_eq!(client.exchange(GET).text(), format!("127.0.0.1 {own} {port}"));
}

#[test]
fn nginx_behind_understands_us() {
    let port = narrows_conformance::servers::free_port();
    let _nginx = Nginx::start(&format!(
        "listen 127.0.0.1:{port} proxy_protocol;
         location = /who {{
             default_type text/plain;
             return 200 \"$proxy_protocol_addr $proxy_protocol_port $proxy_protocol_server_addr $proxy_protocol_server_port\";
         }}"
    ));
    for version in ["v1", "v2"] {
        let narrows = Setup::new()
            .upstream_with("app", &[&format!("127.0.0.1:{port}")], &format!("proxy_protocol: {version}\n"))
            .listener("web", &format!("upstream: app\n{ALLOWED}"))
            .start();
        let who = "GET /who HTTP/1.1\r\nHost: a\r\n\r\n";
        let mut client = narrows.web();
        let (own, port) = (client.local_address().port(), narrows.port("web"));
        assert_eq!(client.exchange(who).text(), format!("127.0.0.1 {own} 127.0.0.1 {port}"), "{version}");
        let mut client = narrows.web();
        client.send("PROXY TCP6 2001:db8::7 2001:db8::1 4711 443\r\n");
        assert_eq!(client.exchange(who).text(), "2001:db8::7 4711 2001:db8::1 443", "{version}");
        // The file server behind takes several requests, one connection each.
        assert_eq!(client.exchange(GET).text(), "nginx says hello", "{version}");
    }
}

#[test]
fn curl_sends_a_header() {
    let narrows = telling(REQUIRED).start();
    let answer = output_of(
        Command::new(tool("curl"))
            .args(["-sS", "--max-time", &Duration::from_secs(20).as_secs().to_string(), "--haproxy-protocol"])
            .arg(format!("http://{}/", narrows.address("web"))),
    );
    let port = narrows.port("web").to_string();
    assert!(answer.starts_with("127.0.0.1 ") && answer.ends_with(&port), "{answer}");
}
