//! The load: a closed loop on a fixed number of connections, one thread, one epoll, every answer checked.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use serde::{Deserialize, Serialize};

use crate::answer::{Answer, Progress};
use crate::latency::Latency;
use crate::pinned::PROXY_CORE;
use crate::process;
use crate::source::Sources;
use crate::workload::{Exchange, Workload};

/// After so many wrong answers a run has said enough.
const MAX_ERRORS: u64 = 100;
const SCRATCH: usize = 256 * 1024;

/// What the load is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) workload: Workload,
    pub(crate) port: u16,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    /// The proxy: the root of the process tree whose CPU time is read when measuring begins and ends.
    pub(crate) proxy: i32,
}

/// What one run measured.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcome {
    /// Right answers while measuring.
    pub(crate) answers: u64,
    /// Wrong answers and broken connections, the warm-up included.
    pub(crate) errors: u64,
    pub(crate) first_error: Option<String>,
    /// Connections opened while measuring.
    pub(crate) connects: u64,
    pub(crate) seconds: f64,
    pub(crate) cpu_us_per_answer: f64,
    /// The share of its core that the proxy used.
    pub(crate) cpu_share: f64,
    /// The share of the proxy's core that others took: other programs, or other guests of the same host.
    pub(crate) others_share: f64,
    pub(crate) answers_per_second: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) resident_kib: u64,
    /// Workload w5 only.
    pub(crate) bytes_per_idle_connection: Option<f64>,
}

/// Warms up, measures, stops.
pub(crate) fn run(order: &Order) -> anyhow::Result<Outcome> {
    let exchanges = order.workload.exchanges();
    let mut load = Load::open(order, &exchanges)?;
    load.drive(Instant::now() + order.warm_up)?;
    load.forget();
    let before = process::usage(order.proxy)?;
    let busy_before = process::busy(PROXY_CORE)?;
    let start = Instant::now();
    load.drive(start + order.measure)?;
    let elapsed = start.elapsed();
    let after = process::usage(order.proxy)?;
    let busy = process::busy(PROXY_CORE)?.saturating_sub(busy_before);
    let cpu = after.cpu.saturating_sub(before.cpu);
    Ok(Outcome {
        answers: load.answers,
        errors: load.errors,
        first_error: load.first_error,
        connects: load.connects,
        seconds: elapsed.as_secs_f64(),
        cpu_us_per_answer: cpu.as_secs_f64() * 1e6 / load.answers.max(1) as f64,
        cpu_share: cpu.as_secs_f64() / elapsed.as_secs_f64(),
        others_share: busy.saturating_sub(cpu).as_secs_f64() / elapsed.as_secs_f64(),
        answers_per_second: load.answers as f64 / elapsed.as_secs_f64(),
        p50_us: load.latency.quantile_us(0.5),
        p99_us: load.latency.quantile_us(0.99),
        resident_kib: after.resident_kib,
        bytes_per_idle_connection: None,
    })
}

struct Load<'order> {
    epoll: Epoll,
    exchanges: &'order [Exchange],
    port: u16,
    closes: bool,
    clients: Vec<Client>,
    sources: Sources,
    scratch: Vec<u8>,
    latency: Latency,
    answers: u64,
    connects: u64,
    errors: u64,
    first_error: Option<String>,
}

/// One connection of the load.
struct Client {
    socket: TcpStream,
    exchange: usize,
    /// How much of the request is sent.
    sent: usize,
    /// When the request (or its own connection) was begun.
    begun: Instant,
    answer: Answer,
    /// The answer is complete and was the last on this connection: its end is awaited.
    closing: bool,
}

