//! Bytes in both directions until both ends have finished: an upgraded connection or a TCP flow.

use crate::Fault;
use crate::flow::{Flow, FlowFault};
use crate::worker::Worker;
use narrows_runtime::{Stream, Watch};
use narrows_upstream::{AttemptFailure, EndpointState};
use std::future::poll_fn;
use std::task::{Context, Poll};
use std::time::Duration;

/// The two ends.
pub(crate) struct Ends<'a> {
    pub(crate) client: &'a mut Stream,
    pub(crate) server: &'a mut Stream,
    /// Whose end `server` is.
    pub(crate) endpoint: &'a EndpointState,
    /// Whether the endpoint has only accepted the connection so far: its first byte proves it well, and a reset
    /// before that is a failure, unless the client had sent something: then it may be the client's.
    pub(crate) is_unproven: bool,
}

/// What was moved.
#[derive(Debug, Default)]
pub(crate) struct Moved {
    /// Bytes from the client.
    pub(crate) received: u64,
    /// Bytes to the client.
    pub(crate) sent: u64,
    /// Why it ended, when neither end wanted it to.
    pub(crate) fault: Option<Fault>,
}

/// Moves bytes until both directions have ended, one failed, nothing moved for `idle`, or the endpoint went down and its upstream wants an
/// end then. `from_client` and
/// `to_client` were received before. The end of one direction is passed on and leaves the other open.
pub(crate) async fn life(
    worker: &Worker,
    watch: &Watch,
    idle: Option<Duration>,
    ends: Ends<'_>,
    from_client: &[u8],
    to_client: &[u8],
) -> Moved {
    let mut up = Direction::new(worker, from_client);
    let mut down = Direction::new(worker, to_client);
    let Ends { client, server, endpoint, mut is_unproven } = ends;
    let mut ending = endpoint.ending().map(Box::pin);
    watch.set(idle);
    let result = poll_fn(|context| {
        let moved =
            up.poll(context, worker, client, server).map_err(|failed| failed == Failed::To).and_then(|()| {
                down.poll(context, worker, server, client).map_err(|failed| failed == Failed::From)
            });
        if is_unproven && (down.flow.payload > 0 || moved == Err(true)) {
            is_unproven = false;
            match (down.flow.payload, up.flow.payload) {
                (0, 0) => endpoint.failed(AttemptFailure::Reset),
                // It may well be right to reset what a stranger sends.
                (0, _) => {}
                _ => endpoint.succeeded(None),
            }
        }
        if moved.is_err() {
            return Poll::Ready(Err(Fault::FlowReset));
        }
        if up.shut && down.shut {
            return Poll::Ready(Ok(()));
        }
        if ending.as_mut().is_some_and(|ending| ending.as_mut().poll(context).is_ready()) {
            return Poll::Ready(Err(Fault::EndpointDown));
        }
        if up.take_progress() | down.take_progress() {
            watch.set(idle);
        }
        watch.poll_expired(context).map(|()| Err(Fault::IdleTimedOut))
    })
    .await;
    if result.is_err() {
        // Neither end shall take the cut for a proper end.
        client.reset_on_close();
        server.reset_on_close();
    }
    Moved { received: up.flow.payload, sent: down.flow.payload, fault: result.err() }
}

/// Which end of a direction failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    From,
    To,
}

struct Direction {
    flow: Flow,
    shut: bool,
}

impl Direction {
    fn new(worker: &Worker, received: &[u8]) -> Self {
        let mut flow = Flow::raw();
        let mut rest = received;
        // More than the largest buffer cannot have been received before.
        if !rest.is_empty() {
            let mut buffer = worker.buffers.take(rest.len());
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            rest = &rest[length..];
            let _ = flow.hold(buffer, 0..length);
        }
        debug_assert!(rest.is_empty());
        Direction { flow, shut: false }
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
        worker: &Worker,
        from: &mut Stream,
        to: &mut Stream,
    ) -> Result<(), Failed> {
        if self.shut {
            return Ok(());
        }
        match self.flow.poll(context, &worker.buffers, from, to) {
            Poll::Ready(Ok(())) => {
                self.shut = true;
                // An end that is gone already needs no farewell.
                let _ = to.shutdown_write();
                Ok(())
            }
            Poll::Ready(Err(FlowFault::Write)) => Err(Failed::To),
            Poll::Ready(Err(_)) => Err(Failed::From),
            Poll::Pending => Ok(()),
        }
    }

    fn take_progress(&mut self) -> bool {
        std::mem::take(&mut self.flow.progressed)
    }
}
