//! A flow of layer 4 as rules see it.

use crate::request::{proxy_fact, time_fact, tls_flag, tls_text, tls_texts, tlv_text};
use narrows_plan::{Fact, Facts};
use narrows_tls::TlsFacts;
use narrows_wire::proxy_protocol::Tlvs;
use std::borrow::Cow;
use std::net::IpAddr;

/// Answers expressions about a flow of layer 4: a TCP connection, a UDP session.
#[derive(Debug)]
pub struct FlowFacts<'a> {
    /// Address of the client.
    pub source: IpAddr,
    /// Its port.
    pub source_port: u16,
    /// Name of the listener.
    pub listener: &'a str,
    /// Port of the listener.
    pub local_port: u16,
    /// What the PROXY protocol header said besides addresses.
    pub tlvs: Tlvs<'a>,
    /// Server name that the client asked for, lower case; empty when none.
    pub server_name: &'a str,
    /// Application protocols that it offered; the one that was agreed on where TLS ends here.
    pub alpn: &'a [String],
    /// What the TLS handshake told, where TLS ends here.
    pub tls: Option<&'a TlsFacts>,
    /// Seconds since 1970.
    pub unix: u64,
}

impl Facts for FlowFacts<'_> {
    fn text(&self, fact: Fact) -> Cow<'_, str> {
        match fact {
            Fact::Source => self.source.to_string().into(),
            Fact::Listener => self.listener.into(),
            Fact::ServerName => self.server_name.into(),
            _ => {
                let told = tls_text(fact, self.tls);
                if told.is_empty() { proxy_fact(fact, self.tlvs) } else { told }
            }
        }
    }

    fn number(&self, fact: Fact) -> i64 {
        match fact {
            Fact::SourcePort => self.source_port.into(),
            Fact::LocalPort => self.local_port.into(),
            _ => time_fact(fact, self.unix),
        }
    }

    fn source(&self) -> IpAddr {
        self.source
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

    fn proxy_tlv(&self, kind: u8) -> Option<Cow<'_, str>> {
        tlv_text(self.tlvs, kind)
    }

    fn texts(&self, fact: Fact) -> &[String] {
        if fact == Fact::Alpn { self.alpn } else { tls_texts(fact, self.tls) }
    }

    fn flag(&self, fact: Fact) -> bool {
        tls_flag(fact, self.tls)
    }
}
