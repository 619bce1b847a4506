//! Handshakes between an acceptor and a connector over a socket pair, as a worker would run them.

use narrows_plan::{
    CertificateFiles, ClientCertificates, ClientTls, File, Listener, Origin, Plan, Protocol, ServerTls,
    TlsPolicy, TlsProfile, TlsVersion, Upstream, UpstreamId, UpstreamProtocol,
};
use narrows_runtime::{Deadlines, Stream};
use narrows_tls::{CertificateFault, Problem, ProblemKind, Purpose, TlsContexts, TlsFacts, TlsFault};
use std::fs;
use std::future::poll_fn;
use std::path::PathBuf;
use std::task::Poll;
use tempfile::TempDir;
use tokio::net::UnixStream;
use x509_parser::prelude::{ASN1Time, FromDer, X509Certificate};

/// Runs a test as a worker runs its tasks.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(test);
}

/// An authority, and certificates that it signs.
struct Authority {
    folder: TempDir,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        fs::write(folder.path().join("ca.pem"), certificate.pem()).unwrap();
        Authority { folder, issuer: rcgen::Issuer::new(parameters, key) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn file(&self, name: &str) -> File {
        file(self.path(name), 0)
    }

    /// Signs a certificate for names and writes `file.pem` and `file.key`.
    fn sign(
        &self,
        file: &str,
        names: &[&str],
        change: impl FnOnce(&mut rcgen::CertificateParams),
    ) -> CertificateFiles {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut parameters = rcgen::CertificateParams::new(names).unwrap();
        change(&mut parameters);
        let key = rcgen::KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.issuer).unwrap();
        let files = CertificateFiles {
            chain: self.file(&format!("{file}.pem")),
            key: self.file(&format!("{file}.key")),
            ocsp: None,
        };
        fs::write(&files.chain.path, certificate.pem()).unwrap();
        fs::write(&files.key.path, key.serialize_pem()).unwrap();
        files
    }
}

/// A file that is named on a line.
fn file(path: impl Into<PathBuf>, line: u32) -> File {
    File { path: path.into(), origin: Origin { line, ..Origin::default() } }
}

fn server(certificates: Vec<CertificateFiles>) -> ServerTls {
    ServerTls {
        origin: Origin::default(),
        certificates,
        policy: TlsPolicy::default(),
        alpn: vec!["h2".into(), "http/1.1".into()],
        clients: None,
        handshake: None,
    }
}

fn client(authorities: Option<File>) -> ClientTls {
    ClientTls {
        origin: Origin::default(),
        verify: true,
        authorities,
        server_name: None,
        certificate: None,
        policy: TlsPolicy::default(),
    }
}

fn plan(server: ServerTls, client: ClientTls) -> Plan {
    let listener = Listener {
        name: "web".into(),
        origin: Origin::default(),
        binds: Vec::new(),
        proxy_protocol: None,
        tls: Some(Box::new(server)),
        protocol: Protocol::Tcp(Box::default()),
    };
    let upstream = Upstream {
        protocol: UpstreamProtocol::Negotiated,
        tls: Some(Box::new(client)),
        ..Upstream::new("app", Origin::default())
    };
    Plan { listeners: vec![listener], upstreams: vec![upstream.into()], ..Plan::default() }
}

fn load(server: ServerTls, client: ClientTls) -> TlsContexts {
    let (contexts, problems) = TlsContexts::load(&plan(server, client));
    contexts.unwrap_or_else(|| panic!("{problems:?}"))
}

type Side = Result<(Stream, TlsFacts), TlsFault>;

/// One handshake; both sides' outcome.
async fn shake(contexts: &TlsContexts, name: &str, purpose: Purpose) -> (Side, Side) {
    let (one, two) = UnixStream::pair().unwrap();
    let deadlines = Deadlines::new();
    let (accepting, connecting) = (deadlines.watch(), deadlines.watch());
    let acceptor = contexts.acceptor(0).unwrap();
    let connector = contexts.connector(UpstreamId(0)).unwrap();
    let (accepted, connected) = tokio::join!(
        async {
            let mut accepted =
                acceptor.accept(Stream::Unix(one), &accepting).await.map_err(|refused| refused.fault);
            if let Ok((stream, _)) = &mut accepted {
                write(stream, b"welcome").await;
            }
            accepted
        },
        async {
            let mut connected = connector.connect(Stream::Unix(two), name, purpose, &connecting).await?;
            let mut buffer = [0; 7];
            // With TLS 1.3 a server's refusal comes after the client's side of the handshake.
            let read = poll_fn(|context| connected.0.poll_read(context, &mut buffer)).await;
            read.map(|_| connected).map_err(|_| TlsFault::Alert)
        }
    );
    (accepted, connected)
}

