//! Where the admin API is when nobody says where.

use narrows_plan::Bind;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

/// The variable that says where the admin API is: `off`, or an address as in the configuration.
pub const VARIABLE: &str = "NARROWS_ADMIN";

/// The usual place for a process of root.
const OF_ROOT: &str = "/run/narrows/admin.sock";
/// The usual place below the folder of a user's session.
const OF_USER: &str = "narrows/admin.sock";

/// The usual place of the admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Usual {
    /// There is none.
    Off,
    /// There.
    At(Bind),
    /// The user has no folder for sockets, and no variable names a place.
    Nowhere,
    /// The variable holds what is no address.
    Unreadable(String),
}

impl Usual {
    /// The usual place of this process.
    pub fn here() -> Self {
        let variable = std::env::var(VARIABLE).ok();
        let is_root = rustix::process::geteuid().is_root();
        Self::of(variable.as_deref(), is_root, std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from))
    }

    fn of(variable: Option<&str>, is_root: bool, session: Option<PathBuf>) -> Self {
        match (variable, session) {
            (Some("off"), _) => Usual::Off,
            (Some(text), _) => read(text).map_or_else(|| Usual::Unreadable(text.to_owned()), Usual::At),
            (None, _) if is_root => Usual::At(Bind::Unix(OF_ROOT.into())),
            (None, Some(folder)) if folder.is_absolute() => Usual::At(Bind::Unix(folder.join(OF_USER))),
            (None, _) => Usual::Nowhere,
        }
    }
}

/// Reads `unix:/path`, `address:port` or `:port`, which is a port of this machine.
fn read(text: &str) -> Option<Bind> {
    if let Some(path) = text.strip_prefix("unix:") {
        return (!path.is_empty()).then(|| Bind::Unix(path.into()));
    }
    if let Some(port) = text.strip_prefix(':') {
        return Some(Bind::Socket(SocketAddr::from((Ipv4Addr::LOCALHOST, port.parse().ok()?))));
    }
    text.parse().ok().map(Bind::Socket)
}

/// Where a client finds an admin API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The address, as it is connected to.
    pub place: Place,
    /// Whether TLS is spoken.
    pub tls: bool,
}

/// What a client connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// A Unix socket.
    Unix(PathBuf),
    /// A host, by name or address, and a port.
    Host(String, u16),
}

impl Target {
    /// Reads `unix:/path`, `/path`, `http://host:port`, `https://host:port` or `host:port`.
    ///
    /// # Errors
    /// A sentence that says what may be written.
    pub fn parse(text: &str) -> Result<Target, String> {
        let wrong = || {
            format!(
                "`{text}` is no address of an admin API: write unix:/path, http://host:port or https://host:port"
            )
        };
        if let Some(path) = text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text)) {
            let is_path = !path.is_empty() && path.len() < 108 && !path.contains('\0');
            return match is_path {
                true => Ok(Target { place: Place::Unix(path.into()), tls: false }),
                false => Err(wrong()),
            };
        }
        let (tls, rest) = match text.split_once("://") {
            Some(("http", rest)) => (false, rest),
            Some(("https", rest)) => (true, rest),
            Some(_) => return Err(wrong()),
            None => (false, text),
        };
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(wrong)?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let port = port.parse().ok().filter(|port| *port > 0).ok_or_else(wrong)?;
        let is_host =
            |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '-' | '_' | ':');
        match host.is_empty() || !host.chars().all(is_host) {
            true => Err(wrong()),
            false => Ok(Target { place: Place::Host(host.to_owned(), port), tls }),
        }
    }

    /// A Unix socket or a plain TCP port.
    pub fn of(bind: &Bind) -> Target {
        let place = match bind {
            Bind::Unix(path) => Place::Unix(path.clone()),
            Bind::Socket(address) => Place::Host(address.ip().to_string(), address.port()),
        };
        Target { place, tls: false }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        match &self.place {
            Place::Unix(path) => write!(formatter, "unix:{}", path.display()),
            Place::Host(host, port) if host.contains(':') => write!(formatter, "{scheme}://[{host}]:{port}"),
            Place::Host(host, port) => write!(formatter, "{scheme}://{host}:{port}"),
        }
    }
}

#[cfg(test)]
mod tests;
