//! TLS to the client: which certificate, which version, which protocol, and what goes on inside.

use std::process::Command;

use narrows_conformance::backend::ok;
use narrows_conformance::servers::certificates::{Algorithm, Authority, Identity};
use narrows_conformance::servers::openssl::s_client;
use narrows_conformance::setup::tls_keys;
use narrows_conformance::tls::certificate_der;
use narrows_conformance::{Backend, Narrows, Setup, TlsClient, output_of, tool};

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";
const LAST: &str = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";

/// The proxy with one certificate for example.com, and who vouches for it.
struct House {
    narrows: Narrows,
    authority: Authority,
    backend: Backend,
}

fn house(tls: &str, keys: &str) -> House {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let backend = Backend::saying("hello");
    let narrows = Setup::https_with(&backend, &identity, tls, keys).start();
    House { narrows, authority, backend }
}

impl House {
    fn client(&self) -> TlsClient {
        TlsClient::trusting(&self.authority.certificate)
    }

    fn address(&self) -> &str {
        self.narrows.address("web")
    }
}

/// Which of these certificates the proxy shows to this client.
fn shown(narrows: &Narrows, client: &TlsClient, identities: &[&Identity]) -> usize {
    let shown = client.connect(narrows.address("web")).tls().certificates.remove(0);
    identities
        .iter()
        .position(|identity| certificate_der(&identity.certificate) == shown)
        .expect("one of the certificates is shown")
}

#[test]
fn requests_are_answered_in_both_versions() {
    let house = house("", "");
    for (client, version) in [(house.client().only_1_2(), "1.2"), (house.client().only_1_3(), "1.3")] {
        let mut connection = client.connect(house.address());
        assert_eq!(connection.tls().version, version);
        for _ in 0..3 {
            assert_eq!(connection.exchange(GET).text(), "hello");
        }
    }
    let requests = house.backend.requests();
    assert_eq!(requests.len(), 6);
    assert!(requests.iter().all(|request| request.header("x-forwarded-proto") == Some("https")));
}

#[test]
fn curl_reads_a_page_in_every_version() {
    let house = house("", "");
    let port = house.narrows.port("web");
    for (options, expected) in [
        (["--tlsv1.2", "--tls-max", "1.2", "--http1.1"], "hello 1.1"),
        (["--tlsv1.3", "--tls-max", "1.3", "--http1.1"], "hello 1.1"),
        (["--tlsv1.2", "--tls-max", "1.2", "--http2"], "hello 2"),
        (["--tlsv1.3", "--tls-max", "1.3", "--http2"], "hello 2"),
    ] {
        let mut curl = Command::new(tool("curl"));
        curl.args(["-sS", "--fail", "--max-time", "20", "--cacert", &house.authority.certificate])
            .args(options);
        curl.args(["-w", " %{http_version}", "--resolve", &format!("example.com:{port}:127.0.0.1")]);
        assert_eq!(output_of(curl.arg(format!("https://example.com:{port}/"))), expected, "{options:?}");
    }
}

#[test]
fn the_certificate_is_chosen_by_the_server_name() {
    let authority = Authority::new("a root");
    let [default, exact, wildcard, inside] = [
        vec!["default.example.com"],
        vec!["a.example.com", "b.example.com"],
        vec!["*.wild.example.com"],
        vec!["www.wild.example.com"],
    ]
    .map(|names| authority.server(&names));
    let all = [&default, &exact, &wildcard, &inside];
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, &tls_keys(&all, "")).start();
    for (name, expected) in [
        ("default.example.com", 0),
        ("a.example.com", 1),
        ("B.example.com", 1),
        ("x.wild.example.com", 2),
        ("www.wild.example.com", 3),
        ("deep.x.wild.example.com", 0),
        ("wild.example.com", 0),
        ("nobody.test", 0),
        ("127.0.0.1", 0),
    ] {
        assert_eq!(shown(&narrows, &TlsClient::blind().name(name), &all), expected, "{name}");
    }
}

#[test]
fn rsa_and_ecdsa_stand_beside_each_other_for_one_name() {
    let authority = Authority::new("a root");
    let [rsa, ecdsa] = [Algorithm::Rsa, Algorithm::Ecdsa]
        .map(|algorithm| authority.server_with(&["example.com"], algorithm));
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, &tls_keys(&[&rsa, &ecdsa], "")).start();
    type Version = fn(TlsClient) -> TlsClient;
    for version in [TlsClient::only_1_2 as Version, TlsClient::only_1_3] {
        let client = || version(TlsClient::blind());
        assert_eq!(shown(&narrows, &client().only_rsa(), &[&rsa, &ecdsa]), 0);
        assert_eq!(shown(&narrows, &client().only_ecdsa(), &[&rsa, &ecdsa]), 1);
        assert_eq!(shown(&narrows, &client(), &[&rsa, &ecdsa]), 1, "the cheaper one for who knows both");
    }
    let old = ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256", "-servername", "example.com"];
    assert!(s_client(narrows.address("web"), &old, LAST).contains("hello"));
}

