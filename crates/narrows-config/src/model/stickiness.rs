//! Stickiness as it is written.

use super::time;
use crate::shape::{Duration, Flag, Number, OPTIONAL, REQUIRED, TextOr, choice, otherwise, table};
use crate::tree::Text;
use narrows_plan::defaults;

table! {
    /// How clients are kept at the server that had them first: exactly one of `cookie`, `key` and `learn`.
    Stickiness {
        /// Kind, http: a cookie names the server. A text is the cookie's name.
        cookie: TextOr<StickyCookie> = OPTIONAL,
        /// Kind: a table remembers the server of each key. `source` is the client's address; anything else is a template.
        key: Text = OPTIONAL,
        /// Kind, http: a table remembers the server of each value that servers give in answers and clients bring with requests.
        learn: Learn = OPTIONAL,
        /// Most entries of the table; the one that was not used for longest makes room.
        size: Number<1, 100_000_000> = defaults::STICK_TABLE_SIZE.to_string(),
        /// An entry that is not used for this long is forgotten.
        expire: Duration = time(defaults::STICK_TABLE_EXPIRE),
        /// Whether a request whose server is unavailable goes to another one and stays there; otherwise it is answered with 503.
        fail_over: Flag = "true",
        /// Whether a client that went to another server comes back when its first one is available again. Not for `cookie`.
        comes_back as "return": Flag = "false",
    }
}

table! {
    /// The value that makes a session, a session id for instance.
    Learn {
        /// A template over an answer: the value that the server gives. While it is empty, nothing is learned.
        response: Text = REQUIRED,
        /// A template over a request: the value that the client brings.
        request: Text = REQUIRED,
    }
}

table! {
    /// A cookie that names the server.
    StickyCookie {
        /// Its name. `rewrite` and `prefix` need the name of the server's cookie.
        name: Text = "narrows",
        /// Who makes it: `insert` adds one that servers never see; the server sets it and `rewrite` replaces its value, or `prefix` puts the
        /// server and `~` in front of its value and takes it off on the way back.
        mode: CookieMode = "insert",
        /// How it names the server: `signed` by a keyed hash that nobody else can make or read, `address` for everybody to read.
        value: CookieValue = "signed",
        /// A file with the key of `signed`. Processes with the same key know each other's cookies.
        secret: Text = otherwise("a key that lives as long as the process"),
        /// insert: `Path`.
        path: Text = "/",
        /// insert: `Domain`.
        domain: Text = otherwise("the host alone"),
        /// insert: `Max-Age`.
        max_age: Duration = otherwise("until the browser ends"),
        /// insert: `Secure`.
        secure: Flag = otherwise("over TLS"),
        /// insert: `HttpOnly`.
        http_only: Flag = "true",
        /// insert: `SameSite`.
        same_site: SameSite = OPTIONAL,
    }
}

choice! {
    /// Who makes a sticky cookie.
    CookieMode {
        /// The proxy.
        Insert = "insert",
        /// The server; the value is replaced.
        Rewrite = "rewrite",
        /// The server; something is put before the value.
        Prefix = "prefix",
    }
}

choice! {
    /// How a sticky cookie names a server.
    CookieValue {
        /// By a keyed hash.
        Signed = "signed",
        /// By its address.
        Address = "address",
    }
}

choice! {
    /// The `SameSite` attribute of a cookie.
    SameSite {
        /// Never from another site.
        Strict = "strict",
        /// From another site on navigation.
        Lax = "lax",
        /// Always.
        None = "none",
    }
}
