//! What health checks send, and what they expect.

use super::Lowering;
use super::check_kinds::{http, statuses};
use super::headers::FRAMING;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::{self, Bytes, is_token};
use crate::shape::TextOr;
use crate::tree::Text;
use narrows_plan::{Expect, HttpCheck};

impl Lowering<'_> {
    pub(super) fn http_check(&mut self, written: &TextOr<model::HttpCheck>) -> Option<HttpCheck> {
        let table = match written {
            TextOr::Short(path) => {
                return self.asked_path(path).map(|path| HttpCheck { path, ..http() });
            }
            TextOr::Long(table) => table,
        };
        let mut check = http();
        let path = table.path.as_ref().map_or(Some(check.path), |path| self.asked_path(path));
        let method = table.method.as_ref().map_or(Some(check.method), |method| self.check_method(method));
        let host = table.host.as_ref().map(|host| self.header_text(host));
        check.headers = self.check_headers(table);
        if let Some(status) = &table.status {
            check.statuses = statuses(status);
        }
        let body = table.body.as_ref().map(|body| self.expect(body));
        if method.as_deref() == Some("HEAD") && table.has("body") {
            let message = "this check never passes: the answer to HEAD has no body";
            let finding = Finding::warning(Code::CheckNeverPasses, table.key("body"), message);
            let finding = finding.label(table.key("method"), "the method is here");
            self.reporter.defer(finding.help("remove `method`, or `body`"));
        }
        Some(HttpCheck {
            path: path?,
            method: method?,
            host: host.map_or(Some(None), |host| host.map(Some))?,
            body: body.map_or(Some(None), |body| body.map(Some))?,
            ..check
        })
    }

    /// A path with query, as it is sent.
    pub(super) fn asked_path(&mut self, path: &Text) -> Option<Box<str>> {
        let is_sendable = path.text.bytes().all(|byte| byte.is_ascii_graphic()) && !path.text.contains('#');
        if path.text.starts_with('/') && is_sendable {
            return Some(path.text.as_str().into());
        }
        let message = format!("`{}` is not a path that can be asked for", path.text);
        let help = if path.text.contains("://") {
            "without scheme and host: endpoints are asked where they are, `host` sets the header"
        } else if !path.text.starts_with('/') {
            "paths begin with `/`"
        } else {
            "write other characters as `%20` and the like"
        };
        let place = path.place.first_line(&self.reporter.sources);
        self.reporter.report(Finding::error(Code::BadPath, place, message).help(help));
        None
    }

    fn check_method(&mut self, method: &Text) -> Option<Box<str>> {
        let upper = method.text.to_ascii_uppercase();
        let is_slip = upper != method.text && matches!(upper.as_str(), "GET" | "HEAD" | "OPTIONS" | "POST");
        if is_token(&method.text) && !is_slip && method.text != "CONNECT" {
            return Some(method.text.as_str().into());
        }
        let message = format!("`{}` is not a method for a check", method.text);
        let help = if is_slip { format!("write `{upper}`") } else { "write `GET` or `HEAD`".to_owned() };
        self.reporter.report(Finding::error(Code::BadMethod, method.place, message).help(help));
        None
    }

    fn check_headers(&mut self, table: &model::HttpCheck) -> Box<[(Box<str>, Box<str>)]> {
        let mut headers: Vec<(Box<str>, Box<str>)> = Vec::new();
        for (name, value) in table.headers.iter().flat_map(|headers| &headers.entries) {
            let lower = name.text.to_ascii_lowercase();
            let help = match lower.as_str() {
                "host" => "write `host` beside `headers`",
                framing if FRAMING.contains(&framing) => "the check writes it itself",
                _ => {
                    if value.text.contains(|letter: char| letter.is_control() && letter != '\t') {
                        let message = "a header value cannot hold line breaks or other control characters";
                        let place = value.place.first_line(&self.reporter.sources);
                        self.reporter.report(Finding::error(Code::BadHeaderValue, place, message));
                    }
                    headers.push((name.text.as_str().into(), value.text.as_str().into()));
                    continue;
                }
            };
            let message = format!("the header `{}` cannot be set here", name.text);
            self.reporter.report(Finding::error(Code::FramingHeader, name.place, message).help(help));
        }
        headers.into()
    }

    pub(super) fn expect(&mut self, written: &TextOr<model::Expect>) -> Option<Expect> {
        let table = match written {
            TextOr::Short(text) => return self.contained(text.text.as_bytes().into(), text),
            TextOr::Long(table) => table,
        };
        if table.has("contains") && table.has("regex") {
            let message = "an answer is compared with either `contains` or `regex`";
            let finding = Finding::error(Code::NotExactlyOne, table.key("regex"), message);
            self.reporter.report(finding.label(table.key("contains"), "and here is `contains`"));
            return None;
        }
        if let Some(contains) = &table.contains {
            let bytes = self.bytes(contains)?;
            return match contains {
                TextOr::Short(text) => self.contained(bytes, text),
                TextOr::Long(hex) => self.contained(bytes, hex.hex.as_ref()?),
            };
        }
        if let Some(regex) = &table.regex {
            return self.pattern(regex).map(Expect::Matches);
        }
        if !table.has("contains") && !table.has("regex") {
            let place = table.place.first_line(&self.reporter.sources);
            let message = "this does not say what is expected";
            let help = "write `contains: text` or `regex: ^text$`";
            self.reporter.report(Finding::error(Code::NotExactlyOne, place, message).help(help));
        }
        None
    }

    fn contained(&mut self, bytes: Box<[u8]>, text: &Text) -> Option<Expect> {
        if bytes.is_empty() {
            self.refuse_useless(
                text.place,
                "nothing is in every answer",
                "write what must be there, or leave it out",
            );
            return None;
        }
        Some(Expect::Contains(bytes))
    }

    pub(super) fn bytes(&mut self, written: &Bytes) -> Option<Box<[u8]>> {
        let text = match written {
            TextOr::Short(text) => return Some(text.text.as_bytes().into()),
            TextOr::Long(table) => table.hex.as_ref()?,
        };
        let digits: Vec<u8> = text.text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        let pair =
            |pair: &[u8]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let is_hex = digits.iter().all(u8::is_ascii_hexdigit) && digits.len().is_multiple_of(2);
        if !is_hex {
            let place = text.place.first_line(&self.reporter.sources);
            let message = format!("`{}` is not hexadecimal", text.text);
            let help = "write two digits for each byte, in quotes: `hex: \"1b 00 ff\"`";
            self.reporter.report(Finding::error(Code::BadHex, place, message).help(help));
            return None;
        }
        digits.chunks(2).map(pair).collect()
    }
}
