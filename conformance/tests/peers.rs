//! The real peers work without the proxy, so that a failure elsewhere is not theirs.

use std::process::Command;

use narrows_conformance::backend::{Refusing, Silent};
use narrows_conformance::http2::{Frame, code};
use narrows_conformance::servers::certificates::{Algorithm, Authority};
use narrows_conformance::servers::grpc::{GrpcServer, grpc_client};
use narrows_conformance::servers::mariadb::{self, Mariadb};
use narrows_conformance::servers::nghttpd::Nghttpd;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::servers::openssl::{TlsService, s_client};
use narrows_conformance::servers::postgres::{self, Postgres};
use narrows_conformance::servers::websocket::{WebSocketEcho, python};
use narrows_conformance::tls::certificate_der;
use narrows_conformance::{Backend, Connection, End, Http2, TlsClient, TlsServer, output_of, tool};

fn port(address: &str) -> u16 {
    address.rsplit(':').next().unwrap().parse().unwrap()
}

#[test]
fn nginx_answers() {
    let nginx = Nginx::start("");
    let answer = Connection::connect(&nginx.address).exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!((answer.status(), answer.text().as_str()), (200, "nginx says hello"));
}

#[test]
fn postgres_answers_in_its_protocol() {
    let postgres = Postgres::start();
    let answer = output_of(postgres::client("psql", port(&postgres.address)).args(["-Atc", "select 6 * 7"]));
    assert_eq!(answer.trim(), "42");
}

#[test]
fn mariadb_answers_in_its_protocol() {
    let mariadb = Mariadb::start();
    let answer = output_of(mariadb::client(port(&mariadb.address)).args(["-e", "select 6 * 7"]));
    assert_eq!(answer.trim(), "42");
}

#[test]
fn a_tls_service_answers_curl() {
    let service = TlsService::start("one.example.com", "http/1.1");
    let answer = output_of(
        Command::new(tool("curl"))
            .args(["-sS", "--cacert", &service.certificate])
            .args(["--connect-to", &format!("one.example.com:443:{}", service.address)])
            .arg("https://one.example.com/name"),
    );
    assert_eq!(answer, "one.example.com", "{}", service.output());
}

#[test]
fn the_websocket_echo_starts() {
    let echo = WebSocketEcho::start();
    let script = format!(
        "import websockets.sync.client as c\nwith c.connect('ws://{echo}') as s: s.send('hello'); print(s.recv())"
    );
    assert_eq!(output_of(Command::new(python()).args(["-c", &script])).trim(), "hello");
}

#[test]
fn a_refusing_address_refuses_and_a_silent_one_is_silent() {
    assert!(Connection::try_connect(&Refusing::new().to_string()).is_err());
    let _full = Silent::new();
}

