//! The PROXY protocol: who may say who the client is, and to whom it is said.

use crate::Network;
use serde::Serialize;
use std::net::IpAddr;

/// The header that connections to a listener, or its datagrams, begin with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProxyProtocol {
    /// Whether a connection without one is taken.
    pub mode: ProxyProtocolMode,
    /// Who may send one.
    pub sources: Vec<Network>,
}

impl ProxyProtocol {
    /// Whether the header of this peer is believed.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.sources.iter().any(|network| network.contains(peer))
    }
}

/// Whether a connection or a datagram without a header is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocolMode {
    /// It is closed or dropped, and so is one from elsewhere than the sources.
    Required,
    /// It is a plain one.
    Allowed,
}

impl ProxyProtocolMode {
    /// The name that operators write.
    pub fn name(self) -> &'static str {
        match self {
            ProxyProtocolMode::Required => "required",
            ProxyProtocolMode::Allowed => "allowed",
        }
    }
}

/// The form of the header that connections to an upstream, or datagrams, begin with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProxyProtocolVersion {
    /// A line of text.
    V1,
    /// Binary, with more facts, and the one form for datagrams.
    V2,
}

impl ProxyProtocolVersion {
    /// The name that operators write.
    pub fn name(self) -> &'static str {
        match self {
            ProxyProtocolVersion::V1 => "v1",
            ProxyProtocolVersion::V2 => "v2",
        }
    }
}
