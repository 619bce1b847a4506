//! Encryption as it is written.

use super::time;
use crate::shape::{
    Duration, Flag, Number, OPTIONAL, OneOrMany, OrOff, Plain, REQUIRED, Size, choice, otherwise, table,
};
use crate::tree::Text;
use narrows_plan::defaults;

table! {
    /// How a listener ends TLS. The word `self-signed` in its place makes a certificate at start, for development.
    ListenerTls {
        /// Certificates, chosen by the server name that the client asks for and by the signatures that it knows; the first is
        /// for everybody else. Files that change are read again, new connections see them at once.
        certificates: OneOrMany<Certificate> = otherwise("one that is made at start, signed by itself"),
        /// Versions and ciphers: `intermediate` speaks TLS 1.2 and 1.3, `modern` TLS 1.3 alone.
        profile: Profile = "intermediate",
        /// The lowest version: `1.2` or `1.3`.
        minimum_version: Text = otherwise("the profile's"),
        /// Application protocols, in the order of preference. `h2` needs `http2`.
        alpn: OneOrMany<Text> = otherwise("http: `[h2, http/1.1]`, tcp: none"),
        /// Certificates that clients show.
        clients: ClientCertificates = otherwise("clients are asked for none"),
    }
}

table! {
    /// A certificate with its key.
    Certificate {
        /// A PEM file: the certificate, then those that lead to its root.
        cert: Text = REQUIRED,
        /// A PEM file: its key, not encrypted.
        key: Text = REQUIRED,
        /// A DER file: an answer of the authority's OCSP service, which clients get along.
        ocsp: Text = OPTIONAL,
    }
}

choice! {
    /// Named policies after Mozilla's recommendations.
    Profile {
        /// TLS 1.2 and 1.3.
        Intermediate = "intermediate",
        /// TLS 1.3.
        Modern = "modern",
    }
}

table! {
    /// Certificates that clients show (mutual TLS).
    ClientCertificates {
        /// `required` refuses clients without one; `optional` leaves it to rules (`tls.client.verified`). One that is shown
        /// must be valid in both.
        mode: ClientMode = "required",
        /// A PEM file: the authorities that sign them.
        ca: Text = REQUIRED,
        /// Revocation lists, PEM or DER files.
        crl: OneOrMany<Text> = OPTIONAL,
    }
}

choice! {
    /// Whether clients show a certificate.
    ClientMode {
        /// They must.
        Required = "required",
        /// They may.
        Optional = "optional",
    }
}

choice! {
    /// What tells the upstream about the client's certificate.
    CertificateHeader {
        /// `Client-Cert` and `Client-Cert-Chain` (RFC 9440).
        ClientCert = "client-cert",
        /// `X-Forwarded-Client-Cert`.
        Xfcc = "xfcc",
    }
}

table! {
    /// What a client may take up with HTTP/2. The word `off` in its place speaks HTTP/1.1 only.
    Http2 {
        /// Requests that run at once on a connection.
        streams: Number<1, 100_000> = defaults::HTTP2_STREAMS.to_string(),
        /// Bytes of one request body that are on their way and not taken yet, from 64 KiB - 1 to 2 GiB - 1.
        window: Size = super::size(u64::from(defaults::HTTP2_WINDOW)),
        /// The same for all bodies of a connection together. Below `streams` times `window`, bodies that a slow upstream does not take can
        /// hold back the others of their connection.
        connection_window: Size = otherwise("`streams` times `window`"),
        /// How often a client is asked whether it is there; one that has not answered when the next question is due is gone.
        ping: OrOff<Duration> = "off",
    }
}

table! {
    /// How TLS is spoken to an upstream. `true` in its place takes the defaults.
    UpstreamTls {
        /// Whether the server's certificate is verified.
        verify: Flag = "true",
        /// A PEM file: the authorities that are trusted.
        ca: Text = otherwise("the system's"),
        /// The name that is asked for and that the certificate must have: a DNS name or an IP address. Needed for `unix:`
        /// endpoints that are verified.
        server_name: Text = otherwise("the endpoint's name or address, as written"),
        /// The certificate that is shown when the server asks for one.
        certificate: Certificate = OPTIONAL,
        /// Versions and ciphers.
        profile: Profile = "intermediate",
        /// The lowest version: `1.2` or `1.3`.
        minimum_version: Text = otherwise("the profile's"),
    }
}

choice! {
    /// What is spoken to the endpoints.
    UpstreamProtocol {
        /// HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2, without asking.
        Http2 = "http2",
        /// What the endpoint chooses (ALPN).
        Auto = "auto",
    }
}

/// The default of `timeouts.handshake`.
pub(super) fn handshake() -> String {
    time(defaults::HANDSHAKE)
}

/// What tells the upstream about the client's certificate.
pub(crate) type CertificateHeaders = Plain<CertificateHeader>;
