//! The client's end of an HTTP connection, as its exchanges see it.

use crate::Fault;
use crate::gate::Arrival;
use narrows_plan::HttpListener;
use narrows_runtime::{Buffer, Stream, Tick, Watch};
use narrows_wire::http1::HeadLimits;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// The client's end of a connection.
pub(crate) struct Downstream {
    pub(crate) stream: Stream,
    /// Bytes that were received and not used yet.
    pub(crate) leftover: Vec<u8>,
    /// Bytes on their way out, of interim answers that the client has not taken yet: they go before anything else.
    pub(crate) waiting: Vec<u8>,
    pub(crate) watch: Watch,
    pub(crate) arrival: Arrival,
}

/// What becomes of a connection after an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// The next request.
    KeepAlive,
    /// The end.
    Close,
    /// The end, but the client may still be sending.
    Linger,
}

/// The first bytes of a request.
pub(crate) struct Received {
    pub(crate) buffer: Buffer,
    pub(crate) length: usize,
}

impl Received {
    /// The bytes; at least one.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

impl Downstream {
    pub(crate) fn new(stream: Stream, watch: Watch, arrival: Arrival) -> Self {
        Downstream { stream, leftover: Vec::new(), waiting: Vec::new(), watch, arrival }
    }

    /// Whether this is a message of an HTTP/2 connection.
    pub(crate) fn is_http2(&self) -> bool {
        self.stream.is_message()
    }

    /// Puts what waits in front of `out`, with which it is sent.
    pub(crate) fn take_waiting(&mut self, out: &mut Vec<u8>) {
        if !self.waiting.is_empty() {
            out.splice(0..0, std::mem::take(&mut self.waiting));
        }
    }

    /// Writes all of `bytes` within the deadline that is set.
    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        let mut rest = bytes;
        poll_fn(|context| {
            while !rest.is_empty() {
                match self.stream.poll_write(context, rest) {
                    Poll::Ready(Ok(count)) if count > 0 => rest = &rest[count..],
                    Poll::Ready(_) => return Poll::Ready(Err(Fault::ClientGone)),
                    Poll::Pending => {
                        return self.watch.poll_expired(context).map(|()| Err(Fault::ClientTooSlow));
                    }
                }
            }
            Poll::Ready(Ok(()))
        })
        .await
    }

    /// Puts bytes back in front of those that were not used yet.
    pub(crate) fn unread(&mut self, bytes: &[u8]) {
        self.leftover.splice(0..0, bytes.iter().copied());
    }
}

/// Deadlines of one exchange: that of its present phase, and that of the whole.
pub(crate) struct Timing {
    whole: Tick,
    /// An endpoint that was waited for as long as this when the whole was over is late; `None` where no endpoint is.
    fair: Option<Duration>,
}

/// A deadline of the client's own that is shorter than this says nothing of an endpoint: it could be too short for any.
const SHORTEST_CLIENT_DEADLINE: Duration = Duration::from_secs(1);

impl Timing {
    /// The whole exchange may take `ours`, and no longer than the client itself waits.
    pub(crate) fn new(watch: &Watch, ours: Option<Duration>, theirs: Option<Duration>) -> Self {
        let whole = [ours, theirs].into_iter().flatten().min();
        let is_fair = whole == ours || whole.is_some_and(|whole| whole >= SHORTEST_CLIENT_DEADLINE);
        Timing {
            whole: whole.map_or(watch.never(), |timeout| watch.after(timeout)),
            // The rest may have gone to a slow client, a queue or other endpoints.
            fair: whole.filter(|_| is_fair).map(|whole| whole / 2),
        }
    }

    /// Whether it is over because of an endpoint that is waited for since `since`.
    pub(crate) fn is_over_for(&self, watch: &Watch, since: Tick) -> bool {
        self.is_over(watch) && self.fair.is_some_and(|fair| watch.now().since(since) >= fair)
    }

    /// The present phase may take `timeout` from now.
    pub(crate) fn arm(&self, watch: &Watch, timeout: Option<Duration>) {
        self.arm_at(watch, timeout.map_or(watch.never(), |timeout| watch.after(timeout)));
    }

    /// The present phase may take until `phase`.
    pub(crate) fn arm_at(&self, watch: &Watch, phase: Tick) {
        watch.set_at(phase.min(self.whole));
    }

    /// What of `timeout` is left of the whole exchange.
    pub(crate) fn within(&self, watch: &Watch, timeout: Option<Duration>) -> Option<Duration> {
        let left = (self.whole != watch.never()).then(|| self.whole.since(watch.now()));
        match (left, timeout) {
            (Some(left), Some(timeout)) => Some(left.min(timeout)),
            (left, timeout) => left.or(timeout),
        }
    }

    /// When the whole exchange is over.
    pub(crate) fn whole(&self) -> Tick {
        self.whole
    }

    /// Whether it is the whole exchange that took too long.
    pub(crate) fn is_over(&self, watch: &Watch) -> bool {
        watch.now() >= self.whole
    }
}

/// The listener's limits of a head, as the parser wants them.
pub(crate) fn head_limits(listener: &HttpListener) -> HeadLimits {
    HeadLimits {
        head_bytes: listener.limits.head_bytes,
        fields: listener.limits.header_fields,
        target_bytes: listener.limits.uri_bytes,
    }
}
