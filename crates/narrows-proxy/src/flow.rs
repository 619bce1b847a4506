//! One direction of bytes from a stream to another, with the framing of a body or without any.

use crate::Fault;
use narrows_runtime::{Buffer, Buffers, Stream};
use narrows_wire::http1::{BodyError, BodyFraming, BodyReader, chunk_header};
use std::io;
use std::ops::Range;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

/// Space before received bytes for a chunk's header, when the body is framed anew.
const FRONT: usize = 18;
/// Space behind received bytes for a chunk's end and the last chunk.
pub(crate) const BACK: usize = 8;
/// Size from which on the buffer of a message of HTTP/2 does not grow.
const MESSAGE_BYTES: usize = 64 << 10;
const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// One direction. It reads only when everything before is written, so a slow reader stops the writer, and it holds a
/// buffer only while bytes wait for the writer.
#[derive(Debug)]
pub(crate) struct Flow {
    reader: BodyReader,
    recode: Recode,
    held: Option<Held>,
    read_size: usize,
    limit: Option<u64>,
    /// Whether bytes moved since somebody last looked.
    pub(crate) progressed: bool,
    /// Payload bytes that were received.
    pub(crate) payload: u64,
    /// Bytes that came behind the end of the body.
    pub(crate) excess: Vec<u8>,
    ended: bool,
    kept: Kept,
    /// Bytes that go before what is held, and how many of them have left.
    first: Vec<u8>,
    first_written: usize,
    /// Whether the receiver failed, so that its connection is of no further use.
    receiver_failed: bool,
    /// Whether the sender may end its connection without a farewell.
    ends_bluntly: bool,
}

/// What a flow took from its sender, who cannot send it again.
#[derive(Debug, Default)]
struct Kept {
    bytes: Vec<u8>,
    /// How many are kept; what is more is lost.
    limit: usize,
    /// Whether something was taken that is not here.
    is_lost: bool,
}

/// How the body's framing changes on the way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Recode {
    /// The bytes go as they came.
    Nothing,
    /// A body that the end of the connection ends is sent in chunks.
    ToChunked,
    /// Chunks are taken apart, for a receiver that does not know them.
    FromChunked,
}

#[derive(Debug)]
struct Held {
    buffer: Buffer,
    range: Range<usize>,
}

/// Why a flow stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlowFault {
    /// The sender's connection failed.
    Read,
    /// The sender's connection ended before the body.
    Incomplete,
    /// The body breaks its framing.
    Framing(BodyError),
    /// The body is larger than allowed.
    TooLarge,
    /// The receiver's connection failed.
    Write,
}

impl FlowFault {
    /// What it means for a request's body.
    pub(crate) fn of_request(self) -> Fault {
        match self {
            FlowFault::Read | FlowFault::Incomplete => Fault::ClientGone,
            FlowFault::Framing(error) => Fault::RequestBody(error),
            FlowFault::TooLarge => Fault::RequestBodyTooLarge,
            FlowFault::Write => Fault::ResponseMissing,
        }
    }

    /// What it means for a response's body.
    pub(crate) fn of_response(self) -> Fault {
        match self {
            FlowFault::Read | FlowFault::Incomplete | FlowFault::TooLarge => Fault::ResponseIncomplete,
            FlowFault::Framing(error) => Fault::ResponseBody(error),
            FlowFault::Write => Fault::ClientGone,
        }
    }
}

impl Flow {
    pub(crate) fn new(framing: BodyFraming, recode: Recode, limit: Option<u64>) -> Self {
        let reader = BodyReader::new(framing);
        Flow {
            ended: reader.is_done(),
            reader,
            recode,
            held: None,
            read_size: 0,
            limit,
            progressed: false,
            payload: 0,
            excess: Vec::new(),
            kept: Kept::default(),
            first: Vec::new(),
            first_written: 0,
            receiver_failed: false,
            ends_bluntly: false,
        }
    }

    /// A flow of bytes without framing. Where it comes out of TLS, its sender may close without a farewell (close_notify), as many do:
    /// what the bytes mean, and whether they are whole, is for its receiver to say.
    pub(crate) fn raw() -> Self {
        Flow { ends_bluntly: true, ..Flow::new(BodyFraming::UntilClose, Recode::Nothing, None) }
    }