#[test]
fn a_script_plays_on_each_connection_and_records_it() {
    let backend = Backend::script(|mut connection, number| {
        let request = connection.request();
        connection.send(format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n{number}"));
        assert_eq!(request.target(), "/x");
        connection.reset();
    });
    for number in ["0", "1"] {
        let mut connection = Connection::connect(backend.address());
        let answer = connection.exchange("GET /x HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(answer.text(), number);
        assert_eq!(connection.expect_end(), End::Reset);
    }
    assert_eq!((backend.connections(), backend.requests().len()), (2, 2));
}

#[test]
fn the_hand_written_client_understands_nghttpd_and_nginx() {
    let nghttpd = Nghttpd::start(&["--trailer", "x-sum: 42"]);
    nghttpd.folder.write("large", "x".repeat(1_000_000));
    let mut client = Http2::connect(&nghttpd.address);
    let got = client.get("/");
    assert_eq!((got.status(), got.text().as_str()), (200, "nghttpd says hello"));
    assert_eq!(got.trailer("x-sum"), Some("42"));
    assert_eq!(client.get("/large").body.len(), 1_000_000);
    let stream = client.open("POST", "/", &[], false);
    client.upload(stream, &[b'x'; 300_000], true);
    assert_eq!(client.answer(stream).status(), 200);
    client.send(&Frame::ping(*b"12345678"));
    assert!(client.until(|client| client.pongs.len() == 1));
    let stream = client.open("GET", "/", &[("X-Upper", "1")], true);
    assert_eq!(client.answer(stream).reset, Some(code::PROTOCOL_ERROR));
    let nginx = Nginx::start_http2("");
    nginx.folder.write("www/large", "x".repeat(1_000_000));
    let mut client = Http2::connect(&nginx.address);
    assert_eq!(client.get("/").text(), "nginx says hello");
    assert_eq!(client.get("/large").body.len(), 1_000_000);
}

#[test]
fn curl_and_h2load_understand_the_hand_written_server() {
    let backend = Backend::script(|connection, _| {
        let Some(mut server) = Http2::accept(connection, &[]) else { return };
        while let Some(stream) = server.next_request() {
            server.respond(stream, &[(":status", "200")], "hello");
        }
    });
    let url = format!("http://{backend}/");
    let answer = output_of(Command::new(tool("curl")).args(["-sS", "--http2-prior-knowledge", &url]));
    assert_eq!(answer, "hello");
    let shown = output_of(Command::new(tool("h2load")).args(["-n", "200", "-c", "2", "-m", "10", &url]));
    assert!(shown.contains("200 succeeded, 0 failed"), "{shown}");
}

#[test]
fn tls_peers_shake_hands_and_know_each_other() {
    let authority = Authority::new("a root");
    let rsa = authority.server_with(&["example.com", "*.example.org"], Algorithm::Rsa);
    let alice = authority.client("alice", &["URI:spiffe://test/alice"]);
    let server = TlsServer::demanding(&rsa, &["h2"], &authority.certificate);
    let backend = Backend::script(move |connection, _| {
        let Ok(mut connection) = server.accept(connection) else { return };
        while let Some(bytes) = connection.some_bytes() {
            connection.send(bytes);
        }
        connection.finish_sending();
    });
    let known = TlsClient::trusting(&authority.certificate).identity(&alice).alpn(&["h2"]);
    for number in 0..2 {
        let mut connection = known.connect(backend.address());
        connection.send("hello");
        assert_eq!(connection.read_exactly(5), b"hello");
        let facts = connection.tls();
        assert_eq!((facts.version.as_str(), facts.alpn.as_deref()), ("1.3", Some("h2")));
        assert_eq!((facts.group.as_deref(), facts.resumed), (Some("X25519MLKEM768"), number == 1));
        assert_eq!(facts.certificates[0], certificate_der(&rsa.certificate));
        connection.finish_sending();
        assert_eq!(connection.expect_end(), End::Closed);
        let facts = backend.record(number).tls.expect("the server's facts");
        assert_eq!(facts.name.as_deref(), Some("example.com"));
        assert_eq!(facts.certificates[0], certificate_der(&alice.certificate));
    }
    let stranger = TlsClient::trusting(&authority.certificate).refusal(backend.address());
    assert!(stranger.contains("CertificateRequired"), "{stranger}");
    let wrong = TlsClient::trusting(&authority.certificate).name("example.net").identity(&alice);
    assert!(wrong.refusal(backend.address()).contains("not valid for name"));
    let expired = TlsServer::new(&authority.expired("example.com"), &[]);
    let old = Backend::script(move |connection, _| drop(expired.accept(connection)));
    let refusal = TlsClient::trusting(&authority.certificate).refusal(old.address());
    assert!(refusal.to_lowercase().contains("expired"), "{refusal}");
}

#[test]
fn openssl_agrees_with_the_authority() {
    let authority = Authority::new("a root");
    let (site, alice, bob) =
        (authority.server(&["example.com"]), authority.client("alice", &[]), authority.client("bob", &[]));
    let list = authority.revocations(&[&bob]);
    let verify = |certificate: &str| {
        let mut openssl = Command::new(tool("openssl"));
        openssl.args([
            "verify",
            "-crl_check",
            "-CAfile",
            &authority.certificate,
            "-CRLfile",
            &list,
            certificate,
        ]);
        narrows_conformance::program::run(&mut openssl).status.success()
    };
    assert!(verify(&alice.certificate) && verify(&site.certificate) && !verify(&bob.certificate));
    let staple = authority.staple(&site);
    let mut openssl = Command::new(tool("openssl"));
    openssl.args(["ocsp", "-respin", &staple, "-issuer", &authority.certificate, "-cert", &site.certificate]);
    let shown = output_of(openssl.args(["-CAfile", &authority.certificate]));
    assert!(shown.contains(": good"), "{shown}");
    let nginx = Nginx::start_tls(&site, "http2", "");
    let request = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
    let shown = s_client(&nginx.address, &["-CAfile", &authority.certificate], request);
    assert!(shown.contains("nginx says hello") && shown.contains("Verify return code: 0"), "{shown}");
}

#[test]
fn the_grpc_client_and_server_work() {
    let authority = Authority::new("a root");
    let (plain, secure) = (GrpcServer::start(), GrpcServer::start_tls(&authority.server(&["example.com"])));
    let trusted = format!("secure('{secure}', '{}', 'example.com')", authority.certificate);
    for channel in [format!("plain('{plain}')"), trusted] {
        let shown = grpc_client(
            &channel,
            "
print(unary('Echo')(b'hello'), list(server_stream('Count')(b'3')))
print(client_stream('Total')(iter([b'a', b'bc'])), list(both('Talk')(iter([b'x', b'y']))))
error = failure(unary('Fail'), b'')
print(error.code(), error.details(), error.trailing_metadata())",
        );
        assert!(shown.contains("b'hello' [b'0', b'1', b'2']"), "{shown}");
        assert!(shown.contains("b'3' [b'you said x', b'you said y']"), "{shown}");
        assert!(shown.contains("FAILED_PRECONDITION not so: 100 % ä") && shown.contains("failed"), "{shown}");
    }
}

#[test]
fn the_websocket_echo_speaks_tls() {
    let authority = Authority::new("a root");
    let echo = WebSocketEcho::start_tls(&authority.server(&["localhost"]));
    let script = format!(
        "import ssl, websockets.sync.client as c
context = ssl.create_default_context(cafile='{}')
with c.connect('wss://{echo}', ssl=context, server_hostname='localhost') as s: s.send('hello'); print(s.recv())",
        authority.certificate
    );
    assert_eq!(output_of(Command::new(python()).args(["-c", &script])).trim(), "hello");
}
