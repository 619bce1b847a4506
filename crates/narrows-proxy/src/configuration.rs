//! One configuration, as all workers are given it.

use crate::explain::ExplainKey;
use crate::generation::ListenerKey;
use crate::sockets::Sockets;
use crate::sticky::StickyStores;
use narrows_control::Prepared;
use narrows_observe::LogSinks;
use narrows_observe::metrics::Metrics;
use narrows_plan::Plan;
use narrows_tls::TlsContexts;
use std::sync::Arc;
use std::time::SystemTime;

/// One configuration of the process. Immutable: a reload is a new one, which shares with the one before what stayed as it was.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// Counts the configurations of the process, from 1.
    pub(crate) number: u64,
    pub(crate) plan: Arc<Plan>,
    pub(crate) tls: TlsContexts,
    pub(crate) stores: StickyStores,
    /// The key of headers that let a request be explained.
    pub(crate) explain: Option<Arc<ExplainKey>>,
    /// What the control plane knows of its upstreams.
    pub(crate) prepared: Prepared,
    /// Where the listener of each key stands in the plan.
    pub(crate) listeners: Arc<[Option<usize>]>,
    pub(crate) sockets: Sockets,
    /// Where its records go.
    pub(crate) logs: LogSinks,
    /// What is counted; `None` where nothing is.
    pub(crate) metrics: Option<Arc<Metrics>>,
    /// Since when it is served.
    pub(crate) since: SystemTime,
}

/// Gives listeners their keys, over all configurations.
#[derive(Debug, Default)]
pub(crate) struct ListenerKeys {
    known: Vec<(Box<str>, &'static str)>,
}

impl ListenerKeys {
    /// The key of each listener of the plan, in its order. One of the same name and protocol as before has the key that it had.
    pub(crate) fn of(&mut self, plan: &Plan) -> Vec<ListenerKey> {
        let key = |listener: &narrows_plan::Listener| {
            let named = |(name, protocol): &(Box<str>, &str)| {
                *name == listener.name && *protocol == listener.protocol.name()
            };
            let place = self.known.iter().position(named).unwrap_or_else(|| {
                self.known.push((listener.name.clone(), listener.protocol.name()));
                self.known.len() - 1
            });
            ListenerKey(place as u32)
        };
        plan.listeners.iter().map(key).collect()
    }

    /// Where the listener of each key stands among `keys`.
    pub(crate) fn places(&self, keys: &[ListenerKey]) -> Arc<[Option<usize>]> {
        let mut places = vec![None; self.known.len()];
        for (place, key) in keys.iter().enumerate() {
            places[key.0 as usize] = Some(place);
        }
        places.into()
    }
}