    /// Whether everything was received and written.
    pub(crate) fn is_over(&self) -> bool {
        self.ended && self.held.is_none() && self.first.is_empty() && !self.receiver_failed
    }

    /// Bytes that were counted before and go first.
    pub(crate) fn send_first(&mut self, bytes: Vec<u8>) {
        self.first = bytes;
        self.first_written = 0;
    }

    /// The receiver failed before the flow began: it is never over.
    pub(crate) fn give_up(&mut self) {
        self.receiver_failed = true;
    }

    /// Whether the last byte of the body was received.
    pub(crate) fn is_received(&self) -> bool {
        self.ended
    }

    /// Whether the flow waits for its receiver rather than for its sender.
    pub(crate) fn waits_for_receiver(&self) -> bool {
        self.held.is_some() || !self.first.is_empty()
    }

    /// Keeps what is taken from the sender from now on, up to `limit` bytes, in `memory`.
    pub(crate) fn keep(&mut self, memory: Vec<u8>, limit: usize) {
        self.kept.bytes = memory;
        self.kept.bytes.clear();
        self.kept.limit = limit;
    }

    /// What was taken from the sender and kept.
    pub(crate) fn kept(&self) -> &[u8] {
        &self.kept.bytes
    }

    /// Keeps nothing more; the memory of what was kept.
    pub(crate) fn keep_no_more(&mut self) -> Vec<u8> {
        self.kept.limit = 0;
        std::mem::take(&mut self.kept.bytes)
    }

    /// Whether bytes were taken from the sender that nobody can send again.
    pub(crate) fn is_lost(&self) -> bool {
        self.kept.is_lost
    }

    /// Forgets what is on its way to a receiver that is given up; what is kept goes to the next one, by other means.
    pub(crate) fn rewind(&mut self) {
        self.held = None;
        self.first = Vec::new();
        self.first_written = 0;
    }

    /// Counts bytes that were received before the flow began and that the caller forwards itself; how many of them belong to the body.
    pub(crate) fn admit(&mut self, bytes: &[u8]) -> Result<usize, FlowFault> {
        let (wire, payload) = self.reader.scan(bytes).map_err(FlowFault::Framing)?;
        self.count(payload)?;
        self.ended = self.reader.is_done();
        Ok(wire)
    }

    /// Takes bytes that were received before the flow began, to be written first. There must be [`FRONT`] bytes
    /// before the range and [`BACK`] behind it where the body is framed anew.
    pub(crate) fn hold(&mut self, mut buffer: Buffer, range: Range<usize>) -> Result<(), FlowFault> {
        if self.ended {
            self.excess.extend_from_slice(&buffer[range]);
            return Ok(());
        }
        if range.is_empty() {
            return Ok(());
        }
        let range = match self.recode {
            Recode::Nothing => {
                let (wire, payload) = self.reader.scan(&buffer[range.clone()]).map_err(FlowFault::Framing)?;
                self.count(payload)?;
                if wire < range.len() {
                    self.excess.extend_from_slice(&buffer[range.start + wire..range.end]);
                }
                let range = range.start..range.start + wire;
                self.kept.add(&buffer[range.clone()]);
                range
            }
            Recode::ToChunked => {
                self.count(range.len())?;
                add_chunk_frame(&mut buffer, range)
            }
            Recode::FromChunked => self.take_payload(&mut buffer, range)?,
        };
        self.ended = self.reader.is_done();
        if !range.is_empty() {
            self.held = Some(Held { buffer, range });
        }
        Ok(())
    }

    /// What is held, if it is no longer than `limit`: the caller sends it together with something else.
    pub(crate) fn take_held(&mut self, limit: usize, out: &mut Vec<u8>) {
        if let Some(held) = self.held.take_if(|held| held.range.len() <= limit) {
            out.extend_from_slice(&held.buffer[held.range]);
        }
    }

