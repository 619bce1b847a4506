//! Where a worker lets connections and datagrams in, as long as the configuration says so.

use crate::run::receive;
use crate::say::say;
use crate::sockets::Sockets;
use crate::udp;
use crate::worker::{Place, Worker};
use narrows_plan::Protocol;
use narrows_runtime::{Accepted, PhaseWatch, Stop, accept};
use socket2::Socket;
use std::rc::Rc;
use std::sync::{Arc, Weak};

/// What a worker listens on now.
pub(crate) struct Entrances {
    worker: Rc<Worker>,
    workers: usize,
    phase: PhaseWatch,
    open: Vec<Entrance>,
}

/// One socket, and the task that takes from it. Dropping it stops the task.
struct Entrance {
    place: Place,
    /// Not held: when nobody listens any more, it shall close.
    socket: Weak<Socket>,
    stop: Rc<Stop>,
}

impl Drop for Entrance {
    fn drop(&mut self) {
        self.stop.stop();
    }
}

impl Entrances {
    pub(crate) fn new(worker: &Rc<Worker>, workers: usize, phase: PhaseWatch) -> Self {
        Entrances { worker: Rc::clone(worker), workers, phase, open: Vec::new() }
    }

    /// Lets in by the sockets of another configuration. Those that stay where they are notice nothing; what waits on those that go is taken before.
    pub(crate) fn renew(&mut self, sockets: &Sockets, number: usize) {
        let mut before = std::mem::take(&mut self.open);
        let mut new = Vec::new();
        for (place, socket) in sockets.of_worker(number) {
            let stays = |one: &Entrance| one.place == place && one.socket.as_ptr() == Arc::as_ptr(socket);
            let entrance = match before.iter().position(stays) {
                Some(known) => before.swap_remove(known),
                None => {
                    new.push((self.open.len(), Arc::clone(socket)));
                    Entrance { place, socket: Arc::downgrade(socket), stop: Rc::default() }
                }
            };
            self.open.push(entrance);
        }
        // First those that go: a socket that belongs to another listener now is not taken from twice.
        drop(before);
        for (place, socket) in new {
            self.let_in(&self.open[place], &socket);
        }
    }

    /// Takes nothing more; another process has the sockets.
    pub(crate) fn close(&mut self) {
        self.open.clear();
    }

    fn let_in(&self, entrance: &Entrance, socket: &Socket) {
        let (place, stop) = (entrance.place, Rc::clone(&entrance.stop));
        let worker = Rc::clone(&self.worker);
        // A descriptor of its own: another task may still have the other one registered.
        let socket = match socket.try_clone() {
            Ok(socket) => socket,
            Err(error) => {
                let generation = worker.generation();
                let name = generation.listener_name(place.listener);
                return say(&format!("listener {name}: {error}; this worker takes nothing for it"));
            }
        };
        let generation = worker.generation();
        let Some(listener) = generation.listener(place.listener) else { return };
        if let Protocol::Udp(listener) = &listener.protocol {
            let sharing = if listener.quic { 1 } else { self.workers };
            tokio::task::spawn_local(udp::life(Rc::clone(&worker), place, socket, sharing, stop));
            return;
        }
        tokio::task::spawn_local(accept(socket, self.phase.clone(), stop, move |accepted| match accepted {
            Accepted::Connection(stream, peer) => receive(&worker, place, stream, peer),
            Accepted::Exhausted => worker.survive_exhaustion(),
        }));
    }
}
