//! What a handshake told.

use rustls::pki_types::CertificateDer;
use rustls::{Connection, ProtocolVersion};
use std::fmt::Write;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What a handshake told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFacts {
    /// The name that the client asked for, lower case; empty when it asked for none.
    pub server_name: String,
    /// `1.2` or `1.3`.
    pub version: &'static str,
    /// The cipher suite, as IANA names it.
    pub cipher: &'static str,
    /// The application protocol that was agreed on; empty without one.
    pub protocol: String,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
    /// The client's certificate, which was verified.
    pub client: Option<ClientCertificate>,
}

/// A client's certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientCertificate {
    /// The subject, in the order and form of RFC 4514.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// SHA-256 of the certificate, hexadecimal.
    pub fingerprint: String,
    /// Its DNS names and URIs.
    pub names: Vec<String>,
    /// The URIs among them.
    pub uris: Vec<String>,
    /// The DNS names among them.
    pub dns_names: Vec<String>,
    /// The certificate, then those that it came with, DER.
    pub chain: Vec<Vec<u8>>,
}

impl TlsFacts {
    /// The name that the client has asked for, as far as the handshake has come.
    pub(crate) fn server_name_of(session: &Connection) -> String {
        match session {
            Connection::Server(server) => server.server_name().unwrap_or_default().to_ascii_lowercase(),
            Connection::Client(_) => String::new(),
        }
    }

    pub(crate) fn of(session: &Connection) -> Self {
        TlsFacts {
            server_name: Self::server_name_of(session),
            version: match session.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => "1.3",
                Some(ProtocolVersion::TLSv1_2) => "1.2",
                _ => "",
            },
            cipher: session
                .negotiated_cipher_suite()
                .and_then(|suite| suite.suite().as_str())
                .map_or("", registered),
            protocol: session
                .alpn_protocol()
                .map(|protocol| String::from_utf8_lossy(protocol).into_owned())
                .unwrap_or_default(),
            resumed: session.handshake_kind() == Some(rustls::HandshakeKind::Resumed),
            client: session.peer_certificates().and_then(ClientCertificate::read),
        }
    }
}

impl ClientCertificate {
    /// Reads the first of `chain`; `None` for an empty chain.
    fn read(chain: &[CertificateDer<'_>]) -> Option<Self> {
        let first = chain.first()?;
        let mut certificate = ClientCertificate {
            fingerprint: hexadecimal(&sha256(first)),
            chain: chain.iter().map(|one| one.to_vec()).collect(),
            ..ClientCertificate::default()
        };
        // It was verified, so that it can be read; should this reader be stricter, the texts stay empty.
        if let Ok((_, parsed)) = X509Certificate::from_der(first) {
            certificate.subject = parsed.subject().to_string();
            certificate.issuer = parsed.issuer().to_string();
            certificate.serial = hexadecimal(parsed.raw_serial());
            let names = parsed.subject_alternative_name().ok().flatten();
            for name in names.iter().flat_map(|extension| &extension.value.general_names) {
                match name {
                    GeneralName::DNSName(name) => certificate.dns_names.push((*name).to_owned()),
                    GeneralName::URI(uri) => certificate.uris.push((*uri).to_owned()),
                    _ => {}
                }
            }
            certificate.names = [&certificate.dns_names[..], &certificate.uris].concat();
        }
        Some(certificate)
    }
}

fn sha256(bytes: &[u8]) -> Vec<u8> {
    use rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    // The suite's own hash: no second implementation of SHA-256 in the program.
    match TLS13_AES_128_GCM_SHA256 {
        rustls::SupportedCipherSuite::Tls13(suite) => {
            suite.common.hash_provider.hash(bytes).as_ref().to_vec()
        }
        rustls::SupportedCipherSuite::Tls12(_) => Vec::new(),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
/// The name in IANA's registry; the library calls the suites of TLS 1.3 by names of its own.
fn registered(name: &'static str) -> &'static str {
    match name {
        "TLS13_AES_128_GCM_SHA256" => "TLS_AES_128_GCM_SHA256",
        "TLS13_AES_256_GCM_SHA384" => "TLS_AES_256_GCM_SHA384",
        "TLS13_CHACHA20_POLY1305_SHA256" => "TLS_CHACHA20_POLY1305_SHA256",
        other => other,
    }
}
