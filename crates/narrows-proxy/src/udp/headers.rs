//! The PROXY protocol header in front of each datagram: whose it is.
//!
//! Every datagram has its own, because each may be the only one that arrives. So nothing is remembered of a proxy in front, and one socket of
//! it may carry the datagrams of any number of clients.

use super::Flows;
use super::sessions::{Behind, FlowKey};
use crate::Fault;
use crate::gate::plain;
use narrows_plan::{ProxyProtocol, ProxyProtocolMode};
use narrows_runtime::{Datagram, Inbox};
use narrows_wire::proxy_protocol::{Addresses, Tlvs, read_datagram};

/// A datagram as its client sent it, or several that were joined, and what is known of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Told<'a> {
    pub(super) datagram: Datagram<'a>,
    pub(super) key: FlowKey,
    pub(super) tlvs: Tlvs<'a>,
}

impl<'a> Told<'a> {
    /// One that speaks for its sender.
    pub(super) fn plain(datagram: Datagram<'a>) -> Option<Self> {
        let key = FlowKey { client: datagram.from?, local: datagram.to, behind: None, lane: 0 };
        Some(Told { datagram, key, tlvs: Tlvs::default() })
    }
}

impl Flows<'_> {
    /// The datagrams in the inbox without their headers; what may not pass is counted as refused.
    pub(super) fn read_headers<'a>(&mut self, expected: &ProxyProtocol, inbox: &'a Inbox) -> Vec<Told<'a>> {
        let mut read = Vec::with_capacity(inbox.iter().len());
        for told in inbox.iter().filter_map(Told::plain) {
            let peer = told.key.client.ip();
            if !expected.trusts(peer) {
                match expected.mode {
                    // A stranger is never believed: what looks like a header is payload.
                    ProxyProtocolMode::Allowed => read.push(told),
                    ProxyProtocolMode::Required => {
                        let Datagram { bytes, .. } = told.datagram;
                        self.refusals.add(
                            Fault::ProxyProtocolUntrusted,
                            peer,
                            told.datagram.count(),
                            bytes.len(),
                        );
                    }
                }
                continue;
            }
            // What the kernel joined has one sender, but each with a header of its own.
            for bytes in told.datagram.parts() {
                let one = Told { datagram: Datagram { bytes, segment: None, ..told.datagram }, ..told };
                match believe(one, expected.mode) {
                    Ok(one) => read.push(one),
                    Err(fault) => self.refusals.add(fault, peer, 1, bytes.len()),
                }
            }
        }
        read
    }
}

/// What the header of a trusted sender makes of a datagram.
fn believe(told: Told<'_>, mode: ProxyProtocolMode) -> Result<Told<'_>, Fault> {
    let Some(header) = read_datagram(told.datagram.bytes).map_err(Fault::ProxyProtocolInvalid)? else {
        return match mode {
            ProxyProtocolMode::Required => Err(Fault::ProxyProtocolMissing),
            ProxyProtocolMode::Allowed => Ok(told),
        };
    };
    let mut told = Told { tlvs: header.tlvs, ..told };
    told.datagram.bytes = &told.datagram.bytes[header.length..];
    // A header without addresses leaves those of the datagram; those of Unix sockets say nothing here.
    if let Addresses::Internet { source, destination, .. } = header.addresses {
        told.key.behind = Some(Behind { proxy: told.key.client, destination: plain(destination) });
        told.key.client = plain(source);
    }
    Ok(told)
}
