//! Waiting for an endpoint that has room.

use crate::Fault;
use narrows_runtime::{Tick, Watch};
use narrows_upstream::{Cluster, EndpointState, Running, Unavailable};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};

/// An endpoint, and the place that was taken there.
pub(crate) type Reserved = (Rc<EndpointState>, Running);

/// Waits in the queue of a cluster. `reserve` is called whenever it may be this one's turn; `poll_client` sees whether the client is still
/// there; `whole` is when everything is over. Sets `watch`. Cancel safe: who leaves gives its place in the queue up.
///
/// # Errors
/// When the queue is full, nobody had room in time, no endpoint is left, or the client is gone.
pub(crate) async fn wait(
    cluster: &Cluster,
    priority: i32,
    watch: &Watch,
    whole: Tick,
    mut reserve: impl FnMut() -> Result<Reserved, Unavailable>,
    mut poll_client: impl FnMut(&mut Context<'_>) -> Result<(), Fault>,
) -> Result<Reserved, Fault> {
    let mut ticket = Some(cluster.wait(priority).map_err(Fault::Shed)?);
    watch.set_at(watch.after(cluster.upstream.limits.queue.timeout).min(whole));
    poll_fn(|context| {
        while let Some(waiting) = &mut ticket
            && waiting.poll_called(context).is_ready()
        {
            match reserve() {
                Ok((endpoint, running)) => {
                    if let Some(waiting) = ticket.take() {
                        waiting.served(endpoint.id());
                    }
                    return Poll::Ready(Ok((endpoint, running)));
                }
                Err(Unavailable::Full) => waiting.passed(),
                Err(why) => return Poll::Ready(Err(why.into())),
            }
        }
        poll_client(context)?;
        watch.poll_expired(context).map(|()| {
            Err(match watch.now() >= whole {
                true => Fault::RequestTimedOut,
                false => Fault::Shed(cluster.waited_in_vain()),
            })
        })
    })
    .await
}