async fn write(stream: &mut Stream, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        let count = poll_fn(|context| stream.poll_write(context, bytes)).await.unwrap();
        bytes = &bytes[count..];
    }
}

fn fault(side: &Side) -> TlsFault {
    *side.as_ref().expect_err("a refusal")
}

#[test]
fn both_sides_agree_and_know_each_other() {
    run(async {
        let authority = Authority::new();
        let contexts = load(
            server(vec![authority.sign("site", &["app.example.com"], |_| {})]),
            client(Some(authority.file("ca.pem"))),
        );
        let (accepted, connected) = shake(&contexts, "app.example.com", Purpose::Http).await;
        let (_, facts) = accepted.unwrap();
        assert_eq!(
            (facts.server_name.as_str(), facts.version, facts.protocol.as_str()),
            ("app.example.com", "1.3", "h2")
        );
        assert!(facts.cipher.starts_with("TLS_"), "{}", facts.cipher);
        assert_eq!(connected.unwrap().1.protocol, "h2");
        let (accepted, _) = shake(&contexts, "app.example.com", Purpose::Bytes).await;
        assert_eq!(accepted.unwrap().1.protocol, "");
    });
}

#[test]
fn a_write_that_is_half_sent_says_so() {
    run(async {
        let authority = Authority::new();
        let contexts = load(
            server(vec![authority.sign("site", &["app.example.com"], |_| {})]),
            client(Some(authority.file("ca.pem"))),
        );
        let (accepted, connected) = shake(&contexts, "app.example.com", Purpose::Http).await;
        let ((mut reader, _), (mut writer, _)) = (accepted.unwrap(), connected.unwrap());
        let bytes = vec![7; 64 << 10];
        assert!(!writer.is_half_written(), "nothing was written");
        // Nobody reads: the socket takes some writes whole, and of one only a part.
        while poll_fn(|context| Poll::Ready(writer.poll_write(context, &bytes).is_ready())).await {
            assert!(!writer.is_half_written(), "the write is over");
        }
        assert!(writer.is_half_written());
        let mut buffer = vec![0; 64 << 10];
        let ended = poll_fn(|context| {
            while reader.poll_read(context, &mut buffer).is_ready() {}
            writer.poll_write(context, &bytes)
        });
        assert_eq!(ended.await.unwrap(), bytes.len());
        assert!(!writer.is_half_written(), "it is over now");
    });
}

#[test]
fn the_second_session_is_resumed() {
    run(async {
        let authority = Authority::new();
        let contexts = load(
            server(vec![authority.sign("site", &["app.example.com"], |_| {})]),
            client(Some(authority.file("ca.pem"))),
        );
        let (first, _) = shake(&contexts, "app.example.com", Purpose::Http).await;
        assert!(!first.unwrap().1.resumed);
        let (second, _) = shake(&contexts, "app.example.com", Purpose::Http).await;
        assert!(second.unwrap().1.resumed);
    });
}

#[test]
fn a_certificate_that_is_not_accepted_has_its_reason() {
    run(async {
        let (authority, stranger) = (Authority::new(), Authority::new());
        let site = authority.sign("site", &["app.example.com"], |_| {});
        let trusted = load(server(vec![site.clone()]), client(Some(authority.file("ca.pem"))));
        let (_, other_name) = shake(&trusted, "other.example.com", Purpose::Http).await;
        assert_eq!(fault(&other_name), TlsFault::Certificate(CertificateFault::WrongName));
        let untrusted = load(server(vec![site.clone()]), client(Some(stranger.file("ca.pem"))));
        let (_, unknown) = shake(&untrusted, "app.example.com", Purpose::Http).await;
        assert_eq!(fault(&unknown), TlsFault::Certificate(CertificateFault::UnknownIssuer));
        let unverified = ClientTls { verify: false, ..client(None) };
        assert!(shake(&load(server(vec![site]), unverified), "any.name", Purpose::Http).await.1.is_ok());
        let old = authority.sign("old", &["app.example.com"], |parameters| {
            parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
        });
        let expired = load(server(vec![old]), client(Some(authority.file("ca.pem"))));
        let (_, expired) = shake(&expired, "app.example.com", Purpose::Http).await;
        assert_eq!(fault(&expired), TlsFault::Certificate(CertificateFault::Expired));
    });
}

