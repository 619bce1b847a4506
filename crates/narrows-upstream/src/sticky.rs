//! The endpoint that a client sticks to, before any balancer is asked.

use crate::cluster::Cluster;
use crate::endpoint::EndpointState;
use crate::membership::EndpointId;
use crate::wanted::{Unavailable, Wanted};
use std::rc::Rc;

/// The endpoint that a client sticks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StickyEndpoint {
    /// Who it is.
    pub endpoint: EndpointId,
    /// Whether another one serves when it cannot.
    pub fails_over: bool,
}

impl Cluster {
    /// The endpoint that the client sticks to, whatever its weight; `None` leaves the choice to the balancer: nothing sticks, the endpoint is gone or
    /// lacks a label that is asked for, or another one may serve.
    pub(crate) fn pick_sticky(&self, wanted: &Wanted<'_>) -> Option<Result<Rc<EndpointState>, Unavailable>> {
        let StickyEndpoint { endpoint, fails_over } = wanted.sticky?;
        let endpoint = self.endpoint(endpoint)?;
        let has = |&(name, value): &(&str, &str)| {
            let labels = &endpoint.member().labels;
            labels.iter().any(|(one, at)| **one == *name && **at == *value)
        };
        if !wanted.subset.iter().all(has) {
            return None;
        }
        let why = if wanted.tried.contains(endpoint.id()) {
            Unavailable::Tried
        } else if !endpoint.condition().takes_sticky() {
            Unavailable::Sticky
        } else if !endpoint.has_room() {
            Unavailable::Full
        } else {
            return Some(Ok(endpoint));
        };
        (!fails_over).then_some(Err(why))
    }
}
