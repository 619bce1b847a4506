//! What a connection, or each datagram, to an upstream begins with: the PROXY protocol header that tells who the client is.

use crate::gate::Arrival;
use narrows_plan::ProxyProtocolVersion;
use narrows_runtime::Peer;
use narrows_wire::proxy_protocol::{Addresses, Transport, kind, write_v1, write_v2};

/// The header of that version for the client of `arrival`; empty where the upstream wants none. `server_name` is the one
/// that the client asked for where TLS does not end here, or empty: then the handshake's, or what a received header said, is told.
pub(crate) fn preface(
    version: Option<ProxyProtocolVersion>,
    arrival: &Arrival,
    server_name: &str,
) -> Vec<u8> {
    version.map_or_else(Vec::new, |version| header(version, Transport::Stream, arrival, server_name))
}

/// What stands in front of each datagram of a session. Version 1 has nothing for datagrams, and the configuration refuses it.
pub(crate) fn datagram_preface(
    version: Option<ProxyProtocolVersion>,
    arrival: &Arrival,
    server_name: &str,
) -> Vec<u8> {
    let version = version.map(|_| ProxyProtocolVersion::V2);
    version.map_or_else(Vec::new, |version| header(version, Transport::Datagram, arrival, server_name))
}

fn header(
    version: ProxyProtocolVersion,
    transport: Transport,
    arrival: &Arrival,
    server_name: &str,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let addresses = match (arrival.peer, arrival.destination) {
        (Peer::Socket(source), Some(destination)) => Addresses::Internet { transport, source, destination },
        _ => Addresses::Unknown,
    };
    match version {
        ProxyProtocolVersion::V1 => write_v1(&addresses, &mut bytes),
        ProxyProtocolVersion::V2 => {
            let received = arrival.tlvs();
            let tls = arrival.tls.as_deref();
            let said = |text: &'_ str| (!text.is_empty()).then(|| text.as_bytes().to_vec());
            let own = said(server_name).or_else(|| said(&tls?.server_name));
            let protocol = tls.and_then(|tls| said(&tls.protocol));
            let told = [
                (kind::ALPN, protocol.as_deref().or(received.get(kind::ALPN))),
                (kind::AUTHORITY, own.as_deref().or(received.get(kind::AUTHORITY))),
                (kind::UNIQUE_ID, received.get(kind::UNIQUE_ID)),
            ];
            let known: Vec<(u8, &[u8])> =
                told.into_iter().filter_map(|(kind, value)| Some((kind, value?))).collect();
            write_v2(&addresses, &known, &mut bytes);
        }
    }
    bytes
}
