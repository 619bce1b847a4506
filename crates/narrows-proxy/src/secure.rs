//! Ending the TLS of a client, before anything that it says is looked at.

use crate::answer::Answer;
use crate::downstream::Downstream;
use crate::gate::Arrival;
use crate::generation::Generation;
use crate::tracing::Handshake;
use crate::worker::Worker;
use crate::{Fault, record};
use narrows_runtime::{Stream, Watch};
use narrows_tls::{Acceptor, Refused, TlsFacts, TlsFault};
use narrows_wire::http1::{Method, Version};
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

/// What a client that speaks TLS to a plain port gets: the alert `unexpected_message` (RFC 8446 section 6.2), which its library
/// understands better than a page.
pub(crate) const PLAIN_PORT_ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 10];

/// Ends the TLS of a client: the stream inside, with what the handshake told in `arrival`. `None`: the client was refused, which is recorded,
/// or the worker drains.
pub(crate) async fn end_tls(
    worker: &Worker,
    generation: &Generation,
    acceptor: &Acceptor,
    stream: Stream,
    watch: &Watch,
    arrival: &mut Arrival,
) -> Option<Stream> {
    let started = Instant::now();
    watch.set(acceptor.timeout());
    let accepted = accept(worker, acceptor, stream, watch).await?;
    worker.counting.shook_hands(arrival.place.listener, accepted.as_ref().ok().map(|(_, facts)| facts));
    match accepted {
        Ok((stream, facts)) => {
            arrival.tls = Some(Rc::new(facts));
            if generation.plan.tracing.as_ref().is_some_and(|tracing| tracing.handshakes) {
                arrival.handshake = Some(Rc::new(Handshake::since(started)));
            }
            Some(stream)
        }
        Err(Refused { fault, server_name, stream }) => {
            if !server_name.is_empty() {
                // For the record alone: nothing else of this client is looked at.
                arrival.tls = Some(Rc::new(TlsFacts { server_name, ..TlsFacts::default() }));
            }
            record::add_refused(worker, generation, arrival, started, b"TLS", Fault::Handshake(fault));
            if fault == (TlsFault::NotTls { http: true }) {
                tell_plain_client(worker, generation, stream, arrival).await;
            }
            None
        }
    }
}

/// A handshake; `None` when the process ends meanwhile: the client has not asked for anything yet.
async fn accept(
    worker: &Worker,
    acceptor: &Acceptor,
    stream: Stream,
    watch: &Watch,
) -> Option<Result<(Stream, TlsFacts), Refused>> {
    let mut accepting = pin!(acceptor.accept(stream, watch));
    poll_fn(|context| match accepting.as_mut().poll(context) {
        Poll::Ready(done) => Poll::Ready(Some(done)),
        Poll::Pending if worker.is_hurrying() => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

/// Answers a request in plain HTTP on a TLS port, which everybody's browser can show.
async fn tell_plain_client(worker: &Worker, generation: &Generation, stream: Stream, arrival: &Arrival) {
    let Some(listener) = generation.http(arrival.place.listener) else { return };
    let fault = Fault::Handshake(TlsFault::NotTls { http: true });
    let answer = Answer::to_fault(fault, None, &listener.error_pages);
    let mut out = Vec::new();
    answer.write(Method::Get, Version::Http11, false, &worker.date(), &[], &mut out);
    let mut downstream = Downstream::new(stream, worker.deadlines.watch(), arrival.clone());
    downstream.watch.set(listener.timeouts.write_idle);
    if downstream.write_all(&out).await.is_ok() {
        downstream.linger(worker).await;
    }
}
