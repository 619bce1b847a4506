//! Certificates of clients: who may come in, and what rules and upstreams learn about them.

use std::process::Command;

use narrows_conformance::servers::certificates::{Authority, Identity};
use narrows_conformance::setup::tls_keys;
use narrows_conformance::tls::certificate_der;
use narrows_conformance::{Backend, Narrows, Setup, TlsClient, output_of, tool, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: example.com\r\n\r\n";

/// One authority for servers, one for clients.
struct House {
    servers: Authority,
    clients: Authority,
    site: Identity,
    backend: Backend,
}

fn house() -> House {
    let servers = Authority::new("servers");
    let site = servers.server(&["example.com"]);
    House { servers, clients: Authority::new("clients"), site, backend: Backend::saying("hello") }
}

impl House {
    fn start(&self, clients: &str, keys: &str) -> Narrows {
        let tls = format!("clients: {{ ca: \"{}\", {clients} }}", self.clients.certificate);
        Setup::https_with(&self.backend, &self.site, &tls, keys).start()
    }

    fn stranger(&self) -> TlsClient {
        TlsClient::trusting(&self.servers.certificate)
    }

    fn known(&self, identity: &Identity) -> TlsClient {
        self.stranger().identity(identity)
    }
}

/// Asserts that a request with this client is answered, and returns the answer's text.
fn welcome(narrows: &Narrows, client: &TlsClient) -> String {
    client.connect(narrows.address("web")).exchange(GET).text()
}

#[test]
fn a_required_certificate_is_required() {
    let house = house();
    let narrows = house.start("mode: required", "");
    let alice = house.clients.client("alice", &[]);
    let others = Authority::new("clients");
    let other = others.client("alice", &[]);
    type Version = fn(TlsClient) -> TlsClient;
    for version in [TlsClient::only_1_2 as Version, TlsClient::only_1_3] {
        assert_eq!(welcome(&narrows, &version(house.known(&alice))), "hello");
        version(house.stranger()).refusal(narrows.address("web"));
        version(house.known(&other)).refusal(narrows.address("web"));
        version(house.known(&house.site)).refusal(narrows.address("web"));
    }
    let refusal = house.stranger().only_1_3().refusal(narrows.address("web"));
    assert!(refusal.contains("CertificateRequired"), "RFC 8446 section 6.2: {refusal}");
    assert_eq!(house.backend.requests().len(), 2);
}

#[test]
fn curl_shows_its_certificate() {
    let house = house();
    let narrows = house.start("mode: required", "");
    let alice = house.clients.client("alice", &[]);
    let port = narrows.port("web");
    for version in ["--http1.1", "--http2"] {
        let mut curl = Command::new(tool("curl"));
        curl.args(["-sS", "--fail", "--max-time", "20", version, "--cacert", &house.servers.certificate]);
        curl.args(["--cert", &alice.certificate, "--key", &alice.key]);
        curl.args([
            "--resolve",
            &format!("example.com:{port}:127.0.0.1"),
            &format!("https://example.com:{port}/"),
        ]);
        assert_eq!(output_of(&mut curl), "hello");
    }
}

#[test]
fn an_optional_certificate_must_be_good_when_it_is_shown() {
    let house = house();
    let keys = "routes:\n  - { path: /*, respond: { body: \"${ tls.client.verified }\" } }";
    let narrows = house.start("mode: optional", keys);
    assert_eq!(welcome(&narrows, &house.stranger()), "false");
    assert_eq!(welcome(&narrows, &house.known(&house.clients.client("alice", &[]))), "true");
    let others = Authority::new("clients");
    let other = others.client("alice", &[]);
    house.known(&other).refusal(narrows.address("web"));
}

#[test]
fn an_expired_certificate_is_refused() {
    let house = house();
    let narrows = house.start("mode: required", "");
    let refusal = house.known(&house.clients.expired("alice.test")).refusal(narrows.address("web"));
    assert!(refusal.contains("Expired") || refusal.contains("alert"), "{refusal}");
}

#[test]
fn a_revoked_certificate_is_refused() {
    let house = house();
    let (good, revoked) = (house.clients.client("good", &[]), house.clients.client("revoked", &[]));
    let list = house.clients.revocations(&[&revoked]);
    for mode in ["required", "optional"] {
        let narrows = house.start(&format!("mode: {mode}, crl: [\"{list}\"]"), "");
        assert_eq!(welcome(&narrows, &house.known(&good)), "hello");
        let refusal = house.known(&revoked).refusal(narrows.address("web"));
        assert!(refusal.contains("Revoked"), "{mode}: {refusal}");
    }
}

#[test]
fn a_revocation_is_seen_when_its_list_changes_even_by_who_has_a_ticket() {
    let house = house();
    let (good, revoked) = (house.clients.client("good", &[]), house.clients.client("revoked", &[]));
    let list = house.clients.revocations(&[]);
    let narrows = house.start(&format!("mode: required, crl: [\"{list}\"]"), "");
    let clients = [house.known(&revoked).only_1_2(), house.known(&revoked).only_1_3()];
    for client in &clients {
        assert_eq!(welcome(&narrows, client), "hello");
    }
    house.clients.revocations(&[&revoked]);
    let refused = |client: &TlsClient| match client.over(narrows.web()) {
        Err(_) => true,
        Ok(mut connection) => {
            let last = "GET / HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n";
            let _ = connection.try_send(last);
            connection.read_to_end().is_empty()
        }
    };
    until("a new handshake is refused", || refused(&house.known(&revoked)));
    for client in &clients {
        assert!(refused(client), "a ticket is no way around the list");
    }
    assert_eq!(welcome(&narrows, &house.known(&good)), "hello");
}

#[test]
fn rules_ask_who_the_client_is() {
    let house = house();
    let alice = house.clients.client("alice", &["DNS:alice.test", "URI:spiffe://test/alice"]);
    let bob = house.clients.client("bob", &[]);
    let fingerprint = bob.printed(&["-fingerprint", "-sha256"]).replace(':', "").to_lowercase();
    let keys = format!(
        "routes:
  - {{ path: /*, when: '\"spiffe://test/alice\" in tls.client.names && \"alice.test\" in tls.client.names', respond: {{ body: by name }} }}
  - {{ path: /*, when: 'tls.client.fingerprint == \"{fingerprint}\"', respond: {{ body: by fingerprint }} }}
  - {{ path: /*, when: 'tls.client.subject.contains(\"carol\") && tls.client.issuer.contains(\"clients\")', respond: {{ body: by subject }} }}
  - {{ path: /*, respond: {{ body: nobody }} }}"
    );
    let narrows = house.start("mode: optional", &keys);
    assert_eq!(welcome(&narrows, &house.known(&alice)), "by name");
    assert_eq!(welcome(&narrows, &house.known(&bob)), "by fingerprint");
    assert_eq!(welcome(&narrows, &house.known(&house.clients.client("carol", &[]))), "by subject");
    assert_eq!(welcome(&narrows, &house.stranger()), "nobody");
}

#[test]
fn facts_about_the_client_outlive_a_resumption() {
    let house = house();
    let keys =
        "routes:\n  - { path: /*, respond: { body: \"${ tls.client.subject } ${ tls.client.serial }\" } }";
    let narrows = house.start("mode: required", keys);
    let alice = house.clients.client("alice", &[]);
    let serial = alice.printed(&["-serial"]).to_lowercase();
    for client in [house.known(&alice).only_1_2(), house.known(&alice).only_1_3()] {
        for number in 0..2 {
            let mut connection = client.connect(narrows.address("web"));
            let text = connection.exchange(GET).text();
            assert!(text.contains("alice") && text.to_lowercase().contains(&serial), "{text} {serial}");
            assert_eq!(connection.tls().resumed, number == 1);
        }
    }
}

#[test]
fn the_upstream_learns_the_certificate_from_headers_that_cannot_be_forged() {
    let house = house();
    let narrows = house.start("mode: optional", "client_certificate_headers: [client-cert, xfcc]");
    let alice = house.clients.client("alice", &["URI:spiffe://test/alice"]);
    let forged = "GET / HTTP/1.1\r\nHost: example.com\r\nClient-Cert: :Zm9yZ2Vk:\r\nClient-Cert-Chain: :Zm9yZ2Vk:\r\n\
                  X-Forwarded-Client-Cert: Hash=forged\r\nx-forwarded-CLIENT-cert: Hash=forged\r\n\r\n";
    house.known(&alice).connect(narrows.address("web")).exchange(forged);
    house.stranger().connect(narrows.address("web")).exchange(forged);
    let requests = house.backend.requests();
    let values = requests[0].header_values("client-cert");
    let expected = format!(":{}:", base64(&certificate_der(&alice.certificate)));
    assert_eq!(values, [expected.as_str()], "RFC 9440 section 2.2");
    let values = requests[0].header_values("x-forwarded-client-cert");
    assert_eq!(values.len(), 1);
    let fingerprint = alice.printed(&["-fingerprint", "-sha256"]).replace(':', "").to_lowercase();
    assert!(values[0].contains(&format!("Hash={fingerprint}")), "{}", values[0]);
    assert!(values[0].contains("Subject=\"") && values[0].contains("alice"), "{}", values[0]);
    assert!(values[0].contains("URI=spiffe://test/alice"), "{}", values[0]);
    for request in &requests {
        assert!(!request.head.contains("forged") && !request.head.contains("Zm9yZ2Vk"), "{}", request.head);
    }
    assert_eq!(requests[1].header("client-cert"), None, "nobody showed a certificate");
    assert_eq!(requests[1].header("x-forwarded-client-cert"), None);
}

#[test]
fn the_headers_are_removed_where_nobody_asks_for_certificates_too() {
    let backend = Backend::saying("hello");
    let authority = Authority::new("servers");
    let identity = authority.server(&["example.com"]);
    let narrows = Setup::web(&backend, "")
        .listener("tls", &format!("upstream: app\n{}", tls_keys(&[&identity], "")))
        .start();
    let forged = "GET / HTTP/1.1\r\nHost: example.com\r\nClient-Cert: :Zm9yZ2Vk:\r\nX-Forwarded-Client-Cert: a\r\n\r\n";
    narrows.web().exchange(forged);
    TlsClient::blind().connect(narrows.address("tls")).exchange(forged);
    for request in backend.requests() {
        assert_eq!(request.header("client-cert"), None);
        assert_eq!(request.header("x-forwarded-client-cert"), None);
    }
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let number =
            chunk.iter().fold(0_u32, |sum, byte| sum << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for index in 0..4 {
            let letter = LETTERS[(number >> (18 - 6 * index) & 63) as usize];
            text.push(if index <= chunk.len() { letter.into() } else { '=' });
        }
    }
    text
}
