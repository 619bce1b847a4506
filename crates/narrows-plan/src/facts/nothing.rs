//! Facts of what nothing is known about.

use crate::{Fact, Facts};
use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr};

/// Answers that there is nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFacts;

impl Facts for NoFacts {
    fn text(&self, _: Fact) -> Cow<'_, str> {
        Cow::Borrowed("")
    }
    fn number(&self, _: Fact) -> i64 {
        0
    }
    fn source(&self) -> IpAddr {
        Ipv4Addr::UNSPECIFIED.into()
    }
    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn parameter(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn response_header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn response_cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn capture(&self, _: usize) -> Option<&str> {
        None
    }
    fn texts(&self, _: Fact) -> &[String] {
        &[]
    }
    fn flag(&self, _: Fact) -> bool {
        false
    }
    fn proxy_tlv(&self, _: u8) -> Option<Cow<'_, str>> {
        None
    }
}
