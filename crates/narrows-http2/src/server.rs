//! A client's HTTP/2 connection.

mod message;

use crate::pinging::{Answer, Pinging};
use crate::transport::{Failure, Transport, Wire};
use bytes::Bytes;
use h2::Reason;
use message::ServerMessage;
use narrows_plan::Http2Limits;
use narrows_runtime::{Stream, Watch};
use narrows_wire::http2::FrameMeter;
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};

/// Bytes of one answer that wait for the client before no more are taken from the upstream.
const ANSWER_BYTES: usize = 64 << 10;

/// What the frames of less than 256 bytes may lack to that in all, while nobody has taken them: 32,000 messages of a call.
const SMALL_FRAMES: usize = 8 << 20;

/// What a client may take up.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Streams and windows.
    pub http2: Http2Limits,
    /// Bytes of a request's fields, counted as HTTP/2 counts them.
    pub head_bytes: usize,
}

/// A client's HTTP/2 connection. It moves only while it is polled.
pub struct Server {
    connection: h2::server::Connection<Wire, Bytes>,
    transport: Rc<RefCell<Transport>>,
    running: Rc<Cell<usize>>,
    failure: Option<Failure>,
    pinging: Option<Pinging>,
    is_draining: bool,
}

impl Server {
    /// Begins HTTP/2 on a stream of which `received` was read already, within the deadline of `watch`.
    ///
    /// # Errors
    /// The client does not speak HTTP/2 after all, is too slow, or has gone.
    pub async fn begin(
        stream: Stream,
        received: Vec<u8>,
        limits: ServerLimits,
        watch: &Watch,
    ) -> Result<Server, Failure> {
        let transport = Transport::new(stream, received, Some(FrameMeter::after_preface()));
        let mut builder = h2::server::Builder::new();
        builder
            .max_concurrent_streams(limits.http2.streams)
            .initial_window_size(limits.http2.window)
            .initial_connection_window_size(limits.http2.connection_window)
            .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX))
            .max_send_buffer_size(ANSWER_BYTES)
            .data_frame_budget(SMALL_FRAMES)
            .enable_connect_protocol();
        let mut beginning = pin!(builder.handshake::<_, Bytes>(Wire(Rc::clone(&transport))));
        let connection = poll_fn(|context| {
            let polled = beginning.as_mut().poll(context);
            let _ = transport.borrow_mut().poll_send(context);
            match polled {
                Poll::Ready(result) => Poll::Ready(result.map_err(|error| Failure::of(&error))),
                Poll::Pending => watch.poll_expired(context).map(|()| Err(Failure::TimedOut)),
            }
        });
        let mut connection = connection.await?;
        let every = limits.http2.ping;
        let pings = every.and_then(|_| connection.ping_pong());
        Ok(Server {
            connection,
            transport,
            running: Rc::default(),
            failure: None,
            pinging: pings.map(|pings| Pinging::new(pings, every)),
            is_draining: false,
        })
    }

    /// The next request, as a stream that speaks HTTP/1.1; `None` once the connection is over. Moves everything else on the connection.
    pub fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Stream>> {
        loop {
            match self.connection.poll_accept(context) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    if let Some(message) = ServerMessage::begin(request, respond, &self.running) {
                        return Poll::Ready(Some(Stream::Layered(Box::new(message))));
                    }
                }
                Poll::Ready(end) => {
                    if let Some(Err(error)) = end {
                        self.failure.get_or_insert(Failure::of(&error));
                    }
                    let _ = self.transport.borrow_mut().poll_send(context);
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let is_gone = self.pinging.as_mut().is_some_and(|one| one.poll(context) == Answer::Gone);
                    if is_gone || self.poll_send(context).is_err() {
                        self.failure.get_or_insert(Failure::Gone);
                        return Poll::Ready(None);
                    }
                    let flood = self.transport.borrow().flood;
                    match flood {
                        Some(flood) if self.failure.is_none() => {
                            self.failure = Some(Failure::Flood(flood));
                            self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                        }
                        // The farewell has left, or never will.
                        Some(_) => return Poll::Ready(None),
                        None => return Poll::Pending,
                    }
                }
            }
        }
    }

    fn poll_send(&mut self, context: &mut Context<'_>) -> Result<(), ()> {
        match self.transport.borrow_mut().poll_send(context) {
            Poll::Ready(Err(_)) => Err(()),
            _ => Ok(()),
        }
    }

    /// Once the connection is over: waits until the client has closed its side too. Without that, what it still sends would make the kernel
    /// answer with a reset, and the client would lose what it has not read yet (RFC 9112 section 9.6 says it of HTTP/1.1).
    pub fn poll_client_closed(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.transport.borrow_mut().poll_discard(context)
    }

    /// Requests that are being answered.
    pub fn running(&self) -> usize {
        self.running.get()
    }

    /// Whether answers are still on their way to the client.
    pub fn is_sending(&self) -> bool {
        self.connection.has_streams() || self.transport.borrow().is_sending()
    }

    /// Bytes that went to the client so far.
    pub fn sent(&self) -> u64 {
        self.transport.borrow().total
    }

    /// Tells the client that no further request is taken (GOAWAY); those that run are finished.
    pub fn drain(&mut self) {
        if !std::mem::replace(&mut self.is_draining, true) {
            self.connection.graceful_shutdown();
        }
    }

    /// Whether [`drain`](Server::drain) was called.
    pub fn is_draining(&self) -> bool {
        self.is_draining
    }

    /// Why the connection ended, when neither side wanted it to.
    pub fn failure(&self) -> Option<Failure> {
        self.failure
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Server").field("running", &self.running).finish_non_exhaustive()
    }
}
