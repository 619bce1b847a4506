//! Handshakes between an acceptor and a connector over a socket pair, as a worker would run them.

use narrows_plan::{
    CertificateFiles, ClientCertificates, ClientTls, Listener, Origin, Plan, Protocol, ServerTls, TlsPolicy,
    TlsProfile, TlsVersion, Upstream, UpstreamId, UpstreamProtocol,
};
use narrows_runtime::{Deadlines, Stream};
use narrows_tls::{CertificateFault, ProblemKind, Purpose, TlsContexts, TlsFacts, TlsFault};
use std::fs;
use std::future::poll_fn;
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tokio::net::UnixStream;

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
            chain: self.path(&format!("{file}.pem")),
            key: self.path(&format!("{file}.key")),
            ocsp: None,
            origin: Origin::default(),
        };
        fs::write(&files.chain, certificate.pem()).unwrap();
        fs::write(&files.key, key.serialize_pem()).unwrap();
        files
    }
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

fn client(authorities: Option<PathBuf>) -> ClientTls {
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
        name: "app".into(),
        origin: Origin::default(),
        endpoints: Vec::new(),
        balance: narrows_plan::Balance::RoundRobin,
        pool: Default::default(),
        retries: 0,
        protocol: UpstreamProtocol::Negotiated,
        tls: Some(Box::new(client)),
        grpc_web: false,
        proxy_protocol: None,
    };
    Plan { listeners: vec![listener], upstreams: vec![upstream], ..Plan::default() }
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
    *side.as_ref().err().expect("a refusal")
}

#[test]
fn both_sides_agree_and_know_each_other() {
    run(async {
        let authority = Authority::new();
        let contexts = load(
            server(vec![authority.sign("site", &["app.example.com"], |_| {})]),
            client(Some(authority.path("ca.pem"))),
        );
        let (accepted, connected) = shake(&contexts, "app.example.com", Purpose::Http).await;
        let (_, facts) = accepted.unwrap();
        assert_eq!(
            (facts.server_name.as_str(), facts.version, facts.protocol.as_str()),
            ("app.example.com", "1.3", "h2")
        );
        assert!(facts.cipher.starts_with("TLS13_"), "{}", facts.cipher);
        assert_eq!(connected.unwrap().1.protocol, "h2");
        let (accepted, _) = shake(&contexts, "app.example.com", Purpose::Bytes).await;
        assert_eq!(accepted.unwrap().1.protocol, "");
    });
}

#[test]
fn the_second_session_is_resumed() {
    run(async {
        let authority = Authority::new();
        let contexts = load(
            server(vec![authority.sign("site", &["app.example.com"], |_| {})]),
            client(Some(authority.path("ca.pem"))),
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
        let trusted = load(server(vec![site.clone()]), client(Some(authority.path("ca.pem"))));
        let (_, other_name) = shake(&trusted, "other.example.com", Purpose::Http).await;
        assert_eq!(fault(&other_name), TlsFault::Certificate(CertificateFault::WrongName));
        let untrusted = load(server(vec![site.clone()]), client(Some(stranger.path("ca.pem"))));
        let (_, unknown) = shake(&untrusted, "app.example.com", Purpose::Http).await;
        assert_eq!(fault(&unknown), TlsFault::Certificate(CertificateFault::UnknownIssuer));
        let unverified = ClientTls { verify: false, ..client(None) };
        assert!(shake(&load(server(vec![site]), unverified), "any.name", Purpose::Http).await.1.is_ok());
        let old = authority.sign("old", &["app.example.com"], |parameters| {
            parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
            parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
        });
        let expired = load(server(vec![old]), client(Some(authority.path("ca.pem"))));
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
            authorities: authority.path("ca.pem"),
            revocations: Vec::new(),
            origin: Origin::default(),
        });
        let mut shown = client(Some(authority.path("ca.pem")));
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
        let open = load(server(vec![site.clone()]), client(Some(authority.path("ca.pem"))));
        shake(&open, "app.example.com", Purpose::Http).await.0.unwrap();
        // The same client, with the ticket that it got there, at a listener that asks for certificates.
        let mut asking = server(vec![site]);
        asking.clients = Some(ClientCertificates {
            required: true,
            authorities: authority.path("ca.pem"),
            revocations: Vec::new(),
            origin: Origin::default(),
        });
        let strict = load(asking, client(Some(authority.path("ca.pem"))));
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
        let contexts = load(modern, client(Some(authority.path("ca.pem"))));
        assert_eq!(shake(&contexts, "app.example.com", Purpose::Http).await.0.unwrap().1.version, "1.3");
    });
}

#[test]
fn every_problem_of_every_file_is_told() {
    let authority = Authority::new();
    let good = authority.sign("good", &["a.example.com"], |_| {});
    let other = authority.sign("other", &["b.example.com"], |_| {});
    fs::write(authority.path("garbage.pem"), "hello").unwrap();
    let missing = CertificateFiles { chain: authority.path("nowhere.pem"), ..good.clone() };
    let swapped = CertificateFiles { key: other.key.clone(), ..good.clone() };
    let garbage = CertificateFiles {
        chain: authority.path("garbage.pem"),
        key: authority.path("garbage.pem"),
        ..good.clone()
    };
    let old = authority.sign("old", &["c.example.com"], |parameters| {
        parameters.not_after = rcgen::date_time_ymd(2001, 1, 1);
        parameters.not_before = rcgen::date_time_ymd(2000, 1, 1);
    });
    let written = server(vec![missing, swapped, garbage, old, good]);
    let (contexts, problems) =
        TlsContexts::load(&plan(written, client(Some(Path::new("/no/ca.pem").into()))));
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
