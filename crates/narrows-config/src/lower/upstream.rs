//! Upstreams.

use super::Lowering;
use crate::model::{Balance, ProxyProtocolVersion, Upstream};
use crate::shape::OrOff;
use crate::tree::Text;
use narrows_plan::{Balancing, PoolLimits, RetryPolicy};

impl Lowering<'_> {
    pub(super) fn upstream(&mut self, name: &Text, written: &Upstream) -> narrows_plan::Upstream {
        let endpoints = self.endpoints(written.endpoints.as_ref().map_or(&[], |endpoints| &endpoints.0));
        let balance = match written.balance {
            None | Some(Balance::RoundRobin) => narrows_plan::Balance::RoundRobin,
            Some(Balance::LeastRequest) => narrows_plan::Balance::LeastRequest,
            Some(Balance::Hash) => narrows_plan::Balance::Hash,
            Some(Balance::ConsistentHash) => narrows_plan::Balance::ConsistentHash,
        };
        let mut pool = PoolLimits::default();
        if let Some(connections) = &written.connections {
            if let Some(idle) = connections.idle {
                pool.idle = usize::try_from(idle.number).unwrap_or(usize::MAX);
            }
            if let Some(timeout) = connections.idle_timeout {
                pool.idle_timeout = timeout.on().map(|duration| duration.0);
            }
            if let Some(requests) = connections.requests {
                pool.requests = u32::try_from(requests.number).ok().filter(|requests| *requests > 0);
            }
            pool.age = connections.age.and_then(OrOff::on).map(|duration| duration.0);
        }
        let retries = written.retries.and_then(|retries| u32::try_from(retries.number).ok());
        let defaults = narrows_plan::Upstream::new(&name.text, self.reporter.sources.origin(name.place));
        let mut upstream = narrows_plan::Upstream {
            endpoints,
            balancing: Balancing { method: balance, ..Balancing::default() },
            pool,
            retry: RetryPolicy { limit: retries.unwrap_or(defaults.retry.limit), ..RetryPolicy::default() },
            proxy_protocol: written.proxy_protocol.map(|version| match version {
                ProxyProtocolVersion::V1 => narrows_plan::ProxyProtocolVersion::V1,
                ProxyProtocolVersion::V2 => narrows_plan::ProxyProtocolVersion::V2,
            }),
            ..defaults
        };
        self.upstream_security(written, &mut upstream);
        upstream
    }
}
