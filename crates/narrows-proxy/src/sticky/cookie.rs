//! A sticky cookie on its way: from the client, to the server without it, and back with the endpoint that answered.

use super::Sticky;
use crate::request::Request;
use narrows_observe::write_number;
use narrows_plan::{CookieMode, StickyCookie};
use narrows_upstream::{EndpointId, EndpointState};
use narrows_wire::http1::{FieldName, cookies, edit_cookies, set_cookie};
use std::cell::OnceCell;
use std::rc::Rc;

/// Cookies of the right name that are looked at in one request: a browser has a few when sites share a domain, an attacker as many as fit.
const LOOKED_AT: usize = 8;

/// The sticky cookie of one request and its answer.
#[derive(Debug)]
pub(crate) struct CookieOnTheWay {
    sticky: Rc<Sticky>,
    /// The endpoint that the client's cookie names.
    brought: Option<EndpointId>,
    is_secure: bool,
    /// The endpoint that answered, and its name.
    answered: OnceCell<(EndpointId, Rc<str>)>,
}

impl CookieOnTheWay {
    /// Looks for the cookie in `request`: the first one that names an endpoint. Anything else is as good as none.
    pub(crate) fn of(request: &Request<'_>, sticky: &Rc<Sticky>) -> Self {
        let brought = sticky.cookie().and_then(|rules| {
            let fields = request.head.fields.iter().filter(|field| field.known == FieldName::Cookie);
            let values = fields.flat_map(|field| cookies(field.value.of(request.bytes), &rules.name));
            { values }.take(LOOKED_AT).find_map(|value| match rules.mode {
                CookieMode::Insert | CookieMode::Rewrite => sticky.named(value),
                CookieMode::Prefix => sticky.named(sticky.naming()?.split(value)?.0),
            })
        });
        CookieOnTheWay {
            sticky: Rc::clone(sticky),
            brought,
            is_secure: request.connection.tls.is_some(),
            answered: OnceCell::new(),
        }
    }

    /// The endpoint that the client's cookie names.
    pub(crate) fn brought(&self) -> Option<EndpointId> {
        self.brought
    }

    /// Remembers which endpoint answered.
    pub(crate) fn answer(&self, endpoint: &EndpointState) {
        if let Some(name) = self.sticky.name(endpoint) {
            let _ = self.answered.set((endpoint.id(), name));
        }
    }

    /// Whether a Cookie field of the request goes to the server otherwise than it came.
    pub(crate) fn changes(&self, field: &[u8]) -> bool {
        self.rules().is_some_and(|rules| {
            rules.mode != CookieMode::Rewrite && cookies(field, &rules.name).next().is_some()
        })
    }

    /// Appends a Cookie field as the server sees it, as a complete line; nothing when nothing is left of it.
    pub(crate) fn write_changed(&self, field: &[u8], out: &mut Vec<u8>) {
        let Some(rules) = self.rules() else { return };
        let start = out.len();
        out.extend_from_slice(b"Cookie: ");
        let naming = self.sticky.naming();
        let is_written = edit_cookies(field, &rules.name, out, |value| match rules.mode {
            CookieMode::Insert => None,
            CookieMode::Rewrite => Some(value),
            CookieMode::Prefix => {
                Some(naming.and_then(|naming| naming.split(value)).map_or(value, |(_, rest)| rest))
            }
        });
        if is_written {
            out.extend_from_slice(b"\r\n");
        } else {
            out.truncate(start);
        }
    }

    /// Whether a Set-Cookie field of the answer sets this cookie, so that it does not reach the client as it is.
    pub(crate) fn is_set_by(&self, field: &[u8]) -> bool {
        let rules = self.rules();
        rules.is_some_and(|rules| set_cookie(field).is_some_and(|set| set.name == rules.name.as_bytes()))
    }

    /// Appends what the client gets for a Set-Cookie field that sets this cookie, as a complete line.
    pub(crate) fn write_set(&self, field: &[u8], out: &mut Vec<u8>) {
        let (Some(rules), Some(set), Some((_, name))) =
            (self.rules(), set_cookie(field), self.answered.get())
        else {
            return;
        };
        let (tilde, value) = match rules.mode {
            // The name is ours: the server cannot know it.
            CookieMode::Insert => return,
            CookieMode::Rewrite => (&b""[..], &b""[..]),
            CookieMode::Prefix => (&b"~"[..], set.value),
        };
        for part in [b"Set-Cookie: ", set.name, b"=", name.as_bytes(), tilde, value, set.attributes, b"\r\n"]
        {
            out.extend_from_slice(part);
        }
    }

    /// Appends the cookie that the client is given when it did not bring the right one, as complete lines. `may_be_cached` is whether the answer says nothing
    /// about caches: then it says that it is for this client alone, because a cache would give everybody the same endpoint.
    pub(crate) fn write_inserted(&self, may_be_cached: bool, out: &mut Vec<u8>) {
        let (Some(rules), Some((endpoint, name))) = (self.rules(), self.answered.get()) else { return };
        if rules.mode != CookieMode::Insert || self.brought == Some(*endpoint) {
            return;
        }
        let path = rules.path.as_deref().unwrap_or("/");
        for part in ["Set-Cookie: ", &rules.name, "=", name, "; Path=", path] {
            out.extend_from_slice(part.as_bytes());
        }
        if let Some(domain) = &rules.domain {
            out.extend_from_slice(b"; Domain=");
            out.extend_from_slice(domain.as_bytes());
        }
        if let Some(age) = rules.max_age {
            out.extend_from_slice(b"; Max-Age=");
            write_number(age.as_secs(), out);
        }
        if rules.secure.unwrap_or(self.is_secure) {
            out.extend_from_slice(b"; Secure");
        }
        if rules.http_only {
            out.extend_from_slice(b"; HttpOnly");
        }
        if let Some(same_site) = rules.same_site {
            out.extend_from_slice(b"; SameSite=");
            out.extend_from_slice(same_site.name().as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        if may_be_cached {
            out.extend_from_slice(b"Cache-Control: private\r\n");
        }
    }

    fn rules(&self) -> Option<&StickyCookie> {
        self.sticky.cookie()
    }
}
