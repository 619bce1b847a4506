//! Accepting connections without starving those that are there.

use crate::{Peer, PhaseWatch, Stream};
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::Socket;
use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{UnixListener, UnixStream};

/// Connections accepted in a row before the others get their turn.
const BURST: u32 = 16;
/// How long accepting rests when the process has no descriptor or memory left.
const EXHAUSTED_REST: Duration = Duration::from_millis(50);

/// What accepting brings.
#[derive(Debug)]
pub enum Accepted {
    /// A new connection.
    Connection(Stream, Peer),
    /// The process is out of descriptors or memory: let go of what can be spared. Told once for each shortage.
    Exhausted,
}

/// The order to take no more from one socket.
#[derive(Debug, Default)]
pub struct Stop {
    is_stopped: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Stop {
    /// Not given yet.
    pub fn new() -> Self {
        Stop::default()
    }

    /// Gives the order.
    pub fn stop(&self) {
        self.is_stopped.set(true);
        let waker = self.waker.take();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Whether it was given.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped.get()
    }

    /// Ready once it was given. Only the task that asked last is woken.
    pub fn poll_stopped(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_stopped() {
            return Poll::Ready(());
        }
        let mut waker = self.waker.borrow_mut();
        if waker.as_ref().is_none_or(|waker| !waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        Poll::Pending
    }
}

/// Accepts from `socket` until the worker drains and hands each connection to `handle`. After `stop`, what waits to be accepted is, and then the socket closes.
///
/// # Errors
/// Only when the socket cannot be registered at the start; later failures are survived.
pub async fn accept(
    socket: Socket,
    mut phase: PhaseWatch,
    stop: Rc<Stop>,
    mut handle: impl FnMut(Accepted),
) -> io::Result<()> {
    let listener = Acceptor::new(socket)?;
    let mut burst = 0;
    let mut exhausted = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = phase.draining() => return Ok(()),
            () = poll_fn(|context| stop.poll_stopped(context)) => {
                while let Ok((stream, peer)) = listener.accept_waiting() {
                    handle(Accepted::Connection(stream, peer));
                }
                return Ok(());
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                exhausted = false;
                handle(Accepted::Connection(stream, peer));
                burst += 1;
                if burst >= BURST {
                    burst = 0;
                    tokio::task::yield_now().await;
                }
            }
            Err(error) if is_exhaustion(&error) => {
                if !exhausted {
                    handle(Accepted::Exhausted);
                }
                exhausted = true;
                tokio::time::sleep(EXHAUSTED_REST).await;
            }
            // The connection died in the queue (RFC 9293 reset, network down): take the next.
            Err(_) => tokio::task::yield_now().await,
        }
    }
}

enum Acceptor {
    Tcp(AsyncFd<Socket>),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(socket: Socket) -> io::Result<Self> {
        if socket.local_addr()?.is_unix() {
            Ok(Acceptor::Unix(UnixListener::from_std(socket.into())?))
        } else {
            register(socket, Interest::READABLE).map(Acceptor::Tcp)
        }
    }

    /// A connection that waits already, whatever the event loop has seen.
    fn accept_waiting(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Acceptor::Tcp(listener) => accept_now(listener.get_ref()),
            Acceptor::Unix(listener) => {
                let (stream, _) = acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
                let stream = std::os::unix::net::UnixStream::from(stream);
                Ok((Stream::Unix(UnixStream::from_std(stream)?), Peer::Local))
            }
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Acceptor::Tcp(listener) => listener.async_io(Interest::READABLE, accept_now).await,
            Acceptor::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Local))
            }
        }
    }
}

/// Accepts a connection that waits.
fn accept_now(socket: &Socket) -> io::Result<(Stream, Peer)> {
    let (stream, peer) = acceptfrom_with(socket, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)?;
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    let peer =
        peer.map_or(Peer::Local, |peer| Peer::Socket(SocketAddr::new(peer.ip().to_canonical(), peer.port())));
    Ok((Stream::fresh(stream.into()), peer))
}

/// Registers a descriptor with the event loop.
///
/// A listening socket by itself, because tokio's listener registers what it accepts at once, which costs two system
/// calls on each connection that is over before it would have to be waited for (2 of 9, 6 % of its CPU time). Sockets for
/// datagrams, because tokio's receive one datagram with a call.
#[allow(unsafe_code, reason = "the one way to watch a descriptor without tokio's own sockets")]
pub(crate) fn register<T: OwnsDescriptor>(owner: T, interest: Interest) -> io::Result<AsyncFd<T>> {
    // SAFETY: the owners own their descriptor, give the same one on every call and close it only when they are dropped,
    // which the `AsyncFd` that owns one does after it has let go of the registration.
    let registered = unsafe { AsyncFd::register_with_interest(owner, interest) };
    registered.map_err(|error| error.into_parts().1)
}

/// Owns one descriptor, and the same all its life.
pub(crate) trait OwnsDescriptor: AsRawFd {}
impl OwnsDescriptor for Socket {}
impl OwnsDescriptor for OwnedFd {}

fn is_exhaustion(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}
