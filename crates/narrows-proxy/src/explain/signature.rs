//! A header that lets one request be explained: `EXPIRY.SCOPE.HMAC`.
//!
//! EXPIRY is in seconds since 1970, SCOPE the version of what is signed (`v1`: method, host and path), HMAC 32 bytes in base64url. Who has the key
//! decides who may look; who sees a header can use it until then, for the same thing only.

use aws_lc_rs::hmac::{self, HMAC_SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// The name of the header.
pub(crate) const HEADER: &str = "Narrows-Explain";
/// What is signed: method, host and path.
const SCOPE: &str = "v1";
/// What the hash is for, so that a key that is used elsewhere as well says nothing here.
const PURPOSE: &[u8] = b"narrows explain v1\n";
/// Fewest bytes of a key.
const SHORTEST: usize = 16;
/// Most bytes of a file with a key.
const LONGEST: u64 = 64 << 10;
/// A header is valid for a day at most, whatever it says.
const LONGEST_VALIDITY: u64 = 24 * 60 * 60;

/// The key that such headers are signed with.
#[derive(Debug)]
pub struct ExplainKey {
    key: hmac::Key,
    refused: AtomicU64,
}

/// Why a file cannot be a key.
#[derive(Debug, thiserror::Error)]
pub enum BadKey {
    /// The system said so.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Too easy to guess.
    #[error("it holds {0} bytes, {SHORTEST} are needed")]
    Short(usize),
    /// Not meant as a key.
    #[error("it is larger than 64 KiB")]
    Long,
}

/// What a header is for.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// The method.
    pub method: &'a [u8],
    /// The host in lower case, without port.
    pub host: &'a str,
    /// The normalised path, without query.
    pub path: &'a str,
}

impl ExplainKey {
    /// The content of a file; blanks at its end do not count, because editors and `echo` add them.
    ///
    /// # Errors
    /// Why the file cannot be a key.
    pub fn read(path: &Path) -> Result<Self, BadKey> {
        let mut secret = Vec::new();
        File::open(path)?.take(LONGEST + 1).read_to_end(&mut secret)?;
        if secret.len() as u64 > LONGEST {
            return Err(BadKey::Long);
        }
        Self::new(secret.trim_ascii_end())
    }

    fn new(secret: &[u8]) -> Result<Self, BadKey> {
        match secret.len() < SHORTEST {
            true => Err(BadKey::Short(secret.len())),
            false => Ok(ExplainKey { key: hmac::Key::new(HMAC_SHA256, secret), refused: AtomicU64::new(0) }),
        }
    }

    /// The whole header line, without its end, for requests until `expiry`, seconds since 1970.
    pub fn sign(&self, grant: Grant<'_>, expiry: u64) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        signed_parts(grant, &expiry.to_string()).for_each(|part| context.update(part.as_ref()));
        format!("{HEADER}: {expiry}.{SCOPE}.{}", URL_SAFE_NO_PAD.encode(context.sign()))
    }

    /// Whether the value of a header grants this at `now`, seconds since 1970. Those that do not are counted.
    pub(crate) fn admits(&self, value: &[u8], grant: Grant<'_>, now: u64) -> bool {
        let admitted = self.verify(value, grant, now).is_some();
        if !admitted {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        admitted
    }

    /// Headers that granted nothing, since the configuration is in force.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn verify(&self, value: &[u8], grant: Grant<'_>, now: u64) -> Option<()> {
        let value = std::str::from_utf8(value).ok().filter(|value| value.len() <= 128)?;
        let (expiry, rest) = value.split_once('.')?;
        let (scope, tag) = rest.split_once('.')?;
        let until: u64 = expiry.parse().ok()?;
        let is_of_now = now < until && until - now <= LONGEST_VALIDITY;
        if scope != SCOPE || !is_of_now {
            return None;
        }
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        let signed: Vec<u8> = signed_parts(grant, expiry).flat_map(|part| part.as_ref().to_vec()).collect();
        // Compares in constant time.
        hmac::verify(&self.key, &signed, &tag).ok()
    }
}

/// What is signed. None of the parts can hold a line break, so that no two grants read the same.
fn signed_parts<'a>(grant: Grant<'a>, expiry: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let Grant { method, host, path } = grant;
    [PURPOSE, expiry.as_bytes(), b"\n", method, b"\n", host.as_bytes(), b"\n", path.as_bytes()].into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: Grant<'static> = Grant { method: b"GET", host: "api.example", path: "/v1/x" };
    const NOW: u64 = 1_800_000_000;

    fn key(secret: &[u8]) -> ExplainKey {
        ExplainKey::new(secret).expect("a key")
    }

    fn value(key: &ExplainKey, expiry: u64) -> Vec<u8> {
        let line = key.sign(GRANT, expiry);
        line.strip_prefix("Narrows-Explain: ").expect("the name").as_bytes().to_vec()
    }

    #[test]
    fn a_header_grants_what_it_was_signed_for_and_nothing_else() {
        let key = key(b"0123456789abcdef");
        let value = value(&key, NOW + 60);
        assert!(key.admits(&value, GRANT, NOW));
        for other in [
            Grant { method: b"POST", ..GRANT },
            Grant { host: "www.example", ..GRANT },
            Grant { path: "/v1/y", ..GRANT },
            Grant { host: "api.exampl", path: "e/v1/x", ..GRANT },
        ] {
            assert!(!key.admits(&value, other, NOW), "{other:?}");
        }
        assert_eq!(key.refused(), 4);
    }

    #[test]
    fn an_old_one_a_changed_one_and_one_of_another_key_are_refused() {
        let key = key(b"0123456789abcdef");
        let good = value(&key, NOW + 60);
        assert!(!key.admits(&good, GRANT, NOW + 60), "it is over");
        assert!(!key.admits(&value(&key, NOW + LONGEST_VALIDITY + 1), GRANT, NOW), "it would last too long");
        assert!(!key.admits(
            &value(&ExplainKey::new(b"another key of 16").expect("a key"), NOW + 60),
            GRANT,
            NOW
        ));
        for place in 0..good.len() {
            let mut changed = good.clone();
            changed[place] ^= 1;
            assert!(!key.admits(&changed, GRANT, NOW), "changed at {place}");
        }
        for text in ["", ".", "..", "1.v1.", "x.v1.AAAA", "99999999999999999999999.v1.AA"] {
            assert!(!key.admits(text.as_bytes(), GRANT, NOW), "{text}");
        }
    }

    #[test]
    fn a_short_key_is_none() {
        assert!(matches!(ExplainKey::new(b"short"), Err(BadKey::Short(5))));
    }
}
