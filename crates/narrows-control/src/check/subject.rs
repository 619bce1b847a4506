//! What is checked: an endpoint, and the way to it.

use narrows_plan::{Address, AgentCheck, CheckKind, HealthCheck, Upstream};
use narrows_plan::{ProxyProtocolVersion, UpstreamProtocol};
use narrows_tls::Connector;
use narrows_wire::proxy_protocol::{Addresses, write_v1, write_v2};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// An endpoint, and the way to it.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// Name of the upstream.
    pub(crate) upstream: Box<str>,
    /// The endpoint as people call it.
    pub(crate) label: Box<str>,
    /// Where it is asked.
    pub(crate) address: Address,
    /// Name or address as it is written, for TLS and `Host`.
    pub(crate) server_name: Box<str>,
    /// What begins TLS; `None` where the check is plain.
    pub(crate) connector: Option<Arc<Connector>>,
    /// What is spoken to the upstream.
    pub(crate) protocol: UpstreamProtocol,
    /// What a connection begins with: that it is the proxy's own.
    pub(crate) preface: Box<[u8]>,
}

impl Subject {
    /// The endpoint at `address` as `check` asks it.
    pub(crate) fn of_check(
        upstream: &Upstream,
        check: &HealthCheck,
        address: &Address,
        server_name: &str,
        connector: Option<&Arc<Connector>>,
    ) -> Self {
        let is_elsewhere = check.port.is_some() || check.address.is_some();
        let is_handshake = matches!(check.kind, CheckKind::Tls);
        // Who wants a header on each connection takes none without; on another port there is somebody else.
        let preface = if is_elsewhere { Box::default() } else { preface(upstream.proxy_protocol) };
        Subject {
            upstream: upstream.name.clone(),
            label: address.to_string().into(),
            address: moved(address, check.address, check.port),
            server_name: server_name.into(),
            connector: connector.filter(|_| check.tls || is_handshake).cloned(),
            protocol: upstream.protocol,
            preface,
        }
    }

    /// The agent beside the endpoint at `address`; `None` beside a Unix socket when no address is given.
    pub(crate) fn of_agent(upstream: &Upstream, agent: &AgentCheck, address: &Address) -> Option<Self> {
        let place = match (agent.address, address) {
            (Some(host), _) => SocketAddr::new(host, agent.port),
            (None, Address::Socket(address)) => SocketAddr::new(address.ip(), agent.port),
            (None, _) => return None,
        };
        Some(Subject {
            upstream: upstream.name.clone(),
            label: address.to_string().into(),
            address: Address::Socket(place),
            server_name: place.ip().to_string().into(),
            connector: None,
            protocol: UpstreamProtocol::Http1,
            preface: Box::default(),
        })
    }

    /// `Host` where nothing else is said: the name, and the port where it is not the usual one.
    pub(super) fn host(&self) -> String {
        let name = match self.server_name.parse::<IpAddr>() {
            Ok(IpAddr::V6(address)) => format!("[{address}]"),
            _ => self.server_name.to_string(),
        };
        let usual = if self.connector.is_some() { 443 } else { 80 };
        match &self.address {
            Address::Socket(address) if address.port() != usual => format!("{name}:{}", address.port()),
            _ => name,
        }
    }
}

/// Another host or port of a socket address; Unix sockets stay where they are unless both are given.
fn moved(address: &Address, host: Option<IpAddr>, port: Option<u16>) -> Address {
    match (address, host, port) {
        (Address::Socket(place), host, port) => Address::Socket(SocketAddr::new(
            host.unwrap_or_else(|| place.ip()),
            port.unwrap_or_else(|| place.port()),
        )),
        (Address::Unix(_), Some(host), Some(port)) => Address::Socket(SocketAddr::new(host, port)),
        (other, ..) => other.clone(),
    }
}

/// The header that says that nobody is behind the connection but the proxy itself.
fn preface(version: Option<ProxyProtocolVersion>) -> Box<[u8]> {
    let mut header = Vec::new();
    match version {
        None => {}
        Some(ProxyProtocolVersion::V1) => write_v1(&Addresses::Unknown, &mut header),
        Some(ProxyProtocolVersion::V2) => write_v2(&Addresses::Unknown, &[], &mut header),
    }
    header.into()
}
