//! A connected byte stream, TCP or Unix.

use rustix::net::{RecvFlags, recv};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connected byte stream. One task owns it; a read and a write may both wait in that task.
///
/// After [`Poll::Pending`] from a write, the caller repeats it with the same bytes first: a layer may hold their sealed
/// form already. `Ready(n)` means that those `n` bytes have left.
#[derive(Debug)]
pub enum Stream {
    /// TCP as it was accepted, non-blocking and not registered with the event loop yet. It becomes [`Stream::Tcp`] when it
    /// has to be waited for or is read a second time; a connection that is over before costs two system calls less.
    Fresh(FreshStream),
    /// TCP, `TCP_NODELAY` set.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
    /// What another room makes of a stream: TLS over it, one of the messages inside it.
    Layered(Box<dyn Layer>),
}

/// A byte stream that stands on another one. It keeps the promises of [`Stream`]'s methods of the same names.
pub trait Layer: std::fmt::Debug {
    /// As [`Stream::poll_read`].
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>>;
    /// As [`Stream::poll_write`].
    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>>;
    /// As [`Stream::shutdown_write`].
    fn shutdown_write(&mut self) -> io::Result<()>;
    /// As [`Stream::is_stale_now`].
    fn is_stale_now(&mut self) -> bool;
    /// As [`Stream::reset_on_close`].
    fn reset_on_close(&mut self);
    /// As [`Stream::socket`].
    fn socket(&self) -> Option<&Stream>;
    /// As [`Stream::is_message`].
    fn is_message(&self) -> bool {
        false
    }
    /// As [`Stream::was_refused`].
    fn was_refused(&self) -> bool {
        false
    }
    /// As [`Stream::is_half_written`].
    fn is_half_written(&self) -> bool {
        false
    }
    /// As [`Stream::poll_abandoned`].
    fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let _ = context;
        Poll::Pending
    }
}

/// A stream that the event loop does not know yet.
///
/// Only its first read bypasses the event loop, which makes a task that always finds bytes give way to the others.
#[derive(Debug)]
pub struct FreshStream {
    /// Empty only while it is being registered.
    stream: Option<std::net::TcpStream>,
    was_read: bool,
}

/// Who is on the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// An IP address and port; mapped IPv4 addresses are plain ones.
    Socket(SocketAddr),
    /// A process on this machine, without an address.
    Local,
}

