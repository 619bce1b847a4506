//! Why a check failed, in words for people.

use narrows_tls::{CertificateFault, TlsFault};
use narrows_upstream::ConnectFailure;
use std::io;
use thiserror::Error;

/// Characters of a server's own words that are told on.
const SAID: usize = 200;

/// Why a check failed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum Failure {
    /// It did not end in time.
    #[error("timed out")]
    TimedOut,
    /// Nothing listens there.
    #[error("connection refused")]
    Refused,
    /// There is no way there.
    #[error("unreachable")]
    Unreachable,
    /// This process has no descriptor, port, memory or process left: the endpoint is not to blame.
    #[error("this process has no resources left for a check")]
    Exhausted,
    /// The TLS handshake failed.
    #[error("TLS: {}", of_tls(.0))]
    Tls(TlsFault),
    /// The check wants TLS and the upstream has none.
    #[error("the upstream has no TLS")]
    NoTls,
    /// It does not speak HTTP/2.
    #[error("does not speak HTTP/2")]
    NoHttp2,
    /// The endpoint ended the connection.
    #[error("the connection ended before the answer")]
    Ended,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(io::ErrorKind),
    /// The answer is longer than is looked at.
    #[error("the answer is too long")]
    TooLong,
    /// The answer is none of this protocol.
    #[error("not an answer of {0}")]
    Malformed(&'static str),
    /// The answer is not what is expected.
    #[error("the answer does not have what is expected")]
    Unexpected,
    /// An HTTP status that is not expected.
    #[error("status {0}")]
    Status(u16),
    /// What the server itself says.
    #[error("{0}")]
    Said(Box<str>),
    /// The program did not end with status 0.
    #[error("the program ended with {0}")]
    Program(Box<str>),
    /// The program could not be started.
    #[error("the program cannot be started: {0}")]
    NoProgram(io::ErrorKind),
}

impl Failure {
    /// What `who` says, without what could disturb a terminal, and not more than a line.
    pub(super) fn said(who: &str, what: &[u8]) -> Failure {
        let what = String::from_utf8_lossy(&what[..what.len().min(4 * SAID)]);
        let what: String =
            what.trim().chars().map(|one| if one.is_control() { ' ' } else { one }).take(SAID).collect();
        Failure::Said(format!("{who}: {what}").into())
    }

    /// A connect that failed.
    pub(super) fn of_connect(error: &io::Error) -> Failure {
        match ConnectFailure::from_error(error) {
            ConnectFailure::Refused => Failure::Refused,
            ConnectFailure::TimedOut => Failure::TimedOut,
            ConnectFailure::Exhausted | ConnectFailure::Full => Failure::Exhausted,
            ConnectFailure::Unreachable | ConnectFailure::Tls(_) | ConnectFailure::Http2 => {
                Failure::Unreachable
            }
        }
    }

    /// A handshake that failed.
    pub(super) fn of_tls(fault: TlsFault) -> Failure {
        match fault {
            TlsFault::TimedOut => Failure::TimedOut,
            fault => Failure::Tls(fault),
        }
    }
}

fn of_tls(fault: &TlsFault) -> &'static str {
    match fault {
        TlsFault::TimedOut => "timed out",
        TlsFault::Gone => "the connection ended in the handshake",
        TlsFault::NotTls { .. } => "the answer is not TLS",
        TlsFault::Incompatible => "no version, cipher or application protocol in common",
        TlsFault::Alert => "refused with an alert",
        TlsFault::Invalid => "the protocol is broken",
        TlsFault::Certificate(CertificateFault::Missing) => "no certificate",
        TlsFault::Certificate(CertificateFault::Expired) => "the certificate has expired",
        TlsFault::Certificate(CertificateFault::UnknownIssuer) => "the certificate's issuer is unknown",
        TlsFault::Certificate(CertificateFault::WrongName) => "the certificate is for another name",
        TlsFault::Certificate(CertificateFault::Revoked) => "the certificate was revoked",
        TlsFault::Certificate(CertificateFault::Invalid) => "the certificate is invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_this_process_lacks_is_not_the_endpoints_failure() {
        // EMFILE, ENFILE, ENOMEM, ENOBUFS, EADDRNOTAVAIL.
        for code in [24, 23, 12, 105, 99] {
            assert_eq!(
                Failure::of_connect(&io::Error::from_raw_os_error(code)),
                Failure::Exhausted,
                "{code}"
            );
        }
        let refused = io::Error::from_raw_os_error(111);
        assert_eq!(Failure::of_connect(&refused).to_string(), "connection refused");
        assert_eq!(Failure::of_connect(&io::Error::from_raw_os_error(113)).to_string(), "unreachable");
    }

    #[test]
    fn what_a_server_says_is_shown_short_and_harmless() {
        let said = Failure::said("X", &[b"\x1b[31mred\r\nline\xff", &[b'a'; 5000][..]].concat()).to_string();
        assert!(said.starts_with("X:  [31mred  line\u{fffd}aaa") && said.len() < 300, "{said}");
        assert!(!said.contains(char::is_control));
    }
}
