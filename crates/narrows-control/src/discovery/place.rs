//! Where look-ups say that something is, and what endpoints that makes.

use crate::roster::Found;
use narrows_plan::{Address, Endpoint};
use std::net::SocketAddr;

/// The largest weight of an endpoint.
const HEAVIEST: u64 = 65_535;

/// A place that a look-up found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    /// 0 goes first; added to the written priority.
    pub(super) priority: u32,
    /// Where it is.
    pub(super) address: SocketAddr,
    /// In proportion to the others of the same look-up; multiplied with the written weight.
    pub(super) weight: u32,
}

impl Place {
    /// An address that is as good as all others.
    pub(super) fn equal(address: SocketAddr) -> Self {
        Place { priority: 0, address, weight: 1 }
    }
}

/// The endpoint that is found where a written one says.
pub(crate) fn written(written: &Endpoint) -> Found {
    found(written, written.address.clone())
}

/// The endpoints that are found at `places`, where the written one stands for them. Weights that become too
/// large are made smaller, all by the same factor.
pub(super) fn at_places(written: &Endpoint, places: &[Place]) -> Vec<Found> {
    let product = |place: &Place| u64::from(written.weight) * u64::from(place.weight);
    let largest = places.iter().map(product).max().unwrap_or_default().max(HEAVIEST);
    let weighed = |place: &Place| {
        let product = product(place);
        // Nothing that was meant to get traffic ends with none.
        let weight = if product == 0 { 0 } else { (product * HEAVIEST / largest).max(1) };
        Found {
            weight: weight as u32,
            priority: written.priority.saturating_add(place.priority),
            ..found(written, Address::Socket(place.address))
        }
    };
    places.iter().map(weighed).collect()
}

fn found(written: &Endpoint, address: Address) -> Found {
    let server_name = match &written.address {
        Address::Name(name, _) => name.clone(),
        Address::Socket(address) => address.ip().to_string().into(),
        Address::Service(name) => domain(name).into(),
        Address::Unix(_) => "localhost".into(),
    };
    Found {
        address,
        server_name,
        weight: written.weight,
        priority: written.priority,
        zone: written.zone.clone(),
        labels: written.labels.clone(),
        state: written.state,
        limits: written.limits,
        is_added: false,
    }
}

/// `app.internal` of `_http._tcp.app.internal`. Certificates are checked against what the operator wrote (RFC
/// 6125 section 6.2.1), not against the targets: those are what DNS says, and anybody may own a certificate
/// for a name that he makes it say.
fn domain(service: &str) -> &str {
    let mut domain = service;
    while let Some((label, rest)) = domain.split_once('.')
        && label.starts_with('_')
        && !rest.is_empty()
    {
        domain = rest;
    }
    domain
}

#[cfg(test)]
mod tests;
