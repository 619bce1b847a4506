//! How a sticky cookie names an endpoint.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::SystemRandom;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// Fewest bytes of a key.
const SHORTEST_SECRET: usize = 16;
/// Most bytes of a file with a key.
const LONGEST_SECRET: u64 = 64 << 10;
/// Bytes of the keyed hash that are told: nobody finds 128 bits by trying.
const TOLD: usize = 16;
/// Length of a signed name: the bytes above in base64url without padding.
const SIGNED_LENGTH: usize = 22;
/// What the hash is for, so that a key that is used elsewhere as well says nothing here.
const PURPOSE: &[u8] = b"narrows sticky cookie";

/// How a sticky cookie names an endpoint.
#[derive(Debug)]
pub(crate) enum Naming {
    /// By a keyed hash.
    Signed(Box<hmac::Key>),
    /// By its address.
    Clear,
}

/// Why a file cannot be a key.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unusable {
    /// The system said so.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Too easy to guess.
    #[error("it holds {0} bytes, {SHORTEST_SECRET} are needed")]
    Short(usize),
    /// Not meant as a key.
    #[error("it is larger than 64 KiB")]
    Long,
    /// No key could be made.
    #[error("the system gives no random bytes")]
    NoChance,
}

impl Naming {
    /// Signed with the content of a file; blanks at its end do not count, because editors and `echo` add them.
    ///
    /// # Errors
    /// Why the file cannot be a key.
    pub(super) fn with_secret(path: &Path) -> Result<Self, Unusable> {
        let mut secret = Vec::new();
        File::open(path)?.take(LONGEST_SECRET + 1).read_to_end(&mut secret)?;
        if secret.len() as u64 > LONGEST_SECRET {
            return Err(Unusable::Long);
        }
        let secret = secret.trim_ascii_end();
        if secret.len() < SHORTEST_SECRET {
            return Err(Unusable::Short(secret.len()));
        }
        Ok(Naming::Signed(Box::new(hmac::Key::new(HMAC_SHA256, secret))))
    }

    /// Signed with a key that nobody knows and that ends with the process.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub(super) fn with_chance() -> Result<Self, Unusable> {
        let key = hmac::Key::generate(HMAC_SHA256, &SystemRandom::new()).map_err(|_| Unusable::NoChance)?;
        Ok(Naming::Signed(Box::new(key)))
    }

    /// The name of the endpoint of that label: characters that a cookie may hold (RFC 6265 section 4.1.1), `~` not among them.
    pub(super) fn name(&self, upstream: &str, label: &str) -> String {
        match self {
            Naming::Signed(key) => {
                let mut context = hmac::Context::with_key(key);
                context.update(PURPOSE);
                // With its length in front no two pairs of texts are signed alike.
                context.update(&(upstream.len() as u64).to_be_bytes());
                context.update(upstream.as_bytes());
                context.update(label.as_bytes());
                URL_SAFE_NO_PAD.encode(&context.sign().as_ref()[..TOLD])
            }
            Naming::Clear => clear(label),
        }
    }

    /// A value of the mode `prefix`, taken apart: the name in front of the first `~`, and what the server had set. `None` where there cannot be a name, as in
    /// cookies that are older than the stickiness.
    pub(crate) fn split<'a>(&self, value: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let tilde = value.iter().position(|&byte| byte == b'~')?;
        let (name, rest) = (&value[..tilde], &value[tilde + 1..]);
        let is_name = match self {
            Naming::Signed(_) => name.len() == SIGNED_LENGTH && name.iter().all(|byte| is_base64url(*byte)),
            // Of an address and port, or of a Unix socket.
            Naming::Clear => name.contains(&b':'),
        };
        is_name.then_some((name, rest))
    }
}

/// A label with everything that a cookie's value cannot hold, `~` and `%` percent-encoded.
fn clear(label: &str) -> String {
    let mut name = String::with_capacity(label.len());
    for byte in label.bytes() {
        match byte {
            b'"' | b',' | b';' | b'\\' | b'~' | b'%' | 0..=0x20 | 0x7f.. => {
                name.push_str(&format!("%{byte:02X}"));
            }
            _ => name.push(byte.into()),
        }
    }
    name
}

fn is_base64url(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_'
}
