//! TLS to the upstream: verified unless somebody says otherwise.

use std::process::Command;

use narrows_conformance::backend::ok;
use narrows_conformance::http2::Http2;
use narrows_conformance::narrows::binary;
use narrows_conformance::servers::certificates::{Authority, Identity};
use narrows_conformance::servers::nghttpd::Nghttpd;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::tls::TlsFacts;
use narrows_conformance::{Backend, Folder, Message, Narrows, Setup, TlsServer};

/// A backend that says hello over TLS, in HTTP/2 when that was agreed on.
fn service(server: TlsServer) -> Backend {
    Backend::script(move |connection, _| {
        let Ok(mut connection) = server.accept(connection) else { return };
        if connection.tls().alpn.as_deref() == Some("h2") {
            let Some(mut peer) = Http2::accept(connection, &[]) else { return };
            while let Some(stream) = peer.next_request() {
                peer.whole_request(stream);
                peer.respond(stream, &[(":status", "200")], "hello in 2");
            }
            return;
        }
        while connection.next_request().is_some() {
            if connection.try_send(ok("hello")).is_err() {
                return;
            }
        }
    })
}

fn front(backend: &Backend, keys: &str) -> Narrows {
    Setup::web(backend, "").upstream_with("app", &[backend], keys).start()
}

/// The keys of an upstream whose certificate is verified.
fn verified(authority: &Authority, further: &str) -> String {
    format!("tls: {{ ca: \"{}\", {further} }}", authority.certificate)
}

#[track_caller]
fn assert_certificate_error(answer: &Message) {
    answer.assert_proxy_error(502, "tls_certificate_error");
}

fn facts(backend: &Backend, number: usize) -> TlsFacts {
    backend.record(number).tls.expect("a handshake")
}

#[test]
fn a_certificate_of_the_given_authority_is_accepted() {
    let authority = Authority::new("inside");
    let backend = service(TlsServer::new(&authority.server(&["app.internal"]), &[]));
    let narrows = front(&backend, &verified(&authority, "server_name: app.internal"));
    for _ in 0..3 {
        assert_eq!(narrows.get("/", &[]).text(), "hello");
    }
    assert_eq!(backend.connections(), 1, "a TLS connection is kept for the next request");
    let facts = facts(&backend, 0);
    assert_eq!((facts.name.as_deref(), facts.version.as_str()), (Some("app.internal"), "1.3"));
    assert_eq!(backend.requests()[0].header("host"), Some("example.com"), "the host is the client's");
}

#[test]
fn an_endpoint_is_verified_by_its_address_when_no_name_is_given() {
    let authority = Authority::new("inside");
    let backend = service(TlsServer::new(&authority.server(&["IP:127.0.0.1"]), &[]));
    let narrows = front(&backend, &verified(&authority, ""));
    assert_eq!(narrows.get("/", &[]).text(), "hello");
    assert_eq!(facts(&backend, 0).name, None, "an address is no server name (RFC 6066 section 3)");
    let other = service(TlsServer::new(&authority.server(&["IP:127.0.0.2"]), &[]));
    assert_certificate_error(&front(&other, &verified(&authority, "")).get("/", &[]));
}

#[test]
fn a_certificate_that_does_not_fit_is_502_with_a_cause() {
    let authority = Authority::new("inside");
    let good = authority.server(&["app.internal"]);
    let strangers = Authority::new("inside");
    let stranger = strangers.server(&["app.internal"]);
    let expired = authority.expired("app.internal");
    let client = authority.client("app", &["DNS:app.internal"]);
    for (identity, name) in [
        (&good, "other.internal"),
        (&stranger, "app.internal"),
        (&expired, "app.internal"),
        (&client, "app.internal"),
    ] {
        let backend = service(TlsServer::new(identity, &[]));
        let narrows = front(&backend, &verified(&authority, &format!("server_name: {name}")));
        assert_certificate_error(&narrows.get("/", &[]));
        assert!(backend.requests().is_empty());
    }
}

