//! Stickiness.

use super::Lowering;
use super::balancing::REQUEST;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{self, is_token};
use crate::nearest::nearest;
use crate::shape::TextOr;
use crate::tree::Text;
use narrows_plan::{StickBy, StickTable, Stickiness, defaults};

/// Keys of a stickiness that say by what clients are known.
const KINDS: [&str; 3] = ["cookie", "key", "learn"];
/// Keys that only tables have.
const TABLE_KEYS: [&str; 3] = ["size", "expire", "return"];

impl Lowering<'_> {
    pub(super) fn stickiness(&mut self, written: &TextOr<model::Stickiness>) -> Option<Stickiness> {
        let table = match written {
            TextOr::Short(word) => {
                let by = self.stick_word(word)?;
                return Some(Stickiness { by, fails_over: true, returns: false });
            }
            TextOr::Long(table) => table,
        };
        let by = self.stick_by(table)?;
        let fails_over = table.fail_over.is_none_or(|flag| flag.0);
        let returns = table.comes_back.is_some_and(|flag| flag.0);
        if returns && !fails_over {
            let message = "`return` has no effect: without `fail_over` no client ever goes elsewhere";
            let finding = Finding::error(Code::NoEffect, table.key("return"), message);
            self.reporter
                .report(finding.label(table.key("fail_over"), "it is off here").help("remove `return`"));
        }
        Some(Stickiness { by, fails_over, returns })
    }

    fn stick_word(&mut self, word: &Text) -> Option<StickBy> {
        match word.text.as_str() {
            "cookie" => return Some(StickBy::Cookie(super::cookie::default())),
            "source" => return Some(StickBy::Key { key: None, table: DEFAULT_TABLE }),
            _ => {}
        }
        let help = if word.text.contains("${") {
            format!("write the template as a key: `stickiness: {{ key: '{}' }}`", word.text)
        } else if word.text == "off" {
            "without stickiness, leave the key out".to_owned()
        } else {
            match nearest(&word.text, &["cookie", "source"]) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write `cookie`, `source`, or a table with `cookie`, `key` or `learn`".to_owned(),
            }
        };
        let message = format!("clients cannot be known by `{}`", word.text);
        let place = word.place.first_line(&self.reporter.sources);
        self.reporter.report(Finding::error(Code::UnknownValue, place, message).help(help));
        None
    }

    fn stick_by(&mut self, table: &model::Stickiness) -> Option<StickBy> {
        let kinds: Vec<_> = table.keys.iter().filter(|(key, _)| KINDS.contains(key)).copied().collect();
        match kinds.as_slice() {
            [_] => {}
            [] => {
                let place = table.place.first_line(&self.reporter.sources);
                let message = "this does not say by what a client is known again";
                let help = "add `cookie: narrows`, `key: source` or `learn: { response: ..., request: ... }`";
                self.reporter.report(Finding::error(Code::NotExactlyOne, place, message).help(help));
                return None;
            }
            [(first, place), (second, other), ..] => {
                let message = format!("clients are known by one thing, not by `{first}` and `{second}`");
                let finding = Finding::error(Code::NotExactlyOne, *other, message);
                self.reporter.report(finding.label(*place, "the first is here").help("keep one of them"));
                return None;
            }
        }
        if table.has("cookie") {
            self.refuse_table_keys(table);
            return self.cookie(table.cookie.as_ref()?).map(StickBy::Cookie);
        }
        let stick_table = self.stick_table(table);
        if let Some(key) = &table.key {
            if key.text == "source" {
                return Some(StickBy::Key { key: None, table: stick_table });
            }
            return self.client_key(key).map(|key| StickBy::Key { key: Some(key), table: stick_table });
        }
        let learn = table.learn.as_ref()?;
        let (response, request) = (learn.response.as_ref()?, learn.request.as_ref()?);
        let value = self.upstream_template(response, Scope { response: true, ..REQUEST });
        let value = value.filter(|template| self.refuse_constant(response, template));
        let key = self.client_key(request);
        if request.text == "source" {
            let message = "servers cannot give an address; a session is known by what they give";
            let help = "write a template over the request: `${request.cookies[\"session\"]}`";
            self.reporter.report(Finding::error(Code::UnknownValue, request.place, message).help(help));
        }
        Some(StickBy::Learned { response: value?, request: key?, table: stick_table })
    }

    /// A cookie is kept by the client, so there is no table.
    fn refuse_table_keys(&mut self, table: &model::Stickiness) {
        for (key, place) in table.keys.iter().filter(|(key, _)| TABLE_KEYS.contains(key)) {
            if *key == "return" && !table.comes_back.is_some_and(|flag| flag.0) {
                continue;
            }
            let message = match *key {
                "return" => {
                    "a cookie names one server: a client that went elsewhere cannot come back".to_owned()
                }
                _ => format!("`{key}` has no effect: cookies need no table"),
            };
            let finding = Finding::error(Code::NoEffect, *place, message);
            let finding = finding.label(table.key("cookie"), "the cookie is here");
            self.reporter.report(finding.help("remove it; `key` and `learn` have a table"));
        }
    }

    fn stick_table(&mut self, table: &model::Stickiness) -> StickTable {
        StickTable {
            size: table
                .size
                .map_or(DEFAULT_TABLE.size, |size| usize::try_from(size.number).unwrap_or(usize::MAX)),
            expire: self.some_time(table.expire, table.key("expire"), DEFAULT_TABLE.expire),
        }
    }

    /// Whether a text may be the name of a cookie (RFC 6265 section 4.1.1).
    pub(super) fn cookie_name(&mut self, name: &Text) -> Option<Box<str>> {
        if is_token(&name.text) {
            return Some(name.text.as_str().into());
        }
        let message = format!("`{}` cannot be the name of a cookie", name.text);
        let help = "write letters, digits, `-` and `_`";
        let place = name.place.first_line(&self.reporter.sources);
        self.reporter.report(Finding::error(Code::BadName, place, message).help(help));
        None
    }
}

/// A table of which nothing is said.
const DEFAULT_TABLE: StickTable =
    StickTable { size: defaults::STICK_TABLE_SIZE, expire: defaults::STICK_TABLE_EXPIRE };
