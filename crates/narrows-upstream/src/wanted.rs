//! What an endpoint is wanted for, and why there may be none.

use crate::membership::EndpointId;
use crate::sticky::StickyEndpoint;
use std::net::IpAddr;

/// What an endpoint is wanted for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// Whose traffic it is.
    pub client: IpAddr,
    /// What hash methods hash: the rendered key, where an empty one leaves the choice to chance; `None` is the client's address.
    pub key: Option<&'a str>,
    /// Labels that it must have, and the values that it must have there; empty asks for none.
    pub subset: &'a [(&'a str, &'a str)],
    /// The endpoint that the client sticks to.
    pub sticky: Option<StickyEndpoint>,
    /// Endpoints that earlier attempts failed on.
    pub tried: &'a Tried,
}

impl<'a> Wanted<'a> {
    /// What a client wants when neither a key nor labels are asked for.
    pub fn new(client: IpAddr, tried: &'a Tried) -> Self {
        Wanted { client, key: None, subset: &[], sticky: None, tried }
    }

    /// The same with the rendered key of hash methods; `None` is the client's address.
    #[must_use]
    pub fn with_key(self, key: Option<&'a str>) -> Self {
        Wanted { key, ..self }
    }

    /// The same, of endpoints with these labels only.
    #[must_use]
    pub fn with_subset(self, subset: &'a [(&'a str, &'a str)]) -> Self {
        Wanted { subset, ..self }
    }

    /// The same of a client that sticks to an endpoint.
    #[must_use]
    pub fn with_sticky(self, sticky: Option<StickyEndpoint>) -> Self {
        Wanted { sticky, ..self }
    }
}

/// Why there is no endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unavailable {
    /// All were tried.
    Tried,
    /// Those that are available have no room.
    Full,
    /// The one that the client sticks to is not available, and no other may serve.
    Sticky,
    /// None is available, or there is none at all.
    Down,
}

/// Endpoints that earlier attempts of the same request failed on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tried(Vec<EndpointId>);

impl Tried {
    /// Remembers an endpoint.
    pub fn add(&mut self, endpoint: EndpointId) {
        if !self.contains(endpoint) {
            self.0.push(endpoint);
        }
    }

    /// Whether an endpoint was tried.
    pub fn contains(&self, endpoint: EndpointId) -> bool {
        self.0.contains(&endpoint)
    }

    /// Whether none was.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
