//! The endpoint of the next attempt, with a place there; waiting for one where all are full.

use super::attempt::{Patience, poll_client};
use super::tries::Tries;
use crate::Fault;
use crate::downstream::Downstream;
use crate::queueing::{self, Reserved};
use narrows_upstream::{Need, Unavailable, Wanted};

impl Tries<'_> {
    /// A place at an endpoint that was not tried, if there is one now.
    pub(super) fn reserve(&self) -> Result<Reserved, Unavailable> {
        self.forwarding.cluster.reserve(&self.wanted(), Need::Request)
    }

    /// The same, and waits in the queue when all are full.
    pub(super) async fn reserve_or_wait(
        &self,
        downstream: &mut Downstream,
        is_received: bool,
    ) -> Result<Reserved, Fault> {
        match self.reserve() {
            Ok(reserved) => Ok(reserved),
            // Boxed apart: who need not wait should not carry its size.
            Err(Unavailable::Full) => Box::pin(self.wait(downstream, is_received)).await,
            Err(Unavailable::Down | Unavailable::Tried) => Err(Fault::NoEndpoint),
        }
    }

    async fn wait(&self, downstream: &mut Downstream, is_received: bool) -> Result<Reserved, Fault> {
        let worker = self.forwarding.worker;
        let (cluster, route) = (self.forwarding.cluster, self.forwarding.route);
        // The client is looked at while the deadline is waited for.
        let watch = worker.deadlines.watch();
        let whole = self.forwarding.timing.whole();
        let mut patience = Patience::Watching;
        let reserve = || cluster.reserve_in_turn(&self.wanted(), Need::Request);
        queueing::wait(cluster, route.queue_priority, &watch, whole, reserve, |context| {
            poll_client(context, worker, downstream, &mut patience, is_received)?;
            match downstream.stream.poll_abandoned(context).is_ready() {
                true => Err(Fault::ClientGone),
                false => Ok(()),
            }
        })
        .await
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted::new(self.forwarding.request.client, &self.tried)
    }
}
