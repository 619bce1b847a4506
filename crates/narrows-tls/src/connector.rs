//! Beginning TLS to servers.

use crate::certificate_facts::CertificateFacts;
use crate::facts::TlsFacts;
use crate::fault::TlsFault;
use crate::handshake;
use crate::material::{self, Audience, Problem, ProblemKind};
use crate::session::{provider, versions};
use arc_swap::ArcSwap;
use narrows_plan::{ClientTls, Origin, TlsPolicy, UpstreamProtocol};
use narrows_runtime::{Stream, Watch};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, Connection, DigitallySignedStruct, SignatureScheme};
use std::sync::Arc;

/// Begins TLS to an upstream; shared by all workers, so that sessions are resumed.
#[derive(Debug)]
pub struct Connector {
    plan: ClientTls,
    protocol: UpstreamProtocol,
    configs: ArcSwap<Configs>,
}

#[derive(Debug)]
struct Configs {
    http: Arc<ClientConfig>,
    bytes: Arc<ClientConfig>,
    certificates: Arc<[CertificateFacts]>,
}

/// What a connection is for: it decides which application protocols are offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Requests, in the version that the upstream is said to speak.
    Http,
    /// Bytes that nobody here understands; no application protocol is offered.
    Bytes,
}

impl Connector {
    /// Reads what the plan names. Problems that leave the certificate usable are added to `problems`.
    pub(crate) fn new(
        plan: &ClientTls,
        protocol: UpstreamProtocol,
        problems: &mut Vec<Problem>,
    ) -> Result<Self, Vec<Problem>> {
        let configs = configure(plan, protocol, problems)?;
        Ok(Connector { plan: plan.clone(), protocol, configs: ArcSwap::from_pointee(configs) })
    }

    /// Reads what the plan names, for a client that is no proxy.
    ///
    /// # Errors
    /// Everything that keeps it from being used.
    pub fn load(plan: &ClientTls) -> Result<Self, Vec<Problem>> {
        Connector::load_speaking(plan, UpstreamProtocol::Http1)
    }

    /// The same for one that speaks this protocol.
    ///
    /// # Errors
    /// Everything that keeps it from being used.
    pub fn load_speaking(plan: &ClientTls, protocol: UpstreamProtocol) -> Result<Self, Vec<Problem>> {
        Connector::new(plan, protocol, &mut Vec::new())
    }

    /// The certificate that is shown now to servers that ask for one.
    pub fn certificates(&self) -> Arc<[CertificateFacts]> {
        Arc::clone(&self.configs.load().certificates)
    }

    /// Begins TLS to find out whether it is spoken at all: any certificate is taken, and no application protocol is offered.
    pub(crate) fn probing(origin: Origin) -> Option<Self> {
        let plan = ClientTls {
            origin,
            verify: false,
            authorities: None,
            server_name: None,
            certificate: None,
            policy: TlsPolicy::default(),
        };
        Connector::new(&plan, UpstreamProtocol::Http1, &mut Vec::new()).ok()
    }

    /// Reads the files again; with a problem everything stays as it was. Problems that leave the certificate usable are returned.
    pub(crate) fn reload(&self) -> Result<Vec<Problem>, Vec<Problem>> {
        let mut problems = Vec::new();
        self.configs.store(Arc::new(configure(&self.plan, self.protocol, &mut problems)?));
        Ok(problems)
    }

    /// Makes a handshake with the server behind `stream` within the deadline of `watch`. `endpoint` is the name or address of the server as
    /// it was written. Cancel safe: the connection is gone then.
    ///
    /// # Errors
    /// Why it failed; a certificate that is not accepted among the reasons.
    pub async fn connect(
        &self,
        stream: Stream,
        endpoint: &str,
        purpose: Purpose,
        watch: &Watch,
    ) -> Result<(Stream, TlsFacts), TlsFault> {
        let name = self.plan.server_name.as_deref().unwrap_or(endpoint).to_owned();
        let name = ServerName::try_from(name)
            .map_err(|_| TlsFault::Certificate(crate::fault::CertificateFault::WrongName))?;
        let configs = self.configs.load();
        let config = match purpose {
            Purpose::Http => &configs.http,
            Purpose::Bytes => &configs.bytes,
        };
        let session =
            ClientConnection::new(Arc::clone(config), name).map_err(|error| TlsFault::of(&error))?;
        drop(configs);
        let done = handshake::run(stream, Connection::Client(session), watch).await;
        let (stream, facts) = done.map_err(|refused| refused.fault)?;
        // With prior knowledge a server without ALPN speaks HTTP/2 too; one that chose another protocol does not.
        let wants = self.protocol == UpstreamProtocol::Http2 && purpose == Purpose::Http;
        if wants && !facts.protocol.is_empty() && facts.protocol != "h2" {
            return Err(TlsFault::Incompatible);
        }
        Ok((stream, facts))
    }
}

fn configure(
    plan: &ClientTls,
    protocol: UpstreamProtocol,
    problems: &mut Vec<Problem>,
) -> Result<Configs, Vec<Problem>> {
    let mut wrong = Vec::new();
    let verifier = verifier(plan).map_err(|problem| wrong.push(problem)).ok();
    let identity = match &plan.certificate {
        Some(files) => material::identity(files, Audience::Servers, problems)
            .map(|identity| Some((identity.facts(Some(files)), identity.key)))
            .map_err(|found| wrong.extend(found))
            .ok(),
        None => Some(None),
    };
    let builder =
        ClientConfig::builder_with_provider(provider()).with_protocol_versions(versions(plan.policy));
    let builder = builder
        .map_err(|error| wrong.push(Problem::new(plan.origin, ProblemKind::Unreadable, error.to_string())))
        .ok();
    let (Some(verifier), Some(identity), Some(builder)) = (verifier, identity, builder) else {
        return Err(wrong);
    };
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    let (facts, key) = identity.unzip();
    let bytes = match key {
        Some(key) => builder.with_client_cert_resolver(Arc::new(Identified(key))),
        None => builder.with_no_client_auth(),
    };
    let mut http = bytes.clone();
    http.alpn_protocols = match protocol {
        UpstreamProtocol::Http1 => vec![b"http/1.1".to_vec()],
        UpstreamProtocol::Http2 => vec![b"h2".to_vec()],
        UpstreamProtocol::Negotiated => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    let certificates = facts.flatten().into_iter().collect();
    Ok(Configs { http: Arc::new(http), bytes: Arc::new(bytes), certificates })
}

fn verifier(plan: &ClientTls) -> Result<Arc<dyn ServerCertVerifier>, Problem> {
    if !plan.verify {
        return Ok(Arc::new(Unverified));
    }
    let authorities = match &plan.authorities {
        Some(file) => material::authorities(file)?,
        None => material::system_authorities(plan.origin)?,
    };
    let built = WebPkiServerVerifier::builder_with_provider(Arc::new(authorities), provider()).build();
    built.map(|verifier| verifier as Arc<dyn ServerCertVerifier>).map_err(|error| {
        let message = format!("the authorities cannot be used: {error}");
        let origin = plan.authorities.as_ref().map_or(plan.origin, |file| file.origin);
        Problem::new(origin, ProblemKind::Unreadable, message)
    })
}

/// Shows one certificate to every server that asks.
#[derive(Debug)]
struct Identified(Arc<CertifiedKey>);

impl ResolvesClientCert for Identified {
    fn resolve(&self, _: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.key.choose_scheme(schemes).map(|_| Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// `verify: false`: whoever has the certificate's key is believed.
#[derive(Debug)]
struct Unverified;

impl ServerCertVerifier for Unverified {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, known)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let known = &provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, known)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
