//! The load: a closed loop on a fixed number of connections, one thread, one epoll, every answer checked.

use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use rustls::client::{ClientConfig, ClientConnection};

use crate::answer::{Answer, Progress};
use crate::meter::{Meter, Outcome, Tally};
use crate::order::Order;
use crate::setting::Setting;
use crate::source::Sources;
use crate::stream::Stream;
use crate::tls::{self, Handshake};
use crate::workload::{Exchange, Workload};

const SCRATCH: usize = 256 * 1024;
const ALPN: &[u8] = b"http/1.1";

/// Warms up, measures, stops.
pub(crate) fn run(order: &Order) -> anyhow::Result<Outcome> {
    let exchanges = order.workload.exchanges();
    let mut load = Load::open(order, &exchanges)?;
    load.drive(Instant::now() + order.warm_up)?;
    let meter = Meter::start(order.proxy, &mut load.tally)?;
    load.drive(meter.started_at() + order.measure)?;
    Ok(meter.stop()?.outcome(&load.tally))
}

struct Load<'order> {
    epoll: Epoll,
    exchanges: &'order [Exchange],
    port: u16,
    closes: bool,
    clients: Vec<Client>,
    sources: Sources,
    scratch: Vec<u8>,
    tally: Tally,
    /// What each client offers; none without TLS.
    offers: Vec<Arc<ClientConfig>>,
    resumes: bool,
}

/// One connection of the load.
struct Client {
    stream: Stream,
    exchange: usize,
    /// How much of the request is sent.
    sent: usize,
    /// When the request (or its own connection) was begun.
    begun: Instant,
    answer: Answer,
    /// The answer is complete and was the last on this connection: its end is awaited.
    closing: bool,
    /// What the handshake has to be; nothing once it was checked, and without TLS.
    handshake: Option<Handshake>,
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
            tally: Tally::new(),
            offers: offers(order)?,
            resumes: order.workload == Workload::TlsResumed,
        };
        for index in 0..order.workload.connections() {
            let begun = Instant::now();
            let exchange = index % exchanges.len();
            let stream = load.connect(index, exchange)?;
            // The first connection of a client has no ticket yet.
            let handshake = stream.connection().map(|_| Handshake::Full);
            let answer = Answer::default();
            load.clients.push(Client { stream, exchange, sent: 0, begun, answer, closing: false, handshake });
        }
        Ok(load)
    }

    /// Keeps all connections busy until `end`, or until too much went wrong.
    fn drive(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        let mut now = Instant::now();
        while now < end && !self.tally.is_hopeless() {
            let wait = EpollTimeout::try_from(end - now + Duration::from_millis(1))?;
            let count = match self.epoll.wait(&mut events, wait) {
                Err(nix::Error::EINTR) => 0,
                count => count?,
            };
            for event in &events[..count] {
                let index = event.data() as usize;
                if let Err(error) = self.advance(index, event.events()) {
                    self.tally.wrong(error);
                    self.reopen(index)?;
                }
            }
            now = Instant::now();
        }
        Ok(())
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
            match client.stream.read(&mut self.scratch) {
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
                        client.check_handshake()?;
                        self.tally.right(now - client.begun);
                        client.answer.reset();
                        // A browser asks one host on a TLS connection, whose name it has told.
                        if self.offers.is_empty() {
                            client.exchange = (client.exchange + 1) % self.exchanges.len();
                        }
                        client.closing = closes || self.closes;
                        if !client.closing {
                            client.begun = now;
                            client.sent = 0;
                            client.send(self.exchanges)?;
                        }
                    }
                    // A short read has emptied the socket; only its end may have come with the bytes.
                    let emptied = client.stream.is_emptied_by_a_short_read() && count < self.scratch.len();
                    if emptied && !ended && !client.closing {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("reading: {error}")),
            }
        }
    }

    fn connect(&mut self, index: usize, exchange: usize) -> anyhow::Result<Stream> {
        let socket = self.sources.connect(self.port, false)?;
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        self.epoll.add(socket.as_fd(), EpollEvent::new(flags, index as u64))?;
        self.tally.connects += 1;
        let Some(offer) = self.offers.get(index) else { return Ok(Stream::Plain(socket)) };
        let host = self.exchanges[exchange].host.try_into()?;
        Ok(Stream::tls(socket, ClientConnection::new(Arc::clone(offer), host)?))
    }

    fn reopen(&mut self, index: usize) -> anyhow::Result<()> {
        let begun = Instant::now();
        let stream = self.connect(index, self.clients[index].exchange)?;
        let handshake = if self.resumes { Handshake::Resumed } else { Handshake::Full };
        let client = &mut self.clients[index];
        client.handshake = stream.connection().map(|_| handshake);
        client.stream = stream;
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
            match self.stream.write(&request[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(format!("sending: {error}")),
            }
        }
        self.stream.flush().map_err(|error| format!("sending: {error}"))
    }

    fn check_handshake(&mut self) -> Result<(), String> {
        match (self.handshake.take(), self.stream.connection()) {
            (Some(expected), Some(connection)) => tls::check(connection, ALPN, expected),
            _ => Ok(()),
        }
    }
}

/// An offer for each client. Those that resume keep tickets of their own; the others share one offer.
fn offers(order: &Order) -> anyhow::Result<Vec<Arc<ClientConfig>>> {
    let workload = order.workload;
    if workload.setting() == Setting::Plain {
        return Ok(Vec::new());
    }
    if workload == Workload::TlsResumed {
        return (0..workload.connections()).map(|_| tls::offer(&order.certificate, ALPN, true)).collect();
    }
    Ok(vec![tls::offer(&order.certificate, ALPN, false)?; workload.connections()])
}
