//! TLS at layer 4: ended here, begun here, both.

use narrows_conformance::servers::certificates::Authority;
use narrows_conformance::servers::openssl::{TlsService, s_client};
use narrows_conformance::setup::tls_keys;
use narrows_conformance::{Backend, Connection, End, Narrows, Setup, TlsClient, TlsServer, until};

/// A backend that tells its name and then sends every byte back.
fn named(name: &'static str) -> Backend {
    Backend::script(move |mut connection, _| {
        connection.send(name);
        while let Some(bytes) = connection.some_bytes() {
            connection.send(bytes);
        }
    })
}

/// A backend that does the same over TLS.
fn secure(server: TlsServer) -> Backend {
    Backend::script(move |connection, _| {
        let Ok(mut connection) = server.accept(connection) else { return };
        while let Some(bytes) = connection.some_bytes() {
            connection.send(bytes);
        }
        connection.finish_sending();
    })
}

fn terminating(authority: &Authority, backend: &Backend, tls: &str, keys: &str) -> Narrows {
    let identity = authority.server(&["example.com"]);
    Setup::tcp(backend, &format!("{}{keys}", tls_keys(&[&identity], tls))).start()
}

/// Sends many bytes and expects them back.
fn echoes(connection: &mut Connection) {
    let bytes = (0..=255).cycle().take(40_000).collect::<Vec<u8>>();
    for _ in 0..5 {
        connection.send(&bytes);
        assert!(connection.read_exactly(bytes.len()) == bytes);
    }
}

#[test]
fn tls_ends_here_and_the_upstream_gets_plain_bytes() {
    let authority = Authority::new("a root");
    let backend = Backend::echo();
    let narrows = terminating(&authority, &backend, "", "");
    let mut connection = TlsClient::trusting(&authority.certificate).connect(narrows.address("tcp"));
    connection.send("knock");
    assert_eq!(connection.read_exactly(5), b"knock");
    assert_eq!(backend.received(), b"knock");
    echoes(&mut connection);
}

#[test]
fn tls_begins_here_for_a_plain_client() {
    let authority = Authority::new("inside");
    let backend = secure(TlsServer::new(&authority.server(&["app.internal"]), &[]));
    let keys = format!("tls: {{ ca: \"{}\", server_name: app.internal }}", authority.certificate);
    let narrows = Setup::tcp(&backend, "").upstream_with("app", &[&backend], &keys).start();
    let mut connection = narrows.connect("tcp");
    echoes(&mut connection);
    assert_eq!(backend.record(0).tls.unwrap().name.as_deref(), Some("app.internal"));
    connection.finish_sending();
    connection.expect_end();
}

#[test]
fn tls_ends_and_begins_again() {
    let (outside, inside) = (Authority::new("outside"), Authority::new("inside"));
    let backend = secure(TlsServer::new(&inside.server(&["app.internal"]), &[]));
    let front = tls_keys(&[&outside.server(&["example.com"])], "");
    let keys = format!("tls: {{ ca: \"{}\", server_name: app.internal }}", inside.certificate);
    let narrows = Setup::tcp(&backend, &front).upstream_with("app", &[&backend], &keys).start();
    let mut connection = TlsClient::trusting(&outside.certificate).connect(narrows.address("tcp"));
    echoes(&mut connection);
    connection.finish_sending();
    assert_eq!(connection.expect_end(), End::Closed);
}

#[test]
fn a_certificate_of_the_upstream_that_does_not_fit_ends_the_client() {
    let authority = Authority::new("inside");
    let strangers = Authority::new("x");
    let backend = secure(TlsServer::new(&strangers.server(&["app.internal"]), &[]));
    let keys = format!("tls: {{ ca: \"{}\", server_name: app.internal }}", authority.certificate);
    let narrows = Setup::tcp(&backend, "").upstream_with("app", &[&backend], &keys).start();
    let mut connection = narrows.connect("tcp");
    let _ = connection.try_send("secret");
    assert!(connection.read_to_end().is_empty());
    assert!(backend.received().is_empty());
}

