//! Copies of requests to further upstreams, whose answers are thrown away.
//!
//! A copy is sent by a task of its own once the request was received whole. Nothing of it comes back to the request: it waits for
//! nobody, and what goes wrong with a copy is only counted.

mod copy;

use crate::forward::Forwarding;
use crate::gate::Arrival;
use crate::outgoing::write_request_head;
use crate::preface::preface;
use copy::Copy;
use narrows_plan::Mirror;
use narrows_upstream::{Tried, Wanted};
use narrows_wire::http1::BodyFraming;
use std::cell::Cell;
use std::rc::Rc;

/// What [`Mirror::share`] counts in.
const WHOLE: u64 = 10_000;

/// The copies of one worker.
#[derive(Debug)]
pub(crate) struct Mirrors {
    /// Where the next request stands among those that are copied.
    point: Cell<u32>,
    /// By upstream.
    upstreams: Vec<Rc<Mirroring>>,
}

/// The copies that one worker sends to an upstream.
#[derive(Debug, Default)]
pub(crate) struct Mirroring {
    running: Cell<u32>,
    counts: Cell<MirrorCounts>,
}

/// What became of copies since the worker began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct MirrorCounts {
    /// Those that were answered.
    pub(crate) answered: u64,
    /// Those that were not, in time or at all.
    pub(crate) failed: u64,
    /// Requests that were chosen and not copied: too large, too many at one time, not received whole, no endpoint.
    pub(crate) skipped: u64,
}

impl Mirrors {
    /// No copy yet, for that many upstreams. `seed` differs between workers.
    pub(crate) fn new(upstreams: usize, seed: u32) -> Self {
        let upstreams = (0..upstreams).map(|_| Rc::default()).collect();
        Mirrors { point: Cell::new(seed), upstreams }
    }

    /// What became of the copies for an upstream, and how many run.
    pub(crate) fn counts(&self, upstream: usize) -> (MirrorCounts, u32) {
        let mirroring = &self.upstreams[upstream];
        (mirroring.counts.get(), mirroring.running.get())
    }

    fn of(&self, mirror: &Mirror) -> &Rc<Mirroring> {
        &self.upstreams[mirror.upstream.0 as usize]
    }

    /// Whether the next request belongs to a share: steps of the golden ratio visit all shares evenly, also every n-th request's.
    fn is_chosen(&self, share: u32) -> bool {
        let point = self.point.get().wrapping_add(0x9E37_79B9);
        self.point.set(point);
        ((u64::from(point) * WHOLE) >> 32) < u64::from(share)
    }
}

impl Mirroring {
    fn count(&self, change: impl FnOnce(&mut MirrorCounts)) {
        let mut counts = self.counts.get();
        change(&mut counts);
        self.counts.set(counts);
    }
}

/// The copies of one request that are due once it was received whole.
#[derive(Debug, Default)]
pub(crate) struct Copies<'a> {
    mirrors: Vec<&'a Mirror>,
    /// What came of the body with its head.
    first: Vec<u8>,
}

impl<'a> Copies<'a> {
    /// Chooses the copies of a request; none of an upgrade. Costs nothing where the route has no mirror.
    pub(crate) fn choose(forwarding: &Forwarding<'a, '_>) -> Self {
        let Forwarding { worker, route, request, .. } = *forwarding;
        let mut copies = Copies::default();
        if route.mirrors.is_empty() || request.head.upgrade {
            return copies;
        }
        for mirror in &route.mirrors {
            if !worker.mirrors.is_chosen(mirror.share) {
                continue;
            }
            match request.head.framing {
                BodyFraming::Length(length) if length > mirror.body as u64 => {
                    worker.mirrors.of(mirror).count(|counts| counts.skipped += 1);
                }
                _ => copies.mirrors.push(mirror),
            }
        }
        copies
    }

    /// Whether none is due.
    pub(crate) fn is_empty(&self) -> bool {
        self.mirrors.is_empty()
    }

    /// Remembers what came of the body with its head. Bytes that have to be kept of what follows.
    pub(crate) fn wait_for_body(&mut self, first: &[u8]) -> usize {
        self.first = first.to_vec();
        self.mirrors.iter().map(|mirror| mirror.body).max().unwrap_or_default()
    }

    /// The request was received whole: sends the copies. `rest` is its body behind what came with the head.
    pub(crate) fn send(&mut self, forwarding: &Forwarding<'a, '_>, arrival: &Arrival, rest: &[u8]) {
        let first = std::mem::take(&mut self.first);
        for mirror in self.mirrors.drain(..) {
            let mirroring = forwarding.worker.mirrors.of(mirror);
            let fits = first.len() + rest.len() <= mirror.body;
            let has_room = mirroring.running.get() < mirror.running;
            let copy = match fits && has_room {
                true => copy(forwarding, arrival, mirror, [&first, rest]),
                false => None,
            };
            match copy {
                Some(copy) => {
                    let running = RunningCopy::new(mirroring);
                    tokio::task::spawn_local(async move { running.ended(copy.life().await) });
                }
                None => mirroring.count(|counts| counts.skipped += 1),
            }
        }
    }

    /// The request will not be received whole, or not kept: there are no copies.
    pub(crate) fn skip(&mut self, forwarding: &Forwarding<'a, '_>) {
        for mirror in self.mirrors.drain(..) {
            forwarding.worker.mirrors.of(mirror).count(|counts| counts.skipped += 1);
        }
    }
}

/// A copy, written as every request is that goes upstream; `None` when there is no endpoint.
fn copy(
    forwarding: &Forwarding<'_, '_>,
    arrival: &Arrival,
    mirror: &Mirror,
    body: [&[u8]; 2],
) -> Option<Copy> {
    let Forwarding { worker, listener, route, matched_prefix, request, .. } = *forwarding;
    let cluster = worker.cluster(mirror.upstream);
    let endpoint = cluster.pick(&Wanted::new(request.client, &Tried::default())).ok()?;
    let mut out = Vec::new();
    let prefix = matched_prefix.map(|length| &request.path[..length]);
    write_request_head(request, listener, route, prefix, &endpoint.label, &mut out);
    body.iter().for_each(|part| out.extend_from_slice(part));
    Some(Copy {
        upstream: std::sync::Arc::clone(&cluster.upstream),
        running: endpoint.begin(),
        endpoint,
        preface: preface(cluster.upstream.proxy_protocol, arrival, ""),
        out,
        method: request.head.method,
        watch: worker.deadlines.watch(),
        buffers: Rc::clone(&worker.buffers),
        limits: crate::downstream::head_limits(listener),
        timeout: mirror.timeout,
    })
}

/// A copy on its way; dropping it ends it.
struct RunningCopy(Rc<Mirroring>);

impl RunningCopy {
    fn new(mirroring: &Rc<Mirroring>) -> Self {
        mirroring.running.set(mirroring.running.get() + 1);
        RunningCopy(Rc::clone(mirroring))
    }

    fn ended(self, answered: bool) {
        self.0.count(|counts| match answered {
            true => counts.answered += 1,
            false => counts.failed += 1,
        });
    }
}

impl Drop for RunningCopy {
    fn drop(&mut self) {
        self.0.running.set(self.0.running.get().saturating_sub(1));
    }
}

#[cfg(test)]
mod tests;