impl Peer {
    /// The address; a local process counts as `127.0.0.1`.
    pub fn address(self) -> IpAddr {
        match self {
            Peer::Socket(address) => address.ip(),
            Peer::Local => IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }

    /// The port; 0 for a local process.
    pub fn port(self) -> u16 {
        match self {
            Peer::Socket(address) => address.port(),
            Peer::Local => 0,
        }
    }
}

impl Stream {
    /// Connects by TCP. Cancel safe: dropping the future closes the socket.
    pub async fn connect(address: SocketAddr) -> io::Result<Stream> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Stream::Tcp(stream))
    }

    /// Connects to a Unix socket.
    pub async fn connect_unix(path: &Path) -> io::Result<Stream> {
        Ok(Stream::Unix(UnixStream::connect(path).await?))
    }

    /// Reads into `buffer`; 0 is the end. A short read is taken as drained, so no second system call asks for more.
    pub fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if let Stream::Fresh(fresh) = self {
            if !std::mem::replace(&mut fresh.was_read, true) {
                match fresh.get()?.read(buffer) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    result => return Poll::Ready(result),
                }
            }
            self.register()?;
        }
        let mut space = ReadBuf::new(buffer);
        let polled = match self {
            Stream::Fresh(_) => return Poll::Ready(Err(lost())),
            Stream::Tcp(stream) => Pin::new(stream).poll_read(context, &mut space),
            Stream::Unix(stream) => Pin::new(stream).poll_read(context, &mut space),
            Stream::Layered(layer) => return layer.poll_read(context, buffer),
        };
        polled.map_ok(|()| space.filled().len())
    }

    /// Waits until more than `known` bytes have arrived and copies them into `buffer`, from the first on, without taking
    /// them. A count that is not above `known` says that the other end has finished. Cancel safe.
    ///
    /// Who gives up with bytes left that are known has to [`unpeek`](Stream::unpeek) before anybody reads.
    pub async fn peek(&mut self, buffer: &mut [u8], known: usize) -> io::Result<usize> {
        // A look does not know what an earlier one saw; the event loop has to be told when to look again.
        self.register()?;
        loop {
            let (ready, peeked) = match self {
                Stream::Fresh(_) => return Err(lost()),
                Stream::Tcp(stream) => (
                    stream.ready(Interest::READABLE).await?,
                    stream.try_io(Interest::READABLE, || peek_beyond(&*stream, buffer, known)),
                ),
                Stream::Unix(stream) => (
                    stream.ready(Interest::READABLE).await?,
                    stream.try_io(Interest::READABLE, || peek_beyond(&*stream, buffer, known)),
                ),
                Stream::Layered(_) => return Err(io::ErrorKind::Unsupported.into()),
            };
            match peeked {
                // The kernel still holds what is known, and nothing will follow.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && ready.is_read_closed() => {
                    return Ok(known);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return result,
            }
        }
    }

    /// Has the event loop report bytes again that it has reported and that were only looked at.
    pub fn unpeek(&mut self) -> io::Result<()> {
        *self = match std::mem::replace(self, Stream::gone()) {
            Stream::Tcp(stream) => Stream::fresh(stream.into_std()?),
            Stream::Unix(stream) => Stream::Unix(UnixStream::from_std(stream.into_std()?)?),
            other @ (Stream::Fresh(_) | Stream::Layered(_)) => other,
        };
        Ok(())
    }

    /// The address of our own end; `None` for a Unix socket. Mapped IPv4 addresses are plain ones.
    pub fn local_address(&self) -> Option<SocketAddr> {
        let address = match self {
            Stream::Fresh(fresh) => fresh.stream.as_ref()?.local_addr().ok()?,
            Stream::Tcp(stream) => stream.local_addr().ok()?,
            Stream::Unix(_) => return None,
            Stream::Layered(layer) => return layer.socket()?.local_address(),
        };
        Some(SocketAddr::new(address.ip().to_canonical(), address.port()))
    }

    /// Writes some of `bytes`.
    pub fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if let Stream::Fresh(stream) = self {
            match stream.get()?.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.register()?,
                result => return Poll::Ready(result),
            }
        }
        match self {
            Stream::Fresh(_) => Poll::Ready(Err(lost())),
            Stream::Tcp(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Unix(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Layered(layer) => layer.poll_write(context, bytes),
        }
    }

    /// Writes some of several pieces with one system call; a layer takes the first one that is not empty.
    pub fn poll_write_pieces(
        &mut self,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if let Stream::Fresh(stream) = self {
            match stream.get()?.write_vectored(pieces) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.register()?,
                result => return Poll::Ready(result),
            }
        }
        match self {
            Stream::Fresh(_) => Poll::Ready(Err(lost())),
            Stream::Tcp(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Stream::Unix(stream) => Pin::new(stream).poll_write_vectored(context, pieces),
            Stream::Layered(layer) => {
                let first = pieces.iter().find(|piece| !piece.is_empty()).map_or(&[][..], |piece| piece);
                layer.poll_write(context, first)
            }
        }
    }

    /// Sends the end of our bytes; the other direction stays open.
    pub fn shutdown_write(&mut self) -> io::Result<()> {
        // The shutdown of a socket is one system call that never waits.
        let mut context = Context::from_waker(Waker::noop());
        let polled = match self {
            Stream::Fresh(stream) => return stream.get()?.shutdown(std::net::Shutdown::Write),
            Stream::Tcp(stream) => Pin::new(stream).poll_shutdown(&mut context),
            Stream::Unix(stream) => Pin::new(stream).poll_shutdown(&mut context),
            Stream::Layered(layer) => return layer.shutdown_write(),
        };
        match polled {
            Poll::Ready(result) => result,
            Poll::Pending => Ok(()),
        }
    }

    /// Whether an idle connection is known to be of no use: the other end closed it or sent what nobody asked for.
    /// Costs a system call only after the kernel reported something.
    pub fn is_stale(&mut self) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let mut byte = [0];
        self.poll_read(&mut context, &mut byte).is_ready()
    }

    /// As [`is_stale`](Stream::is_stale), but asks the kernel in any case.
    pub fn is_stale_now(&mut self) -> bool {
        let mut byte = [std::mem::MaybeUninit::uninit()];
        let answer = match self {
            Stream::Fresh(stream) => {
                stream.get().and_then(|stream| socket2::SockRef::from(&*stream).peek(&mut byte))
            }
            Stream::Tcp(stream) => socket2::SockRef::from(&*stream).peek(&mut byte),
            Stream::Unix(stream) => socket2::SockRef::from(&*stream).peek(&mut byte),
            Stream::Layered(layer) => return layer.is_stale_now(),
        };
        !matches!(answer, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Makes the kernel answer a close with a reset, so that the other end sees a failure instead of an end.
    pub fn reset_on_close(&mut self) {
        let zero = Some(std::time::Duration::ZERO);
        let _ = match self {
            Stream::Fresh(FreshStream { stream: Some(stream), .. }) => {
                socket2::SockRef::from(&*stream).set_linger(zero)
            }
            Stream::Fresh(_) => Ok(()),
            Stream::Tcp(stream) => socket2::SockRef::from(&*stream).set_linger(zero),
            Stream::Unix(_) => Ok(()),
            Stream::Layered(layer) => {
                layer.reset_on_close();
                Ok(())
            }
        };
    }

    /// Whether this carries one message, request and answer, and nothing after: a stream of HTTP/2.
    pub fn is_message(&self) -> bool {
        matches!(self, Stream::Layered(layer) if layer.is_message())
    }

    /// Whether the other end said that it has not begun to look at what was written: it may be sent again elsewhere
    /// (RFC 9113 section 8.7).
    pub fn was_refused(&self) -> bool {
        matches!(self, Stream::Layered(layer) if layer.was_refused())
    }

    /// Whether bytes of a write that is still pending, or that failed, have left all the same: a layer seals more than the socket takes at once. Who
    /// must not send something twice has to ask, because such a write has not counted any byte yet.
    pub fn is_half_written(&self) -> bool {
        matches!(self, Stream::Layered(layer) if layer.is_half_written())
    }

    /// Ready once the other end of a message has given it up. Never for what is not a message: there only a read or a write
    /// finds it out.
    pub fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Stream::Layered(layer) => layer.poll_abandoned(context),
            _ => Poll::Pending,
        }
    }

    /// The socket that everything stands on; `None` for a message, which shares its socket with others.
    pub fn socket(&self) -> Option<&Stream> {
        match self {
            Stream::Layered(layer) => layer.socket(),
            socket => Some(socket),
        }
    }

    /// A stream that is over, for the place of one that was taken away.
    pub fn gone() -> Self {
        Stream::Fresh(FreshStream { stream: None, was_read: true })
    }

    /// A stream that was accepted, non-blocking.
    pub(crate) fn fresh(stream: std::net::TcpStream) -> Self {
        Stream::Fresh(FreshStream { stream: Some(stream), was_read: false })
    }

    /// Registers a fresh stream with the event loop.
    fn register(&mut self) -> io::Result<()> {
        if let Stream::Fresh(fresh) = self {
            *self = Stream::Tcp(TcpStream::from_std(fresh.stream.take().ok_or_else(lost)?)?);
        }
        Ok(())
    }
}

impl FreshStream {
    fn get(&mut self) -> io::Result<&mut std::net::TcpStream> {
        self.stream.as_mut().ok_or_else(lost)
    }
}

/// A look at what has arrived; no answer yet unless there is more than `known`, or the end.
fn peek_beyond(socket: impl AsFd, buffer: &mut [u8], known: usize) -> io::Result<usize> {
    match recv(socket, buffer, RecvFlags::PEEK)?.1 {
        count if count > known || count == 0 => Ok(count),
        _ => Err(io::ErrorKind::WouldBlock.into()),
    }
}

/// The event loop did not take the stream, and the stream is gone with the attempt.
fn lost() -> io::Error {
    io::Error::other("the stream could not be registered with the event loop")
}

#[cfg(test)]
mod tests;