#[test]
fn a_client_without_a_certificate_is_refused_where_one_is_required() {
    run(async {
        let authority = Authority::new();
        let mut asking = server(vec![authority.sign("site", &["app.example.com"], |_| {})]);
        asking.clients = Some(ClientCertificates {
            required: true,
            authorities: authority.file("ca.pem"),
            revocations: Vec::new(),
        });
        let mut shown = client(Some(authority.file("ca.pem")));
        let (accepted, _) =
            shake(&load(asking.clone(), shown.clone()), "app.example.com", Purpose::Http).await;
        assert_eq!(fault(&accepted), TlsFault::Certificate(CertificateFault::Missing));
        shown.certificate = Some(authority.sign("client", &["robot.example.com"], |_| {}));
        let (accepted, _) = shake(&load(asking, shown), "app.example.com", Purpose::Http).await;
        let client = accepted.unwrap().1.client.expect("the certificate");
        assert_eq!(client.names, ["robot.example.com"]);
        assert_eq!((client.fingerprint.len(), client.chain.len()), (64, 1));
    });
}

#[test]
fn a_session_of_one_listener_is_not_resumed_at_another() {
    run(async {
        let authority = Authority::new();
        let site = authority.sign("site", &["app.example.com"], |_| {});
        let open = load(server(vec![site.clone()]), client(Some(authority.file("ca.pem"))));
        shake(&open, "app.example.com", Purpose::Http).await.0.unwrap();
        // The same client, with the ticket that it got there, at a listener that asks for certificates.
        let mut asking = server(vec![site]);
        asking.clients = Some(ClientCertificates {
            required: true,
            authorities: authority.file("ca.pem"),
            revocations: Vec::new(),
        });
        let strict = load(asking, client(Some(authority.file("ca.pem"))));
        let (one, two) = UnixStream::pair().unwrap();
        let deadlines = Deadlines::new();
        let (accepting, connecting) = (deadlines.watch(), deadlines.watch());
        let (accepted, _) = tokio::join!(
            strict.acceptor(0).unwrap().accept(Stream::Unix(one), &accepting),
            open.connector(UpstreamId(0)).unwrap().connect(
                Stream::Unix(two),
                "app.example.com",
                Purpose::Http,
                &connecting
            )
        );
        assert_eq!(
            accepted.err().map(|refused| refused.fault),
            Some(TlsFault::Certificate(CertificateFault::Missing))
        );
    });
}

#[test]
fn versions_follow_the_policy() {
    run(async {
        let authority = Authority::new();
        let site = authority.sign("site", &["app.example.com"], |_| {});
        let mut modern = server(vec![site]);
        modern.policy = TlsPolicy { profile: TlsProfile::Modern, minimum_version: None };
        assert!(!modern.policy.allows_tls12());
        let least = TlsPolicy { profile: TlsProfile::Intermediate, minimum_version: Some(TlsVersion::Tls13) };
        assert!(!least.allows_tls12() && TlsPolicy::default().allows_tls12());
        let contexts = load(modern, client(Some(authority.file("ca.pem"))));
        assert_eq!(shake(&contexts, "app.example.com", Purpose::Http).await.0.unwrap().1.version, "1.3");
    });
}