#[test]
fn the_name_and_the_protocol_choose_the_upstream_after_tls_ended_here() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com", "*.example.com"]);
    let (one, two, knock, other) = (named("one"), named("two"), named("knock"), named("other"));
    let keys = format!(
        "protocol: tcp\nupstream: other\n{}routes:
  - {{ sni: one.example.com, upstream: one }}
  - {{ sni: [\"*.two.example.com\", two.example.com], upstream: two }}
  - {{ alpn: [knock], upstream: knock }}",
        tls_keys(&[&identity], "alpn: [knock, knack]")
    );
    let narrows = Setup::new()
        .upstream("one", &[&one])
        .upstream("two", &[&two])
        .upstream("knock", &[&knock])
        .upstream("other", &[&other])
        .listener("tcp", &keys)
        .start();
    for (client, expected) in [
        (TlsClient::blind().name("one.example.com"), "one"),
        (TlsClient::blind().name("two.example.com"), "two"),
        (TlsClient::blind().name("a.two.example.com"), "two"),
        (TlsClient::blind().name("x.example.com").alpn(&["knock"]), "knock"),
        (TlsClient::blind().name("x.example.com").alpn(&["knack"]), "other"),
        (TlsClient::blind().name("127.0.0.1"), "other"),
    ] {
        let mut connection = client.connect(narrows.address("tcp"));
        assert_eq!(connection.read_exactly(expected.len()), expected.as_bytes());
    }
}

#[test]
fn no_protocol_is_agreed_on_unless_one_is_named() {
    let authority = Authority::new("a root");
    let backend = Backend::echo();
    let narrows = terminating(&authority, &backend, "", "");
    let mut connection = TlsClient::blind().alpn(&["h2", "anything"]).connect(narrows.address("tcp"));
    assert_eq!(connection.tls().alpn, None);
    echoes(&mut connection);
    let narrows = terminating(&authority, &backend, "alpn: [postgresql]", "");
    let connection = TlsClient::blind().alpn(&["postgresql"]).connect(narrows.address("tcp"));
    assert_eq!(connection.tls().alpn.as_deref(), Some("postgresql"));
}

#[test]
fn one_port_passes_tls_through_beside_a_port_that_ends_it() {
    let authority = Authority::new("a root");
    let backend = Backend::echo();
    let service = TlsService::start("deep.example.com", "http/1.1");
    let identity = authority.server(&["example.com"]);
    let narrows = Setup::tcp(&backend, &tls_keys(&[&identity], ""))
        .upstream("service", &[&service])
        .listener("through", "protocol: tcp\nroutes:\n  - { sni: deep.example.com, upstream: service }")
        .start();
    let request = "GET /name HTTP/1.0\r\n\r\n";
    let through = narrows.address("through");
    let shown = s_client(through, &["-servername", "deep.example.com", "-tls1_2"], request);
    assert!(shown.contains("deep.example.com") && shown.contains("HTTP/1.0 200"), "{shown}");
    echoes(&mut TlsClient::blind().connect(narrows.address("tcp")));
}

#[test]
fn an_end_in_one_direction_passes_through() {
    let authority = Authority::new("a root");
    let backend = Backend::script(|mut connection, number| {
        if number < 2 {
            let question = connection.read_to_end();
            connection.send(format!("{} bytes", question.len()));
        } else {
            connection.send("bye");
            connection.finish_sending();
            connection.read_to_end();
        }
    });
    let narrows = terminating(&authority, &backend, "", "");
    for client in [TlsClient::blind().only_1_2(), TlsClient::blind().only_1_3()] {
        let mut connection = client.connect(narrows.address("tcp"));
        connection.send("hello");
        connection.finish_sending();
        assert_eq!(connection.read_to_end(), b"5 bytes");
        assert_eq!(connection.record().end, Some(End::Closed));
    }
    let mut connection = TlsClient::blind().connect(narrows.address("tcp"));
    assert_eq!(connection.read_to_end(), b"bye");
    connection.send("but wait");
    connection.finish_sending();
    backend.wait_for_end(2);
    assert!(backend.received().ends_with(b"but wait"));
}

#[test]
fn a_reset_of_the_client_ends_the_upstream() {
    let authority = Authority::new("a root");
    let backend = Backend::echo();
    let narrows = terminating(&authority, &backend, "", "");
    let mut connection = TlsClient::blind().connect(narrows.address("tcp"));
    connection.send("x");
    connection.read_exactly(1);
    connection.reset();
    backend.wait_for_end(0);
}

#[test]
fn an_idle_flow_is_ended_on_both_sides() {
    let authority = Authority::new("a root");
    let backend = Backend::echo();
    let narrows = terminating(&authority, &backend, "", "timeouts: { idle: 300ms, handshake: 2s }");
    let mut connection = TlsClient::blind().connect(narrows.address("tcp"));
    connection.send("x");
    connection.read_exactly(1);
    connection.expect_end();
    backend.wait_for_end(0);
}

#[test]
fn a_certificate_of_the_client_can_be_required() {
    let authority = Authority::new("a root");
    let backend = named("welcome");
    let tls = format!("clients: {{ mode: required, ca: \"{}\" }}", authority.certificate);
    let narrows = terminating(&authority, &backend, &tls, "");
    TlsClient::blind().refusal(narrows.address("tcp"));
    assert_eq!(backend.connections(), 0);
    let known = TlsClient::blind().identity(&authority.client("alice", &[]));
    assert_eq!(known.connect(narrows.address("tcp")).read_exactly(7), b"welcome");
}

#[test]
fn what_is_not_tls_is_ended() {
    let authority = Authority::new("a root");
    let backend = Backend::echo();
    let narrows = terminating(&authority, &backend, "", "timeouts: { handshake: 500ms }");
    for words in ["SSH-2.0-x\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", ""] {
        let mut connection = narrows.connect("tcp");
        connection.send(words);
        connection.read_to_end();
    }
    assert_eq!(backend.connections(), 0);
    echoes(&mut TlsClient::blind().connect(narrows.address("tcp")));
}

#[test]
fn a_drain_lets_flows_finish() {
    let authority = Authority::new("a root");
    let backend = Backend::echo();
    let mut narrows = terminating(&authority, &backend, "", "");
    let mut connection = TlsClient::blind().connect(narrows.address("tcp"));
    connection.send("x");
    connection.read_exactly(1);
    let address = narrows.address("tcp").to_owned();
    narrows.signal("TERM");
    until("new connections are refused", || Connection::try_connect(&address).is_err());
    echoes(&mut connection);
    connection.finish_sending();
    connection.expect_end();
    assert_eq!(narrows.wait_for_exit().code(), Some(0));
}
