//! The listening sockets of the process, over all its configurations.

mod passing;

use crate::generation::ListenerKey;
use crate::server::{Bound, StartError};
use crate::worker::Place;
use narrows_plan::{Bind, Listener, Plan, Protocol};
use narrows_runtime::{BoundSocket, Transport, bind, bind_datagrams};
use socket2::Socket;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

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
    transport: Transport,
    /// Those of each worker.
    sockets: Vec<Vec<Arc<Socket>>>,
    /// Whether a service manager made them.
    managed: bool,
    /// Removed when nobody listens there any more.
    file: Option<UnixFile>,
}

/// The file of a Unix socket.
#[derive(Debug)]
struct UnixFile {
    path: PathBuf,
    /// Whether no other process listens there as well.
    is_ours: AtomicBool,
}

impl Drop for UnixFile {
    fn drop(&mut self) {
        if *self.is_ours.get_mut() {
            let _ = std::fs::remove_file(&self.path);
        }
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
        self.open.iter().flat_map(move |(place, open)| {
            open.sockets.get(number).into_iter().flatten().map(|socket| (*place, socket))
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
        let transport = transport_of(listener);
        let BoundSocket { bind, sockets } = match &listener.protocol {
            Protocol::Http(_) | Protocol::Tcp(_) => bind(written, workers)?,
            Protocol::Udp(udp) => bind_datagrams(written, if udp.quic { 1 } else { workers })?,
        };
        let file = match &bind {
            Bind::Unix(path) => Some(UnixFile { path: path.clone(), is_ours: AtomicBool::new(true) }),
            Bind::Socket(_) => None,
        };
        let mut each = vec![Vec::new(); workers];
        // A socket that only one worker has goes to another one for each listener.
        let first = if sockets.len() == 1 { key.0 as usize % workers } else { 0 };
        for (worker, socket) in each[first..].iter_mut().zip(sockets) {
            worker.push(Arc::new(socket));
        }
        Ok(Open {
            listener: listener.name.clone(),
            protocol: listener.protocol.name(),
            written: written.clone(),
            bind,
            transport,
            sockets: each,
            managed: false,
            file,
        })
    }

    /// Whether it is what a listener asks for: the address that it had itself, or one that another had.
    fn fits(&self, listener: &Listener, bind: &Bind, is_own: bool) -> bool {
        // Streams are streams, whoever reads them. A service manager does not know how datagrams will be read.
        let is_same_kind = match transport_of(listener) {
            Transport::Datagrams if self.managed => self.transport == Transport::LoneDatagrams,
            transport => self.transport == transport,
        };
        let is_same_place = match is_own {
            true => self.listener == listener.name && self.written == *bind,
            false => self.bind == *bind,
        };
        is_same_kind && is_same_place
    }
}

/// What the sockets of a listener carry.
fn transport_of(listener: &Listener) -> Transport {
    match &listener.protocol {
        Protocol::Http(_) | Protocol::Tcp(_) => Transport::Stream,
        Protocol::Udp(udp) if udp.quic => Transport::LoneDatagrams,
        Protocol::Udp(_) => Transport::Datagrams,
    }
}
