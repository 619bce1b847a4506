//! Who may ask.

use crate::problem::{Cause, Problem};
use crate::token::Token;
use http::HeaderMap;
use http::header::{AUTHORIZATION, ORIGIN};

/// What the requests of a connection need.
#[derive(Debug, Clone)]
pub(crate) enum Gate {
    /// Nothing: the file system, or the handshake of TLS, has let the client in.
    Open,
    /// The token.
    Token(Token),
}

impl Gate {
    /// Whether a request may be carried out. `is_public` are requests that tell strangers nothing worth knowing.
    ///
    /// A page in a browser cannot know the token, so a name that was rebound to this address (DNS rebinding) leads nowhere. Certificates are
    /// shown by browsers unasked, and so are sockets that something forwards: what a page asks for is refused everywhere, by the fields
    /// that browsers alone send and no page can leave out.
    pub(crate) fn admit(&self, headers: &HeaderMap, is_public: bool) -> Result<(), Problem> {
        let site = headers.get("sec-fetch-site").map(|site| site.as_bytes());
        if headers.contains_key(ORIGIN) || site.is_some_and(|site| site != b"none") {
            return Err(Problem::new(Cause::ForeignOrigin, "the request comes from a web page"));
        }
        match self {
            Gate::Token(token) if !is_public => {
                let mut shown = headers.get_all(AUTHORIZATION).iter();
                match (shown.next(), shown.next()) {
                    (Some(shown), None) if bearer(shown.as_bytes()).is_some_and(|shown| token.is(shown)) => {
                        Ok(())
                    }
                    (None, _) => Err(unauthorized("the request shows no token")),
                    _ => Err(unauthorized("the request does not show the token")),
                }
            }
            Gate::Token(_) | Gate::Open => Ok(()),
        }
    }
}

fn unauthorized(detail: &str) -> Problem {
    Problem::new(Cause::Unauthorized, format!("{detail}: `Authorization: Bearer TOKEN`"))
}

/// The token of `Bearer TOKEN` (RFC 6750 section 2.1).
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked(7)?;
    scheme.eq_ignore_ascii_case(b"bearer ").then(|| token.trim_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;
    use http::header::HeaderName;

    fn headers(fields: &[(&'static str, &'static str)]) -> HeaderMap {
        let field = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        let mut headers = HeaderMap::new();
        fields.iter().map(field).for_each(|(name, value)| {
            headers.append(name, value);
        });
        headers
    }

    #[test]
    fn a_page_in_a_browser_is_refused_everywhere() {
        for field in
            [("origin", "http://127.0.0.1:9901"), ("origin", "null"), ("sec-fetch-site", "cross-site")]
        {
            let refused = Gate::Open.admit(&headers(&[field]), true).unwrap_err();
            assert_eq!(refused.cause, Cause::ForeignOrigin, "{field:?}");
        }
        assert!(Gate::Open.admit(&headers(&[("sec-fetch-site", "none")]), false).is_ok());
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_nothing_else_is_a_token() {
        assert_eq!(bearer(b"Bearer abc"), Some(&b"abc"[..]));
        assert_eq!(bearer(b"bearer  abc "), Some(&b"abc"[..]));
        for other in [&b"Basic abc"[..], b"Bearer", b"abc", b""] {
            assert_eq!(bearer(other), None);
        }
    }
}
