//! What keys that operators choose may look like.

use crate::code::Code;
use crate::diagnostic::Finding;
use crate::shape::KeyShape;
use crate::tree::Text;

/// The name of a listener or an upstream.
#[derive(Debug)]
pub(crate) struct Name;

impl KeyShape for Name {
    const PATTERN: &'static str = "^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$";
    const WRITTEN: &'static str = "name";

    fn check(key: &Text) -> Result<(), Finding> {
        let starts = key.text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        let holds = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
        if starts && key.text.bytes().all(holds) && key.text.len() <= 128 {
            return Ok(());
        }
        let message = format!("`{}` cannot be a name", key.text);
        Err(Finding::error(Code::BadName, key.place, message).help(
            "names are up to 128 letters, digits, `_`, `-` and `.`, and begin with a letter, a digit or `_`",
        ))
    }
}

/// The name of an endpoint's label.
#[derive(Debug)]
pub(crate) struct Label;

impl KeyShape for Label {
    const PATTERN: &'static str = Name::PATTERN;
    const WRITTEN: &'static str = "label";

    fn check(key: &Text) -> Result<(), Finding> {
        Name::check(key)
    }
}

/// The name of a cookie or a query parameter.
#[derive(Debug)]
pub(crate) struct Any;

impl KeyShape for Any {
    const PATTERN: &'static str = "^.+$";
    const WRITTEN: &'static str = "name";

    fn check(_: &Text) -> Result<(), Finding> {
        Ok(())
    }
}

/// The name of a header field.
#[derive(Debug)]
pub(crate) struct HeaderName;

impl KeyShape for HeaderName {
    const PATTERN: &'static str = "^[!#$%&'*+.^_`|~0-9A-Za-z-]+$";
    const WRITTEN: &'static str = "header name";

    fn check(key: &Text) -> Result<(), Finding> {
        if is_token(&key.text) {
            return Ok(());
        }
        let message = format!("`{}` is not a header name", key.text);
        Err(Finding::error(Code::BadHeaderName, key.place, message).help(
            "header names hold letters, digits and `-`, and a few other signs, but no spaces or colons",
        ))
    }
}

/// Whether a text is a token (RFC 9110 section 5.6.2).
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// A status, or a class of them.
#[derive(Debug)]
pub(crate) struct StatusKey;

impl KeyShape for StatusKey {
    const PATTERN: &'static str = "^([45][0-9][0-9]|[45](xx|XX))$";
    const WRITTEN: &'static str = "status";

    fn check(key: &Text) -> Result<(), Finding> {
        let known = match key.text.as_str() {
            "4xx" | "5xx" | "4XX" | "5XX" => true,
            digits => {
                digits.len() == 3 && digits.parse::<u16>().is_ok_and(|status| (400..600).contains(&status))
            }
        };
        if known {
            return Ok(());
        }
        let message = format!("`{}` is not the status of an error", key.text);
        Err(Finding::error(Code::BadStatus, key.place, message)
            .help("write a status from 400 to 599, `4xx` or `5xx`"))
    }
}