#[test]
fn every_problem_of_every_file_is_told() {
    let authority = Authority::new();
    let good = authority.sign("good", &["a.example.com"], |_| {});
    let other = authority.sign("other", &["b.example.com"], |_| {});
    fs::write(authority.path("garbage.pem"), "hello").unwrap();
    let missing = CertificateFiles { chain: authority.file("nowhere.pem"), ..good.clone() };
    let mixed = CertificateFiles { key: other.key.clone(), ..good.clone() };
    let garbage = CertificateFiles {
        chain: authority.file("garbage.pem"),
        key: authority.file("garbage.pem"),
        ..good.clone()
    };
    let old = authority.sign("old", &["c.example.com"], |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    });
    let written = server(vec![missing, mixed, garbage, old, good]);
    let (contexts, problems) = TlsContexts::load(&plan(written, client(Some(file("/no/ca.pem", 0)))));
    assert!(contexts.is_none());
    let kinds: Vec<ProblemKind> = problems.iter().map(|problem| problem.kind).collect();
    let count = |kind| kinds.iter().filter(|found| **found == kind).count();
    assert_eq!(count(ProblemKind::Unreadable), 4, "{problems:?}");
    assert_eq!(count(ProblemKind::Mismatch), 1, "{problems:?}");
    assert_eq!(count(ProblemKind::Expired), 1, "{problems:?}");
    assert!(
        problems.iter().all(|problem| problem.message.contains(".pem") || problem.message.contains(".key"))
    );
}

fn expired(parameters: &mut rcgen::CertificateParams) {
    parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
}

fn problems(server: ServerTls, client: ClientTls) -> Vec<Problem> {
    TlsContexts::load(&plan(server, client)).1
}