    /// Moves bytes until one side has to be waited for or the body is over.
    pub(crate) fn poll(
        &mut self,
        context: &mut Context<'_>,
        buffers: &Rc<Buffers>,
        from: &mut Stream,
        to: &mut Stream,
    ) -> Poll<Result<(), FlowFault>> {
        loop {
            ready!(self.poll_write_held(context, to))?;
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            let mut buffer = buffers.take(self.read_size);
            let space = FRONT..buffer.len() - BACK;
            match ready!(from.poll_read(context, &mut buffer[space.clone()])) {
                Ok(0) => self.end_of_stream()?,
                Ok(count) => {
                    self.progressed = true;
                    // Many messages share a connection, each with a buffer of its own: they stay small.
                    if count == space.len() && !(to.is_message() && buffer.len() >= MESSAGE_BYTES) {
                        self.read_size = buffer.next_size();
                    }
                    self.hold(buffer, FRONT..FRONT + count)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.ends_bluntly => {
                    self.end_of_stream()?;
                }
                Err(_) => return Poll::Ready(Err(FlowFault::Read)),
            }
            if self.ended && self.recode == Recode::ToChunked {
                let mut buffer = buffers.take(0);
                buffer[..LAST_CHUNK.len()].copy_from_slice(LAST_CHUNK);
                self.held = Some(Held { buffer, range: 0..LAST_CHUNK.len() });
            }
        }
    }

    fn poll_write_held(&mut self, context: &mut Context<'_>, to: &mut Stream) -> Poll<Result<(), FlowFault>> {
        while self.first_written < self.first.len() {
            match ready!(to.poll_write(context, &self.first[self.first_written..])) {
                Ok(count) if count > 0 => {
                    self.first_written += count;
                    self.progressed = true;
                }
                _ => return Poll::Ready(Err(FlowFault::Write)),
            }
        }
        self.first = Vec::new();
        self.first_written = 0;
        if let Some(held) = &mut self.held {
            while !held.range.is_empty() {
                match ready!(to.poll_write(context, &held.buffer[held.range.clone()])) {
                    Ok(count) if count > 0 => {
                        held.range.start += count;
                        self.progressed = true;
                    }
                    _ => return Poll::Ready(Err(FlowFault::Write)),
                }
            }
            self.held = None;
        }
        Poll::Ready(Ok(()))
    }

    fn end_of_stream(&mut self) -> Result<(), FlowFault> {
        self.reader.finish_at_close().map_err(|_| FlowFault::Incomplete)?;
        self.ended = true;
        Ok(())
    }

    fn count(&mut self, payload: usize) -> Result<(), FlowFault> {
        self.payload += payload as u64;
        match self.limit {
            Some(limit) if self.payload > limit => Err(FlowFault::TooLarge),
            _ => Ok(()),
        }
    }

    /// Moves the payload of the chunks in `range` together.
    fn take_payload(&mut self, buffer: &mut Buffer, range: Range<usize>) -> Result<Range<usize>, FlowFault> {
        let (mut read, mut write) = (range.start, range.start);
        while read < range.end && !self.reader.is_done() {
            let step = self.reader.advance(&buffer[read..range.end]).map_err(FlowFault::Framing)?;
            buffer.copy_within(read + step.data.start..read + step.data.end, write);
            write += step.data.len();
            read += step.consumed;
        }
        self.excess.extend_from_slice(&buffer[read..range.end]);
        self.count(write - range.start)?;
        Ok(range.start..write)
    }
}

impl Kept {
    fn add(&mut self, bytes: &[u8]) {
        if self.is_lost {
            return;
        }
        if bytes.len() > self.limit - self.bytes.len() {
            // Of no use without its rest.
            self.is_lost = true;
            self.bytes = Vec::new();
        } else {
            self.bytes.extend_from_slice(bytes);
        }
    }
}

fn add_chunk_frame(buffer: &mut Buffer, range: Range<usize>) -> Range<usize> {
    let mut header = [0; 18];
    let length = chunk_header(range.len(), &mut header);
    let start = range.start - length;
    buffer[start..range.start].copy_from_slice(&header[..length]);
    buffer[range.end..range.end + 2].copy_from_slice(b"\r\n");
    start..range.end + 2
}
