//! A body that leaves on an HTTP/2 stream, taken out of its HTTP/1.1 framing.

use crate::head;
use crate::incoming::broken;
use bytes::Bytes;
use h2::{Reason, SendStream};
use narrows_wire::grpc_web::Decoder;
use narrows_wire::http1::{BodyFraming, BodyReader};
use std::io;
use std::task::{Context, Poll};

/// Most bytes that become one piece of data.
const PIECE_BYTES: usize = 64 << 10;

/// A body on its way out.
#[derive(Debug)]
pub(crate) struct Outgoing {
    stream: SendStream<Bytes>,
    reader: BodyReader,
    /// Payload at the front of the next bytes that the reader has gone over already and the peer had no room for.
    owed: usize,
    trailers: Vec<u8>,
    ended: bool,
    decoder: Option<Decoder>,
}

impl Outgoing {
    /// `ended`: the head had nothing behind it.
    pub(crate) fn new(stream: SendStream<Bytes>, framing: BodyFraming, ended: bool) -> Self {
        Outgoing {
            stream,
            reader: BodyReader::new(framing),
            owed: 0,
            trailers: Vec::new(),
            ended,
            decoder: None,
        }
    }

    /// The sender of the body speaks gRPC-Web in base64.
    pub(crate) fn translate(&mut self, decoder: Option<Decoder>) {
        self.decoder = decoder;
    }

    /// Whether the end was sent.
    pub(crate) fn is_over(&self) -> bool {
        self.ended
    }

    /// Takes some of `bytes`, which begin with what an earlier call did not take.
    pub(crate) fn poll_write(&mut self, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut used = 0;
        loop {
            if self.owed > 0 && used < bytes.len() {
                let wanted = self.owed.min(bytes.len() - used).min(PIECE_BYTES);
                let room = match self.poll_room(context, wanted) {
                    Poll::Ready(Ok(room)) => room,
                    _ if used > 0 => return Poll::Ready(Ok(used)),
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                };
                let count = wanted.min(room);
                let last = count == self.owed && self.reader.is_done();
                let data = match &mut self.decoder {
                    None => Bytes::copy_from_slice(&bytes[used..used + count]),
                    Some(decoder) => {
                        let mut decoded = Vec::with_capacity(count / 4 * 3 + 3);
                        let result = decoder.decode(&bytes[used..used + count], &mut decoded);
                        if result.is_err() || (last && !decoder.is_whole()) {
                            return Poll::Ready(Err(self.give_up()));
                        }
                        decoded.into()
                    }
                };
                if !data.is_empty() || last {
                    self.stream.send_data(data, last).map_err(broken)?;
                }
                self.ended |= last;
                self.owed -= count;
                used += count;
            } else if used == bytes.len() || self.reader.is_done() {
                break;
            } else {
                let step = self.reader.advance(&bytes[used..]).map_err(io::Error::other)?;
                self.trailers.extend_from_slice(&bytes[used..][step.trailers]);
                used += step.data.start;
                self.owed = step.data.len();
            }
        }
        if self.reader.is_done() && self.owed == 0 {
            self.end()?;
        }
        Poll::Ready(Ok(used))
    }

    /// Room for at least one byte.
    fn poll_room(&mut self, context: &mut Context<'_>, wanted: usize) -> Poll<io::Result<usize>> {
        loop {
            let room = self.stream.capacity();
            if room > 0 {
                return Poll::Ready(Ok(room));
            }
            self.stream.reserve_capacity(wanted);
            match self.stream.poll_capacity(context) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(broken(error))),
                Poll::Ready(None) => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends the end, with the trailers where there are any.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        if std::mem::replace(&mut self.ended, true) {
            return Ok(());
        }
        if self.decoder.as_ref().is_some_and(|decoder| !decoder.is_whole()) {
            return Err(self.give_up());
        }
        let trailers = std::mem::take(&mut self.trailers);
        match head::trailers(&trailers) {
            Some(fields) => self.stream.send_trailers(fields).map_err(broken),
            None => self.stream.send_data(Bytes::new(), true).map_err(broken),
        }
    }

    /// The body is not what it says it is. The peer must not take it for whole, and whoever waits for an answer learns that there
    /// will be none.
    fn give_up(&mut self) -> io::Error {
        self.reset(Reason::CANCEL);
        io::ErrorKind::InvalidData.into()
    }

    /// Ends the stream before its time.
    pub(crate) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Ready once the peer has given the stream up.
    pub(crate) fn poll_reset(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(context).map(|_| ())
    }
}
