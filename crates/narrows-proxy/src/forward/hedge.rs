//! A second attempt beside the first, to another endpoint.

use super::forwarding::Forwarding;
use super::lane::{Head, Lane};
use crate::Fault;
use narrows_wire::http1::ResponseHead;
use std::task::{Context, Poll, ready};

/// A second attempt beside the first. It has all of the request, and a head of its own for the answer.
pub(super) struct Hedge {
    pub(super) lane: Lane,
    /// Head and body.
    pub(super) out: Vec<u8>,
    pub(super) response: ResponseHead,
}

impl Hedge {
    /// Ready once the head of the answer is whole. Interim answers are hints and are dropped: those of the first attempt go to the
    /// client.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        forwarding: &Forwarding<'_, '_>,
    ) -> Poll<Result<(), Fault>> {
        ready!(self.lane.poll_connected(context))?;
        self.lane.poll_send(context, &self.out);
        while ready!(self.lane.poll_head(context, forwarding, &mut self.response))? == Head::Interim {
            self.lane.drop_interim(&mut self.response);
        }
        Poll::Ready(Ok(()))
    }
}
