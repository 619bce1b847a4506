//! Sockets that come from another process and that go to the next one.

use super::{Open, Sockets, UnixFile};
use crate::generation::ListenerKey;
use crate::say::say;
use crate::worker::Place;
use narrows_plan::{Bind, Plan};
use narrows_runtime::{Identity, Passed, Passing, Transport, bind_beside, give_socket};
use socket2::Socket;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

impl Sockets {
    /// Sockets that were passed on, for [`Sockets::renew`] to choose from.
    pub(crate) fn of_passed(passed: Vec<Passed>) -> Sockets {
        let place = Place { listener: ListenerKey(u32::MAX), local_port: 0 };
        let open = passed.into_iter().map(|passed| (place, Arc::new(Open::of_passed(passed))));
        Sockets { open: open.collect() }
    }

    /// Lets go of what another one has as well.
    pub(crate) fn forget_shared(&mut self) {
        self.open.retain(|(_, open)| Arc::strong_count(open) == 1);
    }

    /// Gives what was passed on to the listeners of the plan and spreads it over the workers, with further sockets where there are fewer than workers.
    pub(crate) fn settle(mut self, plan: &Plan, workers: usize) -> Sockets {
        let listeners = plan.listeners.iter();
        let wanted = listeners.flat_map(|listener| listener.binds.iter().map(move |bind| (listener, bind)));
        for ((place, open), (listener, (written, _))) in self.open.iter_mut().zip(wanted) {
            // What is new has its place, what was passed on has one pile for all workers.
            if let Some(open) = Arc::get_mut(open).filter(|open| open.is_unsettled()) {
                open.listener = listener.name.clone();
                open.protocol = listener.protocol.name();
                open.written = written.clone();
                open.spread(workers, place.listener.0 as usize % workers);
            }
        }
        self
    }

    /// What is passed on to a process that takes over: each socket once.
    pub(crate) fn passing(&self) -> Vec<Passing<Arc<Socket>>> {
        let passing = |(_, open): &(Place, Arc<Open>)| {
            let mut known = HashSet::new();
            let sockets = open.sockets.iter().flatten();
            // Workers have a Unix socket under several descriptors. Where the kernel does not tell, each of them counts as one.
            let once = sockets.filter(|socket| socket.cookie().map_or(true, |cookie| known.insert(cookie)));
            Passing {
                listener: open.listener.clone(),
                transport: open.transport,
                written: open.written.clone(),
                managed: open.managed,
                sockets: once.cloned().collect(),
            }
        };
        self.open.iter().map(passing).collect()
    }

    /// Gives every socket to a user.
    pub(crate) fn give_to(&self, identity: &Identity) -> io::Result<()> {
        let sockets = self.open.iter().flat_map(|(_, open)| open.sockets.iter().flatten());
        sockets.into_iter().try_for_each(|socket| give_socket(socket, identity))
    }

    /// No other process listens here any more: the files of Unix sockets are removed with them.
    pub(crate) fn own(&self) {
        self.set_ours(true);
    }

    /// Another process listens here: the files of Unix sockets stay.
    pub(crate) fn disown(&self) {
        self.set_ours(false);
    }

    fn set_ours(&self, is_ours: bool) {
        for file in self.open.iter().filter_map(|(_, open)| open.file.as_ref()) {
            file.is_ours.store(is_ours, Ordering::Relaxed);
        }
    }
}

impl Open {
    fn of_passed(passed: Passed) -> Open {
        let Passing { listener, transport, written, managed, sockets } = passed;
        let address = sockets.first().and_then(|socket| socket.local_addr().ok()?.as_socket());
        let file = match &written {
            Bind::Unix(path) if !managed => {
                Some(UnixFile { path: path.clone(), is_ours: AtomicBool::new(false) })
            }
            _ => None,
        };
        Open {
            listener,
            protocol: "",
            bind: address.map_or_else(|| written.clone(), Bind::Socket),
            written,
            transport,
            // One pile, until it is known who the workers are.
            sockets: vec![sockets.into_iter().map(Arc::new).collect()],
            managed,
            file,
        }
    }

    /// Whether it was passed on and no listener has it yet.
    fn is_unsettled(&self) -> bool {
        self.protocol.is_empty()
    }

    /// Gives each worker its sockets; one that only one worker can have goes to `alone`. Every socket that was passed on is used: connections may wait in it.
    fn spread(&mut self, workers: usize, alone: usize) {
        let pile: Vec<Arc<Socket>> = std::mem::take(&mut self.sockets).into_iter().flatten().collect();
        let mut each: Vec<Vec<Arc<Socket>>> = vec![Vec::new(); workers];
        if self.transport == Transport::LoneDatagrams {
            each[alone] = pile;
            self.sockets = each;
            return;
        }
        for (number, socket) in pile.iter().enumerate() {
            each[number % workers].push(Arc::clone(socket));
        }
        let missing = workers.saturating_sub(pile.len());
        let further = match &self.bind {
            Bind::Socket(address) if missing > 0 && !self.managed => {
                let is_stream = self.transport == Transport::Stream;
                bind_beside(&pile, *address, is_stream, missing).unwrap_or_else(|error| {
                    say(&format!("no further sockets for {address}: {error}; workers share those there are"));
                    Vec::new()
                })
            }
            _ => Vec::new(),
        };
        let empty = each.iter_mut().filter(|sockets| sockets.is_empty());
        if !further.is_empty() {
            empty.zip(further).for_each(|(sockets, socket)| sockets.push(Arc::new(socket)));
        } else if self.transport == Transport::Stream {
            // Connections can be accepted by whoever comes first; datagrams of one client have to stay with one worker.
            empty.zip(pile.iter().cycle()).for_each(|(sockets, socket)| sockets.push(Arc::clone(socket)));
        }
        self.sockets = each;
    }
}
