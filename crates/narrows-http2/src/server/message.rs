//! A stream of a client, seen as the client's end of an HTTP/1.1 connection that carries one request.

use crate::head::{self, OWN_LIMITS};
use crate::incoming::{Framing, Incoming, broken};
use crate::outgoing::Outgoing;
use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use http::{Request, StatusCode};
use narrows_runtime::{Layer, Stream};
use narrows_wire::http1::{BodyFraming, Method, Progress, ResponseHead, parse_response};
use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Interim answers to one request that are passed on.
const INTERIM_ANSWERS: u32 = 100;

/// A request and its answer.
pub(crate) struct ServerMessage {
    /// The request's head, and how far it was read.
    head: Vec<u8>,
    read: usize,
    incoming: Incoming,
    answer: Answer,
    method: Method,
    /// An extended CONNECT.
    is_tunnel: bool,
    interim: u32,
    is_reset: bool,
    running: Rc<Cell<usize>>,
}

/// How far the answer is.
enum Answer {
    /// Its head is awaited, of which this has been written.
    Head(SendResponse<Bytes>, Vec<u8>),
    Body(Outgoing),
}

impl ServerMessage {
    /// `None` resets a stream whose request cannot be said in HTTP/1.1.
    pub(crate) fn begin(
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        running: &Rc<Cell<usize>>,
    ) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let protocol = parts.extensions.get::<h2::ext::Protocol>().map(h2::ext::Protocol::as_str);
        let is_whole = body.is_end_stream();
        let Ok(head) = head::request_to_http1(&parts, protocol, is_whole) else {
            respond.send_reset(Reason::PROTOCOL_ERROR);
            return None;
        };
        let counted = head::is_counted(&parts.headers);
        let framing =
            if counted || is_whole || protocol.is_some() { Framing::Plain } else { Framing::Chunked };
        let method = match protocol {
            Some(_) => Method::Get,
            None => Method::recognise(parts.method.as_str().as_bytes()),
        };
        running.set(running.get() + 1);
        Some(ServerMessage {
            head,
            read: 0,
            incoming: Incoming::new(body, framing),
            answer: Answer::Head(respond, Vec::new()),
            method,
            is_tunnel: protocol.is_some(),
            interim: 0,
            is_reset: false,
            running: Rc::clone(running),
        })
    }

    fn is_finished(&self) -> bool {
        matches!(&self.answer, Answer::Body(body) if body.is_over())
    }

    /// Takes a whole head of an answer from the front of `bytes`: its length, or 0 when it is not whole yet.
    fn take_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let Answer::Head(respond, _) = &mut self.answer else { return Ok(0) };
        let mut response = ResponseHead::default();
        match parse_response(bytes, self.method, &OWN_LIMITS, &mut response) {
            Ok(Progress::Partial) => return Ok(0),
            Ok(Progress::Complete) => {}
            Err(error) => return Err(io::Error::other(error)),
        }
        let mut answer = head::response_to_http2(&response, bytes);
        if response.status < 200 && !response.upgrade {
            // They wait for no window; a client that takes none shall not fill our memory with hints.
            self.interim += 1;
            if self.interim <= INTERIM_ANSWERS {
                respond.send_informational(answer).map_err(broken)?;
            }
            return Ok(response.length);
        }
        if self.is_tunnel && !response.upgrade && answer.status().is_success() {
            // Success would say that the tunnel is open, and what follows would be taken for its bytes (RFC 8441 section 4).
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
        }
        let framing = if response.upgrade { BodyFraming::UntilClose } else { response.framing };
        let ended = matches!(framing, BodyFraming::None | BodyFraming::Length(0));
        let stream = respond.send_response(answer, ended).map_err(broken)?;
        if response.upgrade {
            self.incoming.become_tunnel();
        }
        self.answer = Answer::Body(Outgoing::new(stream, framing, ended));
        Ok(response.length)
    }
}

impl Layer for ServerMessage {
    fn poll_read(&mut self, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.read < self.head.len() {
            let count = buffer.len().min(self.head.len() - self.read);
            buffer[..count].copy_from_slice(&self.head[self.read..self.read + count]);
            self.read += count;
            if self.read == self.head.len() {
                self.head = Vec::new();
                self.read = 0;
            }
            return Poll::Ready(Ok(count));
        }
        // The end of a tunnel's bytes is told as often as it is asked for.
        let is_open_tunnel = self.is_tunnel && matches!(self.answer, Answer::Body(_));
        if is_open_tunnel || !self.incoming.is_over() {
            match self.incoming.poll_read(context, buffer) {
                Poll::Ready(Ok(0)) if matches!(self.answer, Answer::Head(..)) => {}
                other => return other,
            }
        }
        // The request is over. There will be no other on this stream, and a client that leaves resets it.
        if self.is_finished() {
            return Poll::Ready(Ok(0));
        }
        self.poll_abandoned(context).map(|()| Err(io::ErrorKind::ConnectionReset.into()))
    }

    fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.answer {
            Answer::Body(body) => body.poll_write(context, bytes),
            Answer::Head(_, written) => {
                let mut begun = std::mem::take(written);
                let before = begun.len();
                let length = if before == 0 {
                    self.take_head(bytes)?
                } else {
                    begun.extend_from_slice(bytes);
                    self.take_head(&begun)?.saturating_sub(before)
                };
                if length > 0 {
                    return Poll::Ready(Ok(length));
                }
                if before == 0 {
                    begun.extend_from_slice(bytes);
                }
                if let Answer::Head(_, written) = &mut self.answer {
                    *written = begun;
                }
                Poll::Ready(Ok(bytes.len()))
            }
        }
    }

    /// The end of a tunnel's bytes; an answer has its own end.
    fn shutdown_write(&mut self) -> io::Result<()> {
        match &mut self.answer {
            Answer::Body(body) if !body.is_over() => body.end(),
            _ => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn is_stale_now(&mut self) -> bool {
        true
    }

    fn reset_on_close(&mut self) {
        self.is_reset = true;
    }

    fn socket(&self) -> Option<&Stream> {
        None
    }

    fn is_message(&self) -> bool {
        true
    }

    fn poll_abandoned(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match &mut self.answer {
            Answer::Head(respond, _) => respond.poll_reset(context).map(|_| ()),
            Answer::Body(body) => body.poll_reset(context),
        }
    }
}

impl Drop for ServerMessage {
    /// An answer that broke off must not look whole, and a request whose rest nobody wants is ended in peace
    /// (RFC 9113 section 8.1).
    fn drop(&mut self) {
        self.running.set(self.running.get() - 1);
        match &mut self.answer {
            // The library resets a request that is not over with NO_ERROR once the answer has left; a reset of ours would
            // overtake what is queued.
            Answer::Body(body) if body.is_over() && !self.is_reset => {}
            Answer::Head(respond, _) => respond.send_reset(Reason::INTERNAL_ERROR),
            Answer::Body(body) => body.reset(Reason::INTERNAL_ERROR),
        }
    }
}

impl std::fmt::Debug for ServerMessage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("ServerMessage").field("method", &self.method).finish_non_exhaustive()
    }
}
