//! What a configuration makes of a worker: the plan, and all that is made from it.
//!
//! A reload gives every worker a new generation. Whatever begins then belongs to it: a connection takes the present one for each request. What runs holds the one that it began
//! with, and ends as it began. The clusters of upstreams that stay as they are belong to both.

use crate::configuration::Configuration;
use crate::explain::ExplainKey;
use crate::sticky::{Sticky, StickyStores};
use narrows_control::Loads;
use narrows_plan::{HttpListener, Listener, Plan, Protocol, TcpListener, UdpListener, UpstreamId};
use narrows_tls::{Acceptor, TlsContexts};
use narrows_upstream::{Cluster, Reporter, UpstreamKey};
use std::collections::HashMap;
use std::ops::Deref;
use std::rc::Rc;
use std::sync::Arc;

/// Names a listener over all generations: one of the same name has the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ListenerKey(pub(crate) u32);

/// One configuration, as one worker serves it.
pub(crate) struct Generation {
    pub(crate) plan: Arc<Plan>,
    pub(crate) tls: TlsContexts,
    /// Whether an upstream is told which address the client connected to.
    pub(crate) tells_destinations: bool,
    /// The key of headers that let a request be explained.
    pub(crate) explain: Option<Arc<ExplainKey>>,
    /// Where the listener of each key stands in the plan.
    listeners: Arc<[Option<usize>]>,
    stores: StickyStores,
    /// The identity of each upstream, in the order of the plan.
    pub(crate) keys: Arc<[UpstreamKey]>,
    loads: Loads,
    /// In the order of the plan.
    pub(crate) clusters: Vec<Rc<Cluster>>,
    /// How the clients of each upstream stay where they are.
    pub(crate) sticky: Vec<Option<Rc<Sticky>>>,
}

impl Generation {
    /// What a configuration makes of worker `number`. Clusters that serve alike are taken over from the generation `before`.
    pub(crate) fn new(
        number: usize,
        configuration: &Configuration,
        reporter: &Reporter,
        before: Option<&Generation>,
    ) -> Self {
        let Configuration { plan, tls, stores, prepared, listeners, .. } = configuration;
        let zone = plan.settings.zone.as_deref();
        let known: HashMap<UpstreamKey, UpstreamId> = before
            .map(|before| before.keys.iter().copied().zip((0..).map(UpstreamId)).collect())
            .unwrap_or_default();
        let mut clusters = Vec::with_capacity(plan.upstreams.len());
        let mut sticky = Vec::with_capacity(plan.upstreams.len());
        for (index, (id, upstream)) in (0..).map(UpstreamId).zip(&plan.upstreams).enumerate() {
            let (key, load) = (prepared.keys[index], &prepared.loads[index]);
            let kept = before
                .zip(known.get(&key))
                .filter(|(before, old)| before.serves_alike(**old, configuration, id))
                .map(|(before, old)| (before, *old));
            clusters.push(kept.map_or_else(
                || {
                    let connector = tls.connector(id);
                    let cluster =
                        Cluster::new(Arc::clone(upstream), key, number, connector, reporter.clone(), zone);
                    Rc::new(cluster.sharing(load))
                },
                |(before, old)| Rc::clone(before.cluster(old)),
            ));
            let kept = kept.filter(|(before, old)| stores.are_same(id, &before.stores, *old));
            sticky.push(match kept {
                Some((before, old)) => before.sticky(old).cloned(),
                None => stores.of_worker(id, upstream),
            });
        }
        Generation {
            plan: Arc::clone(plan),
            tls: tls.clone(),
            explain: configuration.explain.clone(),
            stores: stores.clone(),
            tells_destinations: plan.upstreams.iter().any(|upstream| upstream.proxy_protocol.is_some()),
            listeners: Arc::clone(listeners),
            keys: Arc::clone(&prepared.keys),
            loads: Arc::clone(&prepared.loads),
            clusters,
            sticky,
        }
    }

