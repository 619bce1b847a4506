//! Why a handshake failed.

use rustls::{CertificateError, Error};

/// Why a handshake, or a session after it, failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsFault {
    /// It did not end in time.
    TimedOut,
    /// The other end went away.
    Gone,
    /// The first bytes are not TLS; they may be a request in plain HTTP.
    NotTls {
        /// Whether they look like one.
        http: bool,
    },
    /// There is no version, cipher, key exchange or application protocol that both ends know.
    Incompatible,
    /// The other end's certificate is not accepted.
    Certificate(CertificateFault),
    /// The other end refused with an alert.
    Alert,
    /// The other end breaks the protocol.
    Invalid,
}

/// Why a certificate is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateFault {
    /// None was shown.
    Missing,
    /// Its time is over, or has not begun.
    Expired,
    /// Nobody who is trusted has signed it.
    UnknownIssuer,
    /// It is for another name.
    WrongName,
    /// It was revoked.
    Revoked,
    /// Anything else.
    Invalid,
}

impl TlsFault {
    pub(crate) fn of(error: &Error) -> Self {
        match error {
            Error::NoCertificatesPresented => TlsFault::Certificate(CertificateFault::Missing),
            Error::InvalidCertificate(reason) => TlsFault::Certificate(match reason {
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => CertificateFault::Expired,
                // An issuer of a trusted name, but with another key, is unknown too.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    CertificateFault::UnknownIssuer
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    CertificateFault::WrongName
                }
                CertificateError::Revoked => CertificateFault::Revoked,
                _ => CertificateFault::Invalid,
            }),
            Error::AlertReceived(_) => TlsFault::Alert,
            Error::PeerIncompatible(_) | Error::NoApplicationProtocol => TlsFault::Incompatible,
            _ => TlsFault::Invalid,
        }
    }
}
