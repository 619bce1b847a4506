//! Certificates, keys, authorities and revocation lists from files.

use crate::certificate_facts::CertificateFacts;
use crate::session::provider;
use narrows_plan::{CertificateFiles, File, Origin};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::io::Read;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// Largest file that is read, bytes.
const FILE_BYTES: u64 = 16 << 20;

/// Something that is wrong with a file that the plan names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where the file is named.
    pub origin: Origin,
    /// What sort of problem.
    pub kind: ProblemKind,
    /// What is wrong, in a sentence, with the file.
    pub message: String,
    /// What to do.
    pub help: Option<String>,
}

/// Sorts of problems.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProblemKind {
    /// The file cannot be read, or holds something else.
    Unreadable,
    /// The key belongs to another certificate.
    Mismatch,
    /// The certificate's time is over or has not begun. It can be used all the same.
    Expired,
}

impl Problem {
    pub(crate) fn new(origin: Origin, kind: ProblemKind, message: impl Into<String>) -> Self {
        Problem { origin, kind, message: message.into(), help: None }
    }

    fn help(mut self, help: &str) -> Self {
        self.help = Some(help.to_owned());
        self
    }
}

/// A certificate with its key, and the names that it is for.
#[derive(Debug, Clone)]
pub(crate) struct Identity {
    pub(crate) key: Arc<CertifiedKey>,
    /// DNS names, lower case, `*.` in front of those for one label more.
    pub(crate) names: Vec<String>,
}

impl Identity {
    /// What operators want to know of the certificate, which was read from `files`.
    pub(crate) fn facts(&self, files: Option<&CertificateFiles>) -> Option<CertificateFacts> {
        CertificateFacts::of(files, &self.names, self.key.cert.first()?)
    }
}

/// Who looks at a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    Clients,
    Servers,
}

fn unusable(file: &File, message: impl Into<String>) -> Problem {
    Problem::new(file.origin, ProblemKind::Unreadable, message)
}

fn read(file: &File) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(&file.path);
    opened.and_then(|opened| opened.take(FILE_BYTES).read_to_end(&mut bytes)).map_err(|error| {
        unusable(file, format!("cannot read `{}`: {error}", file.path.display()))
            .help("relative paths start from the folder of the configuration file")
    })?;
    Ok(bytes)
}

fn certificates(file: &File) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(file)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match parsed {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => Err(unusable(file, format!("`{}` holds no certificate", file.path.display()))
            .help("certificates are PEM: `-----BEGIN CERTIFICATE-----`")),
        Err(error) => Err(unusable(file, format!("`{}` is not valid PEM: {error}", file.path.display()))),
    }
}

/// Reads a certificate and its key. Problems that leave it usable are added to `problems`.
pub(crate) fn identity(
    files: &CertificateFiles,
    audience: Audience,
    problems: &mut Vec<Problem>,
) -> Result<Identity, Vec<Problem>> {
    let chain = certificates(&files.chain);
    let key = private_key(&files.key);
    let ocsp = files.ocsp.as_ref().map(read).transpose();
    let (chain, key, ocsp) = match (chain, key, ocsp) {
        (Ok(chain), Ok(key), Ok(ocsp)) => (chain, key, ocsp),
        (Err(chain), Err(key), ocsp) if are_swapped(files) => {
            let chain = chain.help("are `cert` and `key` swapped? the other file holds the certificate");
            let key = key.help("are `cert` and `key` swapped? the other file holds the key");
            return Err([chain, key].into_iter().chain(ocsp.err()).collect());
        }
        (chain, key, ocsp) => {
            return Err(chain.err().into_iter().chain(key.err()).chain(ocsp.err()).collect());
        }
    };
    let signing = provider().key_provider.load_private_key(key).map_err(|error| {
        let message = format!("the key in `{}` cannot be used: {error}", files.key.path.display());
        vec![
            unusable(&files.key, message)
                .help("keys are RSA (2048 bits and more), ECDSA (P-256, P-384, P-521) or Ed25519"),
        ]
    })?;
    let mut certified = CertifiedKey::new(chain, signing);
    if let Err(rustls::Error::InconsistentKeys(_)) = certified.keys_match() {
        let message = format!(
            "the key in `{}` does not belong to the certificate in `{}`",
            files.key.path.display(),
            files.chain.path.display()
        );
        return Err(vec![Problem::new(files.key.origin, ProblemKind::Mismatch, message).help(
            "the first certificate of the file is the one that the key belongs to; those that lead to its root follow",
        )]);
    }
    certified.ocsp = ocsp;
    let names = names_and_time(&files.chain, audience, &certified.cert[0], problems)?;
    Ok(Identity { key: Arc::new(certified), names })
}

