//! The life of a listener for datagrams: receive, find or open the session, pass on, pass answers back, end, record.
//!
//! One task on each worker serves all sessions of a listener, in turns of batches: the kernel gives all datagrams of one client's address and
//! port to the same worker, so that sessions are shared with nobody. A QUIC connection may change its address; its listener
//! belongs to one worker alone.

mod affinity;
mod answers;
mod ending;
mod forward;
mod headers;
mod hellos;
mod lanes;
mod open;
mod sessions;

use crate::generation::UdpRules;
use crate::say::say;
use crate::worker::{Place, Worker};
use affinity::Affinity;
use ending::Refusals;
use hellos::Hellos;
use narrows_plan::WhenDown;
use narrows_runtime::{Arrivals, DatagramListener, Inbox, Outbox, Stop, Tick, Watch};
use sessions::Sessions;
use socket2::Socket;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Turns in a row before other tasks of the worker get theirs.
const TURNS: u32 = 8;
/// A session that is quiet for that long while the process drains is over.
const DRAIN_IDLE: Duration = Duration::from_secs(2);

/// The life of a listener's datagrams on one of `workers` workers.
/// `stop` ends it: no datagram is taken any more, and sessions end once they are quiet.
pub(crate) async fn life(worker: Rc<Worker>, place: Place, socket: Socket, workers: usize, stop: Rc<Stop>) {
    if let Err(error) = serve(&worker, place, socket, workers, stop).await {
        let generation = worker.generation_of(place.listener);
        let name = generation.listener_name(place.listener);
        say(&format!("listener {name}: {error}; this worker takes no more datagrams for it"));
    }
}

async fn serve(
    worker: &Rc<Worker>,
    place: Place,
    socket: Socket,
    workers: usize,
    stop: Rc<Stop>,
) -> io::Result<()> {
    let generation = worker.generation_of(place.listener);
    let Some(rules) = UdpRules::new(generation, place.listener) else { return Ok(()) };
    let mut flows = Flows::new(worker, place, rules, socket, workers, stop)?;
    let mut inbox = Inbox::new();
    let mut turns = 0;
    loop {
        inbox.clear();
        let turn = poll_fn(|context| flows.poll_turn(context, &mut inbox)).await?;
        flows.look_at_the_rules();
        flows.look_at_the_clock();
        if turn.received {
            flows.forward(&inbox);
        }
        if turn.arrived {
            flows.answer(&mut inbox).await;
        }
        if turn.ticked {
            flows.tick();
        }
        flows.note_cut(inbox.take_cut());
        flows.set_alarm();
        if flows.is_over() {
            return Ok(());
        }
        turns += 1;
        if turns % TURNS == 0 {
            tokio::task::yield_now().await;
        }
    }
}

/// What there is to do.
struct Turn {
    /// Clients sent something.
    received: bool,
    /// Endpoints did, or cannot be reached.
    arrived: bool,
    /// Time has passed, or the drain began.
    ticked: bool,
}

/// All sessions of a listener on one worker.
struct Flows<'w> {
    worker: &'w Rc<Worker>,
    place: Place,
    /// What holds for new sessions.
    rules: UdpRules,
    listener: DatagramListener,
    arrivals: Arrivals,
    outbox: Outbox,
    /// Where the listener is bound, unless that is everywhere.
    address: Option<SocketAddr>,
    /// For datagrams behind the headers that they get.
    memory: Vec<u8>,
    /// The sockets of sessions that have something.
    tokens: Vec<u64>,
    /// The session of each datagram in the inbox.
    slots: Vec<Option<u32>>,
    sessions: Sessions,
    affinity: Affinity,
    hellos: Hellos,
    refusals: Refusals,
    watch: Watch,
    /// Until when a session lives on which something moves now.
    expires: Tick,
    is_draining: bool,
    /// Says that no further datagram is wanted here.
    stop: Rc<Stop>,
    workers: usize,
    /// Whether a session may have to move because its endpoint went down.
    moves: bool,
}

