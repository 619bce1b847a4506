//! The answer on its way to the client.

use super::forwarding::Forwarding;
use super::lane::Answered;
use crate::Fault;
use crate::downstream::Downstream;
use crate::flow::{Flow, FlowFault, Recode};
use crate::worker::AnswerMemory;
use narrows_upstream::{Connection, EndpointState};
use narrows_wire::http1::{BodyFraming, Version};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// A body up to this size leaves together with its head in one system call; the copy is cheaper than a second one.
const TOGETHER_BYTES: usize = 8 << 10;

/// How a relay ended.
pub(super) struct Relayed {
    /// The endpoint.
    pub(super) endpoint: Rc<EndpointState>,
    /// Its connection.
    pub(super) connection: Connection,
    /// Bytes of the head that it is sent.
    pub(super) head: u64,
    /// Payload bytes that the client got.
    pub(super) sent: u64,
    /// Why it ended before its end.
    pub(super) fault: Option<Fault>,
    /// Whether the endpoint's connection may carry another request.
    pub(super) reusable: bool,
    /// Whether the client's connection may.
    pub(super) keep_alive: bool,
    /// Whether only the end of the connection tells the client where the body ends.
    pub(super) ends_at_close: bool,
}

/// What the relay waits for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wait {
    Client,
    Upstream,
}

/// Sends head and body to the client while the rest of the request may still be on its way.
pub(super) async fn life(
    forwarding: &Forwarding<'_, '_>,
    downstream: &mut Downstream,
    memory: &mut AnswerMemory,
    upload: &mut Flow,
    answered: Answered,
) -> Relayed {
    let Forwarding { worker, request, last, .. } = *forwarding;
    let AnswerMemory { head: response, out, .. } = memory;
    // It runs at the endpoint until its answer is over.
    let Answered { endpoint, connection, buffer, end, running: _running, .. } = answered;
    let recode = recode(request.head.version, response.framing);
    let ends_at_close = match recode {
        Recode::ToChunked => false,
        Recode::FromChunked => true,
        Recode::Nothing => response.framing == BodyFraming::UntilClose,
    };
    let keep_alive = request.head.keep_alive
        && upload.is_over()
        && !ends_at_close
        && !last
        && !worker.is_leaving(downstream.arrival.place);

    out.clear();
    forwarding.write_head(&buffer[..end], response, recode, keep_alive, out);
    let head = out.len() as u64;
    downstream.take_waiting(out);
    let mut download = Flow::new(response.framing, recode, None);
    let mut relayed = Relayed {
        endpoint,
        connection,
        head,
        sent: 0,
        fault: None,
        reusable: false,
        keep_alive,
        ends_at_close,
    };
    if let Err(fault) = download.hold(buffer, response.length..end) {
        relayed.fault = Some(fault.of_response());
        return relayed;
    }
    download.take_held(TOGETHER_BYTES, out);
    let connection = &mut relayed.connection;
    let mut relay =
        Relay { forwarding, downstream, connection, out, written: 0, upload, download, wait: None };
    let result = poll_fn(|context| relay.poll(context)).await;
    let download = relay.download;
    relayed.fault = result.err();
    relayed.sent = download.payload;
    relayed.reusable = response.keep_alive && download.excess.is_empty();
    relayed
}

fn recode(client: Version, framing: BodyFraming) -> Recode {
    match (client, framing) {
        (Version::Http11, BodyFraming::UntilClose) => Recode::ToChunked,
        (Version::Http10, BodyFraming::Chunked) => Recode::FromChunked,
        _ => Recode::Nothing,
    }
}

struct Relay<'a, 'b> {
    forwarding: &'a Forwarding<'b, 'b>,
    downstream: &'a mut Downstream,
    connection: &'a mut Connection,
    out: &'a [u8],
    written: usize,
    upload: &'a mut Flow,
    download: Flow,
    wait: Option<Wait>,
}

impl Relay<'_, '_> {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if let Poll::Ready(result) = self.poll_download(context) {
            return Poll::Ready(result);
        }
        self.poll_upload(context)?;
        if self.downstream.stream.poll_abandoned(context).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        self.poll_deadline(context)
    }

    fn poll_download(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while self.written < self.out.len() {
            match self.downstream.stream.poll_write(context, &self.out[self.written..]) {
                Poll::Ready(Ok(count)) if count > 0 => self.written += count,
                Poll::Ready(_) => return Poll::Ready(Err(Fault::ClientGone)),
                Poll::Pending => return Poll::Pending,
            }
        }
        let buffers = &self.forwarding.worker.buffers;
        let (from, to) = (&mut self.connection.stream, &mut self.downstream.stream);
        self.download.poll(context, buffers, from, to).map_err(FlowFault::of_response)
    }

    /// What is left of the request goes on; an endpoint that has answered need not take it.
    fn poll_upload(&mut self, context: &mut Context<'_>) -> Result<(), Fault> {
        if self.upload.is_over() {
            return Ok(());
        }
        let buffers = &self.forwarding.worker.buffers;
        let (from, to) = (&mut self.downstream.stream, &mut self.connection.stream);
        match self.upload.poll(context, buffers, from, to) {
            Poll::Ready(Err(FlowFault::Write)) | Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
            Poll::Ready(Err(fault)) => Err(fault.of_request()),
        }
    }

    fn poll_deadline(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let timeouts = &self.forwarding.route.timeouts;
        let for_client = self.written < self.out.len() || self.download.waits_for_receiver();
        let wait = if for_client { Wait::Client } else { Wait::Upstream };
        let progressed =
            std::mem::take(&mut self.download.progressed) | std::mem::take(&mut self.upload.progressed);
        let watch = &self.downstream.watch;
        if progressed || self.wait != Some(wait) {
            let timeout = match wait {
                Wait::Client => timeouts.write_idle,
                Wait::Upstream => timeouts.response_idle,
            };
            self.forwarding.timing.arm(watch, timeout);
            self.wait = Some(wait);
        }
        watch.poll_expired(context).map(|()| {
            Err(match wait {
                _ if self.forwarding.timing.is_over(watch) => Fault::RequestTimedOut,
                Wait::Client => Fault::ClientTooSlow,
                Wait::Upstream => Fault::ResponseTimedOut,
            })
        })
    }
}
