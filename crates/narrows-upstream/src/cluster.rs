//! One upstream as one worker sees it.

use crate::balancer::{self, Balancer, Tried};
use crate::multiplexed::Multiplexed;
use crate::pool::{Connection, Pool};
use narrows_plan::{Address, ProxyProtocolVersion, Upstream, UpstreamProtocol};
use narrows_runtime::Tick;
use narrows_tls::Connector;
use std::cell::Cell;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;

/// One upstream as one worker sees it.
#[derive(Debug)]
pub struct Cluster {
    /// The upstream's stable name.
    pub name: Box<str>,
    /// Further attempts after the first failed.
    pub retries: u32,
    /// The PROXY protocol header that each connection begins with.
    pub proxy_protocol: Option<ProxyProtocolVersion>,
    endpoints: Vec<EndpointState>,
    balancer: Box<dyn Balancer>,
}

/// One endpoint as one worker sees it.
#[derive(Debug)]
pub struct EndpointState {
    /// Where it is; never a name.
    pub address: Address,
    /// The address as text, for logs and errors.
    pub label: Box<str>,
    /// Share of the traffic.
    pub weight: u32,
    /// Idle connections.
    pub(crate) pool: Pool,
    /// Connections that carry many requests at once.
    pub(crate) multiplexed: Multiplexed,
    pub(crate) connector: Option<Arc<Connector>>,
    pub(crate) protocol: UpstreamProtocol,
    /// Name or address as it is written, for TLS.
    pub(crate) server_name: Box<str>,
    running: Rc<Cell<u32>>,
}

impl EndpointState {
    /// Requests (layer 7) or flows (layer 4) that this worker has running there.
    pub fn running(&self) -> u32 {
        self.running.get()
    }

    /// Counts one more until the guard is dropped.
    pub fn begin(&self) -> Running {
        self.running.set(self.running.get() + 1);
        Running(Rc::clone(&self.running))
    }
}

/// A running request or flow; dropping it ends it.
#[derive(Debug)]
pub struct Running(Rc<Cell<u32>>);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Cluster {
    /// The cluster of an upstream whose endpoint names are resolved. `seed` differs between workers; `connector` begins TLS where the upstream wants it.
    pub fn new(upstream: &Upstream, seed: usize, connector: Option<&Arc<Connector>>) -> Self {
        let endpoints = upstream
            .endpoints
            .iter()
            .map(|endpoint| EndpointState {
                address: endpoint.address.clone(),
                label: endpoint.address.to_string().into(),
                weight: endpoint.weight,
                pool: Pool::new(upstream.pool),
                multiplexed: Multiplexed::new(upstream),
                connector: connector.cloned(),
                protocol: upstream.protocol,
                server_name: server_name(endpoint),
                running: Rc::default(),
            })
            .collect();
        Cluster {
            name: upstream.name.clone(),
            retries: upstream.retries,
            proxy_protocol: upstream.proxy_protocol,
            endpoints,
            balancer: balancer::for_upstream(upstream, seed),
        }
    }

    /// The endpoint for the next attempt for this client; `None` when all were tried.
    pub fn pick(&self, tried: &Tried, client: IpAddr) -> Option<usize> {
        if self.endpoints.len() == 1 {
            return (!tried.contains(0)).then_some(0);
        }
        self.balancer.pick(&self.endpoints, tried, client)
    }

    /// How many endpoints there are.
    pub fn size(&self) -> usize {
        self.endpoints.len()
    }

    /// Whether there is one endpoint only.
    pub fn is_single(&self) -> bool {
        self.endpoints.len() == 1
    }

    /// An endpoint that [`pick`](Cluster::pick) chose.
    pub fn endpoint(&self, index: usize) -> &EndpointState {
        &self.endpoints[index]
    }

    /// Closes idle connections that have been idle or alive for too long.
    pub fn prune(&self, now: Tick) {
        for endpoint in &self.endpoints {
            endpoint.pool.prune(now);
            endpoint.multiplexed.prune(now);
        }
    }

    /// Closes every idle connection and says how many there were (descriptors ran out, or a drain began).
    pub fn shed(&self) -> usize {
        self.endpoints.iter().map(|endpoint| endpoint.pool.shed() + endpoint.multiplexed.shed()).sum()
    }

    /// Gives a connection back after a request that left it in a known state.
    pub fn release(&self, endpoint: usize, connection: Connection, now: Tick) {
        self.endpoints[endpoint].pool.put(connection, now);
    }
}

/// What a certificate of the endpoint is compared with when the configuration names nothing else.
fn server_name(endpoint: &narrows_plan::Endpoint) -> Box<str> {
    match (&endpoint.name, &endpoint.address) {
        (Some(name), _) => name.clone(),
        (None, Address::Socket(address)) => address.ip().to_string().into(),
        (None, Address::Name(name, _)) => name.clone(),
        (None, Address::Unix(_)) => "localhost".into(),
    }
}
