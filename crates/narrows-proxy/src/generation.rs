//! What a configuration makes of a worker: the plan, and all that is made from it.
//!
//! A reload gives every worker a new generation. Whatever begins then belongs to it: a connection takes the present one for each request. What runs holds the one that it began
//! with, and ends as it began. The clusters of upstreams that stay as they are belong to both.

use crate::sticky::Sticky;
use crate::worker::Common;
use narrows_plan::{HttpListener, Listener, Plan, Protocol, TcpListener, UdpListener, UpstreamId};
use narrows_tls::{Acceptor, TlsContexts};
use narrows_upstream::Cluster;
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
    /// Where the listener of each key stands in the plan.
    pub(crate) listeners: Arc<[Option<usize>]>,
    /// In the order of the plan.
    pub(crate) clusters: Vec<Rc<Cluster>>,
    /// How the clients of each upstream stay where they are.
    pub(crate) sticky: Vec<Option<Rc<Sticky>>>,
}

impl Generation {
    /// What the configuration makes of worker `number`.
    pub(crate) fn new(worker: usize, common: Common) -> Self {
        let Common { plan, tls, link, stores } = common;
        let zone = plan.settings.zone.as_deref();
        let upstreams = || (0..).map(UpstreamId).zip(&plan.upstreams);
        let clusters = upstreams().map(|(id, upstream)| {
            let (upstream, reporter) = (Arc::clone(upstream), link.reporter.clone());
            let cluster = Cluster::new(upstream, id, worker, tls.connector(id), reporter, zone);
            Rc::new(cluster.sharing(&link.loads[id.0 as usize]))
        });
        let clusters = clusters.collect();
        let sticky = upstreams().map(|(id, upstream)| stores.of_worker(id, upstream)).collect();
        Generation {
            tells_destinations: plan.upstreams.iter().any(|upstream| upstream.proxy_protocol.is_some()),
            listeners: (0..plan.listeners.len()).map(Some).collect(),
            tls,
            clusters,
            sticky,
            plan,
        }
    }

    fn index(&self, key: ListenerKey) -> Option<usize> {
        *self.listeners.get(key.0 as usize)?
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
