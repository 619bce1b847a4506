//! TLS peers whose every choice is the test's: what they offer, whom they trust, who they are.

mod client;
mod server;

pub use client::TlsClient;
pub use server::TlsServer;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CommonState, HandshakeKind, RootCertStore};

use crate::servers::certificates::Identity;
use crate::transport::Transport;

/// What the two sides of a TLS connection agreed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// `1.2` or `1.3`.
    pub version: String,
    /// The name of the cipher suite, such as `TLS13_AES_128_GCM_SHA256`.
    pub cipher: String,
    /// The application protocol.
    pub alpn: Option<String>,
    /// The name of the key exchange group, such as `X25519MLKEM768`.
    pub group: Option<String>,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The other side's certificates, its own first, as DER.
    pub certificates: Vec<Vec<u8>>,
    /// The server name that the client asked for, where the test is the server.
    pub name: Option<String>,
}

impl TlsFacts {
    /// Asks the session.
    #[track_caller]
    pub(crate) fn of(transport: &Transport) -> TlsFacts {
        match transport {
            Transport::Plain(_) => panic!("the connection has no TLS"),
            Transport::Client(stream) => TlsFacts::read(&stream.conn),
            Transport::Server(stream) => TlsFacts {
                name: stream.conn.server_name().map(str::to_owned),
                ..TlsFacts::read(&stream.conn)
            },
        }
    }

    fn read(session: &CommonState) -> TlsFacts {
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "1.2",
            Some(rustls::ProtocolVersion::TLSv1_3) => "1.3",
            other => panic!("no TLS version: {other:?}"),
        };
        let certificates = session.peer_certificates().unwrap_or_default();
        TlsFacts {
            version: version.to_owned(),
            cipher: format!("{:?}", session.negotiated_cipher_suite().expect("a handshake").suite()),
            alpn: session.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            group: session.negotiated_key_exchange_group().map(|group| format!("{:?}", group.name())),
            resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
            certificates: certificates.iter().map(|certificate| certificate.to_vec()).collect(),
            name: None,
        }
    }
}

/// The first certificate in a PEM file, as DER.
#[track_caller]
pub fn certificate_der(path: &str) -> Vec<u8> {
    certificates(path).remove(0).to_vec()
}

fn certificates(path: &str) -> Vec<CertificateDer<'static>> {
    let all = CertificateDer::pem_file_iter(path).expect("a PEM file");
    all.collect::<Result<_, _>>().expect("certificates")
}

fn key(identity: &Identity) -> PrivateKeyDer<'static> {
    PrivateKeyDer::from_pem_file(&identity.key).expect("a private key")
}

fn roots(path: &str) -> RootCertStore {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path) {
        store.add(certificate).expect("a root certificate");
    }
    store
}

fn provider() -> CryptoProvider {
    rustls::crypto::aws_lc_rs::default_provider()
}