#[test]
fn the_lowest_version_can_be_raised() {
    for keys in ["minimum_version: \"1.3\"", "profile: modern"] {
        let house = house(keys, "");
        let refusal = house.client().only_1_2().refusal(house.address());
        assert!(refusal.contains("ProtocolVersion"), "{keys}: {refusal}");
        assert_eq!(house.client().connect(house.address()).exchange(GET).text(), "hello");
    }
}

#[test]
fn what_mozilla_calls_old_is_refused_by_default() {
    let house = house("", "");
    for options in [
        vec!["-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"],
        vec!["-tls1_2", "-cipher", "AES128-SHA256"],
        vec!["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA"],
    ] {
        let shown = s_client(house.address(), &options, LAST);
        assert!(shown.contains("alert") && !shown.contains("hello"), "{options:?}: {shown}");
    }
    let good = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"];
    assert!(s_client(house.address(), &good, LAST).contains("hello"));
}

#[test]
fn the_application_protocol_is_agreed_on() {
    let house = house("", "");
    let chosen = |protocols: &[&str]| house.client().alpn(protocols).connect(house.address()).tls().alpn;
    assert_eq!(chosen(&["h2", "http/1.1"]).as_deref(), Some("h2"));
    assert_eq!(chosen(&["http/1.1", "h2"]).as_deref(), Some("h2"), "the server's order counts");
    assert_eq!(chosen(&["http/1.1"]).as_deref(), Some("http/1.1"));
    assert_eq!(chosen(&[]), None);
    let refusal = house.client().alpn(&["smtp"]).refusal(house.address());
    assert!(refusal.contains("NoApplicationProtocol"), "RFC 7301 section 3.2: {refusal}");
    let mut silent = house.client().connect(house.address());
    assert_eq!(silent.exchange(GET).text(), "hello", "without ALPN it is HTTP/1.1");
}

#[test]
fn the_offer_of_protocols_can_be_narrowed() {
    let house = house("alpn: [http/1.1]", "");
    let mut connection = house.client().alpn(&["h2", "http/1.1"]).connect(house.address());
    assert_eq!(connection.tls().alpn.as_deref(), Some("http/1.1"));
    assert_eq!(connection.exchange(GET).text(), "hello");
}

#[test]
fn http2_can_be_switched_off() {
    let house = house("", "http2: off");
    let connection = house.client().alpn(&["h2", "http/1.1"]).connect(house.address());
    assert_eq!(connection.tls().alpn.as_deref(), Some("http/1.1"));
}

#[test]
fn the_key_exchange_withstands_quantum_computers_where_the_client_can() {
    use rustls::NamedGroup;
    let house = house("", "");
    let group = |groups: &[NamedGroup]| {
        let mut connection = house.client().groups(groups).connect(house.address());
        assert_eq!(connection.exchange(GET).text(), "hello");
        connection.tls().group.expect("a group")
    };
    assert_eq!(group(&[NamedGroup::X25519MLKEM768, NamedGroup::X25519]), "X25519MLKEM768");
    assert_eq!(group(&[NamedGroup::X25519]), "X25519");
    assert_eq!(group(&[NamedGroup::secp256r1]), "secp256r1");
}

#[test]
fn sessions_are_resumed_whichever_worker_takes_the_connection() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let backend = Backend::saying("hello");
    let narrows = Setup::https(&backend, &identity, "").workers(2).start();
    let trusting = || TlsClient::trusting(&authority.certificate);
    for client in [trusting().only_1_2(), trusting().only_1_3()] {
        for number in 0..16 {
            let mut connection = client.connect(narrows.address("web"));
            assert_eq!(connection.exchange(GET).text(), "hello");
            assert_eq!(connection.tls().resumed, number > 0, "connection {number}");
        }
    }
}

#[test]
fn openssl_resumes_a_session() {
    let house = house("", "");
    let session = house.narrows.folder.join("session");
    for version in ["-tls1_2", "-tls1_3"] {
        let first = s_client(house.address(), &[version, "-sess_out", &session], LAST);
        assert!(first.contains("New, TLSv1.") && first.contains("hello"), "{first}");
        let second = s_client(house.address(), &[version, "-sess_in", &session], LAST);
        assert!(second.contains("Reused, TLSv1.") && second.contains("hello"), "{second}");
    }
}

#[test]
fn an_ocsp_response_is_stapled() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let staple = authority.staple(&identity);
    let backend = Backend::saying("hello");
    let keys = format!(
        "tls:\n  certificates:\n    - {{ cert: \"{}\", key: \"{}\", ocsp: \"{staple}\" }}",
        identity.certificate, identity.key
    );
    let narrows = Setup::web(&backend, &keys).start();
    let client = TlsClient::trusting(&authority.certificate);
    assert_eq!(client.connect(narrows.address("web")).exchange(GET).text(), "hello");
    assert_eq!(client.staple(), std::fs::read(&staple).unwrap());
    let shown = s_client(narrows.address("web"), &["-status", "-CAfile", &authority.certificate], LAST);
    assert!(
        shown.contains("OCSP Response Status: successful") && shown.contains("Cert Status: good"),
        "{shown}"
    );
}

