//! The admin API as it is written.

use super::tls::{Certificate, ClientCertificates, Profile};
use crate::shape::{OPTIONAL, OneOrMany, REQUIRED, otherwise, table};
use crate::tree::Text;

table! {
    /// Where operators and their programs reach the process. An address in its place is short for a table with `bind` alone.
    Admin {
        /// Addresses: `unix:/run/narrows/admin.sock`, `127.0.0.1:9901`. TCP needs `token`, or `tls` with `clients`.
        bind: OneOrMany<Text> = REQUIRED,
        /// Permissions of Unix sockets, three octal digits after a zero.
        mode: Text = "\"0600\"",
        /// A file with a token of at least 16 bytes, which requests by TCP bring along as `Authorization: Bearer TOKEN`.
        token: Text = OPTIONAL,
        /// Encryption of TCP.
        tls: AdminTls = otherwise("plain"),
    }
}

table! {
    /// How the admin API ends TLS.
    AdminTls {
        /// Certificates, as listeners have them.
        certificates: OneOrMany<Certificate> = REQUIRED,
        /// Versions and ciphers: `intermediate` speaks TLS 1.2 and 1.3, `modern` TLS 1.3 alone.
        profile: Profile = "intermediate",
        /// Certificates that clients show.
        clients: ClientCertificates = otherwise("clients are asked for none"),
    }
}
