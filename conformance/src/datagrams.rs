//! Peers that speak in datagrams.

use std::fmt;
use std::net::{SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::deadline::{DEADLINE, until};

/// A client with one socket, and so one session.
#[derive(Debug)]
pub struct DatagramClient {
    socket: UdpSocket,
    to: SocketAddr,
}

impl DatagramClient {
    /// A client of a listener, on a free port of the same loopback address.
    #[track_caller]
    pub fn new(to: &str) -> DatagramClient {
        let to: SocketAddr = to.parse().expect("an address");
        DatagramClient::from_address(if to.is_ipv6() { "[::1]:0" } else { "127.0.0.1:0" }, to)
    }

    /// The same from an address of choice.
    #[track_caller]
    pub fn from_address(from: &str, to: SocketAddr) -> DatagramClient {
        let socket = UdpSocket::bind(from).unwrap_or_else(|error| panic!("{from}: {error}"));
        socket.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
        DatagramClient { socket, to }
    }

    /// Its own address.
    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().expect("a bound socket has an address")
    }

    /// Sends a datagram.
    #[track_caller]
    pub fn send(&self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let sent = self.socket.send_to(bytes, self.to);
        assert_eq!(sent.expect("a datagram can be sent"), bytes.len());
    }

    /// The next datagram, which must come from where this client sends to.
    #[track_caller]
    pub fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 70_000];
        let (length, from) = self.socket.recv_from(&mut buffer).expect("a datagram comes in time");
        assert_eq!(from, self.to, "the answer leaves from the address that was asked");
        buffer.truncate(length);
        buffer
    }

    /// Sends a datagram and returns the next one that comes.
    #[track_caller]
    pub fn exchange(&self, bytes: impl AsRef<[u8]>) -> Vec<u8> {
        self.send(bytes);
        self.receive()
    }

    /// Whether a datagram comes within this time.
    pub fn hears_within(&self, limit: Duration) -> bool {
        self.receive_within(limit).is_some()
    }

    /// The datagram that comes within this time.
    pub fn receive_within(&self, limit: Duration) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 70_000];
        self.socket.set_read_timeout(Some(limit)).expect("a deadline can be set");
        let received = self.socket.recv_from(&mut buffer);
        self.socket.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
        received.ok().map(|(length, _)| buffer[..length].to_vec())
    }
}

/// A datagram that a server received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// Who sent it; behind the proxy each session has its own address.
    pub from: SocketAddr,
    /// The payload.
    pub bytes: Vec<u8>,
}

/// A server that answers each datagram after a script.
#[derive(Debug)]
pub struct DatagramServer {
    address: SocketAddr,
    socket: Arc<UdpSocket>,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
}

impl DatagramServer {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends every datagram back.
    pub fn echo() -> DatagramServer {
        DatagramServer::script(|bytes| vec![bytes.to_vec()])
    }

    /// Answers with its name and the datagram.
    pub fn named(name: &'static str) -> DatagramServer {
        DatagramServer::script(move |bytes| vec![[name.as_bytes(), b" ", bytes].concat()])
    }

    /// Answers each datagram with those that the script makes of it.
    pub fn script(script: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static) -> DatagramServer {
        DatagramServer::script_at("127.0.0.1:0", script)
    }

    /// The same on an address of choice.
    #[track_caller]
    pub fn script_at(
        address: &str,
        mut script: impl FnMut(&[u8]) -> Vec<Vec<u8>> + Send + 'static,
    ) -> DatagramServer {
        let socket = Arc::new(UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}")));
        socket.set_read_timeout(Some(Duration::from_millis(50))).expect("a deadline can be set");
        // Large, so that nothing is lost here that the proxy would be blamed for.
        let _ = socket2::SockRef::from(&*socket).set_recv_buffer_size(8 << 20);
        let arrivals = Arc::<Mutex<Vec<Arrival>>>::default();
        let server = DatagramServer {
            address: socket.local_addr().expect("a bound socket has an address"),
            socket: Arc::clone(&socket),
            arrivals: Arc::clone(&arrivals),
        };
        // The thread ends with the server: then nobody else holds the arrivals.
        thread::spawn(move || {
            let mut buffer = vec![0; 70_000];
            while Arc::strong_count(&arrivals) > 1 {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                let bytes = buffer[..length].to_vec();
                let answers = script(&bytes);
                arrivals.lock().expect("no poison").push(Arrival { from, bytes });
                for answer in answers {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        server
    }

    /// What it received so far.
    pub fn arrivals(&self) -> Vec<Arrival> {
        self.arrivals.lock().expect("no poison").clone()
    }

    /// Waits until it has received this many datagrams, and returns them.
    #[track_caller]
    pub fn wait_for(&self, count: usize) -> Vec<Arrival> {
        until("the server received the datagrams", || {
            self.arrivals.lock().expect("no poison").len() >= count
        });
        self.arrivals()
    }

    /// The different addresses that datagrams came from, in order of their first one.
    pub fn sessions(&self) -> Vec<SocketAddr> {
        let mut sessions = Vec::new();
        for arrival in self.arrivals() {
            if !sessions.contains(&arrival.from) {
                sessions.push(arrival.from);
            }
        }
        sessions
    }

    /// Sends a datagram that nobody asked for.
    pub fn send(&self, to: SocketAddr, bytes: &[u8]) {
        self.socket.send_to(bytes, to).expect("a datagram can be sent");
    }
}

impl fmt::Display for DatagramServer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(formatter)
    }
}

/// An address at which nobody receives: the kernel answers that the port is unreachable.
pub fn unreachable_address() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a port is free");
    socket.local_addr().expect("a bound socket has an address")
}
