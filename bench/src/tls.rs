//! The load's side of TLS: one offer, so that every proxy does the same work, and checks that it did.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ClientConfig, ClientConnection, Resumption};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, CipherSuite, DigitallySignedStruct, Error, HandshakeKind, NamedGroup, ProtocolVersion,
    SignatureScheme,
};

/// Tickets that are kept for one server.
const SESSIONS: usize = 4;

/// What the handshake of a connection has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handshake {
    Full,
    Resumed,
}

/// What the load offers: TLS 1.3 with AES-128-GCM and X25519 alone, and `alpn`. Only with `tickets` are sessions resumed.
/// The proxy has to show the certificate in the file `certificate` (DER) and to sign with its key.
pub(crate) fn offer(certificate: &Path, alpn: &[u8], tickets: bool) -> anyhow::Result<Arc<ClientConfig>> {
    let der = fs::read(certificate).with_context(|| certificate.display().to_string())?;
    let provider = Arc::new(CryptoProvider {
        cipher_suites: vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![aws_lc_rs::kx_group::X25519],
        ..aws_lc_rs::default_provider()
    });
    let pinned = Pinned { certificate: der.into(), provider: Arc::clone(&provider) };
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(pinned))
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption =
        if tickets { Resumption::in_memory_sessions(SESSIONS) } else { Resumption::disabled() };
    Ok(Arc::new(config))
}

/// Checks that a connection is what was asked for.
pub(crate) fn check(connection: &ClientConnection, alpn: &[u8], expected: Handshake) -> Result<(), String> {
    let version = connection.protocol_version();
    if version != Some(ProtocolVersion::TLSv1_3) {
        return Err(format!("the connection speaks {version:?}"));
    }
    let suite = connection.negotiated_cipher_suite().map(|suite| suite.suite());
    if suite != Some(CipherSuite::TLS13_AES_128_GCM_SHA256) {
        return Err(format!("the cipher suite is {suite:?}"));
    }
    let group = connection.negotiated_key_exchange_group().map(|group| group.name());
    if group != Some(NamedGroup::X25519) {
        return Err(format!("the key exchange is {group:?}"));
    }
    let chosen = connection.alpn_protocol();
    // HTTP/1.1 is also what a server speaks that has no opinion.
    if chosen.is_some_and(|chosen| chosen != alpn) || (chosen.is_none() && alpn != b"http/1.1") {
        return Err(format!("ALPN chose {:?}", chosen.map(String::from_utf8_lossy)));
    }
    let wanted = match expected {
        Handshake::Full => HandshakeKind::Full,
        Handshake::Resumed => HandshakeKind::Resumed,
    };
    match connection.handshake_kind() {
        Some(kind) if kind == wanted => Ok(()),
        kind => Err(format!("the handshake was {kind:?}, not {wanted:?}")),
    }
}

/// Takes one certificate and no other, and proof of its key.
#[derive(Debug)]
struct Pinned {
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if *end_entity == self.certificate {
            Ok(ServerCertVerified::assertion())
        } else {
            Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 was not offered".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests;