impl<'w> Flows<'w> {
    fn new(
        worker: &'w Rc<Worker>,
        place: Place,
        rules: UdpRules,
        socket: Socket,
        workers: usize,
        stop: Rc<Stop>,
    ) -> io::Result<Self> {
        Ok(Flows {
            worker,
            place,
            address: socket.local_addr()?.as_socket().filter(|address| !address.ip().is_unspecified()),
            listener: DatagramListener::new(socket)?,
            arrivals: Arrivals::new()?,
            outbox: Outbox::new(),
            memory: Vec::new(),
            tokens: Vec::new(),
            slots: Vec::new(),
            sessions: Sessions::new(rules.sessions.limit.div_ceil(workers)),
            affinity: Affinity::new(),
            hellos: Hellos::default(),
            refusals: Refusals::default(),
            watch: worker.deadlines.watch(),
            expires: Tick::NEVER,
            is_draining: false,
            stop,
            workers,
            moves: moves(&rules),
            rules,
        })
    }

    fn poll_turn(&mut self, context: &mut Context<'_>, inbox: &mut Inbox) -> Poll<io::Result<Turn>> {
        let is_stopped = self.stop.poll_stopped(context).is_ready();
        // What cannot be received, for want of memory for instance, is lost, as on the way.
        let received = !is_stopped && self.listener.poll_receive(context, inbox).is_ready();
        let arrived = match self.arrivals.poll(context, &mut self.tokens) {
            Poll::Ready(result) => result.map(|()| true)?,
            Poll::Pending => false,
        };
        let ticked = self.watch.poll_expired(context).is_ready() || self.is_leaving() && !self.is_draining;
        if received || arrived || ticked {
            return Poll::Ready(Ok(Turn { received, arrived, ticked }));
        }
        Poll::Pending
    }

    /// Whether no new session is wanted: the worker drains, or the listener is gone.
    fn is_leaving(&self) -> bool {
        self.stop.is_stopped() || self.worker.is_leaving(self.place)
    }

    /// Whether the listener is gone, and all of its sessions are.
    fn is_over(&self) -> bool {
        self.stop.is_stopped() && self.is_draining && self.sessions.len() == 0
    }

    /// New sessions belong to the configuration in force.
    fn look_at_the_rules(&mut self) {
        if self.worker.is_present(&self.rules.generation) {
            return;
        }
        let Some(rules) = UdpRules::new(self.worker.generation(), self.place.listener) else { return };
        let old = std::mem::replace(&mut self.rules, rules);
        self.moves = moves(&self.rules);
        self.sessions.allow(self.rules.sessions.limit.div_ceil(self.workers));
        self.affinity.translate(|home| home.translate(&old, &self.rules));
    }

    /// What moves in this turn lives from now on.
    fn look_at_the_clock(&mut self) {
        let idle = match self.rules.timeouts.idle {
            Some(idle) if self.is_draining => Some(idle.min(DRAIN_IDLE)),
            None if self.is_draining => Some(DRAIN_IDLE),
            idle => idle,
        };
        self.expires = idle.map_or(Tick::NEVER, |idle| self.watch.after(idle));
    }

    /// Ends what is over.
    fn tick(&mut self) {
        let now = self.worker.now();
        if self.is_leaving() && !self.is_draining {
            self.is_draining = true;
            self.look_at_the_clock();
            self.sessions.shorten(self.expires);
        }
        for slot in self.sessions.expired(now) {
            self.end_idle(slot);
        }
        self.expire_hellos(now);
        self.report_refusals(now);
    }

    /// Asks for the next tick where something waits for it.
    fn set_alarm(&mut self) {
        let waits = self.sessions.len() > 0 || !self.hellos.is_empty() || self.refusals.are_waiting();
        self.watch.set(waits.then_some(Duration::ZERO));
    }
}

/// Whether a session may have to move because its endpoint went down.
fn moves(rules: &UdpRules) -> bool {
    rules.generation.plan.upstreams.iter().any(|upstream| upstream.when_down == WhenDown::Close)
}

impl Drop for Flows<'_> {
    /// The process ends: what sessions moved is recorded all the same.
    fn drop(&mut self) {
        for slot in self.sessions.all() {
            self.end(slot, None);
        }
    }
}
