//! Copies of requests to further upstreams, whose answers are thrown away.
//!
//! A copy is sent by a task of its own once the request was received whole. Nothing of it comes back to the request: it waits for
//! nobody, and what goes wrong with a copy is only counted.

mod copy;

use crate::forward::Forwarding;
use crate::gate::Arrival;
use crate::outgoing::write_request_head;
use crate::preface::preface;
use crate::wants::{LabelTexts, Wants};
use copy::Copy;
use narrows_plan::Mirror;
use narrows_upstream::{Need, Tried};
use narrows_wire::http1::BodyFraming;
use std::cell::Cell;
use std::rc::Rc;

/// What [`Mirror::share`] counts in.
const WHOLE: u64 = 10_000;

/// Chooses the requests of one worker that are copied.
#[derive(Debug)]
pub(crate) struct Mirrors {
    /// Where the next request stands among those that are copied.
    point: Cell<u32>,
}

impl Mirrors {
    /// `seed` differs between workers.
    pub(crate) fn new(seed: u32) -> Self {
        Mirrors { point: Cell::new(seed) }
    }

    /// Whether the next request belongs to a share: steps of the golden ratio visit all shares evenly, also every n-th request's.
    fn is_chosen(&self, share: u32) -> bool {
        let point = self.point.get().wrapping_add(0x9E37_79B9);
        self.point.set(point);
        ((u64::from(point) * WHOLE) >> 32) < u64::from(share)
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
        let Forwarding { worker, generation, route, request, .. } = *forwarding;
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
                    generation.cluster(mirror.upstream).mirroring.skip();
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
            let mirroring = &forwarding.generation.cluster(mirror.upstream).mirroring;
            let fits = first.len() + rest.len() <= mirror.body;
            let has_room = mirroring.running() < mirror.running;
            let copy = match fits && has_room {
                true => copy(forwarding, arrival, mirror, [&first, rest]),
                false => None,
            };
            match copy {
                Some(copy) => {
                    let running = mirroring.begin();
                    tokio::task::spawn_local(async move { running.ended(copy.life().await) });
                }
                None => mirroring.skip(),
            }
        }
    }

    /// The request will not be received whole, or not kept: there are no copies.
    pub(crate) fn skip(&mut self, forwarding: &Forwarding<'a, '_>) {
        for mirror in self.mirrors.drain(..) {
            forwarding.generation.cluster(mirror.upstream).mirroring.skip();
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
    let Forwarding { worker, generation, listener, route, matched_prefix, request, .. } = *forwarding;
    let cluster = generation.cluster(mirror.upstream);
    // By the mirror's own hash key; nobody sticks to where copies go.
    let mut texts = LabelTexts::default();
    let wants = Wants::of_request(request, &[], cluster, None, &mut texts);
    let tried = Tried::default();
    let (endpoint, running) = cluster.reserve(&wants.wanted(&tried), Need::Request).ok()?;
    let mut out = Vec::new();
    if let Some(correlation) = &request.correlation {
        correlation.sends_aside();
    }
    let prefix = matched_prefix.map(|length| &request.path[..length]);
    write_request_head(
        request,
        listener,
        route,
        prefix,
        forwarding.wants.cookie(),
        &endpoint.label,
        &mut out,
    );
    body.iter().for_each(|part| out.extend_from_slice(part));
    Some(Copy {
        upstream: std::sync::Arc::clone(&cluster.upstream),
        running,
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

#[cfg(test)]
mod tests;
