//! Sockets for datagrams.

use super::{Inbox, control};
use crate::accept::register;
use crate::{BindError, BoundSocket};
use narrows_plan::Bind;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::task::{Context, Poll, ready};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What a socket's buffers shall hold, bytes; the kernel lowers it to `net.core.rmem_max` and `net.core.wmem_max`. A worker that is busy for
/// some milliseconds must not lose what arrives meanwhile.
const BUFFER_BYTES: usize = 4 << 20;

/// Binds `bind` for datagrams with one socket for each of `workers`. Whatever arrives from now on waits in the sockets.
///
/// `[::]` takes IPv4 as well. The kernel gives all datagrams of one client's address and port to the same socket.
///
/// # Errors
/// What the system said, with the address; a Unix socket is refused.
pub fn bind_datagrams(bind: &Bind, workers: usize) -> Result<BoundSocket, BindError> {
    let fail = |source| BindError { bind: bind.clone(), source };
    let Bind::Socket(address) = bind else {
        return Err(fail(io::Error::new(io::ErrorKind::Unsupported, "UDP needs an IP address")));
    };
    let first = open(*address, workers > 1).map_err(fail)?;
    let address = first.local_addr().map_err(fail)?.as_socket().unwrap_or(*address);
    let mut sockets = vec![first];
    for _ in 1..workers {
        sockets.push(open(address, true).map_err(fail)?);
    }
    Ok(BoundSocket { bind: Bind::Socket(address), sockets })
}

pub(crate) fn open(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_nonblocking(true)?;
    prepare(&socket, &address.into())?;
    socket.bind(&address.into())?;
    Ok(socket)
}

/// Sets what a listener for datagrams on `address` needs.
pub(crate) fn prepare(socket: &Socket, address: &SockAddr) -> io::Result<()> {
    enlarge(socket);
    if let Some(address) = address.as_socket().filter(|address| address.ip().is_unspecified()) {
        control::tell_local_address(socket, address.is_ipv6())?;
    }
    // Kernels before 5.0 do not join datagrams; they are received one by one then.
    let _ = control::join_on_receive(socket, true);
    Ok(())
}

/// Asks for large buffers and takes what is given.
fn enlarge(socket: &Socket) {
    let _ = socket.set_recv_buffer_size(BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(BUFFER_BYTES);
}

/// The socket of a listener, watched by the event loop of its worker.
#[derive(Debug)]
pub struct DatagramListener {
    socket: AsyncFd<Socket>,
}

impl DatagramListener {
    /// Registers a socket that [`bind_datagrams`] made.
    ///
    /// # Errors
    /// When the event loop does not take it.
    pub fn new(socket: Socket) -> io::Result<Self> {
        // Not watched for room to send: each datagram that leaves the machine would wake the worker for nothing.
        Ok(DatagramListener { socket: register(socket, Interest::READABLE)? })
    }

    /// From now on each datagram is received apart, also those of one sender and one size.
    pub fn receive_apart(&self) {
        let _ = control::join_on_receive(self.socket.get_ref(), false);
    }

    /// Receives into `inbox`; `Pending` when nothing waits. Fewer datagrams than there is place for are taken as all: no second
    /// system call asks for more.
    pub fn poll_receive(&self, context: &mut Context<'_>, inbox: &mut Inbox) -> Poll<io::Result<usize>> {
        loop {
            let mut guard = ready!(self.socket.poll_read_ready(context))?;
            match inbox.receive(self, 0) {
                Ok(count) => {
                    if !inbox.is_full() {
                        guard.clear_ready();
                    }
                    return Poll::Ready(Ok(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => guard.clear_ready(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsFd for DatagramListener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.get_ref().as_fd()
    }
}

/// The socket of a session, connected to its endpoint.
#[derive(Debug)]
pub struct DatagramSocket(Socket);

impl DatagramSocket {
    /// Connects, which sends nothing.
    ///
    /// # Errors
    /// No descriptor or port is left, or no route leads there.
    pub fn connect(endpoint: SocketAddr) -> io::Result<Self> {
        let socket =
            Socket::new(Domain::for_address(endpoint), Type::DGRAM.nonblocking(), Some(Protocol::UDP))?;
        socket.connect(&endpoint.into())?;
        Ok(DatagramSocket(socket))
    }

    /// Prepares for a stream of datagrams, where small buffers would lose some. Not done for every session: three more system
    /// calls are a third of what a DNS query costs.
    pub fn expect_stream(&self) {
        enlarge(&self.0);
        let _ = control::join_on_receive(&self.0, true);
    }

    /// The address that the endpoint sees.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()?.as_socket().ok_or_else(|| io::Error::other("no address"))
    }
}

impl AsFd for DatagramSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
