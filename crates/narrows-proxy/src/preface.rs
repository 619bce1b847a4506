//! What a connection to an upstream begins with: the PROXY protocol header that tells who the client is.

use crate::gate::Arrival;
use narrows_plan::ProxyProtocolVersion;
use narrows_runtime::Peer;
use narrows_wire::proxy_protocol::{Addresses, Transport, kind, write_v1, write_v2};

/// The header of that version for the client of `arrival`; empty where the upstream wants none. `server_name` is the one
/// that the client asked for on this connection, or empty: then what a received header said is passed on.
pub(crate) fn preface(
    version: Option<ProxyProtocolVersion>,
    arrival: &Arrival,
    server_name: &str,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let Some(version) = version else { return bytes };
    let addresses = match (arrival.peer, arrival.destination) {
        (Peer::Socket(source), Some(destination)) => {
            Addresses::Internet { transport: Transport::Stream, source, destination }
        }
        _ => Addresses::Unknown,
    };
    match version {
        ProxyProtocolVersion::V1 => write_v1(&addresses, &mut bytes),
        ProxyProtocolVersion::V2 => {
            let received = arrival.tlvs();
            let own = Some(server_name.as_bytes()).filter(|name| !name.is_empty());
            let told = [
                (kind::ALPN, received.get(kind::ALPN)),
                (kind::AUTHORITY, own.or(received.get(kind::AUTHORITY))),
                (kind::UNIQUE_ID, received.get(kind::UNIQUE_ID)),
            ];
            let known: Vec<(u8, &[u8])> =
                told.into_iter().filter_map(|(kind, value)| Some((kind, value?))).collect();
            write_v2(&addresses, &known, &mut bytes);
        }
    }
    bytes
}