#[test]
fn each_problem_is_told_where_its_file_is_named() {
    let mut asking = server(vec![CertificateFiles {
        chain: file("/no/site.pem", 1),
        key: file("/no/site.key", 2),
        ocsp: Some(file("/no/site.ocsp", 3)),
    }]);
    asking.clients = Some(ClientCertificates {
        required: true,
        authorities: file("/no/clients.pem", 4),
        revocations: vec![file("/no/first.crl", 5), file("/no/second.crl", 6)],
    });
    let mut asked = client(Some(file("/no/ca.pem", 7)));
    asked.certificate =
        Some(CertificateFiles { chain: file("/no/proxy.pem", 8), key: file("/no/proxy.key", 9), ocsp: None });
    let told: Vec<u32> = problems(asking, asked).iter().map(|problem| problem.origin.line).collect();
    assert_eq!(told, [1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn a_swapped_certificate_and_key_are_recognised() {
    let authority = Authority::new();
    let good = authority.sign("good", &["a.example.com"], |_| {});
    let swapped = CertificateFiles { chain: good.key.clone(), key: good.chain.clone(), ocsp: None };
    let mut client = client(Some(authority.file("ca.pem")));
    client.certificate = Some(swapped.clone());
    let found = problems(server(vec![swapped]), client.clone());
    assert_eq!(found.len(), 4, "{found:?}");
    assert!(found.iter().all(|one| one.help.as_ref().is_some_and(|help| help.contains("swapped"))));
    // Two keys are something else.
    client.certificate = Some(CertificateFiles { chain: good.key.clone(), ..good.clone() });
    let found = problems(server(vec![good]), client);
    assert!(found.iter().all(|one| one.help.as_ref().is_some_and(|help| !help.contains("swapped"))));
}

#[test]
fn an_expired_certificate_is_a_warning_on_both_sides() {
    let authority = Authority::new();
    let old = authority.sign("old", &["a.example.com"], expired);
    let mut shown = client(Some(authority.file("ca.pem")));
    shown.certificate = Some(old.clone());
    let (contexts, found) = TlsContexts::load(&plan(server(vec![old]), shown));
    assert!(contexts.is_some());
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found.iter().all(|problem| problem.kind == ProblemKind::Expired));
    assert!(found[0].message.ends_with("clients will refuse it"), "{}", found[0].message);
    assert!(found[1].message.ends_with("servers will refuse it"), "{}", found[1].message);
}

#[test]
fn an_expired_certificate_is_told_when_it_is_read_again() {
    let authority = Authority::new();
    let files = authority.sign("site", &["a.example.com"], |_| {});
    let plan = plan(server(vec![files]), client(Some(authority.file("ca.pem"))));
    let contexts = TlsContexts::load(&plan).0.expect("contexts");
    let (tell, told) = std::sync::mpsc::channel();
    let reloading = contexts.reload_on_change(&plan, move |text| {
        let _ = tell.send(text.to_owned());
    });
    authority.sign("site", &["expired.and.longer.example.com"], expired);
    let patience = std::time::Duration::from_secs(20);
    let first = told.recv_timeout(patience).expect("that they were read again");
    assert!(first.contains("were read again"), "{first}");
    let second = told.recv_timeout(patience).expect("that it is expired");
    assert!(second.starts_with("listener web: ") && second.contains("clients will refuse it"), "{second}");
    drop(reloading);
}

#[test]
fn the_name_that_a_refused_client_asked_for_is_known() {
    run(async {
        let authority = Authority::new();
        let mut asking = server(vec![authority.sign("site", &["app.example.com"], |_| {})]);
        asking.clients = Some(ClientCertificates {
            required: true,
            authorities: authority.file("ca.pem"),
            revocations: Vec::new(),
        });
        let contexts = load(asking, client(Some(authority.file("ca.pem"))));
        let (one, two) = UnixStream::pair().unwrap();
        let deadlines = Deadlines::new();
        let (accepting, connecting) = (deadlines.watch(), deadlines.watch());
        let (accepted, _) = tokio::join!(
            contexts.acceptor(0).unwrap().accept(Stream::Unix(one), &accepting),
            contexts.connector(UpstreamId(0)).unwrap().connect(
                Stream::Unix(two),
                "App.Example.com",
                Purpose::Http,
                &connecting
            )
        );
        assert_eq!(accepted.err().map(|refused| refused.server_name).as_deref(), Some("app.example.com"));
    });
}

#[test]
fn only_a_request_counts_as_plain_http() {
    run(async {
        let authority = Authority::new();
        let site = authority.sign("site", &["app.example.com"], |_| {});
        let contexts = load(server(vec![site]), client(Some(authority.file("ca.pem"))));
        let acceptor = contexts.acceptor(0).unwrap();
        let http = |http| Some(TlsFault::NotTls { http });
        for (pieces, fault) in [
            (&[&b"GET / HTTP/1.1\r\n\r\n"[..]][..], http(true)),
            (&[b"P", b"O", b"ST", b" / HTTP/1.1"], http(true)),
            (&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], http(true)),
            (&[b"SSH-2.0-OpenSSH_9.2\r\n"], http(false)),
            (&[b"GE", b"X"], http(false)),
            (&[b"GET"], http(false)),
            (&[b"\x05\x01\0"], http(false)),
            (&[b"\x15\x03\x01\0\x02\x02\x28"], Some(TlsFault::Alert)),
            (&[], Some(TlsFault::Gone)),
        ] {
            let (one, two) = UnixStream::pair().unwrap();
            let deadlines = Deadlines::new();
            let watch = deadlines.watch();
            let (accepted, ()) = tokio::join!(acceptor.accept(Stream::Unix(one), &watch), async {
                let mut stream = Stream::Unix(two);
                for piece in pieces {
                    write(&mut stream, piece).await;
                    tokio::task::yield_now().await;
                }
                stream.shutdown_write().unwrap();
            });
            assert_eq!(accepted.err().map(|refused| refused.fault), fault, "{pieces:?}");
        }
    });
}

#[test]
fn a_certificate_made_at_start_is_for_localhost_for_a_year() {
    run(async {
        let mut unverified = client(None);
        unverified.verify = false;
        let contexts = load(server(Vec::new()), unverified);
        let (_, connected) = shake(&contexts, "localhost", Purpose::Http).await;
        let shown = connected.unwrap().1.client.expect("the server's certificate");
        assert_eq!((shown.subject.as_str(), shown.issuer.as_str()), ("CN=localhost", "CN=localhost"));
        assert_eq!(shown.dns_names, ["localhost", "*.localhost"]);
        let (_, made) = X509Certificate::from_der(&shown.chain[0]).unwrap();
        let day = 24 * 3600;
        let ago = ASN1Time::now().timestamp() - made.validity().not_before.timestamp();
        assert!((day - 60..day + 60).contains(&ago), "{ago}");
        let length = made.validity().not_after.timestamp() - made.validity().not_before.timestamp();
        assert_eq!(length, 365 * day);
    });
}