#[test]
fn large_bodies_pass_both_ways() {
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let backend = Backend::respond(|request| ok(&"y".repeat(request.body.len())).into_iter().collect());
    let narrows = Setup::https(&backend, &identity, "").start();
    let size = 6 * 1024 * 1024;
    for client in [TlsClient::blind().only_1_2(), TlsClient::blind().only_1_3()] {
        let mut connection = client.connect(narrows.address("web"));
        let head = format!("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: {size}\r\n\r\n");
        let answer = connection.exchange([head.as_bytes(), &vec![b'x'; size]].concat());
        assert_eq!(answer.body, vec![b'y'; size]);
    }
    assert!(backend.requests().iter().all(|request| request.body == vec![b'x'; size]));
}

#[test]
fn a_client_that_ends_its_direction_still_gets_its_answer() {
    let house = house("", "");
    for client in [house.client().only_1_2(), house.client().only_1_3()] {
        let mut connection = client.connect(house.address());
        connection.send(GET);
        connection.finish_sending();
        assert_eq!(connection.response("GET").text(), "hello");
        assert_eq!(connection.expect_end(), narrows_conformance::End::Closed, "with a close_notify");
    }
}

#[test]
fn a_certificate_of_its_own_is_made_by_one_word() {
    let backend = Backend::saying("hello");
    let narrows = Setup::web(&backend, "tls: self-signed").start();
    let mut connection = TlsClient::blind().alpn(&["http/1.1"]).connect(narrows.address("web"));
    assert_eq!(connection.exchange(GET).text(), "hello");
    let url = format!("https://localhost:{}/", narrows.port("web"));
    let mut curl = Command::new(tool("curl"));
    assert_eq!(output_of(curl.args(["-sSk", "--max-time", "20", "--ipv4", &url])), "hello");
    let shown = s_client(narrows.address("web"), &["-servername", "localhost"], LAST);
    assert!(shown.contains("self-signed certificate"), "{shown}");
}

#[test]
fn facts_of_the_session_stand_in_rules_and_templates() {
    let body = "${ tls.version } ${ tls.alpn } ${ connection.sni } ${ tls.cipher }";
    let keys = format!(
        "routes:
  - {{ path: /facts, respond: {{ body: \"{body}\" }} }}
  - {{ path: /*, when: 'tls.version == \"1.2\"', respond: {{ body: old }} }}"
    );
    let house = house("", &keys);
    let facts = "GET /facts HTTP/1.1\r\nHost: example.com\r\n\r\n";
    let mut new = house.client().alpn(&["http/1.1"]).connect(house.address());
    let text = new.exchange(facts).text();
    assert!(text.starts_with("1.3 http/1.1 example.com TLS"), "{text}");
    assert_eq!(new.exchange(GET).text(), "hello");
    assert_eq!(house.client().only_1_2().connect(house.address()).exchange(GET).text(), "old");
}

#[test]
fn plain_http_is_sent_to_https_by_one_key() {
    let keys = "https_redirect: true\nroutes:\n  - { path: /private, respond: { body: secret } }";
    let narrows = Setup::web(&"127.0.0.1:1", keys).start();
    for path in ["/", "/private", "/a%20b?c=d&e"] {
        let answer = narrows.get(path, &[]);
        assert_eq!(answer.status(), 308, "the method and the body stay");
        assert_eq!(answer.header("location"), Some(format!("https://example.com{path}").as_str()));
        assert_eq!(answer.header("strict-transport-security"), None, "RFC 6797 section 7.2");
    }
    let answer = narrows.get("/", &["Host: example.com:8080"]);
    assert_eq!(answer.header("location"), Some("https://example.com/"), "the port was the plain one's");
}

#[test]
fn hsts_is_on_every_answer_over_tls() {
    let backend = Backend::respond(|_| ok("hello"));
    let authority = Authority::new("a root");
    let identity = authority.server(&["example.com"]);
    let keys =
        "hsts: 365d\nroutes:\n  - { path: /own, respond: { body: own } }\n  - { path: /*, upstream: app }";
    let narrows = Setup::new()
        .upstream("app", &[&backend])
        .listener("web", &format!("{}{keys}", tls_keys(&[&identity], "")))
        .start();
    let mut connection = TlsClient::blind().connect(narrows.address("web"));
    for path in ["/own", "/there", "/%"] {
        let answer = connection.exchange(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n"));
        let value = answer.header("strict-transport-security");
        assert_eq!(value, Some("max-age=31536000"), "{path}: {}", answer.head);
        if answer.lists("connection", "close") {
            break;
        }
    }
    let house = house("", "");
    let answer = house.client().connect(house.address()).exchange(GET);
    assert_eq!(answer.header("strict-transport-security"), None, "off by default");
}
