//! The pause before another attempt.

use super::attempt::{Patience, poll_client};
use super::forwarding::Forwarding;
use crate::Fault;
use crate::downstream::Downstream;
use narrows_plan::RetryPolicy;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

/// How many times as long as the first one the longest pause is.
const LONGEST: u32 = 10;

/// Pauses before retry `number`, counted from 0. A client that leaves ends the pause, and so does the end of the time for the whole.
pub(super) async fn life(
    forwarding: &Forwarding<'_, '_>,
    policy: &RetryPolicy,
    number: u32,
    downstream: &mut Downstream,
    is_received: bool,
) -> Result<(), Fault> {
    let Forwarding { worker, timing, .. } = *forwarding;
    let pause = pause(policy.backoff, number, worker.chance.number() as u32);
    timing.arm(&downstream.watch, Some(pause));
    let mut patience = Patience::Watching;
    poll_fn(|context| {
        poll_client(context, worker, downstream, &mut patience, is_received)?;
        if downstream.stream.poll_abandoned(context).is_ready() {
            return Poll::Ready(Err(Fault::ClientGone));
        }
        downstream.watch.poll_expired(context).map(|()| match timing.is_over(&downstream.watch) {
            true => Err(Fault::RequestTimedOut),
            false => Ok(()),
        })
    })
    .await
}

/// The pause before retry `number`, counted from 0: doubled each time, up to ten times `first`, less up to half of it by `chance`.
pub(crate) fn pause(first: Duration, number: u32, chance: u32) -> Duration {
    let factor = 1_u32.checked_shl(number).unwrap_or(LONGEST).clamp(1, LONGEST);
    let whole = first.saturating_mul(factor);
    whole - whole.mul_f64(f64::from(chance) / f64::from(u32::MAX) / 2.0)
}

#[cfg(test)]
mod tests;
