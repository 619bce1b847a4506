//! What operators want to know of the certificates that are shown.

use narrows_plan::CertificateFiles;
use rustls::pki_types::CertificateDer;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Who shows a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateUse {
    /// A listener, to its clients.
    Listener(Box<str>),
    /// The proxy, to the servers of an upstream that ask for one.
    Upstream(Box<str>),
    /// The admin API.
    Admin,
}

/// A certificate that is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFacts {
    /// Its file; `None` when it was made at start.
    pub file: Option<PathBuf>,
    /// The DNS names that it is for.
    pub names: Vec<String>,
    /// Who it belongs to.
    pub subject: String,
    /// Who signed it.
    pub issuer: String,
    /// Serial number, hexadecimal.
    pub serial: String,
    /// When it begins to be valid.
    pub not_before: SystemTime,
    /// When it ends to be valid.
    pub not_after: SystemTime,
}

impl CertificateFacts {
    /// Reads a certificate; `None` for one that cannot be read, which is not shown either.
    pub(crate) fn of(
        files: Option<&CertificateFiles>,
        names: &[String],
        certificate: &CertificateDer<'_>,
    ) -> Option<Self> {
        let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
        Some(CertificateFacts {
            file: files.map(|files| files.chain.path.clone()),
            names: names.to_vec(),
            subject: parsed.subject().to_string(),
            issuer: parsed.issuer().to_string(),
            serial: parsed.raw_serial_as_string(),
            not_before: moment(parsed.validity().not_before.timestamp()),
            not_after: moment(parsed.validity().not_after.timestamp()),
        })
    }
}

/// A time of X.509; one before 1970 is 1970.
fn moment(unix: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(unix).unwrap_or(0))
}
