//! Where operators and their programs reach a running process.

use crate::{Bind, File, Origin, ServerTls};

/// Whether there is an admin API.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Admin {
    /// Nothing is written: a Unix socket at the usual place of the user, where it can be had.
    #[default]
    Usual,
    /// There is none.
    Off,
    /// Where it is written.
    On(Box<AdminApi>),
}

/// Where the admin API is and who may use it.
#[derive(Debug, Clone, PartialEq)]
pub struct AdminApi {
    /// Where it was written.
    pub origin: Origin,
    /// At least one.
    pub binds: Vec<(Bind, Origin)>,
    /// Permissions of Unix sockets, as of files.
    pub mode: u32,
    /// A file with the token that requests by TCP bring along; `None` asks for none.
    pub token: Option<File>,
    /// Encryption of TCP; `None` is plain. With [`ServerTls::clients`], clients are known by their certificates.
    pub tls: Option<Box<ServerTls>>,
}

impl AdminApi {
    /// Permissions of a Unix socket where nothing else is written: its owner alone.
    pub const MODE: u32 = 0o600;

    /// Whether clients have to show a certificate.
    pub fn asks_for_certificates(&self) -> bool {
        self.tls.as_ref().and_then(|tls| tls.clients.as_ref()).is_some_and(|clients| clients.required)
    }
}
