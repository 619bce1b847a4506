//! One attempt: send the request, wait for the head of the answer. When that takes long, a second endpoint may be asked beside the first.

use super::condition::{self, Cause, Failed};
use super::hedge::Hedge;
use super::lane::{Answered, Head, Lane};
use super::tries::Tries;
use crate::Fault;
use crate::downstream::Downstream;
use crate::flow::{Flow, FlowFault, Recode};
use narrows_plan::defaults::BODY_RATE_GRACE;
use narrows_runtime::Tick;
use narrows_wire::http1::{ResponseHead, Version};
use std::borrow::Cow;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

/// One attempt.
pub(super) struct Attempt<'a, 't> {
    pub(super) tries: &'a mut Tries<'t>,
    pub(super) downstream: &'a mut Downstream,
    pub(super) upload: &'a mut Flow,
    /// The head, with what is already there of the body.
    pub(super) out: Cow<'a, [u8]>,
    pub(super) lane: Lane,
    hedge: Option<Box<Hedge>>,
    upload_over: bool,
    wait: Option<Wait>,
    patience: Patience,
    began: Tick,
    moments: Moments,
}

/// What the attempt waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Client,
    Upstream,
}

/// When something is to be done; the limits of the lanes beside them.
struct Moments {
    /// Since then the endpoint has been waited for.
    waiting: Tick,
    /// The client has paused its body for too long.
    upload: Tick,
    /// The client is worth a look.
    look: Tick,
    /// A second endpoint is asked.
    hedge: Tick,
    /// The try fails, whatever its lane waits for.
    try_limit: Tick,
}

/// How closely the client is watched while the endpoint thinks. Most answers come at once and are not worth a look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Not yet.
    Waiting,
    /// The answer takes long: a client that resets its connection ends the attempt.
    Watching,
    /// The client has closed its half, or has sent as much of its next requests as we keep: it is not read any more.
    Deaf,
}

/// An answer that takes longer than this is worth a look at the client.
const WATCH_AFTER: Duration = Duration::from_secs(1);
/// Bytes of further requests that are kept while an answer is awaited.
const AHEAD_BYTES: usize = 64 << 10;

impl<'a, 't> Attempt<'a, 't> {
    /// An attempt on `lane`. `try_limit` is when the try is over that began with the connection.
    pub(super) fn new(
        tries: &'a mut Tries<'t>,
        downstream: &'a mut Downstream,
        upload: &'a mut Flow,
        out: &'a [u8],
        lane: Lane,
        try_limit: Tick,
    ) -> Self {
        let upload_over = upload.is_received();
        let hedge = match tries.hedge_after {
            Some(after) if upload_over => downstream.watch.after(after),
            _ => Tick::NEVER,
        };
        Attempt {
            // A message that its client gives up says so at once, and costs nothing to ask.
            patience: match downstream.is_http2() {
                true => Patience::Watching,
                false => Patience::Waiting,
            },
            began: downstream.watch.now(),
            tries,
            downstream,
            upload,
            out: Cow::Borrowed(out),
            lane,
            hedge: None,
            upload_over,
            wait: None,
            moments: Moments {
                waiting: Tick::NEVER,
                upload: Tick::NEVER,
                look: Tick::NEVER,
                hedge,
                try_limit,
            },
        }
    }

    /// What an attempt came to, once [`poll`](Attempt::poll) is ready.
    pub(super) fn ended(self, result: Result<(), Fault>) -> Result<Answered, Failed> {
        let is_late = result == Err(Fault::RequestTimedOut) && self.is_late();
        let Attempt { lane, out, .. } = self;
        match result {
            Ok(()) => lane.answered(&out),
            Err(fault) => {
                let failed = lane.failed(fault);
                Err(Failed { cause: if is_late { Cause::Late } else { failed.cause }, ..failed })
            }
        }
    }

