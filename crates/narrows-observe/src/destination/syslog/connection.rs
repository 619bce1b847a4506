//! A connection to a syslog server, or a socket for datagrams to it.

use crate::Batch;
use narrows_plan::SyslogAddress;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::time::Duration;

/// How long a connection may take, and how long a server may take nothing.
const PATIENCE: Duration = Duration::from_secs(3);
/// Bytes that are sent at a time.
const TOGETHER: usize = 64 << 10;

/// A way to the server.
pub(super) enum Connection {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Datagrams(UnixDatagram),
    Stream(UnixStream),
}

/// What became of the records that were to be sent.
#[derive(Default)]
pub(super) struct Sent {
    /// Those that left.
    pub(super) records: usize,
    /// Those that never will.
    pub(super) lost: usize,
    /// Why.
    pub(super) error: Option<io::Error>,
    /// Whether another connection is needed.
    pub(super) is_broken: bool,
}

impl Connection {
    /// Connects.
    ///
    /// # Errors
    /// When the name is not known or nobody is there.
    pub(super) fn open(to: &SyslogAddress) -> io::Result<Self> {
        match to {
            SyslogAddress::Udp(address) => each(address, |address| {
                let any: SocketAddr = match address {
                    SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                    SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                Ok(Connection::Udp(socket))
            }),
            SyslogAddress::Tcp(address) => each(address, |address| {
                let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                Ok(Connection::Tcp(stream))
            }),
            SyslogAddress::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                match socket.connect(path) {
                    Ok(()) => {
                        socket.set_write_timeout(Some(PATIENCE))?;
                        Ok(Connection::Datagrams(socket))
                    }
                    // It is a socket of another type: a stream (EPROTOTYPE on Linux).
                    Err(_) => {
                        let stream = UnixStream::connect(path)?;
                        stream.set_write_timeout(Some(PATIENCE))?;
                        Ok(Connection::Stream(stream))
                    }
                }
            }
        }
    }

    /// Whether the server has closed its end. Without a look, the first records after that would be lost without anybody's noticing.
    pub(super) fn is_closed(&self) -> bool {
        match self {
            Connection::Tcp(stream) => {
                let _ = stream.set_nonblocking(true);
                let looked = stream.peek(&mut [0]);
                let _ = stream.set_nonblocking(false);
                !matches!(&looked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
                    && !matches!(looked, Ok(1))
            }
            Connection::Udp(_) | Connection::Datagrams(_) | Connection::Stream(_) => false,
        }
    }

    /// Sends the records of a batch from number `from` on.
    pub(super) fn send(&mut self, batch: &Batch, from: usize) -> Sent {
        match self {
            Connection::Udp(socket) => {
                // A refusal is about an earlier datagram, which nobody took.
                let is_single = |error: &io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
                datagrams(batch, from, |record| socket.send(record), is_single)
            }
            // Here a refusal means that another server has taken the place.
            Connection::Datagrams(socket) => datagrams(batch, from, |record| socket.send(record), |_| false),
            Connection::Tcp(stream) => frames(stream, batch, from, |record, out| {
                let _ = write!(out, "{} ", record.len());
                out.extend_from_slice(record);
            }),
            Connection::Stream(stream) => frames(stream, batch, from, |record, out| {
                out.extend_from_slice(record);
                out.push(b'\n');
            }),
        }
    }
}

/// The first address of a name that can be used.
fn each(address: &str, connect: impl Fn(SocketAddr) -> io::Result<Connection>) -> io::Result<Connection> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match connect(address) {
            Ok(connection) => return Ok(connection),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// One record a datagram. `is_single`: whether an error says nothing of the next one.
fn datagrams(
    batch: &Batch,
    from: usize,
    send: impl Fn(&[u8]) -> io::Result<usize>,
    is_single: impl Fn(&io::Error) -> bool,
) -> Sent {
    let mut sent = Sent::default();
    for record in batch.records().skip(from) {
        match send(record) {
            Ok(_) => sent.records += 1,
            Err(error) => {
                sent.is_broken = !is_single(&error) && !is_too_large(&error);
                sent.error = Some(error);
                if sent.is_broken {
                    return sent;
                }
                sent.lost += 1;
            }
        }
    }
    sent
}

/// Whether a record fits in no datagram.
fn is_too_large(error: &io::Error) -> bool {
    /// EMSGSIZE on Linux.
    const TOO_LARGE: i32 = 90;
    error.raw_os_error() == Some(TOO_LARGE)
}

/// Records in a stream.
fn frames(stream: &mut impl Write, batch: &Batch, from: usize, frame: impl Fn(&[u8], &mut Vec<u8>)) -> Sent {
    let mut sent = Sent::default();
    let mut out = Vec::with_capacity(TOGETHER);
    let mut ends = Vec::new();
    let mut records = batch.records().skip(from).peekable();
    while records.peek().is_some() {
        out.clear();
        ends.clear();
        while let Some(record) = records.next_if(|_| out.len() < TOGETHER) {
            frame(record, &mut out);
            ends.push(out.len());
        }
        let mut written = 0;
        while written < out.len() {
            match stream.write(&out[written..]) {
                Ok(count) if count > 0 => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => {
                    sent.records += ends.partition_point(|end| *end <= written);
                    sent.error = Some(result.err().unwrap_or_else(|| io::ErrorKind::WriteZero.into()));
                    sent.is_broken = true;
                    return sent;
                }
            }
        }
        sent.records += ends.len();
    }
    sent
}