#[test]
fn verification_is_on_by_default_with_the_roots_of_the_system() {
    let authority = Authority::new("inside");
    let backend = service(TlsServer::new(&authority.server(&["IP:127.0.0.1"]), &[]));
    assert_certificate_error(&front(&backend, "tls: true").get("/", &[]));
    let mut command = Command::new(binary());
    command.args(["run", "--workers", "1"]).env("SSL_CERT_FILE", &authority.certificate);
    let setup = Setup::web(&backend, "").upstream_with("app", &[&backend], "tls: true");
    let narrows = Narrows::start_with(command, Folder::new(), &setup.yaml());
    assert_eq!(narrows.get("/", &[]).text(), "hello", "where the system knows the authority");
}

#[test]
fn verification_can_be_switched_off() {
    let strangers = Authority::new("nobody");
    let stranger = strangers.server(&["whatever.test"]);
    let backend = service(TlsServer::new(&stranger, &[]));
    assert_eq!(front(&backend, "tls: { verify: false }").get("/", &[]).text(), "hello");
    let backend = service(TlsServer::new(&stranger, &[]));
    let narrows = front(&backend, "tls: { verify: false, server_name: asked.test }");
    assert_eq!(narrows.get("/", &[]).text(), "hello");
    assert_eq!(facts(&backend, 0).name.as_deref(), Some("asked.test"), "the name is sent all the same");
}

#[test]
fn the_proxy_shows_its_own_certificate() {
    let authority = Authority::new("inside");
    let site = authority.server(&["app.internal"]);
    let own = authority.client("narrows", &[]);
    let backend = service(TlsServer::demanding(&site, &[], &authority.certificate));
    let keys = verified(&authority, &format!("server_name: app.internal, certificate: {}", own.yaml()));
    assert_eq!(front(&backend, &keys).get("/", &[]).text(), "hello");
    let expected = narrows_conformance::tls::certificate_der(&own.certificate);
    assert_eq!(facts(&backend, 0).certificates[0], expected);
    let answer = front(&backend, &verified(&authority, "server_name: app.internal")).get("/", &[]);
    assert_eq!(answer.status(), 502, "{}", answer.head);
    let cause = answer.header("proxy-status").unwrap_or_default();
    assert!(cause.contains("error=tls_") || cause.contains("error=connection_terminated"), "{cause}");
}

#[test]
fn a_backend_without_tls_is_502_with_a_cause() {
    let backend = Backend::script(|mut connection, _| {
        connection.read_exactly(5);
        let _ = connection.try_send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    });
    front(&backend, "tls: { verify: false }").get("/", &[]).assert_proxy_error(502, "tls_protocol_error");
}

#[test]
fn a_backend_that_stops_in_its_handshake_is_504() {
    let backend = Backend::script(|mut connection, _| drop(connection.read_to_end()));
    let narrows = Setup::web(&backend, "timeouts: { connect: 300ms }")
        .upstream_with("app", &[&backend], "tls: { verify: false }\nretries: 0")
        .start();
    narrows.get("/", &[]).assert_proxy_error(504, "connection_timeout");
    backend.wait_for_end(0);
}

#[test]
fn the_next_endpoint_takes_over_where_a_handshake_fails() {
    let authority = Authority::new("inside");
    let good = service(TlsServer::new(&authority.server(&["app.internal"]), &[]));
    let strangers = Authority::new("x");
    let bad = service(TlsServer::new(&strangers.server(&["app.internal"]), &[]));
    let narrows = Setup::web(&good, "")
        .upstream_with("app", &[&bad, &good], &verified(&authority, "server_name: app.internal"))
        .start();
    for _ in 0..4 {
        assert_eq!(narrows.get("/", &[]).text(), "hello");
    }
}

