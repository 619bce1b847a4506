//! Ending the TLS of a client, before anything that it says is looked at.

use crate::answer::Answer;
use crate::downstream::Downstream;
use crate::worker::{Place, Worker};
use crate::{Fault, record};
use narrows_plan::Protocol;
use narrows_runtime::{Peer, Stream, Watch};
use narrows_tls::{Acceptor, Refused, TlsFacts, TlsFault};
use narrows_wire::http1::{Method, Version};
use std::rc::Rc;

/// What a client that speaks TLS to a plain port gets: the alert `unexpected_message` (RFC 8446 section 6.2), which its library
/// understands better than a page.
pub(crate) const PLAIN_PORT_ALERT: &[u8] = &[21, 3, 1, 0, 2, 2, 10];

/// Ends the TLS of a client: the stream inside, and what the handshake told. `None`: the client was refused, which is recorded.
pub(crate) async fn end_tls(
    worker: &Worker,
    acceptor: &Acceptor,
    place: Place,
    stream: Stream,
    peer: Peer,
    watch: &Watch,
) -> Option<(Stream, Rc<TlsFacts>)> {
    watch.set(acceptor.timeout());
    match acceptor.accept(stream, watch).await {
        Ok((stream, facts)) => Some((stream, Rc::new(facts))),
        Err(Refused { fault, stream }) => {
            record::add_connection(worker, place, peer, b"TLS", Fault::Handshake(fault));
            if fault == (TlsFault::NotTls { http: true }) {
                tell_plain_client(worker, place, stream, peer, watch).await;
            }
            None
        }
    }
}

/// Answers a request in plain HTTP on a TLS port, which everybody's browser can show.
async fn tell_plain_client(worker: &Worker, place: Place, stream: Stream, peer: Peer, watch: &Watch) {
    let Protocol::Http(listener) = &worker.plan.listeners[place.listener].protocol else { return };
    let fault = Fault::Handshake(TlsFault::NotTls { http: true });
    let answer = Answer::to_fault(fault, None, &listener.error_pages);
    let mut out = Vec::new();
    answer.write(Method::Get, Version::Http11, false, &worker.date(), &[], &mut out);
    let mut downstream = Downstream::new(stream, worker.deadlines.watch(), peer, place, None);
    watch.set(None);
    downstream.watch.set(listener.timeouts.write_idle);
    if downstream.write_all(&out).await.is_ok() {
        downstream.linger(worker).await;
    }
}
