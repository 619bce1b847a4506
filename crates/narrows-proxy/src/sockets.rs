//! The listening sockets of the process, over all its configurations.

use crate::generation::ListenerKey;
use crate::server::{Bound, StartError};
use crate::worker::Place;
use narrows_plan::{Bind, Listener, Plan, Protocol};
use narrows_runtime::{BoundSocket, bind, bind_datagrams};
use socket2::Socket;
use std::path::PathBuf;
use std::sync::Arc;

/// The sockets of one configuration. Those that the next one has as well are the same there.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sockets {
    open: Vec<(Place, Arc<Open>)>,
}

/// The sockets of one address.
#[derive(Debug)]
struct Open {
    /// The listener that asked for it.
    listener: Box<str>,
    protocol: &'static str,
    /// As it is written.
    written: Bind,
    /// With the real port where 0 was asked for.
    bind: Bind,
    /// One for each worker; or one, which goes to the worker of this number.
    sockets: Vec<Arc<Socket>>,
    alone: usize,
    /// Removed when nobody listens there any more.
    _file: Option<UnixFile>,
}

/// The file of a Unix socket.
#[derive(Debug)]
struct UnixFile(PathBuf);

impl Drop for UnixFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Sockets {
    /// Opens what the plan listens on for `workers` workers. What is open already is taken over; nothing of `self` changes.
    ///
    /// # Errors
    /// The first address that cannot be listened on; what was opened here is closed again.
    pub(crate) fn renew(
        &self,
        plan: &Plan,
        keys: &[ListenerKey],
        workers: usize,
    ) -> Result<Sockets, StartError> {
        let mut left: Vec<&Arc<Open>> = self.open.iter().map(|(_, open)| open).collect();
        let mut wanted = Vec::new();
        for (listener, &key) in plan.listeners.iter().zip(keys) {
            wanted.extend(listener.binds.iter().map(|(bind, origin)| (listener, key, bind, *origin)));
        }
        // First what a listener had itself: two of them may both have asked for any free port.
        let mut taken: Vec<Option<Arc<Open>>> = vec![None; wanted.len()];
        for is_own in [true, false] {
            for ((listener, _, bind, _), taken) in wanted.iter().zip(&mut taken) {
                let fits = |open: &&Arc<Open>| open.fits(listener, bind, is_own);
                if taken.is_none()
                    && let Some(place) = left.iter().position(fits)
                {
                    *taken = Some(Arc::clone(left.swap_remove(place)));
                }
            }
        }
        let mut open = Vec::with_capacity(wanted.len());
        for ((listener, key, bind, origin), taken) in wanted.into_iter().zip(taken) {
            let opened = match taken {
                Some(taken) => taken,
                None => {
                    Arc::new(Open::new(listener, key, bind, workers).map_err(|source| StartError::Bind {
                        place: plan.locate(origin),
                        listener: listener.name.to_string(),
                        source,
                    })?)
                }
            };
            let local_port = match &opened.bind {
                Bind::Socket(address) => address.port(),
                Bind::Unix(_) => 0,
            };
            open.push((Place { listener: key, local_port }, opened));
        }
        Ok(Sockets { open })
    }

    /// What a worker accepts from.
    pub(crate) fn of_worker(&self, number: usize) -> impl Iterator<Item = (Place, &Arc<Socket>)> {
        self.open.iter().filter_map(move |(place, open)| {
            let socket = match &open.sockets[..] {
                [only] => (open.alone == number).then_some(only),
                sockets => sockets.get(number),
            };
            Some((*place, socket?))
        })
    }

    /// Where the listeners of the plan listen, in its order.
    pub(crate) fn bound(&self) -> Vec<Bound> {
        let bound = |(_, open): &(Place, Arc<Open>)| Bound {
            listener: open.listener.to_string(),
            protocol: open.protocol,
            address: open.bind.to_string(),
        };
        self.open.iter().map(bound).collect()
    }
}

impl Open {
    fn new(
        listener: &Listener,
        key: ListenerKey,
        written: &Bind,
        workers: usize,
    ) -> Result<Self, narrows_runtime::BindError> {
        let BoundSocket { bind, sockets } = match &listener.protocol {
            Protocol::Http(_) | Protocol::Tcp(_) => bind(written, workers)?,
            Protocol::Udp(udp) => bind_datagrams(written, if udp.quic { 1 } else { workers })?,
        };
        let file = match &bind {
            Bind::Unix(path) => Some(UnixFile(path.clone())),
            Bind::Socket(_) => None,
        };
        Ok(Open {
            listener: listener.name.clone(),
            protocol: listener.protocol.name(),
            written: written.clone(),
            bind,
            sockets: sockets.into_iter().map(Arc::new).collect(),
            // A socket that only one worker has goes to another one for each listener.
            alone: key.0 as usize % workers,
            _file: file,
        })
    }

    /// Whether it is what a listener asks for: the address that it had itself, or one that another had.
    fn fits(&self, listener: &Listener, bind: &Bind, is_own: bool) -> bool {
        // Streams are streams, whoever reads them.
        let kind = |protocol: &'static str| if protocol == "http" { "tcp" } else { protocol };
        let is_same_kind = kind(self.protocol) == kind(listener.protocol.name());
        let is_same_place = match is_own {
            true => self.listener == listener.name && self.written == *bind,
            false => self.bind == *bind,
        };
        is_same_kind && is_same_place
    }
}
