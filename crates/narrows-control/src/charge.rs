//! One upstream in the care of the control plane, over all its configurations.

use crate::roster::Roster;
use narrows_plan::Upstream;
use narrows_tls::Connector;
use narrows_upstream::{Membership, UpstreamKey, UpstreamLoad};
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Instant;

/// One upstream: what is configured, who belongs to it, and what was told of them last.
pub(crate) struct Charge {
    /// Its identity.
    pub(crate) key: UpstreamKey,
    configured: RefCell<Configured>,
    /// Its endpoints.
    pub(crate) roster: RefCell<Roster>,
    /// What the workers were told last.
    membership: RefCell<Arc<Membership>>,
}

/// What depends on the configuration.
#[derive(Clone)]
struct Configured {
    upstream: Arc<Upstream>,
    probe: Option<Arc<Connector>>,
    load: Arc<UpstreamLoad>,
}

/// What another configuration changes.
pub(crate) struct Renewal {
    /// Its endpoints are found elsewhere.
    pub(crate) moves: bool,
    /// They are checked in another way.
    pub(crate) checks: bool,
}

impl Charge {
    /// An upstream without endpoints. `probe` begins TLS for its checks.
    pub(crate) fn new(key: UpstreamKey, upstream: &Arc<Upstream>, probe: Option<&Arc<Connector>>) -> Self {
        Charge {
            key,
            roster: RefCell::new(Roster::new(upstream)),
            membership: RefCell::default(),
            configured: RefCell::new(Configured {
                load: UpstreamLoad::new(upstream),
                upstream: Arc::clone(upstream),
                probe: probe.cloned(),
            }),
        }
    }

    /// What is configured now.
    pub(crate) fn upstream(&self) -> Arc<Upstream> {
        Arc::clone(&self.configured.borrow().upstream)
    }

    /// What begins TLS for its checks.
    pub(crate) fn probe(&self) -> Option<Arc<Connector>> {
        self.configured.borrow().probe.clone()
    }

    /// What all workers share of it.
    pub(crate) fn load(&self) -> Arc<UpstreamLoad> {
        Arc::clone(&self.configured.borrow().load)
    }

    /// What the workers were told last.
    pub(crate) fn membership(&self) -> Arc<Membership> {
        Arc::clone(&self.membership.borrow())
    }

    /// Takes over another configuration. What is known of the endpoints stays; who waits in its queue goes on waiting, unless the queue itself is another one.
    pub(crate) fn renew(&self, upstream: &Arc<Upstream>, probe: Option<&Arc<Connector>>) -> Renewal {
        let mut configured = self.configured.borrow_mut();
        let before = configured.clone();
        let old = &before.upstream;
        configured.upstream = Arc::clone(upstream);
        configured.probe = probe.cloned();
        if old.limits.queue != upstream.limits.queue || old.breaker != upstream.breaker {
            configured.load = UpstreamLoad::succeeding(&before.load, upstream);
        }
        let is_same_probe = match (&before.probe, probe) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => true,
            _ => false,
        };
        let checks = old.health != upstream.health || old.agent != upstream.agent || !is_same_probe;
        if checks || old.passive != upstream.passive {
            self.roster.borrow_mut().renew(upstream, old, Instant::now());
        }
        Renewal {
            moves: old.endpoints != upstream.endpoints
                || old.endpoint_file != upstream.endpoint_file
                || old.resolver != upstream.resolver,
            checks,
        }
    }

    /// What the workers are to be told, when something has changed; and lines for the operator.
    pub(crate) fn news(&self, now: Instant) -> (bool, Vec<String>) {
        let mut roster = self.roster.borrow_mut();
        roster.judge_if_due(now);
        let renewed = roster.renewed();
        let is_changed = renewed.is_some();
        if let Some(renewed) = renewed {
            let mut membership = self.membership.borrow_mut();
            renewed.prepare(self.configured.borrow().upstream.balancing.method, &membership);
            *membership = Arc::new(renewed);
        }
        (is_changed, roster.news())
    }
}
