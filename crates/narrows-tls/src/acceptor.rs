//! Ending the TLS of clients.

use crate::certificate_facts::CertificateFacts;
use crate::facts::TlsFacts;
use crate::fault::TlsFault;
use crate::handshake;
use crate::material::{self, Audience, Identity, Problem};
use crate::self_signed;
use crate::session::{provider, versions};
use arc_swap::ArcSwap;
use narrows_plan::{ClientCertificates, ServerTls};
use narrows_runtime::{Stream, Watch};
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ProducesTickets, ResolvesServerCert, VerifierBuilderError,
    WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{Connection, ServerConfig, ServerConnection, SignatureScheme};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Ends TLS for a listener; shared by all workers.
#[derive(Debug)]
pub struct Acceptor {
    plan: ServerTls,
    loaded: ArcSwap<Loaded>,
    /// The certificate made at start, so that a reload does not make another one.
    made: Option<Identity>,
    tickets: Arc<dyn ProducesTickets>,
}

/// What was read from the files.
#[derive(Debug)]
struct Loaded {
    config: Arc<ServerConfig>,
    certificates: Arc<[CertificateFacts]>,
}

/// A handshake that failed, with the stream underneath.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub fault: TlsFault,
    /// The name that the client had asked for by then, lower case; empty when it had asked for none.
    pub server_name: String,
    /// The stream, on which the alert was sent; for what is not TLS, nothing was.
    pub stream: Stream,
}

impl Acceptor {
    /// Reads what the plan names. Problems that leave a certificate usable are added to `problems`.
    pub(crate) fn new(plan: &ServerTls, problems: &mut Vec<Problem>) -> Result<Self, Vec<Problem>> {
        let made = match plan.certificates.is_empty() {
            true => Some(self_signed::make(plan.origin).map_err(|problem| vec![problem])?),
            false => None,
        };
        let tickets = new_tickets(plan)?;
        let loaded = configure(plan, made.as_ref(), &tickets, problems)?;
        Ok(Acceptor { plan: plan.clone(), loaded: ArcSwap::from_pointee(loaded), made, tickets })
    }

    /// Reads the files again. New connections see what they say now; with a problem everything stays as it was. Problems that
    /// leave a certificate usable are returned.
    pub(crate) fn reload(&self) -> Result<Vec<Problem>, Vec<Problem>> {
        // A resumed session is not verified again: what was revoked since must not come back with an old ticket.
        let tickets = match &self.plan.clients {
            Some(_) => new_tickets(&self.plan)?,
            None => Arc::clone(&self.tickets),
        };
        let mut problems = Vec::new();
        let loaded = configure(&self.plan, self.made.as_ref(), &tickets, &mut problems)?;
        self.loaded.store(Arc::new(loaded));
        Ok(problems)
    }

    /// The certificates that are shown now.
    pub fn certificates(&self) -> Arc<[CertificateFacts]> {
        Arc::clone(&self.loaded.load().certificates)
    }

    /// How long a handshake may take.
    pub fn timeout(&self) -> Option<Duration> {
        self.plan.handshake
    }

    /// Answers a client's handshake within the deadline of `watch`. Cancel safe: the connection is gone then.
    ///
    /// # Errors
    /// Why the client is refused.
    pub async fn accept(&self, stream: Stream, watch: &Watch) -> Result<(Stream, TlsFacts), Refused> {
        match ServerConnection::new(Arc::clone(&self.loaded.load().config)) {
            Ok(session) => handshake::run(stream, Connection::Server(session), watch).await,
            Err(error) => Err(Refused { fault: TlsFault::of(&error), server_name: String::new(), stream }),
        }
    }
}

/// Keys of session tickets. They are of this listener alone, change every six hours, and the last ones are understood for as long.
fn new_tickets(plan: &ServerTls) -> Result<Arc<dyn ProducesTickets>, Vec<Problem>> {
    aws_lc_rs::Ticketer::new().map_err(|error| {
        let message = format!("cannot make keys for session tickets: {error}");
        vec![Problem::new(plan.origin, material::ProblemKind::Unreadable, message)]
    })
}

