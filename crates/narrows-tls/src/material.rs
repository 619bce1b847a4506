//! Certificates, keys, authorities and revocation lists from files.

use crate::session::provider;
use narrows_plan::{CertificateFiles, Origin};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use std::io::Read;
use std::path::Path;
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

fn read(path: &Path, origin: Origin) -> Result<Vec<u8>, Problem> {
    let mut bytes = Vec::new();
    std::fs::File::open(path).and_then(|file| file.take(FILE_BYTES).read_to_end(&mut bytes)).map_err(
        |error| {
            let message = format!("cannot read `{}`: {error}", path.display());
            Problem::new(origin, ProblemKind::Unreadable, message)
                .help("relative paths start from the folder of the configuration file")
        },
    )?;
    Ok(bytes)
}

fn certificates(path: &Path, origin: Origin) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(path, origin)?;
    let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    match parsed {
        Ok(list) if !list.is_empty() => Ok(list),
        Ok(_) => {
            let message = format!("`{}` holds no certificate", path.display());
            Err(Problem::new(origin, ProblemKind::Unreadable, message)
                .help("certificates are PEM: `-----BEGIN CERTIFICATE-----`"))
        }
        Err(error) => {
            let message = format!("`{}` is not valid PEM: {error}", path.display());
            Err(Problem::new(origin, ProblemKind::Unreadable, message))
        }
    }
}

/// Reads a certificate and its key. Problems that leave it usable are added to `problems`.
pub(crate) fn identity(
    files: &CertificateFiles,
    problems: &mut Vec<Problem>,
) -> Result<Identity, Vec<Problem>> {
    let chain = certificates(&files.chain, files.origin);
    let key = private_key(&files.key, files.origin);
    let ocsp = files.ocsp.as_ref().map(|path| read(path, files.origin)).transpose();
    let (chain, key, ocsp) = match (chain, key, ocsp) {
        (Ok(chain), Ok(key), Ok(ocsp)) => (chain, key, ocsp),
        (chain, key, ocsp) => {
            return Err(chain.err().into_iter().chain(key.err()).chain(ocsp.err()).collect());
        }
    };
    let signing = provider().key_provider.load_private_key(key).map_err(|error| {
        let message = format!("the key in `{}` cannot be used: {error}", files.key.display());
        vec![
            Problem::new(files.origin, ProblemKind::Unreadable, message)
                .help("keys are RSA (2048 bits and more), ECDSA (P-256, P-384, P-521) or Ed25519"),
        ]
    })?;
    let mut certified = CertifiedKey::new(chain, signing);
    if let Err(rustls::Error::InconsistentKeys(_)) = certified.keys_match() {
        let message = format!(
            "the key in `{}` does not belong to the certificate in `{}`",
            files.key.display(),
            files.chain.display()
        );
        return Err(vec![Problem::new(files.origin, ProblemKind::Mismatch, message).help(
            "the first certificate of the file is the server's own; those that lead to its root follow",
        )]);
    }
    certified.ocsp = ocsp;
    let names = names_and_time(files, &certified.cert[0], problems)?;
    Ok(Identity { key: Arc::new(certified), names })
}

fn names_and_time(
    files: &CertificateFiles,
    certificate: &CertificateDer<'_>,
    problems: &mut Vec<Problem>,
) -> Result<Vec<String>, Vec<Problem>> {
    let (_, parsed) = X509Certificate::from_der(certificate).map_err(|error| {
        let message = format!("the certificate in `{}` cannot be read: {error}", files.chain.display());
        vec![Problem::new(files.origin, ProblemKind::Unreadable, message)]
    })?;
    if !parsed.validity().is_valid() {
        let validity = parsed.validity();
        let message = format!(
            "the certificate in `{}` is valid from {} to {}, not now: clients will refuse it",
            files.chain.display(),
            validity.not_before,
            validity.not_after
        );
        problems.push(Problem::new(files.origin, ProblemKind::Expired, message));
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

fn private_key(path: &Path, origin: Origin) -> Result<PrivateKeyDer<'static>, Problem> {
    let bytes = read(path, origin)?;
    PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
        let encrypted = bytes.windows(9).any(|window| window == b"ENCRYPTED");
        let message = format!("`{}` holds no private key that can be read: {error}", path.display());
        let help = if encrypted {
            "it is encrypted; decrypt it first: openssl pkey -in site.key -out plain.key"
        } else {
            "keys are PEM: `-----BEGIN PRIVATE KEY-----`"
        };
        Problem::new(origin, ProblemKind::Unreadable, message).help(help)
    })
}

/// The authorities in a file.
pub(crate) fn authorities(path: &Path, origin: Origin) -> Result<RootCertStore, Problem> {
    let mut store = RootCertStore::empty();
    for certificate in certificates(path, origin)? {
        store.add(certificate).map_err(|error| {
            let message = format!("a certificate in `{}` cannot be an authority: {error}", path.display());
            Problem::new(origin, ProblemKind::Unreadable, message)
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
pub(crate) fn revocations(
    path: &Path,
    origin: Origin,
) -> Result<Vec<CertificateRevocationListDer<'static>>, Problem> {
    let bytes = read(path, origin)?;
    if !bytes.starts_with(b"\x30") {
        let parsed: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&bytes).collect();
        return match parsed {
            Ok(list) if !list.is_empty() => Ok(list),
            _ => {
                let message = format!("`{}` holds no revocation list", path.display());
                Err(Problem::new(origin, ProblemKind::Unreadable, message)
                    .help("lists are PEM (`-----BEGIN X509 CRL-----`) or DER"))
            }
        };
    }
    Ok(vec![CertificateRevocationListDer::from(bytes)])
}
