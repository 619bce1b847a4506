//! A TLS client that offers exactly what the test says.

use std::sync::{Arc, Mutex, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, NamedGroup, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

use super::{certificates, key, provider, roots};
use crate::connection::Connection;
use crate::servers::certificates::Identity;
use crate::transport::Transport;

/// A TLS client. Its connections share their sessions, so that a later one may resume an earlier one.
#[derive(Debug, Default)]
pub struct TlsClient {
    authority: Option<String>,
    name: Option<String>,
    protocols: Vec<Vec<u8>>,
    versions: Vec<&'static SupportedProtocolVersion>,
    groups: Vec<NamedGroup>,
    schemes: Vec<SignatureScheme>,
    identity: Option<Identity>,
    staple: Arc<Mutex<Vec<u8>>>,
    configuration: OnceLock<Arc<ClientConfig>>,
}

impl TlsClient {
    /// Trusts the authority whose certificate stands in this PEM file.
    pub fn trusting(authority: &str) -> TlsClient {
        TlsClient { authority: Some(authority.to_owned()), ..TlsClient::default() }
    }

    /// Takes any certificate.
    pub fn blind() -> TlsClient {
        TlsClient::default()
    }

    /// Asks for this server name, which the certificate must have; `example.com` is the default.
    pub fn name(mut self, name: &str) -> TlsClient {
        self.name = Some(name.to_owned());
        self
    }

    /// Offers these application protocols.
    pub fn alpn(mut self, protocols: &[&str]) -> TlsClient {
        self.protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    /// Offers TLS 1.2 only.
    pub fn only_1_2(mut self) -> TlsClient {
        self.versions = vec![&rustls::version::TLS12];
        self
    }

    /// Offers TLS 1.3 only.
    pub fn only_1_3(mut self) -> TlsClient {
        self.versions = vec![&rustls::version::TLS13];
        self
    }

    /// Offers these key exchange groups, the best first.
    pub fn groups(mut self, groups: &[NamedGroup]) -> TlsClient {
        self.groups = groups.to_vec();
        self
    }

    /// Understands RSA signatures only.
    pub fn only_rsa(mut self) -> TlsClient {
        self.schemes = vec![SignatureScheme::RSA_PSS_SHA256, SignatureScheme::RSA_PKCS1_SHA256];
        self
    }

    /// Understands ECDSA signatures only.
    pub fn only_ecdsa(mut self) -> TlsClient {
        self.schemes = vec![SignatureScheme::ECDSA_NISTP256_SHA256];
        self
    }

    /// Shows this certificate when it is asked for one.
    pub fn identity(mut self, identity: &Identity) -> TlsClient {
        self.identity = Some(identity.clone());
        self
    }

    /// Connects and shakes hands.
    #[track_caller]
    pub fn connect(&self, address: &str) -> Connection {
        self.over(Connection::connect(address)).unwrap_or_else(|error| panic!("a TLS session: {error}"))
    }

    /// Shakes hands over a connection, or says why that is not possible. In TLS 1.3 a server that refuses the
    /// client's certificate says so only in the first read, see [`TlsClient::refusal`].
    pub fn over(&self, connection: Connection) -> Result<Connection, String> {
        let configuration = Arc::clone(self.configuration.get_or_init(|| Arc::new(self.configuration())));
        let name = self.name.clone().unwrap_or_else(|| "example.com".to_owned());
        let name = ServerName::try_from(name).expect("a server name");
        connection.upgraded(|mut socket| {
            let mut session = ClientConnection::new(configuration, name).expect("a client");
            while session.is_handshaking() {
                session.complete_io(&mut socket).map_err(|error| error.to_string())?;
            }
            Ok(Transport::Client(Box::new(StreamOwned::new(session, socket))))
        })
    }

    /// Asserts that the server refuses this client and tells the reason.
    #[track_caller]
    pub fn refusal(&self, address: &str) -> String {
        match self.over(Connection::connect(address)) {
            Err(error) => error,
            Ok(mut connection) => {
                let _ = connection.try_send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n");
                let received = connection.read_to_end();
                assert!(received.is_empty(), "refused: {}", String::from_utf8_lossy(&received));
                let record = connection.record();
                format!("{:?} {}", record.end, record.refusal)
            }
        }
    }

    /// The OCSP response that the last server stapled, as DER; empty when there was none.
    pub fn staple(&self) -> Vec<u8> {
        self.staple.lock().expect("no poison").clone()
    }

    fn configuration(&self) -> ClientConfig {
        let mut provider = provider();
        if !self.groups.is_empty() {
            let all = provider.kx_groups.clone();
            let find = |name: &NamedGroup| all.iter().find(|group| group.name() == *name).copied();
            provider.kx_groups = self.groups.iter().filter_map(find).collect();
            assert_eq!(provider.kx_groups.len(), self.groups.len(), "every group is known");
        }
        let provider = Arc::new(provider);
        let verifier = self.verifier(&provider);
        let versions = if self.versions.is_empty() { rustls::ALL_VERSIONS } else { self.versions.as_slice() };
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .expect("versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut configuration = match &self.identity {
            None => builder.with_no_client_auth(),
            Some(identity) => builder
                .with_client_auth_cert(certificates(&identity.certificate), key(identity))
                .expect("the key fits the certificate"),
        };
        configuration.alpn_protocols.clone_from(&self.protocols);
        configuration
    }

    fn verifier(&self, provider: &Arc<CryptoProvider>) -> Verifier {
        let real = self.authority.as_deref().map(|authority| {
            WebPkiServerVerifier::builder_with_provider(Arc::new(roots(authority)), Arc::clone(provider))
                .build()
                .expect("a verifier")
        });
        let algorithms = provider.signature_verification_algorithms;
        let schemes =
            if self.schemes.is_empty() { algorithms.supported_schemes() } else { self.schemes.clone() };
        Verifier { real, algorithms, schemes, staple: Arc::clone(&self.staple) }
    }
}

/// Verifies for real or not at all, and keeps the staple.
#[derive(Debug)]
struct Verifier {
    real: Option<Arc<WebPkiServerVerifier>>,
    algorithms: WebPkiSupportedAlgorithms,
    schemes: Vec<SignatureScheme>,
    staple: Arc<Mutex<Vec<u8>>>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        staple: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.staple.lock().expect("no poison") = staple.to_vec();
        match &self.real {
            Some(real) => real.verify_server_cert(certificate, intermediates, name, staple, now),
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}
