//! Encryption on either side.

use crate::Origin;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// How a listener ends TLS.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerTls {
    /// Where it was written.
    pub origin: Origin,
    /// Certificates, chosen by the names in them; the first is for everybody else. Empty means one that is made at start and
    /// signed by itself, for development.
    pub certificates: Vec<CertificateFiles>,
    /// Versions and ciphers.
    pub policy: TlsPolicy,
    /// Application protocols in the order of preference; empty negotiates none.
    pub alpn: Vec<Box<str>>,
    /// Whether clients show a certificate; `None` asks for none.
    pub clients: Option<ClientCertificates>,
    /// From the first byte of a handshake to its end.
    pub handshake: Option<Duration>,
}

/// A file, and where it was named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct File {
    /// The file.
    pub path: PathBuf,
    /// Where its name was written.
    pub origin: Origin,
}

/// Files of one certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CertificateFiles {
    /// PEM: the certificate and what leads to its root.
    pub chain: File,
    /// PEM: its key.
    pub key: File,
    /// DER: an answer of the authority's OCSP service, sent along.
    pub ocsp: Option<File>,
}

/// Which versions and ciphers are spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TlsPolicy {
    /// The named profile.
    pub profile: TlsProfile,
    /// The lowest version; `None` is the profile's.
    pub minimum_version: Option<TlsVersion>,
}

impl TlsPolicy {
    /// Whether TLS 1.2 is spoken.
    pub fn allows_tls12(self) -> bool {
        self.profile == TlsProfile::Intermediate && self.minimum_version != Some(TlsVersion::Tls13)
    }
}

/// Named policies after Mozilla's recommendations for servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsProfile {
    /// TLS 1.2 and 1.3 with forward secrecy and authenticated encryption.
    #[default]
    Intermediate,
    /// TLS 1.3 alone.
    Modern,
}

/// A version of TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsVersion {
    /// RFC 5246.
    Tls12,
    /// RFC 8446.
    Tls13,
}

/// Certificates that clients show.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientCertificates {
    /// Whether a client without one is refused.
    pub required: bool,
    /// PEM: the authorities.
    pub authorities: File,
    /// PEM or DER: revocation lists.
    pub revocations: Vec<File>,
}

/// How TLS is spoken to an upstream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientTls {
    /// Where it was written.
    pub origin: Origin,
    /// Whether the server's certificate is verified.
    pub verify: bool,
    /// PEM: the authorities; `None` takes the system's.
    pub authorities: Option<File>,
    /// Name that is asked for and verified; `None` takes the endpoint's as it is written.
    pub server_name: Option<Box<str>>,
    /// The certificate that is shown when the server asks.
    pub certificate: Option<CertificateFiles>,
    /// Versions and ciphers.
    pub policy: TlsPolicy,
}

/// What tells an upstream about the client's certificate. Fields of these names that clients send are removed wherever this is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct CertificateHeaders {
    /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
    pub client_cert: bool,
    /// `X-Forwarded-Client-Cert`, as Envoy writes it.
    pub xfcc: bool,
}
