//! Accepting connections without starving those that are there.

use crate::{Peer, PhaseWatch, Stream};
use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::{TcpListener, UnixListener};

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

/// Accepts from `socket` until the worker drains and hands each connection to `handle`.
///
/// # Errors
/// Only when the socket cannot be registered at the start; later failures are survived.
pub async fn accept(
    socket: Socket,
    mut phase: PhaseWatch,
    mut handle: impl FnMut(Accepted),
) -> io::Result<()> {
    let listener = Acceptor::new(socket)?;
    let mut burst = 0;
    let mut exhausted = false;
    loop {
        let accepted = tokio::select! {
            biased;
            () = phase.draining() => return Ok(()),
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
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    fn new(socket: Socket) -> io::Result<Self> {
        if socket.local_addr()?.is_unix() {
            Ok(Acceptor::Unix(UnixListener::from_std(socket.into())?))
        } else {
            Ok(Acceptor::Tcp(TcpListener::from_std(socket.into())?))
        }
    }

    async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Acceptor::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
                Ok((Stream::Tcp(stream), Peer::Socket(peer)))
            }
            Acceptor::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Peer::Local))
            }
        }
    }
}

fn is_exhaustion(error: &io::Error) -> bool {
    // EMFILE, ENFILE, ENOBUFS, ENOMEM
    matches!(error.raw_os_error(), Some(24 | 23 | 105 | 12))
}
