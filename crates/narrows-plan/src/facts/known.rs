//! Facts for tests: a map of names to values.

use crate::{Fact, Facts};
use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;

#[derive(Default)]
pub(crate) struct Known(pub(crate) HashMap<String, String>);

impl Known {
    pub(crate) fn new(pairs: &[(&str, &str)]) -> Self {
        Known(pairs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect())
    }

    fn find(&self, name: &str) -> Option<Cow<'_, str>> {
        self.0.get(name).map(|value| Cow::Borrowed(value.as_str()))
    }
}

impl Facts for Known {
    fn text(&self, fact: Fact) -> Cow<'_, str> {
        self.find(fact.name()).unwrap_or_default()
    }
    fn number(&self, fact: Fact) -> i64 {
        self.find(fact.name()).and_then(|value| value.parse().ok()).unwrap_or(0)
    }
    fn source(&self) -> IpAddr {
        self.text(Fact::Source).parse().unwrap_or(IpAddr::from([0, 0, 0, 0]))
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find(&format!("header {name}"))
    }
    fn cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find(&format!("cookie {name}"))
    }
    fn parameter(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find(&format!("parameter {name}"))
    }
    fn response_header(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find(&format!("response {name}"))
    }
    fn response_cookie(&self, name: &str) -> Option<Cow<'_, str>> {
        self.find(&format!("response cookie {name}"))
    }
    fn capture(&self, group: usize) -> Option<&str> {
        self.0.get(&format!("capture {group}")).map(String::as_str)
    }
    fn proxy_tlv(&self, kind: u8) -> Option<Cow<'_, str>> {
        self.find(&format!("tlv {kind}"))
    }
    fn texts(&self, _: Fact) -> &[String] {
        &[]
    }
    fn flag(&self, fact: Fact) -> bool {
        self.find(fact.name()).is_some_and(|value| value == "true")
    }
}