/// Whether the file of the certificate holds a key, and that of the key a certificate.
fn are_swapped(files: &CertificateFiles) -> bool {
    private_key(&files.chain).is_ok() && certificates(&files.key).is_ok()
}

fn names_and_time(
    file: &File,
    audience: Audience,
    certificate: &CertificateDer<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<String>, Vec<Problem>> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| {
        vec![unusable(file, format!("the certificate in `{}` cannot be read: {error}", file.path.display()))]
    })?;
    if !parsed.validity().is_valid() {
        let validity = parsed.validity();
        let who = match audience {
            Audience::Clients => "clients",
            Audience::Servers => "servers",
        };
        let message = format!(
            "the certificate in `{}` is valid from {} to {}, not now: {who} will refuse it",
            file.path.display(),
            validity.not_before,
            validity.not_after
        );
        problems.push(Problem::new(file.origin, ProblemKind::Expired, message));
    }
    let alternative = parsed.subject_alternative_name().ok().flatten();
    let names = alternative.iter().flat_map(|extension| &extension.value.general_names);
    let mut names: Vec<String> = names
        .filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        })
        .collect();
    if names.is_empty() {
        let common = parsed.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
    }
    Ok(names)
}

fn private_key(file: &File) -> Result<PrivateKeyDer<'static>, Problem> {
    let bytes = read(file)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
        let message = format!("`{}` holds no private key that can be read: {error}", file.path.display());
        let help = if encrypted {
            "it is encrypted; decrypt it first: openssl pkey -in site.key -out plain.key"
        } else {
            "keys are PEM: `-----BEGIN PRIVATE KEY-----`"
        };
        unusable(file, message).help(help)
    })
}

/// The authorities in a file.
pub(crate) fn authorities(file: &File) -> Result<RootCertStore, Problem> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(file)? {
        store.add(certificate).map_err(|error| {
            unusable(
                file,
                format!("a certificate in `{}` cannot be an authority: {error}", file.path.display()),
            )
        })?;
    }
    Ok(store)
}

/// The authorities that the system trusts.
pub(crate) fn system_authorities(origin: Origin) -> Result<RootCertStore, Problem> {
    let mut store = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    store.add_parsable_certificates(found.certs);
    if store.is_empty() {
        let message = "this system has no list of trusted authorities";
        return Err(Problem::new(origin, ProblemKind::Unreadable, message)
            .help("install it (Debian: ca-certificates), or name a file: `tls: { ca: authorities.pem }`"));
    }
    Ok(store)
}

/// A revocation list, PEM or DER.
pub(crate) fn revocations(file: &File) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    let bytes = read(file)?;
    if !bytes.starts_with(b"\x30") {
        let parsed: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
        return match parsed {
            Ok(list) if !list.is_empty() => Ok(list),
            _ => Err(unusable(file, format!("`{}` holds no revocation list", file.path.display()))
                .help("lists are PEM (`-----BEGIN X509 CRL-----`) or DER")),
        };
    }
    Ok(vec![CertificateRevocationListDer::from(bytes)])
}
