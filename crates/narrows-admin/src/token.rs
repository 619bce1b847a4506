//! The token that requests by TCP bring along.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use narrows_plan::{Admin, File, Origin, Plan};
use std::fmt;
use std::io::Read;

/// The shortest token, bytes.
const LEAST: usize = 16;
/// The longest token, bytes.
const MOST: usize = 4096;

/// A token, kept as its hash: all comparisons are of equal length, and a look into memory does not show it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token(Box<[u8]>);

/// Why a token cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct BadToken {
    /// Where its file is named.
    pub origin: Origin,
    message: String,
}

impl Token {
    /// Reads a token from its file; blanks and line ends around it do not count.
    pub(crate) fn load(file: &File) -> Result<Token, BadToken> {
        let bad = |message| BadToken { origin: file.origin, message };
        let path = file.path.display();
        let mut text = Vec::new();
        std::fs::File::open(&file.path)
            .and_then(|opened| opened.take(MOST as u64 + 1).read_to_end(&mut text))
            .map_err(|error| bad(format!("cannot read the token of the admin API from `{path}`: {error}")))?;
        let token = text.trim_ascii();
        let is_writable = |byte: &u8| byte.is_ascii_graphic();
        match token.len() {
            length if length < LEAST => {
                Err(bad(format!("the token in `{path}` has {length} bytes, fewer than {LEAST}")))
            }
            length if length > MOST => Err(bad(format!("the token in `{path}` has more than {MOST} bytes"))),
            _ if !token.iter().all(is_writable) => {
                Err(bad(format!("the token in `{path}` holds blanks or what cannot be printed")))
            }
            _ => Ok(Token(hashed(token))),
        }
    }

    /// Whether `shown` is the token. How long it takes does not tell how much of it is right.
    pub(crate) fn is(&self, shown: &[u8]) -> bool {
        verify_slices_are_equal(&self.0, &hashed(shown)).is_ok()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(..)")
    }
}

fn hashed(token: &[u8]) -> Box<[u8]> {
    digest(&SHA256, token).as_ref().into()
}

/// Reads the token that a plan names; says why where it cannot be used.
pub fn check_token(plan: &Plan) -> Option<BadToken> {
    match &plan.admin {
        Admin::On(api) => Token::load(api.token.as_ref()?).err(),
        Admin::Usual | Admin::Off => None,
    }
}

#[cfg(test)]
mod tests;