#[test]
fn the_lowest_version_holds_for_upstreams_too() {
    let authority = Authority::new("inside");
    let identity = authority.server(&["app.internal"]);
    let nginx = Nginx::start_tls(&identity, "", "ssl_protocols TLSv1.2;");
    let start = |further: &str| {
        let keys = verified(&authority, &format!("server_name: app.internal, {further}"));
        Setup::web(&nginx, "").upstream_with("app", &[&nginx], &keys).start()
    };
    assert_eq!(start("").get("/", &[]).text(), "nginx says hello");
    for further in ["minimum_version: \"1.3\"", "profile: modern"] {
        let answer = start(further).get("/", &[]);
        assert_eq!(answer.status(), 502, "{further}: {}", answer.head);
        assert!(
            answer.header("proxy-status").is_some_and(|cause| cause.contains("error=tls_")),
            "{}",
            answer.head
        );
    }
}

#[test]
fn the_protocol_is_agreed_on_with_the_upstream() {
    let authority = Authority::new("inside");
    let identity = authority.server(&["app.internal"]);
    let keys = |protocol: &str| {
        format!("protocol: {protocol}\n{}", verified(&authority, "server_name: app.internal"))
    };
    for (offered, protocol, expected) in [
        (vec!["h2", "http/1.1"], "auto", "hello in 2"),
        (vec!["http/1.1"], "auto", "hello"),
        (vec![], "auto", "hello"),
        (vec!["h2", "http/1.1"], "http2", "hello in 2"),
        (vec!["h2", "http/1.1"], "http1", "hello"),
    ] {
        let backend = service(TlsServer::new(&identity, &offered));
        let narrows = front(&backend, &keys(protocol));
        for _ in 0..2 {
            assert_eq!(narrows.get("/", &[]).text(), expected, "{offered:?} {protocol}");
        }
        assert_eq!(backend.connections(), 1, "{offered:?} {protocol}");
    }
    let backend = service(TlsServer::new(&identity, &["http/1.1"]));
    let answer = front(&backend, &keys("http2")).get("/", &[]);
    assert_eq!(answer.status(), 502, "an upstream that must speak HTTP/2 and does not: {}", answer.head);
    assert!(answer.header("proxy-status").is_some_and(|cause| cause.contains("error=")), "{}", answer.head);
}

#[test]
fn nginx_and_nghttpd_are_reached_over_tls() {
    let authority = Authority::new("inside");
    let identity = authority.server(&["app.internal"]);
    let nginx = Nginx::start_tls(&identity, "http2", "");
    let nghttpd = Nghttpd::start_tls(&identity, &[]);
    let verified = verified(&authority, "server_name: app.internal");
    let narrows = Setup::new()
        .upstream_with("plain", &[&nginx], &verified)
        .upstream_with("two", &[&nginx], &format!("protocol: http2\n{verified}"))
        .upstream_with("nghttpd", &[&nghttpd], &format!("protocol: auto\n{verified}"))
        .listener("plain", "upstream: plain")
        .listener("two", "upstream: two")
        .listener("nghttpd", "upstream: nghttpd")
        .start();
    for (listener, expected) in
        [("plain", "nginx says hello"), ("two", "nginx says hello"), ("nghttpd", "nghttpd says hello")]
    {
        for _ in 0..3 {
            let answer = narrows.connect(listener).exchange("GET / HTTP/1.1\r\nHost: app.internal\r\n\r\n");
            assert_eq!((answer.status(), answer.text().as_str()), (200, expected), "{listener}");
        }
    }
}

#[test]
fn large_bodies_pass_to_a_tls_upstream_and_back() {
    let authority = Authority::new("inside");
    let server = TlsServer::new(&authority.server(&["app.internal"]), &[]);
    let backend = Backend::script(move |connection, _| {
        let Ok(mut connection) = server.accept(connection) else { return };
        while let Some(request) = connection.next_request() {
            connection.send(ok(&"y".repeat(request.body.len())));
        }
    });
    let narrows = front(&backend, &verified(&authority, "server_name: app.internal"));
    let size = 6 * 1024 * 1024;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n");
    let answer = narrows.web().exchange([head.as_bytes(), &vec![b'x'; size]].concat());
    assert_eq!(answer.body, vec![b'y'; size]);
    assert_eq!(backend.only_request().body, vec![b'x'; size]);
}

