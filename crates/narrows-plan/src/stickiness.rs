//! The same endpoint for the same client, whatever the balancer would choose.

use crate::Template;
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// How clients are kept at the endpoint that served them first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Stickiness {
    /// By what a client is known again.
    pub by: StickBy,
    /// Whether a request whose endpoint is unavailable goes elsewhere (and stays there), or is answered with a fault.
    pub fails_over: bool,
    /// Whether a client that went elsewhere comes back when its first endpoint is available again. Only tables remember the first one.
    pub returns: bool,
}

/// By what a client is known again.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StickBy {
    /// By a cookie that names the endpoint.
    Cookie(StickyCookie),
    /// By the value of a template over the request (or flow), kept in a table.
    Key {
        /// The key; an empty one sticks to nothing. `None` is the client's address.
        key: Option<Template>,
        /// The table.
        table: StickTable,
    },
    /// By a value that the server gives in an answer and that the client brings with its next requests (a session id).
    Learned {
        /// The value in the answer.
        response: Template,
        /// The value in a request.
        request: Template,
        /// The table.
        table: StickTable,
    },
}

/// A table of keys and endpoints, shared by all workers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct StickTable {
    /// Most entries; the one that was not used for longest makes room.
    pub size: usize,
    /// An entry that is not used for this long is forgotten.
    pub expire: Duration,
}

/// A cookie that names the endpoint.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StickyCookie {
    /// Its name.
    pub name: Box<str>,
    /// Who makes it.
    pub mode: CookieMode,
    /// How the endpoint is named in it.
    pub value: CookieValue,
    /// `Path`; `None` with `insert` is `/`.
    pub path: Option<Box<str>>,
    /// `Domain`.
    pub domain: Option<Box<str>>,
    /// `Max-Age`; `None` is a session cookie.
    pub max_age: Option<Duration>,
    /// `Secure`; `None` is on connections with TLS.
    pub secure: Option<bool>,
    /// `HttpOnly`.
    pub http_only: bool,
    /// `SameSite`.
    pub same_site: Option<SameSite>,
}

/// Who makes a sticky cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CookieMode {
    /// We add it; the server never sees it.
    #[default]
    Insert,
    /// The server sets it and we replace its value.
    Rewrite,
    /// The server sets it; we put the endpoint and `~` in front of its value, and take it off on the way back.
    Prefix,
}

/// How a sticky cookie names an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum CookieValue {
    /// By a keyed hash (HMAC-SHA256) that nobody else can make or read.
    Signed {
        /// File with the key. `None`: a key that lives as long as the process.
        secret: Option<PathBuf>,
    },
    /// By its address, for everybody to read.
    Address,
}

/// The `SameSite` attribute of a cookie (RFC 6265bis).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SameSite {
    /// Never from another site.
    Strict,
    /// From another site on navigation.
    Lax,
    /// Always.
    None,
}

impl SameSite {
    /// As it stands in the header.
    pub fn name(self) -> &'static str {
        match self {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
            SameSite::None => "None",
        }
    }
}
