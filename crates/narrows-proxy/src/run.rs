//! The life of a worker: it accepts, ticks, drains and ends.

use crate::configuration::Configuration;
use crate::downstream::Downstream;
use crate::entrances::Entrances;
use crate::explain::Taps;
use crate::gate::Arrival;
use crate::pulse::Pulse;
use crate::worker::{OpenConnection, Place, Worker};
use crate::{connection, tcp};
use narrows_control::Link;
use narrows_observe::SpanSink;
use narrows_plan::Protocol;
use narrows_runtime::{Peer, PhaseWatch, Stream, TICK};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// What a worker is given.
pub(crate) struct Given {
    /// Which worker it is.
    pub(crate) number: usize,
    /// How many there are.
    pub(crate) workers: usize,
    /// The configuration in force, and whenever it changes.
    pub(crate) configurations: watch::Receiver<Arc<Configuration>>,
    pub(crate) link: Link,
    pub(crate) taps: Taps,
    pub(crate) pulse: Pulse,
    pub(crate) phase: PhaseWatch,
    /// Who takes spans.
    pub(crate) spans: Option<Arc<dyn SpanSink>>,
}

/// The life of a worker.
pub(crate) async fn life(given: Given) -> io::Result<()> {
    let Given { number, workers, mut configurations, link, taps, pulse, mut phase, spans } = given;
    let first = Arc::clone(&configurations.borrow_and_update());
    let mut memberships = link.memberships.clone();
    let worker = Rc::new(Worker::new(number, &first, link, spans));
    worker.hear(&memberships.borrow_and_update());
    let mut taps = taps.follow();
    worker.asked.hear(&taps.borrow_and_update());
    let mut entrances = Entrances::new(&worker, workers, phase.clone());
    entrances.renew(&first.sockets, number);
    drop(first);
    let ticking = tokio::task::spawn_local(tick(Rc::clone(&worker), number, pulse.clone()));
    loop {
        tokio::select! {
            biased;
            () = phase.draining() => break,
            Ok(()) = configurations.changed() => {
                let next = Arc::clone(&configurations.borrow_and_update());
                // What it needs of endpoints was told before.
                worker.hear(&memberships.borrow_and_update());
                worker.adopt(&next);
                entrances.renew(&next.sockets, number);
            }
            Ok(()) = memberships.changed() => worker.hear(&memberships.borrow_and_update()),
            Ok(()) = taps.changed() => worker.asked.hear(&taps.borrow_and_update()),
        }
    }
    worker.drain(phase.is_replaced());
    if phase.is_replaced() {
        // What clients send is for the other process.
        entrances.close();
    }
    let following = async {
        loop {
            tokio::select! {
                Ok(()) = memberships.changed() => worker.hear(&memberships.borrow_and_update()),
                Ok(()) = taps.changed() => worker.asked.hear(&taps.borrow_and_update()),
                else => std::future::pending::<()>().await,
            }
        }
    };
    tokio::select! {
        () = worker.closed() => {}
        () = phase.stopped() => {}
        () = tokio::time::sleep(worker.generation().plan.settings.drain) => {}
        () = following => {}
    }
    ticking.abort();
    pulse.end(number);
    Ok(())
}

/// Gives a new connection its life.
pub(crate) fn receive(worker: &Rc<Worker>, place: Place, stream: Stream, peer: Peer) {
    let open = OpenConnection::accepted(worker, place.listener);
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

async fn tick(worker: Rc<Worker>, number: usize, pulse: Pulse) {
    let mut interval = interval(TICK);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut ticks = 0_u32;
    loop {
        let due = interval.tick().await;
        worker.counting.lagged(due.elapsed());
        worker.tick(ticks);
        pulse.beat(number);
        ticks = ticks.wrapping_add(1);
    }
}
