//! Who the client is, when proxies that we trust stand between it and us.

use narrows_plan::TrustedProxies;
use narrows_wire::http1::{FieldName, RequestHead, list_members};
use std::net::{IpAddr, SocketAddr};

/// The client's address, and whether the other end of the connection is a trusted proxy.
///
/// The addresses in `X-Forwarded-For` (or, without it, in `Forwarded`) are walked from the nearest, and each is believed as long as the one that
/// reported it is trusted: the first that is not is the client. What a stranger wrote further left is never looked at.
pub(crate) fn address(
    peer: IpAddr,
    bytes: &[u8],
    head: &RequestHead,
    trusted: &TrustedProxies,
) -> (IpAddr, bool) {
    let is_trusted = |address: IpAddr| trusted.sources.iter().any(|network| network.contains(address));
    if trusted.sources.is_empty() || !is_trusted(peer) {
        return (peer, false);
    }
    let mut client = peer;
    for (hops, reported) in (0..).zip(reported_addresses(bytes, head).into_iter().rev()) {
        if trusted.hops.is_some_and(|limit| hops >= limit) || !is_trusted(client) {
            break;
        }
        let Some(address) = reported else { break };
        client = address.to_canonical();
    }
    (client, true)
}

/// The reported addresses, farthest first; `None` for one that is unknown or hidden.
fn reported_addresses(bytes: &[u8], head: &RequestHead) -> Vec<Option<IpAddr>> {
    let values = |known| head.fields.iter().filter(move |field| field.known == known);
    let members: Vec<_> = values(FieldName::XForwardedFor)
        .flat_map(|field| list_members(field.value.of(bytes)))
        .map(parse_address)
        .collect();
    if !members.is_empty() {
        return members;
    }
    values(FieldName::Forwarded)
        .flat_map(|field| list_members(field.value.of(bytes)))
        .map(|element| forwarded_for(element).and_then(parse_address))
        .collect()
}

/// The value of `for=` in an element of `Forwarded` (RFC 7239 section 5.2).
fn forwarded_for(element: &[u8]) -> Option<&[u8]> {
    element.split(|&byte| byte == b';').find_map(|pair| {
        let pair = pair.trim_ascii();
        let (name, value) = pair.split_at_checked(4)?;
        name.eq_ignore_ascii_case(b"for=").then_some(value)
    })
}

/// An address with or without quotes, brackets and port (RFC 7239 section 6).
fn parse_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?.trim_matches('"');
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
}

#[cfg(test)]
mod tests;
