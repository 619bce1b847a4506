//! The load of datagrams: a closed loop with one datagram on its way for each client, every answer checked.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::meter::{Meter, Outcome, Tally};
use crate::order::Order;
use crate::service::Service;

/// A datagram whose answer takes longer is lost.
const LOST: Duration = Duration::from_secs(1);
/// How often lost datagrams are looked for.
const SWEEP: Duration = Duration::from_millis(100);
/// The bytes at the beginning of a datagram that no other datagram of the run has.
const NUMBER: usize = 8;
const LARGEST: usize = 65_536;

/// Warms up, measures, stops.
pub(crate) fn run(order: &Order) -> anyhow::Result<Outcome> {
    let mut load = Load::open(order)?;
    load.drive(Instant::now() + order.warm_up)?;
    let meter = Meter::start(order.proxy, &mut load.tally)?;
    load.drive(meter.started_at() + order.measure)?;
    Ok(meter.stop()?.outcome(&load.tally))
}

struct Load {
    epoll: Epoll,
    port: u16,
    /// Each answer ends its session: the next datagram comes from another port.
    closes: bool,
    clients: Vec<Client>,
    /// The datagram to send next; its first bytes are a number.
    datagram: Vec<u8>,
    number: u64,
    scratch: Vec<u8>,
    swept: Instant,
    tally: Tally,
}

/// One session.
struct Client {
    socket: UdpSocket,
    number: u64,
    begun: Instant,
}

impl Load {
    fn open(order: &Order) -> anyhow::Result<Self> {
        let mut load = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            port: order.port,
            closes: order.workload.closes(),
            clients: Vec::new(),
            datagram: Service::Udp.body(order.workload.datagram()),
            number: 0,
            scratch: vec![0; LARGEST],
            swept: Instant::now(),
            tally: Tally::new(),
        };
        for index in 0..order.workload.connections() {
            let begun = Instant::now();
            let socket = load.connect(index)?;
            load.clients.push(Client { socket, number: 0, begun });
            load.send(index).map_err(anyhow::Error::msg)?;
        }
        Ok(load)
    }

    /// Keeps all clients busy until `end`, or until too much went wrong.
    fn drive(&mut self, end: Instant) -> anyhow::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        let mut now = Instant::now();
        while now < end && !self.tally.is_hopeless() {
            let wait = (end - now + Duration::from_millis(1)).min(SWEEP);
            let count = match self.epoll.wait(&mut events, EpollTimeout::try_from(wait)?) {
                Err(nix::Error::EINTR) => 0,
                count => count?,
            };
            for event in &events[..count] {
                let index = event.data() as usize;
                if let Err(error) = self.receive(index) {
                    self.begin_again(index, error)?;
                }
            }
            now = Instant::now();
            if now - self.swept >= SWEEP {
                self.swept = now;
                self.sweep(now)?;
            }
        }
        Ok(())
    }

    fn sweep(&mut self, now: Instant) -> anyhow::Result<()> {
        for index in 0..self.clients.len() {
            if now.saturating_duration_since(self.clients[index].begun) > LOST {
                self.begin_again(index, format!("no answer within {} s", LOST.as_secs()))?;
            }
        }
        Ok(())
    }

    fn begin_again(&mut self, index: usize, error: String) -> anyhow::Result<()> {
        self.tally.wrong(error);
        self.clients[index].socket = self.connect(index)?;
        self.send(index).map_err(anyhow::Error::msg)
    }

    fn receive(&mut self, index: usize) -> Result<(), String> {
        let client = &self.clients[index];
        let count = match client.socket.recv(&mut self.scratch) {
            Ok(count) => count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(format!("receiving: {error}")),
        };
        check(&self.scratch[..count], client.number, &self.datagram)?;
        let begun = client.begun;
        self.tally.right(begun.elapsed());
        if self.closes {
            self.clients[index].socket = self.connect(index).map_err(|error| format!("{error:#}"))?;
        }
        self.send(index)
    }

    /// A socket on a port that no earlier session had, not for long at least.
    fn connect(&mut self, index: usize) -> anyhow::Result<UdpSocket> {
        let last = (2 + self.tally.connects % 250) as u8;
        let socket = UdpSocket::bind(SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0))?;
        socket.set_nonblocking(true)?;
        socket.connect((Ipv4Addr::LOCALHOST, self.port))?;
        self.epoll.add(socket.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
        self.tally.connects += 1;
        Ok(socket)
    }

    fn send(&mut self, index: usize) -> Result<(), String> {
        self.number += 1;
        self.datagram[..NUMBER].copy_from_slice(&self.number.to_be_bytes());
        let client = &mut self.clients[index];
        client.number = self.number;
        client.begun = Instant::now();
        client.socket.send(&self.datagram).map(drop).map_err(|error| format!("sending: {error}"))
    }
}

/// Whether `answer` is the datagram with this number, byte by byte. `datagram` may have another number.
fn check(answer: &[u8], number: u64, datagram: &[u8]) -> Result<(), String> {
    if answer.len() != datagram.len() {
        return Err(format!("a datagram of {} bytes came back as {}", datagram.len(), answer.len()));
    }
    if answer[..NUMBER] != number.to_be_bytes() {
        return Err("the answer belongs to another datagram".to_owned());
    }
    if answer[NUMBER..] != datagram[NUMBER..] {
        return Err("the datagram came back changed".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests;
