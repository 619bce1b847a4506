//! The connection under the frames.

use narrows_runtime::Stream;
use narrows_wire::http2::{Flood, FrameMeter};
use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Instant;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that wait for the connection before no more are taken.
const WAITING_BYTES: usize = 256 << 10;
/// Room that is kept when nothing waits.
const KEPT_BYTES: usize = 32 << 10;

/// Why an HTTP/2 connection ended before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// The other end went away.
    Gone,
    /// It breaks the protocol.
    Protocol,
    /// It makes too much trouble.
    Flood(Flood),
    /// It did not begin in time.
    TimedOut,
}

impl Failure {
    pub(crate) fn of(error: &h2::Error) -> Self {
        match error.reason() {
            _ if error.is_io() || error.is_remote() => Failure::Gone,
            // What the library itself counts: resets, continuations, empty frames.
            Some(h2::Reason::ENHANCE_YOUR_CALM) => Failure::Flood(Flood { kind: "HTTP/2" }),
            _ => Failure::Protocol,
        }
    }
}

/// A connection. Frames gather here while tasks make them, and leave together when the connection's task has nothing more to
/// do: many answers, one system call, one TLS record.
#[derive(Debug)]
pub(crate) struct Transport {
    stream: Stream,
    /// Bytes that were received before anybody knew that this is HTTP/2.
    received: Vec<u8>,
    out: Vec<u8>,
    sent: usize,
    /// All bytes that have left.
    pub(crate) total: u64,
    meter: Option<FrameMeter>,
    began: Instant,
    pub(crate) flood: Option<Flood>,
}

impl Transport {
    pub(crate) fn new(stream: Stream, received: Vec<u8>, meter: Option<FrameMeter>) -> Rc<RefCell<Self>> {
        Rc::new(RefCell::new(Transport {
            stream,
            received,
            out: Vec::new(),
            sent: 0,
            total: 0,
            meter,
            began: Instant::now(),
            flood: None,
        }))
    }

    /// Sends what has gathered.
    pub(crate) fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            match ready!(self.stream.poll_write(context, &self.out[self.sent..])) {
                Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Ok(count) => {
                    if let Some(meter) = &mut self.meter {
                        meter.note_sent(&self.out[self.sent..self.sent + count]);
                    }
                    self.sent += count;
                    self.total += count as u64;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.out.clear();
        self.sent = 0;
        if self.out.capacity() > KEPT_BYTES {
            self.out = Vec::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Whether bytes wait.
    pub(crate) fn is_sending(&self) -> bool {
        self.sent < self.out.len()
    }

    /// Reads and forgets what still comes; ready at its end.
    pub(crate) fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let mut forgotten = [0; 4096];
        loop {
            match ready!(self.stream.poll_read(context, &mut forgotten)) {
                Ok(count) if count > 0 => {}
                _ => return Poll::Ready(()),
            }
        }
    }

    fn poll_receive(&mut self, context: &mut Context<'_>, space: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.flood.is_some() {
            return Poll::Pending;
        }
        let before = space.filled().len();
        if !self.received.is_empty() {
            let count = self.received.len().min(space.remaining());
            space.put_slice(&self.received[..count]);
            self.received.drain(..count);
        } else {
            let count = ready!(self.stream.poll_read(context, space.initialize_unfilled()))?;
            space.advance(count);
        }
        if let Some(meter) = &mut self.meter {
            let began = self.began;
            // The connection's task looks here and says farewell.
            self.flood = meter.scan(&space.filled()[before..], || began.elapsed().as_secs()).err();
        }
        Poll::Ready(Ok(()))
    }

    fn take(&mut self, context: &mut Context<'_>, pieces: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        if self.sent > 0 && self.out.len() - self.sent <= self.sent {
            // What has left makes room at the cost of moving less than that.
            self.out.drain(..self.sent);
            self.sent = 0;
        }
        if self.out.len() - self.sent >= WAITING_BYTES {
            ready!(self.poll_send(context))?;
        }
        let mut count = 0;
        for piece in pieces {
            self.out.extend_from_slice(piece);
            count += piece.len();
        }
        Poll::Ready(Ok(count))
    }
}

/// The transport as the library wants to see it.
#[derive(Debug)]
pub(crate) struct Wire(pub(crate) Rc<RefCell<Transport>>);

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        space: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.borrow_mut().poll_receive(context, space)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().take(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.borrow_mut().take(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing: the connection's task sends when it is done.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut transport = self.0.borrow_mut();
        ready!(transport.poll_send(context))?;
        Poll::Ready(transport.stream.shutdown_write())
    }
}
