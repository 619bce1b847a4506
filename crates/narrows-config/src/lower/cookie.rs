//! Sticky cookies.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model;
use crate::shape::TextOr;
use crate::tree::{Style, Text};
use narrows_plan::{CookieMode, CookieValue, SameSite, StickyCookie};
use std::time::Duration;

/// Attributes, which only a cookie of ours has.
const ATTRIBUTES: [&str; 6] = ["path", "domain", "max_age", "secure", "http_only", "same_site"];

impl Lowering<'_> {
    pub(super) fn cookie(&mut self, written: &TextOr<model::StickyCookie>) -> Option<StickyCookie> {
        let table = match written {
            TextOr::Short(name)
                if name.style == Style::Plain
                    && matches!(&*name.text, "true" | "false" | "on" | "off" | "yes" | "no") =>
            {
                let message = format!("`{}` would be the name of the cookie", name.text);
                let help = "write `stickiness: cookie`, or the name: `cookie: narrows`";
                self.reporter.report(Finding::error(Code::UnknownValue, name.place, message).help(help));
                return None;
            }
            TextOr::Short(name) => {
                return self.cookie_name(name).map(|name| StickyCookie { name, ..default() });
            }
            TextOr::Long(table) => table,
        };
        let name = match &table.name {
            Some(name) => self.cookie_name(name),
            None if table.has("name") => None,
            None => Some(default().name),
        };
        let mode = match table.mode {
            None | Some(model::CookieMode::Insert) => CookieMode::Insert,
            Some(model::CookieMode::Rewrite) => CookieMode::Rewrite,
            Some(model::CookieMode::Prefix) => CookieMode::Prefix,
        };
        let cookie = StickyCookie {
            name: name?,
            mode,
            value: self.cookie_value(table),
            path: table.path.as_ref().and_then(|path| self.attribute(path, true)),
            domain: table.domain.as_ref().and_then(|domain| self.attribute(domain, false)),
            max_age: table.max_age.map(|age| {
                self.at_least(Duration::from_secs(1), Some(age), table.key("max_age"), Duration::from_secs(1))
            }),
            secure: table.secure.map(|flag| flag.0),
            http_only: table.http_only.is_none_or(|flag| flag.0),
            same_site: table.same_site.map(|same_site| match same_site {
                model::SameSite::Strict => SameSite::Strict,
                model::SameSite::Lax => SameSite::Lax,
                model::SameSite::None => SameSite::None,
            }),
        };
        if mode == CookieMode::Insert {
            self.warn_refused(table, &cookie);
        } else {
            self.check_cookie_of_server(table);
        }
        Some(cookie)
    }

    fn cookie_value(&mut self, table: &model::StickyCookie) -> CookieValue {
        let signed = CookieValue::Signed {
            secret: table.secret.as_ref().map(|secret| self.folder.join(&secret.text)),
        };
        if table.value != Some(model::CookieValue::Address) {
            return signed;
        }
        if table.has("secret") {
            let message = "`secret` has no effect: an address is not signed";
            let finding = Finding::error(Code::NoEffect, table.key("secret"), message);
            let finding = finding.label(table.key("value"), "the address is asked for here");
            self.reporter.report(finding.help("remove it, or write `value: signed`"));
        }
        CookieValue::Address
    }

    /// A text that stands in `Set-Cookie` after `Path=` or `Domain=`.
    fn attribute(&mut self, text: &Text, is_path: bool) -> Option<Box<str>> {
        let is_plain = text.text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b';' | b','));
        let fits = if is_path {
            text.text.starts_with('/')
        } else {
            !text.text.is_empty() && !text.text.contains(['/', ':'])
        };
        if is_plain && fits {
            return Some(text.text.as_str().into());
        }
        let what = if is_path { "path" } else { "domain" };
        let message = format!("`{}` cannot be the {what} of a cookie", text.text);
        let help = if is_path { "paths begin with `/`" } else { "write a name, `example.com` for instance" };
        let place = text.place.first_line(&self.reporter.sources);
        self.reporter.report(Finding::error(Code::BadHeaderValue, place, message).help(help));
        None
    }

    /// The server makes the cookie: it says its name and its attributes.
    fn check_cookie_of_server(&mut self, table: &model::StickyCookie) {
        let mode = table.key("mode");
        if !table.has("name") {
            let message = "this needs the `name` of the cookie that the server sets";
            let help = "write `name: JSESSIONID` for instance, or `mode: insert` for a cookie of our own";
            self.reporter.report(Finding::error(Code::MissingKey, mode, message).help(help));
        }
        for (key, place) in table.keys.iter().filter(|(key, _)| ATTRIBUTES.contains(key)) {
            let message = format!("`{key}` has no effect: the server makes this cookie");
            let finding = Finding::error(Code::NoEffect, *place, message).label(mode, "the mode is here");
            self.reporter.report(finding.help("remove it; attributes are for `mode: insert`"));
        }
    }

    /// Warns of cookies that browsers refuse (RFC 6265bis sections 4.1.2.7 and 4.1.3).
    fn warn_refused(&mut self, table: &model::StickyCookie, cookie: &StickyCookie) {
        let is_host = cookie.name.starts_with("__Host-");
        let wants_secure = is_host || cookie.name.starts_with("__Secure-");
        let secure = cookie.secure;
        if wants_secure && secure == Some(false) {
            let message = format!("browsers refuse a cookie called `{}` that is not `secure`", cookie.name);
            self.reporter.defer(Finding::warning(Code::NoEffect, table.key("secure"), message));
        }
        if is_host && (cookie.domain.is_some() || cookie.path.as_deref().is_some_and(|path| path != "/")) {
            let message = format!(
                "browsers refuse a cookie called `{}` that has a `domain`, or a `path` below `/`",
                cookie.name
            );
            self.reporter.defer(Finding::warning(Code::NoEffect, table.key("name"), message));
        }
        if cookie.same_site == Some(SameSite::None) && secure == Some(false) {
            let message = "browsers refuse a cookie with `same_site: none` that is not `secure`";
            let finding = Finding::warning(Code::NoEffect, table.key("same_site"), message);
            self.reporter.defer(finding.label(table.key("secure"), "it is not secure here"));
        }
    }
}

/// The cookie of which nothing is said.
pub(super) fn default() -> StickyCookie {
    StickyCookie {
        name: "narrows".into(),
        mode: CookieMode::Insert,
        value: CookieValue::Signed { secret: None },
        path: None,
        domain: None,
        max_age: None,
        secure: None,
        http_only: true,
        same_site: None,
    }
}