    /// Whether what was made of an upstream is what another configuration would make of it.
    fn serves_alike(&self, id: UpstreamId, other: &Configuration, other_id: UpstreamId) -> bool {
        let (old, new) = (self.plan.upstream(id), other.plan.upstream(other_id));
        let is_same_connector = match (self.tls.connector(id), other.tls.connector(other_id)) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        };
        let (old_load, new_load) = (&self.loads[id.0 as usize], &other.prepared.loads[other_id.0 as usize]);
        is_same_connector
            && Arc::ptr_eq(old_load, new_load)
            && self.plan.settings.zone == other.plan.settings.zone
            && old.is_served_like(new)
    }

    /// The upstream of that identity.
    pub(crate) fn upstream_of(&self, key: UpstreamKey) -> Option<UpstreamId> {
        let place = self.keys.iter().position(|known| *known == key)?;
        Some(UpstreamId(place as u32))
    }

    fn index(&self, key: ListenerKey) -> Option<usize> {
        *self.listeners.get(key.0 as usize)?
    }

    /// The keys of its listeners.
    pub(crate) fn listener_keys(&self) -> impl Iterator<Item = ListenerKey> {
        let keys = self.listeners.iter().zip((0..).map(ListenerKey));
        keys.filter_map(|(place, key)| place.is_some().then_some(key))
    }

    /// The listener; `None` when this configuration has it no more.
    pub(crate) fn listener(&self, key: ListenerKey) -> Option<&Listener> {
        self.plan.listeners.get(self.index(key)?)
    }

    /// Its name; empty when it is gone.
    pub(crate) fn listener_name(&self, key: ListenerKey) -> &str {
        self.listener(key).map_or("", |listener| &listener.name)
    }

    /// The listener, when it is one of layer 7.
    pub(crate) fn http(&self, key: ListenerKey) -> Option<&HttpListener> {
        match &self.listener(key)?.protocol {
            Protocol::Http(listener) => Some(listener),
            Protocol::Tcp(_) | Protocol::Udp(_) => None,
        }
    }

    /// The listener, when it is one of layer 4.
    pub(crate) fn tcp(&self, key: ListenerKey) -> Option<&TcpListener> {
        match &self.listener(key)?.protocol {
            Protocol::Tcp(listener) => Some(listener),
            Protocol::Http(_) | Protocol::Udp(_) => None,
        }
    }

    /// What ends the TLS of its clients; `None` where it is plain.
    pub(crate) fn acceptor(&self, key: ListenerKey) -> Option<&Arc<Acceptor>> {
        self.tls.acceptor(self.index(key)?)
    }

    /// The cluster of an upstream.
    pub(crate) fn cluster(&self, upstream: UpstreamId) -> &Rc<Cluster> {
        &self.clusters[upstream.0 as usize]
    }

    /// How the clients of an upstream stay where they are; `None` when they do not.
    pub(crate) fn sticky(&self, upstream: UpstreamId) -> Option<&Rc<Sticky>> {
        self.sticky[upstream.0 as usize].as_ref()
    }
}

/// The rules of a listener for datagrams, with the generation that they belong to.
#[derive(Clone)]
pub(crate) struct UdpRules {
    pub(crate) generation: Rc<Generation>,
    index: usize,
}

impl UdpRules {
    /// `None` when the generation has no such listener for datagrams.
    pub(crate) fn new(generation: Rc<Generation>, key: ListenerKey) -> Option<Self> {
        let index = generation.index(key)?;
        matches!(generation.plan.listeners[index].protocol, Protocol::Udp(_))
            .then_some(UdpRules { generation, index })
    }

    /// The whole listener.
    pub(crate) fn listener(&self) -> &Listener {
        &self.generation.plan.listeners[self.index]
    }
}

impl Deref for UdpRules {
    type Target = UdpListener;

    fn deref(&self) -> &UdpListener {
        match &self.listener().protocol {
            Protocol::Udp(rules) => rules,
            Protocol::Http(_) | Protocol::Tcp(_) => unreachable!("looked at when it was made"),
        }
    }
}