    /// Whether the request ran out of time because of the endpoint.
    fn is_late(&self) -> bool {
        !self.lane.is_answered
            && self.wait == Some(Wait::Upstream)
            && self.tries.forwarding.timing.is_over_for(&self.downstream.watch, self.moments.waiting)
    }

    /// The life of an attempt: ready once the head of an answer is whole, which is `response` then.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        response: &mut ResponseHead,
    ) -> Poll<Result<(), Fault>> {
        loop {
            if let Poll::Ready(result) = self.poll_lanes(context, response) {
                return Poll::Ready(result);
            }
            let wait = match self.is_uploading() && !self.upload.waits_for_receiver() {
                true => Wait::Client,
                false => Wait::Upstream,
            };
            let progressed = std::mem::take(&mut self.upload.progressed);
            if progressed {
                self.moments.try_limit = self.after(self.tries.policy.try_timeout);
            }
            if self.wait != Some(wait) || progressed {
                self.arm(wait);
                if self.is_too_slow() {
                    return Poll::Ready(Err(Fault::RequestBodyTooSlow));
                }
            }
            poll_client(
                context,
                self.tries.forwarding.worker,
                self.downstream,
                &mut self.patience,
                self.upload_over,
            )?;
            ready!(self.downstream.watch.poll_expired(context));
            self.look_up(response)?;
        }
    }

    /// Ready once an answer is there that is taken: `lane` has it.
    fn poll_lanes(
        &mut self,
        context: &mut Context<'_>,
        response: &mut ResponseHead,
    ) -> Poll<Result<(), Fault>> {
        if !self.lane.is_answered {
            match self.poll_first(context, response) {
                Poll::Ready(Ok(())) => {
                    if self.hedge.is_none() || self.is_welcome(&self.lane, response) {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Ready(Err(fault)) => self.fail(fault, response)?,
                Poll::Pending => {}
            }
        }
        if self.hedge.is_some() {
            self.poll_second(context, response);
        }
        let others_wait = self.hedge.as_ref().is_some_and(|hedge| !hedge.lane.is_answered);
        match self.lane.is_answered && !others_wait {
            true => Poll::Ready(Ok(())),
            false => Poll::Pending,
        }
    }

    /// The first lane, which carries the client's upload.
    fn poll_first(
        &mut self,
        context: &mut Context<'_>,
        response: &mut ResponseHead,
    ) -> Poll<Result<(), Fault>> {
        if !self.lane.is_open() {
            ready!(self.lane.poll_connected(context))?;
            self.wait = None;
        }
        self.lane.poll_send(context, &self.out);
        self.poll_upload(context)?;
        self.poll_interim(context)?;
        let forwarding = self.tries.forwarding;
        while ready!(self.lane.poll_head(context, forwarding, response))? == Head::Interim {
            self.take_interim(response);
            self.lane.drop_interim(response);
            self.poll_interim(context)?;
            self.wait = None;
        }
        Poll::Ready(Ok(()))
    }

    /// The second lane. Its answer takes the place of the first one's; its failure is no more than that.
    fn poll_second(&mut self, context: &mut Context<'_>, response: &mut ResponseHead) {
        let forwarding = self.tries.forwarding;
        let Some(hedge) = self.hedge.as_mut().filter(|hedge| !hedge.lane.is_answered) else { return };
        let was_open = hedge.lane.is_open();
        let polled = hedge.poll(context, forwarding);
        if !was_open && hedge.lane.is_open() {
            let head = forwarding.route.timeouts.response_head;
            let head = head.map_or(Tick::NEVER, |timeout| self.downstream.watch.after(timeout));
            let try_limit = hedge.lane.limit;
            hedge.lane.limit_within(head, try_limit);
            self.set_watch();
        }
        match polled {
            Poll::Ready(Ok(())) => {
                let Some(hedge) = &self.hedge else { return };
                if self.is_welcome(&hedge.lane, &hedge.response) {
                    forwarding.cluster.budget.hedge_won();
                    self.take_over(response);
                }
            }
            Poll::Ready(Err(fault)) => self.drop_second(fault),
            Poll::Pending => {}
        }
    }

    /// The first lane has failed: the second one goes on in its place. With none left, the attempt has failed.
    fn fail(&mut self, fault: Fault, response: &mut ResponseHead) -> Result<(), Fault> {
        if self.hedge.is_none() || self.lane.cause_of(fault) == Cause::Elsewhere {
            return Err(fault);
        }
        if let Some(first) = self.take_over(response).filter(|first| !first.is_reused) {
            first.failed(fault).report();
        }
        Ok(())
    }

    fn drop_second(&mut self, fault: Fault) {
        if let Some(hedge) = self.hedge.take().filter(|hedge| !hedge.lane.is_reused) {
            hedge.lane.failed(fault).report();
        }
        self.set_watch();
    }

    /// Gives the first lane up for the second one, which has all of the request.
    fn take_over(&mut self, response: &mut ResponseHead) -> Option<Lane> {
        let Hedge { lane, out, response: own } = *self.hedge.take()?;
        self.upload.rewind();
        self.upload_over = true;
        self.out = Cow::Owned(out);
        *response = own;
        let first = std::mem::replace(&mut self.lane, lane);
        self.set_watch();
        Some(first)
    }

    /// Whether an answer is taken while another one may still come.
    fn is_welcome(&self, lane: &Lane, response: &ResponseHead) -> bool {
        !condition::is_worth_another(lane.bytes(), response, &self.tries.policy.on)
    }

    /// A moment has come.
    fn look_up(&mut self, response: &mut ResponseHead) -> Result<(), Fault> {
        let now = self.downstream.watch.now();
        if self.tries.forwarding.timing.is_over(&self.downstream.watch) {
            return Err(Fault::RequestTimedOut);
        }
        if now >= self.moments.upload {
            return Err(Fault::RequestBodyTimedOut);
        }
        if now >= self.lane.limit && !self.lane.is_answered {
            self.fail(self.lane.limit_fault, response)?;
        }
        if let Some(hedge) = self.hedge.as_ref().filter(|hedge| now >= hedge.lane.limit) {
            self.drop_second(hedge.lane.limit_fault);
        }
        if now >= self.moments.look {
            self.moments.look = Tick::NEVER;
            if self.patience == Patience::Waiting {
                self.patience = Patience::Watching;
            }
        }
        if now >= self.moments.hedge {
            self.moments.hedge = Tick::NEVER;
            self.hedge = self.tries.begin_hedge(&self.lane.endpoint, self.downstream, self.upload);
        }
        self.set_watch();
        Ok(())
    }

    /// Something else is waited for, or something moved: sets its moments.
    fn arm(&mut self, wait: Wait) {
        self.wait = Some(wait);
        let timeouts = &self.tries.forwarding.route.timeouts;
        self.moments.look = Tick::NEVER;
        match wait {
            Wait::Client => {
                self.moments.upload = self.after(timeouts.body_idle);
                self.lane.limit = Tick::NEVER;
            }
            Wait::Upstream => {
                self.moments.waiting = self.downstream.watch.now();
                self.moments.upload = Tick::NEVER;
                let head = match self.lane.is_open() {
                    true => self.after(timeouts.response_head),
                    // The connection in the making has a limit of its own.
                    false => Tick::NEVER,
                };
                self.lane.limit_within(head, self.moments.try_limit);
                if self.patience == Patience::Waiting {
                    self.moments.look = self.downstream.watch.after(WATCH_AFTER);
                }
            }
        }
        self.set_watch();
    }

    /// Sets the deadline to the next of all moments.
    fn set_watch(&self) {
        let Moments { upload, look, hedge, waiting: _, try_limit: _ } = self.moments;
        let second = self.hedge.as_ref().map_or(Tick::NEVER, |hedge| hedge.lane.limit);
        let first = if self.lane.is_answered { Tick::NEVER } else { self.lane.limit };
        let next = upload.min(look).min(hedge).min(first).min(second);
        self.tries.forwarding.timing.arm_at(&self.downstream.watch, next);
    }

    fn after(&self, timeout: Option<Duration>) -> Tick {
        timeout.map_or(Tick::NEVER, |timeout| self.downstream.watch.after(timeout))
    }

    /// Whether what comes from the client goes to the endpoint now.
    fn is_uploading(&self) -> bool {
        self.lane.is_open() && self.lane.sent == self.out.len() && !self.upload_over && !self.lane.send_failed
    }

    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        if !self.is_uploading() {
            return Ok(());
        }
        let buffers = &self.tries.forwarding.worker.buffers;
        let Some(to) = self.lane.stream() else { return Ok(()) };
        match self.upload.poll(context, buffers, &mut self.downstream.stream, to) {
            Poll::Ready(Ok(())) => {
                self.upload_over = true;
                self.wait = None;
                self.moments.hedge = self.after(self.tries.hedge_after);
                // The time of a slow client is not the endpoint's.
                self.lane.began = Instant::now();
                self.lane.connected = Duration::ZERO;
            }
            Poll::Ready(Err(FlowFault::Write)) => self.lane.send_failed = true,
            Poll::Ready(Err(fault)) => return Err(fault.of_request()),
            Poll::Pending => {}
        }
        Ok(())
    }

    fn take_interim(&mut self, response: &ResponseHead) {
        /// More interim answers than this to a client that takes none are dropped: they are hints (RFC 9110 section 15.2).
        const WAITING_BYTES: usize = 64 << 10;
        let forwarding = self.tries.forwarding;
        let knows = forwarding.request.head.version == Version::Http11;
        let waiting = &mut self.downstream.waiting;
        if knows && waiting.len() < WAITING_BYTES {
            forwarding.write_head(self.lane.bytes(), response, Recode::Nothing, true, waiting);
        }
    }

    /// Sends interim answers as far as the client takes them; what it does not take goes before the final one.
    fn poll_interim(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        let Downstream { stream, waiting, .. } = &mut *self.downstream;
        while !waiting.is_empty() {
            match stream.poll_write(context, waiting) {
                Poll::Ready(Ok(count)) if count > 0 => drop(waiting.drain(..count)),
                Poll::Ready(_) => return Err(Fault::ClientGone),
                Poll::Pending => break,
            }
        }
        Ok(())
    }

    fn is_too_slow(&self) -> bool {
        let forwarding = self.tries.forwarding;
        let Some(rate) = forwarding.listener.limits.minimum_body_rate else { return false };
        let elapsed = forwarding.worker.now().since(self.began);
        !self.upload.is_received()
            && !self.upload.waits_for_receiver()
            && elapsed > BODY_RATE_GRACE
            && self.upload.payload < rate.saturating_mul(elapsed.as_secs())
    }
}

/// Looks whether the client has reset its connection. One that only closed its half still waits for its answer, and one that still sends
/// its body is looked at by the upload.
pub(super) fn poll_client(
    context: &mut Context<'_>,
    worker: &crate::worker::Worker,
    downstream: &mut Downstream,
    patience: &mut Patience,
    upload_over: bool,
) -> Result<(), Fault> {
    if *patience != Patience::Watching || !upload_over {
        return Ok(());
    }
    let mut buffer = worker.buffers.take(0);
    while *patience == Patience::Watching {
        match downstream.stream.poll_read(context, &mut buffer) {
            Poll::Ready(Ok(0)) => *patience = Patience::Deaf,
            Poll::Ready(Ok(count)) => {
                downstream.leftover.extend_from_slice(&buffer[..count]);
                if downstream.leftover.len() >= AHEAD_BYTES {
                    *patience = Patience::Deaf;
                }
            }
            Poll::Ready(Err(_)) => return Err(Fault::ClientGone),
            Poll::Pending => break,
        }
    }
    Ok(())
}