impl<'order> Load<'order> {
    fn open(order: &Order, exchanges: &'order [Exchange]) -> anyhow::Result<Self> {
        let mut load = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            exchanges,
            port: order.port,
            closes: order.workload.closes(),
            clients: Vec::new(),
            sources: Sources::default(),
            scratch: vec![0; SCRATCH],
            latency: Latency::new(),
            answers: 0,
            connects: 0,
            errors: 0,
            first_error: None,
        };
        for index in 0..order.workload.connections() {
            let begun = Instant::now();
            let socket = load.connect(index)?;
            let exchange = index % exchanges.len();
            let client =
                Client { socket, exchange, sent: 0, begun, answer: Answer::default(), closing: false };
            load.clients.push(client);
        }
        Ok(load)
    }

    /// Keeps all connections busy until `end`, or until too much went wrong.
    fn drive(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        let mut now = Instant::now();
        while now < end && self.errors < MAX_ERRORS {
            let wait = EpollTimeout::try_from(end - now + Duration::from_millis(1))?;
            let count = match self.epoll.wait(&mut events, wait) {
                Err(nix::Error::EINTR) => 0,
                count => count?,
            };
            for event in &events[..count] {
                let index = event.data() as usize;
                if let Err(error) = self.advance(index, event.events()) {
                    self.errors += 1;
                    self.first_error.get_or_insert(error);
                    self.reopen(index)?;
                }
            }
            now = Instant::now();
        }
        Ok(())
    }

    fn forget(&mut self) {
        self.latency.clear();
        self.answers = 0;
        self.connects = 0;
    }

    fn advance(&mut self, index: usize, flags: EpollFlags) -> Result<(), String> {
        if flags.contains(EpollFlags::EPOLLOUT) {
            self.clients[index].send(self.exchanges)?;
        }
        let ended = flags.intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
        if ended || flags.contains(EpollFlags::EPOLLIN) { self.receive(index, ended) } else { Ok(()) }
    }

    fn receive(&mut self, index: usize, ended: bool) -> Result<(), String> {
        loop {
            let client = &mut self.clients[index];
            match client.socket.read(&mut self.scratch) {
                Ok(0) if client.closing => {
                    return self.reopen(index).map_err(|error| error.to_string());
                }
                Ok(0) if client.answer.is_untouched() => return Err("closed without an answer".to_owned()),
                Ok(0) => return Err("closed in the middle of an answer".to_owned()),
                Ok(_) if client.closing => return Err("bytes after the last answer".to_owned()),
                Ok(count) => {
                    let bytes = &self.scratch[..count];
                    if let Progress::Complete { closes } =
                        client.answer.take(bytes, &self.exchanges[client.exchange])?
                    {
                        let now = Instant::now();
                        self.latency.record(now - client.begun);
                        self.answers += 1;
                        client.answer.reset();
                        client.exchange = (client.exchange + 1) % self.exchanges.len();
                        client.closing = closes || self.closes;
                        if !client.closing {
                            client.begun = now;
                            client.sent = 0;
                            client.send(self.exchanges)?;
                        }
                    }
                    // A short read has emptied the socket; only its end may have come with the bytes.
                    if count < self.scratch.len() && !ended && !client.closing {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("reading: {error}")),
            }
        }
    }

    fn connect(&mut self, index: usize) -> anyhow::Result<TcpStream> {
        let socket = self.sources.connect(self.port, false)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.epoll.add(socket.as_fd(), EpollEvent::new(flags, index as u64))?;
        self.connects += 1;
        Ok(socket)
    }

    fn reopen(&mut self, index: usize) -> anyhow::Result<()> {
        let begun = Instant::now();
        let socket = self.connect(index)?;
        let client = &mut self.clients[index];
        client.socket = socket;
        client.begun = begun;
        client.sent = 0;
        client.answer.reset();
        client.closing = false;
        Ok(())
    }
}

impl Client {
    /// Sends what is left of the request.
    fn send(&mut self, exchanges: &[Exchange]) -> Result<(), String> {
        let request = &exchanges[self.exchange].request;
        while self.sent < request.len() {
            match self.socket.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("sending: {error}")),
            }
        }
        Ok(())
    }
}