fn configure(
    plan: &ServerTls,
    made: Option<&Identity>,
    tickets: &Arc<dyn ProducesTickets>,
    problems: &mut Vec<Problem>,
) -> Result<Loaded, Vec<Problem>> {
    let mut wrong = Vec::new();
    let mut certificates = Certificates::default();
    let mut facts = Vec::new();
    if let Some(identity) = made {
        facts.extend(identity.facts(None));
        certificates.add(identity.clone());
    }
    for files in &plan.certificates {
        match material::identity(files, Audience::Clients, problems) {
            Ok(identity) => {
                facts.extend(identity.facts(Some(files)));
                certificates.add(identity);
            }
            Err(found) => wrong.extend(found),
        }
    }
    let verifier = plan.clients.as_ref().map(client_verifier).transpose();
    let builder =
        ServerConfig::builder_with_provider(provider()).with_protocol_versions(versions(plan.policy));
    let (builder, verifier) = match (builder, verifier) {
        (Ok(builder), Ok(verifier)) if wrong.is_empty() => (builder, verifier),
        (builder, verifier) => {
            wrong.extend(verifier.err().into_iter().flatten());
            wrong.extend(builder.err().map(|error| {
                Problem::new(plan.origin, material::ProblemKind::Unreadable, error.to_string())
            }));
            return Err(wrong);
        }
    };
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(certificates));
    config.alpn_protocols = plan.alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    // Sessions live in tickets alone, so that any worker resumes them and none keeps a table behind a lock.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.ticketer = Arc::clone(tickets);
    Ok(Loaded { config: Arc::new(config), certificates: facts.into() })
}

fn client_verifier(clients: &ClientCertificates) -> Result<Arc<dyn ClientCertVerifier>, Vec<Problem>> {
    let mut wrong = Vec::new();
    let authorities = material::authorities(&clients.authorities).map_err(|problem| wrong.push(problem));
    let mut lists = Vec::new();
    for file in &clients.revocations {
        match material::revocations(file) {
            Ok(found) => lists.extend(found),
            Err(problem) => wrong.push(problem),
        }
    }
    let authorities = match authorities {
        Ok(authorities) if wrong.is_empty() => authorities,
        _ => return Err(wrong),
    };
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), provider());
    if !lists.is_empty() {
        // A list of one authority says nothing of the others' certificates.
        builder = builder.with_crls(lists).allow_unknown_revocation_status();
    }
    if !clients.required {
        builder = builder.allow_unauthenticated();
    }
    builder.build().map_err(|error| match (error, &clients.revocations[..]) {
        (VerifierBuilderError::InvalidCrl(error), [first, ..]) => {
            let names: Vec<_> =
                clients.revocations.iter().map(|file| file.path.display().to_string()).collect();
            let message = format!(
                "a revocation list in {} cannot be used: {error:?}; lists are of version 2, with a number",
                names.join(", ")
            );
            vec![Problem::new(first.origin, material::ProblemKind::Unreadable, message)]
        }
        (error, _) => {
            let message = format!("the clients' authorities cannot be used: {error}");
            vec![Problem::new(clients.authorities.origin, material::ProblemKind::Unreadable, message)]
        }
    })
}

/// A listener's certificates by name.
#[derive(Debug, Default)]
struct Certificates {
    exact: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// `example.com` for `*.example.com`.
    wildcard: HashMap<String, Vec<Arc<CertifiedKey>>>,
    /// For clients that ask for no name, or for one that nobody has: the first certificate, and those with the same names.
    default: Vec<Arc<CertifiedKey>>,
    default_names: Vec<String>,
}

impl Certificates {
    fn add(&mut self, identity: Identity) {
        let Identity { key, mut names } = identity;
        for name in &names {
            let (map, name) = match name.strip_prefix("*.") {
                Some(parent) => (&mut self.wildcard, parent),
                None => (&mut self.exact, name.as_str()),
            };
            add_preferred(map.entry(name.to_owned()).or_default(), &key);
        }
        names.sort_unstable();
        if self.default.is_empty() {
            self.default_names = names;
            self.default.push(key);
        } else if names == self.default_names {
            add_preferred(&mut self.default, &key);
        }
    }

    fn candidates(&self, name: Option<&str>) -> &[Arc<CertifiedKey>] {
        let Some(name) = name else { return &self.default };
        let name = name.to_ascii_lowercase();
        let parent = name.split_once('.').map_or("", |(_, parent)| parent);
        self.exact.get(&name).or_else(|| self.wildcard.get(parent)).unwrap_or(&self.default)
    }
}

/// Certificates that a client can choose from stand in the order in which they are offered: the cheaper signature first.
fn add_preferred(list: &mut Vec<Arc<CertifiedKey>>, key: &Arc<CertifiedKey>) {
    let is_rsa = |key: &CertifiedKey| key.key.algorithm() == rustls::SignatureAlgorithm::RSA;
    let position = if is_rsa(key) {
        list.len()
    } else {
        list.iter().position(|other| is_rsa(other)).unwrap_or(list.len())
    };
    list.insert(position, Arc::clone(key));
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let schemes: &[SignatureScheme] = hello.signature_schemes();
        let candidates = self.candidates(hello.server_name());
        candidates
            .iter()
            .find(|candidate| candidate.key.choose_scheme(schemes).is_some())
            .or_else(|| candidates.first())
            .cloned()
    }
}
