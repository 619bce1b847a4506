//! A body that arrives on an HTTP/2 stream, as HTTP/1.1 frames it.

use bytes::{Buf, Bytes};
use h2::RecvStream;
use http::HeaderMap;
use narrows_wire::grpc_web::GrpcWeb;
use narrows_wire::http1::chunk_header;
use std::io;
use std::task::{Context, Poll, ready};

/// Space for the header and the end of a chunk.
const CHUNK_FRAME: usize = 20;

/// How the body is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// As it is: its length is told in the head, or the end of the stream ends it.
    Plain,
    /// In chunks, trailers behind the last.
    Chunked,
}

/// A body on its way in.
#[derive(Debug)]
pub(crate) struct Incoming {
    stream: RecvStream,
    framing: Framing,
    /// Data that was received and not taken yet.
    data: Bytes,
    /// The end of the last chunk, and the trailers.
    tail: Vec<u8>,
    state: State,
    translation: Option<GrpcWeb>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    Tail,
    Over,
}

impl Incoming {
    pub(crate) fn new(stream: RecvStream, framing: Framing) -> Self {
        Incoming {
            stream,
            framing,
            data: Bytes::new(),
            tail: Vec::new(),
            state: State::Data,
            translation: None,
        }
    }

    /// Whether all of it was taken. Who counts a plain body need not ask for its end.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
            || (self.framing == Framing::Plain && self.data.is_empty() && self.stream.is_end_stream())
    }

    /// From here on the bytes are a tunnel's.
    pub(crate) fn become_tunnel(&mut self) {
        self.framing = Framing::Plain;
    }

    /// The receiver of the body speaks gRPC-Web.
    pub(crate) fn translate(&mut self, to: GrpcWeb) {
        self.translation = Some(to);
    }

    /// Fills `buffer` with what is there; 0 once, at the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut filled = 0;
        loop {
            let step = self.poll_step(context, &mut buffer[filled..]);
            match step {
                Poll::Ready(Ok(0)) => return Poll::Ready(Ok(filled)),
                Poll::Ready(Ok(count)) => {
                    filled += count;
                    if buffer.len() - filled <= CHUNK_FRAME {
                        return Poll::Ready(Ok(filled));
                    }
                }
                // What is there already goes first; the failure is seen again.
                Poll::Ready(Err(_)) | Poll::Pending if filled > 0 => return Poll::Ready(Ok(filled)),
                other => return other,
            }
        }
    }

    fn poll_step(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.state {
                State::Over => return Poll::Ready(Ok(0)),
                State::Tail => {
                    let count = self.tail.len().min(buffer.len());
                    buffer[..count].copy_from_slice(&self.tail[..count]);
                    self.tail.drain(..count);
                    if self.tail.is_empty() {
                        self.tail = Vec::new();
                        self.state = State::Over;
                    }
                    return Poll::Ready(Ok(count));
                }
                State::Trailers => {
                    let trailers = ready!(self.stream.poll_trailers(context)).map_err(broken)?;
                    self.end(trailers.as_ref());
                }
                State::Data if self.data.is_empty() => {
                    match ready!(self.stream.poll_data(context)).transpose().map_err(broken)? {
                        Some(data) => self.data = self.received(data),
                        None => self.state = State::Trailers,
                    }
                }
                State::Data => {
                    let count = self.put_data(buffer);
                    if count > 0 {
                        return Poll::Ready(Ok(count));
                    }
                    return Poll::Ready(Err(io::ErrorKind::InvalidInput.into()));
                }
            }
        }
    }

    /// What is taken of received data. Translated data is taken at once: its length is another.
    fn received(&mut self, data: Bytes) -> Bytes {
        match &self.translation {
            None => data,
            Some(web) => {
                let _ = self.stream.flow_control().release_capacity(data.len());
                web.encode(&data).into()
            }
        }
    }

    fn put_data(&mut self, buffer: &mut [u8]) -> usize {
        let (length, total) = match self.framing {
            Framing::Plain => {
                let length = self.data.len().min(buffer.len());
                buffer[..length].copy_from_slice(&self.data[..length]);
                (length, length)
            }
            Framing::Chunked => {
                let length = self.data.len().min(buffer.len().saturating_sub(CHUNK_FRAME));
                if length == 0 {
                    return 0;
                }
                let mut header = [0; 18];
                let size = chunk_header(length, &mut header);
                buffer[..size].copy_from_slice(&header[..size]);
                buffer[size..size + length].copy_from_slice(&self.data[..length]);
                buffer[size + length..size + length + 2].copy_from_slice(b"\r\n");
                (length, size + length + 2)
            }
        };
        self.data.advance(length);
        if self.translation.is_none() {
            // The peer may send as much again: it was taken.
            let _ = self.stream.flow_control().release_capacity(length);
        }
        total
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.state = State::Over;
        if self.framing == Framing::Plain {
            return;
        }
        if let Some(web) = &self.translation {
            let fields = trailers.into_iter().flatten();
            let frame =
                web.trailer_frame(fields.map(|(name, value)| (name.as_str().as_bytes(), value.as_bytes())));
            let mut header = [0; 18];
            let size = chunk_header(frame.len(), &mut header);
            self.tail.extend_from_slice(&header[..size]);
            self.tail.extend_from_slice(&frame);
            self.tail.extend_from_slice(b"\r\n0\r\n\r\n");
        } else {
            self.tail.extend_from_slice(b"0\r\n");
            for (name, value) in trailers.into_iter().flatten() {
                self.tail.extend_from_slice(name.as_str().as_bytes());
                self.tail.extend_from_slice(b": ");
                self.tail.extend_from_slice(value.as_bytes());
                self.tail.extend_from_slice(b"\r\n");
            }
            self.tail.extend_from_slice(b"\r\n");
        }
        self.state = State::Tail;
    }
}

/// The stream was reset, or its connection is gone.
pub(crate) fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
