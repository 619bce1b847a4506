//! The life of a worker: it accepts, ticks, drains and ends.

use crate::downstream::Downstream;
use crate::gate::Arrival;
use crate::worker::{Common, OpenConnection, Place, Worker};
use crate::{connection, tcp, udp};
use narrows_observe::AccessLog;
use narrows_plan::Protocol;
use narrows_runtime::{Accepted, Peer, PhaseWatch, Stream, TICK, accept};
use socket2::Socket;
use std::io;
use std::rc::Rc;
use tokio::time::{MissedTickBehavior, interval};

/// The life of worker `number` of `workers`. `sockets` are its own, one for each place.
pub(crate) async fn life(
    number: usize,
    workers: usize,
    common: Common,
    sockets: Vec<(Place, Socket)>,
    log: Option<AccessLog>,
    mut phase: PhaseWatch,
) -> io::Result<()> {
    let worker = Rc::new(Worker::new(number, common, log));
    let following = tokio::task::spawn_local({
        let worker = Rc::clone(&worker);
        async move { worker.follow().await }
    });
    let generation = worker.generation();
    for (place, socket) in sockets {
        let Some(listener) = generation.listener(place.listener) else { continue };
        if let Protocol::Udp(listener) = &listener.protocol {
            let sharing = if listener.quic { 1 } else { workers };
            tokio::task::spawn_local(udp::life(Rc::clone(&worker), place, socket, sharing));
            continue;
        }
        let accepting = accept(socket, phase.clone(), {
            let worker = Rc::clone(&worker);
            move |accepted| match accepted {
                Accepted::Connection(stream, peer) => receive(&worker, place, stream, peer),
                Accepted::Exhausted => worker.survive_exhaustion(),
            }
        });
        tokio::task::spawn_local(accepting);
    }
    drop(generation);
    let ticking = tokio::task::spawn_local(tick(Rc::clone(&worker)));
    phase.draining().await;
    worker.drain();
    tokio::select! {
        () = worker.closed() => {}
        () = phase.stopped() => {}
        () = tokio::time::sleep(worker.generation().plan.settings.drain) => {}
    }
    ticking.abort();
    following.abort();
    Ok(())
}

/// Gives a new connection its life.
fn receive(worker: &Rc<Worker>, place: Place, stream: Stream, peer: Peer) {
    let open = OpenConnection::new(worker);
    let owned = Rc::clone(worker);
    let generation = worker.generation_of(place.listener);
    let Some(listener) = generation.listener(place.listener) else { return };
    match &listener.protocol {
        Protocol::Http(_) => {
            let arrival = Arrival::new(place, peer);
            let downstream = Downstream::new(stream, worker.deadlines.watch(), arrival);
            tokio::task::spawn_local(connection::life(owned, downstream, open));
        }
        Protocol::Tcp(_) => {
            tokio::task::spawn_local(tcp::life(owned, place, stream, peer, open));
        }
        // Datagrams come without connections.
        Protocol::Udp(_) => {}
    }
}

async fn tick(worker: Rc<Worker>) {
    let mut interval = interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0_u32;
    loop {
        interval.tick().await;
        worker.tick(ticks);
        ticks = ticks.wrapping_add(1);
    }
}
