//! A TLS session over a stream.

use narrows_runtime::{Layer, Stream};
use rustls::Connection;
use std::io::{self, IoSlice, Read, Write};
use std::task::{Context, Poll, Waker, ready};

/// Most plain bytes that are sealed at once, before they leave.
const SEAL_BYTES: usize = 64 << 10;

/// A TLS session over a stream. Dropping it says farewell (close_notify) unless it is to be reset.
#[derive(Debug)]
pub(crate) struct TlsStream {
    socket: Option<Stream>,
    pub(crate) session: Connection,
    /// Plain bytes of the last write that are sealed but have not left; the caller repeats that write.
    sealed: usize,
    /// The first bytes that were received, at most four.
    pub(crate) first: First,
    /// Whether some of what was sealed for a write has left, and not yet all.
    is_half_written: bool,
    is_reset: bool,
    has_failed: bool,
    said_farewell: bool,
}

impl TlsStream {
    pub(crate) fn new(socket: Stream, mut session: Connection) -> Self {
        session.set_buffer_limit(Some(SEAL_BYTES));
        TlsStream {
            socket: Some(socket),
            session,
            sealed: 0,
            first: First::default(),
            is_half_written: false,
            is_reset: false,
            has_failed: false,
            said_farewell: false,
        }
    }

    /// The stream underneath, without a farewell.
    pub(crate) fn into_socket(mut self) -> Stream {
        self.said_farewell = true;
        // It is there until the session is dropped or taken apart here.
        self.socket.take().unwrap_or_else(Stream::gone)
    }

    /// Receives sealed bytes into the session: how many, 0 at the end.
    pub(crate) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Ok(0)) };
        let mut transport = Transport { socket, context, first: &mut self.first };
        pending(self.session.read_tls(&mut transport))
    }

    /// Sends all sealed bytes.
    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(socket) = &mut self.socket else { return Poll::Ready(Ok(())) };
        let mut transport = Transport { socket, context, first: &mut self.first };
        while self.session.wants_write() {
            if ready!(pending(self.session.write_tls(&mut transport)))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.is_half_written = self.sealed > 0;
        }
        Poll::Ready(Ok(()))
    }

    fn say_farewell(&mut self) {
        if !std::mem::replace(&mut self.said_farewell, true) && !self.has_failed {
            self.session.send_close_notify();
            // Once: an end that takes no more bytes needs no farewell.
            let _ = self.poll_flush(&mut Context::from_waker(Waker::noop()));
        }
    }
}

impl Layer for TlsStream {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        loop {
            match self.session.reader().read(&mut buffer[filled..]) {
                Ok(0) => return Poll::Ready(Ok(filled)),
                Ok(count) => {
                    filled += count;
                    if filled == buffer.len() {
                        return Poll::Ready(Ok(filled));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock && !self.has_failed => {}
                // Whoever got our farewell may close without one of its own.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.said_farewell => {
                    return Poll::Ready(Ok(filled));
                }
                // The end of the connection without a farewell could be somebody else's cut.
                Err(_) if filled > 0 => return Poll::Ready(Ok(filled)),
                Err(_) if self.has_failed => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
                Err(error) => return Poll::Ready(Err(error)),
            }
            match self.poll_receive(context) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) if filled > 0 => return Poll::Ready(Ok(filled)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending if filled > 0 => return Poll::Ready(Ok(filled)),
                Poll::Pending => return Poll::Pending,
            }
            if let Err(error) = self.session.process_new_packets() {
                let _ = self.poll_flush(context);
                self.has_failed = true;
                return match filled {
                    0 => Poll::Ready(Err(io::Error::new(io::ErrorKind::InvalidData, error))),
                    _ => Poll::Ready(Ok(filled)),
                };
            }
            // What the session itself wants to say (an answer to a key update) leaves when it can.
            if self.sealed == 0 && self.session.wants_write() && !self.session.is_handshaking() {
                let _ = self.poll_flush(context);
            }
        }
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if self.sealed == 0 {
            self.sealed = self.session.writer().write(&bytes[..bytes.len().min(SEAL_BYTES)])?;
            if self.sealed == 0 {
                // Something of the session itself fills its buffer: it leaves first.
                ready!(self.poll_flush(context))?;
                self.sealed = self.session.writer().write(&bytes[..bytes.len().min(SEAL_BYTES)])?;
            }
        }
        ready!(self.poll_flush(context))?;
        self.is_half_written = false;
        Poll::Ready(Ok(std::mem::take(&mut self.sealed)))
    }

    fn is_half_written(&self) -> bool {
        self.is_half_written
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.say_farewell();
        self.socket.as_mut().map_or(Ok(()), Stream::shutdown_write)
    }

    fn is_stale_now(&mut self) -> bool {
        // Session tickets that came before are read here; what the kernel still has is a reason to let the connection go.
        let mut byte = [0];
        self.poll_read(&mut Context::from_waker(Waker::noop()), &mut byte).is_ready()
            || self.socket.as_mut().is_none_or(Stream::is_stale_now)
    }

    fn reset_on_close(&mut self) {
        self.is_reset = true;
        if let Some(socket) = &mut self.socket {
            socket.reset_on_close();
        }
    }

    fn socket(&self) -> Option<&Stream> {
        self.socket.as_ref().and_then(Stream::socket)
    }
}

impl Drop for TlsStream {
    fn drop(&mut self) {
        if self.socket.is_some() && !self.is_reset {
            self.say_farewell();
        }
    }
}

/// The first bytes that were received, at most four.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct First {
    bytes: [u8; 4],
    length: usize,
}

impl First {
    /// Those that are there.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn add(&mut self, bytes: &[u8]) {
        for (place, byte) in self.bytes[self.length..].iter_mut().zip(bytes) {
            *place = *byte;
            self.length += 1;
        }
    }
}

/// The stream underneath as the session wants to see it.
struct Transport<'a, 'c, 'w> {
    socket: &'a mut Stream,
    context: &'c mut Context<'w>,
    first: &'a mut First,
}

impl Read for Transport<'_, '_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.socket.poll_read(self.context, buffer) {
            Poll::Ready(Ok(count)) => {
                self.first.add(&buffer[..count]);
                Ok(count)
            }
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }
}

impl Write for Transport<'_, '_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.socket.poll_write(self.context, bytes) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match self.socket.poll_write_pieces(self.context, pieces) {
            Poll::Ready(result) => result,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn pending<T>(result: io::Result<T>) -> Poll<io::Result<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Poll::Pending,
        result => Poll::Ready(result),
    }
}
