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
#[derive(Debug)]
pub enum Stream {
    /// TCP as it was accepted, non-blocking and not registered with the event loop yet. It becomes [`Stream::Tcp`] when it
    /// has to be waited for or is read a second time; a connection that is over before costs two system calls less.
    Fresh(FreshStream),
    /// TCP, `TCP_NODELAY` set.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(UnixStream),
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
        let gone = Stream::Fresh(FreshStream { stream: None, was_read: false });
        *self = match std::mem::replace(self, gone) {
            Stream::Tcp(stream) => Stream::fresh(stream.into_std()?),
            Stream::Unix(stream) => Stream::Unix(UnixStream::from_std(stream.into_std()?)?),
            fresh @ Stream::Fresh(_) => fresh,
        };
        Ok(())
    }

    /// The address of our own end; `None` for a Unix socket. Mapped IPv4 addresses are plain ones.
    pub fn local_address(&self) -> Option<SocketAddr> {
        let address = match self {
            Stream::Fresh(fresh) => fresh.stream.as_ref()?.local_addr().ok()?,
            Stream::Tcp(stream) => stream.local_addr().ok()?,
            Stream::Unix(_) => return None,
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
        };
        !matches!(answer, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Makes the kernel answer a close with a reset, so that the other end sees a failure instead of an end.
    pub fn reset_on_close(&self) {
        let zero = Some(std::time::Duration::ZERO);
        let _ = match self {
            Stream::Fresh(FreshStream { stream: Some(stream), .. }) => {
                socket2::SockRef::from(stream).set_linger(zero)
            }
            Stream::Fresh(_) => Ok(()),
            Stream::Tcp(stream) => socket2::SockRef::from(stream).set_linger(zero),
            Stream::Unix(_) => Ok(()),
        };
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
