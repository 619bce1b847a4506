//! The endpoint of the next attempt, with a place there; waiting for one where all are full.

use super::attempt::{Patience, poll_client};
use super::tries::Tries;
use crate::Fault;
use crate::downstream::Downstream;
use crate::queueing::{self, Reserved};
use narrows_upstream::{EndpointState, Need, Unavailable, Wanted};
use std::rc::Rc;
use std::time::Instant;

impl Tries<'_> {
    /// The endpoint for the next attempt, none of those that were tried; a place there is reserved.
    pub(super) fn pick(&self) -> Result<Rc<EndpointState>, Unavailable> {
        if let Some(trail) = self.forwarding.trail {
            trail.choosing(self.forwarding.cluster, self.forwarding.wants, &self.tried);
        }
        let (endpoint, running) = self.forwarding.cluster.reserve(&self.wanted(), Need::Request)?;
        self.place.set(Some(running));
        Ok(endpoint)
    }

    /// An endpoint that the next attempt could be made on; no place is taken.
    pub(super) fn look(&self) -> Result<Rc<EndpointState>, Unavailable> {
        self.forwarding.cluster.pick(&self.wanted())
    }

    /// The same as [`pick`](Self::pick), and waits in the queue when all are full.
    pub(super) async fn pick_or_wait(
        &self,
        downstream: &mut Downstream,
        is_received: bool,
    ) -> Result<Rc<EndpointState>, Fault> {
        match self.pick() {
            Ok(endpoint) => Ok(endpoint),
            // Boxed apart: who need not wait should not carry its size.
            Err(Unavailable::Full) => {
                let since = Instant::now();
                let waited = Box::pin(self.wait(downstream, is_received)).await;
                self.queued.set(Some(self.queued.get().unwrap_or_default() + since.elapsed()));
                let (endpoint, running) = waited?;
                self.place.set(Some(running));
                Ok(endpoint)
            }
            Err(why) => Err(why.into()),
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
        self.forwarding.wants.wanted(&self.tried)
    }
}
