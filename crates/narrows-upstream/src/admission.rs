//! What a request of an upstream passes: the entrance, a place at an endpoint, and the queue when there is none.

use crate::budget::RetryCounts;
use crate::cluster::Cluster;
use crate::endpoint::{EndpointState, Running};
use crate::entrance::{Entered, Entrance, Shed, ShedCause};
use crate::membership::UpstreamKey;
use crate::mirroring::MirrorCounts;
use crate::places::Need;
use crate::queue::Ticket;
use crate::report::Reporter;
use crate::upstream_load::{RetryPlace, UpstreamLoad};
use crate::wanted::{Unavailable, Wanted};
use narrows_plan::Upstream;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

/// What the requests of an upstream pass on one worker.
#[derive(Debug)]
pub(crate) struct Admission {
    shared: Arc<UpstreamLoad>,
    entrance: Rc<Entrance>,
    worker: usize,
    /// Whether an endpoint has a limit.
    is_limited: Cell<bool>,
    /// What of the counts was told.
    told: Cell<(RetryCounts, MirrorCounts)>,
}

impl Admission {
    pub(crate) fn new(
        upstream: &Upstream,
        id: UpstreamKey,
        worker: usize,
        shared: &Arc<UpstreamLoad>,
        reporter: &Reporter,
    ) -> Self {
        Admission {
            shared: Arc::clone(shared),
            entrance: Entrance::new(upstream, id, shared, reporter),
            worker,
            is_limited: Cell::new(false),
            told: Cell::default(),
        }
    }

    /// The endpoints have changed: who waits may have somewhere to go now, or nowhere any more.
    pub(crate) fn changed(&self, endpoints: &[Rc<EndpointState>]) {
        self.is_limited.set(endpoints.iter().any(|endpoint| endpoint.places.are_limited()));
        self.shared.queue.stir();
    }

    /// Adds what was counted since the last time to what everybody counts.
    pub(crate) fn tell(&self, retries: RetryCounts, mirrors: MirrorCounts) {
        let now = (retries, mirrors);
        self.shared.add(self.told.replace(now), now);
    }

    fn is_somebody_waiting(&self) -> bool {
        self.is_limited.get() && self.shared.queue.waiting() > 0
    }
}

impl Cluster {
    /// The same, sharing its limits, queue and breaker with the other workers. To be called before the first update.
    #[must_use]
    pub fn sharing(mut self, shared: &Arc<UpstreamLoad>) -> Self {
        let making = &mut self.making;
        self.admission = Admission::new(&self.upstream, making.id, making.worker, shared, &making.reporter);
        making.shared = Arc::clone(shared);
        self
    }

    /// Lets a request, flow or session of this upstream in, before an endpoint is chosen for it.
    ///
    /// # Errors
    /// When the breaker is open, or the upstream runs as many as it may.
    pub fn enter(&self, need: Need) -> Result<Entered, Shed> {
        self.admission.entrance.enter(need)
    }

    /// The endpoint for the next attempt, with a place there. `Err(Full)` also when others wait for one: then [`wait`](Cluster::wait).
    ///
    /// # Errors
    /// Why there is none.
    pub fn reserve(
        &self,
        wanted: &Wanted<'_>,
        need: Need,
    ) -> Result<(Rc<EndpointState>, Running), Unavailable> {
        if self.admission.is_somebody_waiting() {
            // Whoever has tried some already must not wait where there is nobody else.
            let others = if wanted.tried.is_empty() { Ok(()) } else { self.pick(wanted).map(drop) };
            return Err(others.err().unwrap_or(Unavailable::Full));
        }
        self.reserve_in_turn(wanted, need)
    }

    /// The same for one who has waited and whose turn it is.
    ///
    /// # Errors
    /// Why there is none.
    pub fn reserve_in_turn(
        &self,
        wanted: &Wanted<'_>,
        need: Need,
    ) -> Result<(Rc<EndpointState>, Running), Unavailable> {
        let endpoint = self.pick(wanted)?;
        if let Some(running) = endpoint.try_begin(need) {
            return Ok((endpoint, running));
        }
        // Another worker was faster.
        let mut passed_over = wanted.tried.clone();
        passed_over.add(endpoint.id());
        loop {
            let wanted = Wanted { tried: &passed_over, ..*wanted };
            let endpoint = self.pick(&wanted).map_err(|_| Unavailable::Full)?;
            match endpoint.try_begin(need) {
                Some(running) => return Ok((endpoint, running)),
                None => passed_over.add(endpoint.id()),
            }
        }
    }

    /// Waits in the queue of the upstream, behind those of the same `priority`; lower ones go first.
    ///
    /// # Errors
    /// When as many wait as may.
    pub fn wait(&self, priority: i32) -> Result<Ticket, Shed> {
        let queue = &self.admission.shared.queue;
        let entered = queue.enter(priority, self.admission.worker);
        entered.map_err(|_| Shed::new(ShedCause::QueueFull, queue.timeout()))
    }

    /// One has waited as long as may be.
    pub fn waited_in_vain(&self) -> Shed {
        let queue = &self.admission.shared.queue;
        queue.note_timed_out();
        Shed::new(ShedCause::QueueTimedOut, queue.timeout())
    }

    /// A place for a retry, where the upstream limits them; `None` when all are taken.
    pub fn take_retry(&self) -> Option<RetryPlace> {
        let place = self.admission.shared.take_retry(self.upstream.limits.retries);
        if place.is_none() {
            self.budget.deny();
        }
        place
    }

    /// How many requests adaptive concurrency lets run on this worker, where it is used.
    pub fn concurrency(&self) -> Option<u32> {
        self.admission.entrance.limit()
    }

    /// What is done every tick: idle connections that keep a place at an endpoint which somebody waits for are given up.
    pub fn tick(&self) {
        if self.admission.is_somebody_waiting() {
            self.each_endpoint(EndpointState::relieve);
        }
    }
}