#[test]
fn a_kept_connection_that_the_upstream_has_closed_is_noticed() {
    let authority = Authority::new("inside");
    let server = TlsServer::new(&authority.server(&["app.internal"]), &[]);
    let backend = Backend::script(move |connection, _| {
        let Ok(mut connection) = server.accept(connection) else { return };
        if connection.next_request().is_some() {
            connection.send(ok("once"));
            connection.finish_sending();
        }
    });
    let narrows = front(&backend, &verified(&authority, "server_name: app.internal"));
    for number in 0..6 {
        let answer = narrows.web().exchange("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi");
        assert_eq!(answer.text(), "once", "request {number}: {}", answer.head);
        backend.wait_for_script(number);
    }
    assert!((1..6).all(|number| facts(&backend, number).resumed), "and the session is resumed");
}

#[test]
fn a_slow_client_holds_a_tls_upstream_back() {
    let authority = Authority::new("inside");
    let server = TlsServer::new(&authority.server(&["app.internal"]), &[]);
    let (tell, told) = std::sync::mpsc::channel();
    let tell = std::sync::Mutex::new(tell);
    let size = 128 * 1024 * 1024;
    let backend = Backend::script(move |connection, _| {
        let Ok(mut connection) = server.accept(connection) else { return };
        connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n"));
        let piece = [b'x'; 16_384];
        let taken = connection.flood(&piece, size, std::time::Duration::from_millis(700));
        tell.lock().unwrap().send(taken).unwrap();
    });
    let narrows = front(&backend, &verified(&authority, "server_name: app.internal"));
    let mut client = narrows.web();
    client.small_receive_buffer();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.response_head();
    let taken = told.recv_timeout(narrows_conformance::DEADLINE).unwrap();
    assert!(taken < 64 * 1024 * 1024, "{taken} bytes were taken for a client that does not read");
    assert!(narrows.peak_memory_kib() < 64 * 1024, "{} KiB", narrows.peak_memory_kib());
}

#[test]
fn an_authority_that_changes_is_believed_without_a_restart() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = Folder::new();
    let file = folder.write("ca.pem", std::fs::read(&old.certificate).unwrap());
    let backend = service(TlsServer::new(&new.server(&["app.internal"]), &[]));
    let narrows = front(&backend, &format!("tls: {{ ca: \"{file}\", server_name: app.internal }}"));
    assert_certificate_error(&narrows.get("/", &[]));
    std::fs::copy(&new.certificate, &file).unwrap();
    narrows_conformance::until("the new authority is believed", || narrows.get("/", &[]).status() == 200);
}

#[test]
fn an_answer_until_the_end_that_was_cut_off_is_not_taken_for_whole() {
    let authority = Authority::new("inside");
    let identity: Identity = authority.server(&["app.internal"]);
    let server = TlsServer::new(&identity, &[]);
    let backend = Backend::script(move |connection, number| {
        let Ok(mut connection) = server.accept(connection) else { return };
        connection.request();
        connection.send("HTTP/1.1 200 OK\r\n\r\nsome");
        if number == 0 {
            connection.finish_sending();
        }
    });
    let narrows = front(&backend, &verified(&authority, "server_name: app.internal"));
    let whole = narrows.get("/", &[]);
    assert_eq!(whole.text(), "some", "a close_notify ends an answer");
    let mut client = narrows.web();
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let received = client.read_to_end();
    let text = String::from_utf8_lossy(&received);
    assert!(
        !text.ends_with("0\r\n\r\n"),
        "without one it may have been truncated (RFC 9112 section 9.8): {text}"
    );
}
