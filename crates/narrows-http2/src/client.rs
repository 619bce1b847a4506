//! An HTTP/2 connection to a server.

mod message;

use crate::pinging::{Answer, Pinging};
use crate::transport::{Failure, Transport, Wire};
use bytes::Bytes;
use h2::client::SendRequest;
use message::ClientMessage;
use narrows_runtime::{Stream, Watch};
use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Bytes of one request that wait for the server before no more are taken from the client.
const REQUEST_BYTES: usize = 64 << 10;
/// Fields of an answer, counted as HTTP/2 counts them, before the exchange applies its own limits.
const HEAD_BYTES: u32 = 256 << 10;
/// Bytes of one answer that are on their way and not taken yet.
const WINDOW: u32 = 256 << 10;

/// How a server's connection is used.
#[derive(Debug, Clone, Copy)]
pub struct ClientLimits {
    /// Requests that run at once on a connection; the server may allow fewer.
    pub streams: usize,
    /// How often a quiet server is asked whether it is there; one that does not answer until the next time is gone. `None` never asks.
    pub ping: Option<Duration>,
    /// `http` or `https`, as requests say it.
    pub scheme: &'static str,
    /// Whether gRPC-Web is translated.
    pub grpc_web: bool,
}

/// An HTTP/2 connection to a server, on which requests begin until it is [full or closed](Client::open).
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
    shared: Rc<Shared>,
}

/// What a connection's task and its messages share.
struct Shared {
    limits: ClientLimits,
    running: Cell<usize>,
    is_closed: Cell<bool>,
    /// Whether the server's settings are known: it has answered a ping, which comes behind them.
    is_settled: Cell<bool>,
    waiting: RefCell<Vec<Waker>>,
}

impl Client {
    /// Begins HTTP/2 on a stream within the deadline of `watch`. The connection moves in a task of its own.
    ///
    /// # Errors
    /// The server has gone or is too slow.
    pub async fn begin(stream: Stream, limits: ClientLimits, watch: &Watch) -> Result<Client, Failure> {
        let transport = Transport::new(stream, Vec::new(), None);
        // Room for all answers at once: those that nobody takes must not hold the others back.
        let all =
            u32::try_from(limits.streams).unwrap_or(u32::MAX).saturating_mul(WINDOW).min(i32::MAX as u32);
        let mut builder = h2::client::Builder::new();
        builder
            .enable_push(false)
            .initial_window_size(WINDOW)
            .initial_connection_window_size(all)
            // Small messages of a slow reader are no attack; the windows bound them.
            .data_frame_budget(usize::MAX)
            .max_header_list_size(HEAD_BYTES)
            .max_send_buffer_size(REQUEST_BYTES);
        let mut beginning = pin!(builder.handshake::<_, Bytes>(Wire(Rc::clone(&transport))));
        let begun = poll_fn(|context| {
            let polled = beginning.as_mut().poll(context);
            let _ = transport.borrow_mut().poll_send(context);
            match polled {
                Poll::Ready(result) => Poll::Ready(result.map_err(|error| Failure::of(&error))),
                Poll::Pending => watch.poll_expired(context).map(|()| Err(Failure::TimedOut)),
            }
        });
        let (send, mut connection) = begun.await?;
        let shared = Rc::new(Shared {
            limits,
            running: Cell::new(0),
            is_closed: Cell::new(false),
            is_settled: Cell::new(false),
            waiting: RefCell::default(),
        });
        let mut pinging = connection.ping_pong().map(|pings| Pinging::new(pings, limits.ping));
        if let Some(pinging) = &mut pinging {
            // The answer comes behind the server's settings.
            pinging.ask();
        }
        let owned = Rc::clone(&shared);
        tokio::task::spawn_local(async move {
            poll_fn(|context| {
                let polled = pin!(&mut connection).poll(context);
                let sent = transport.borrow_mut().poll_send(context);
                let is_gone = match pinging.as_mut().map(|pinging| pinging.poll(context)) {
                    Some(Answer::Gone) => true,
                    Some(Answer::Here) => {
                        owned.is_settled.set(true);
                        owned.wake();
                        false
                    }
                    Some(Answer::Nothing) | None => false,
                };
                if polled.is_ready() || is_gone || matches!(sent, Poll::Ready(Err(_))) {
                    return Poll::Ready(());
                }
                // What the ping added leaves with the next turn, which the library asks for.
                Poll::Pending
            })
            .await;
            owned.is_closed.set(true);
            owned.wake();
        });
        Ok(Client { send, shared })
    }

    /// Whether another message can begin now.
    pub fn has_room(&self) -> bool {
        !self.is_closed() && self.running() < self.capacity()
    }

    /// A stream for one request in HTTP/1.1 form; `None` when the connection takes no further one now or ever.
    pub fn open(&self) -> Option<Stream> {
        if !self.has_room() {
            return None;
        }
        let mut send = self.send.clone();
        if let Poll::Ready(Err(_)) = send.poll_ready(&mut Context::from_waker(Waker::noop())) {
            // The server has said farewell; what runs is finished.
            self.shared.is_closed.set(true);
            return None;
        }
        Some(Stream::Layered(Box::new(ClientMessage::new(send, Rc::clone(&self.shared)))))
    }

    fn capacity(&self) -> usize {
        self.shared.limits.streams.min(self.send.current_max_send_streams()).max(1)
    }

    /// Whether it takes no request any more.
    pub fn is_closed(&self) -> bool {
        self.shared.is_closed.get()
    }

    /// Requests that are running.
    pub fn running(&self) -> usize {
        self.shared.running.get()
    }
}

impl Shared {
    fn wake(&self) {
        self.waiting.borrow_mut().drain(..).for_each(Waker::wake);
    }

    /// Ready once the server's settings are known, or never will be.
    fn poll_settled(&self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_settled.get() || self.is_closed.get() {
            return Poll::Ready(());
        }
        self.waiting.borrow_mut().push(context.waker().clone());
        Poll::Pending
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Client")
            .field("running", &self.running())
            .field("is_closed", &self.is_closed())
            .finish_non_exhaustive()
    }
}
