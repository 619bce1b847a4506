//! The gate that every connection passes first: who is it from, when a PROXY protocol header may say so?

use crate::Fault;
use crate::generation::Generation;
use crate::tracing::Handshake;
use crate::worker::{Place, Worker};
use narrows_plan::{ProxyProtocol, ProxyProtocolMode};
use narrows_runtime::{Peer, Stream, Watch};
use narrows_tls::TlsFacts;
use narrows_wire::proxy_protocol::{
    Addresses, Header, InvalidHeader, Peek, SIGNATURE, Tlvs, Transport, USUAL, peek,
};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// Where a connection comes from and where it was going.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The client: the other end of the connection, or whom the header names.
    pub(crate) peer: Peer,
    /// Where it was accepted, with the port that the client connected to.
    pub(crate) place: Place,
    /// The address that the client connected to. Known where a header said it, or where an upstream is told.
    pub(crate) destination: Option<SocketAddr>,
    /// What the TLS handshake told; `None` without TLS.
    pub(crate) tls: Option<Rc<TlsFacts>>,
    /// The handshake, where it is to be told.
    pub(crate) handshake: Option<Rc<Handshake>>,
    /// The TLVs of the header.
    tlvs: Option<Rc<[u8]>>,
}

impl Arrival {
    /// A connection as it was accepted.
    pub(crate) fn new(place: Place, peer: Peer) -> Self {
        Arrival { peer, place, destination: None, tls: None, handshake: None, tlvs: None }
    }

    /// A datagram's client, and the address that it sent to.
    pub(crate) fn of_datagram(
        place: Place,
        client: SocketAddr,
        destination: Option<SocketAddr>,
        tlvs: Tlvs<'_>,
    ) -> Self {
        let mut arrival = Arrival::new(place, Peer::Socket(plain(client)));
        arrival.destination = destination.map(plain);
        arrival.keep(tlvs);
        arrival
    }

    /// What else the PROXY protocol header said.
    pub(crate) fn tlvs(&self) -> Tlvs<'_> {
        self.tlvs.as_deref().and_then(|bytes| Tlvs::new(bytes).ok()).unwrap_or_default()
    }

    /// Believes a header that a trusted peer sent.
    fn believe(&mut self, header: &Header<'_>) {
        // A header without addresses leaves those of the connection; those of Unix sockets say nothing here.
        if let Addresses::Internet { source, destination, .. } = header.addresses {
            self.peer = Peer::Socket(plain(source));
            self.place.local_port = destination.port();
            self.destination = Some(plain(destination));
        }
        self.keep(header.tlvs);
    }

    fn keep(&mut self, tlvs: Tlvs<'_>) {
        let tlvs = tlvs.as_bytes();
        self.tlvs = (!tlvs.is_empty()).then(|| tlvs.into());
    }
}

/// An address as it is told and compared: IPv4 as IPv4.
pub(crate) fn plain(end: SocketAddr) -> SocketAddr {
    SocketAddr::new(end.ip().to_canonical(), end.port())
}

/// Whether there is nothing to find out: every connection passes as it is.
pub(crate) fn is_open(generation: &Generation, place: Place) -> bool {
    let listener = generation.listener(place.listener);
    !generation.tells_destinations && listener.is_none_or(|listener| listener.proxy_protocol.is_none())
}

/// Lets a connection in, and finds out whose it is. Of its bytes exactly the header is taken, so that whatever follows
/// (TLS, an exchange, a flow) finds its own first byte.
///
/// # Errors
/// Why it is not let in; `None` when it left without a word, or the worker drains.
pub(crate) async fn pass(
    worker: &Worker,
    generation: &Generation,
    stream: &mut Stream,
    watch: &Watch,
    timeout: Option<Duration>,
    arrival: &mut Arrival,
) -> Result<(), Option<Fault>> {
    if generation.tells_destinations {
        arrival.destination = stream.local_address();
    }
    let listener = generation.listener(arrival.place.listener);
    let Some(expected) = listener.and_then(|listener| listener.proxy_protocol.as_ref()) else {
        return Ok(());
    };
    match (expected.trusts(arrival.peer.address()), expected.mode) {
        (true, _) => {
            watch.set(timeout);
            // Boxed, so that connections that do not wait for a header are small.
            Box::pin(receive(worker, expected, stream, watch, arrival)).await
        }
        (false, ProxyProtocolMode::Required) => Err(Some(Fault::ProxyProtocolUntrusted)),
        // A stranger is never believed: what looks like a header is payload.
        (false, ProxyProtocolMode::Allowed) => Ok(()),
    }
}

/// Receives the header of a trusted peer.
async fn receive(
    worker: &Worker,
    expected: &ProxyProtocol,
    stream: &mut Stream,
    watch: &Watch,
    arrival: &mut Arrival,
) -> Result<(), Option<Fault>> {
    let mut bytes = vec![0; USUAL];
    let mut needed = 1;
    loop {
        let known = needed - 1;
        let seen = match within(worker, watch, stream.peek(&mut bytes, known)).await {
            Awaited::Done(Ok(count)) if count > known => count,
            Awaited::Done(Ok(0) | Err(_)) | Awaited::Draining => return Err(None),
            // The rest will never come.
            Awaited::Done(Ok(_)) | Awaited::Expired if needed > SIGNATURE => {
                return Err(Some(Fault::ProxyProtocolInvalid(InvalidHeader::TooShort)));
            }
            Awaited::Done(Ok(_)) | Awaited::Expired => {
                stream.unpeek().map_err(|_| None)?;
                return absent(expected);
            }
        };
        match peek(&bytes[..seen]) {
            Peek::Partial { needed: more } => {
                needed = more;
                bytes.resize(needed.max(bytes.len()), 0);
            }
            Peek::Absent => return absent(expected),
            Peek::Invalid(error) => return Err(Some(Fault::ProxyProtocolInvalid(error))),
            Peek::Header(header) if header.addresses.transport() == Some(Transport::Datagram) => {
                return Err(Some(Fault::ProxyProtocolInvalid(InvalidHeader::Family)));
            }
            Peek::Header(header) => {
                arrival.believe(&header);
                let length = header.length;
                return take(stream, &mut bytes[..length]).await.map_err(|_| None);
            }
        }
    }
}

/// There is no header: only where that is allowed the connection goes on.
fn absent(expected: &ProxyProtocol) -> Result<(), Option<Fault>> {
    match expected.mode {
        ProxyProtocolMode::Required => Err(Some(Fault::ProxyProtocolMissing)),
        ProxyProtocolMode::Allowed => Ok(()),
    }
}

/// Takes bytes that have arrived.
async fn take(stream: &mut Stream, bytes: &mut [u8]) -> io::Result<()> {
    let mut taken = 0;
    while taken < bytes.len() {
        match poll_fn(|context| stream.poll_read(context, &mut bytes[taken..])).await? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => taken += count,
        }
    }
    Ok(())
}

/// What came of waiting.
enum Awaited<T> {
    Done(T),
    Expired,
    Draining,
}

/// Waits for `future` within the deadline that is set, and no longer than the worker takes connections.
async fn within<T>(worker: &Worker, watch: &Watch, future: impl Future<Output = T>) -> Awaited<T> {
    let mut future = pin!(future);
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(Awaited::Done(result)),
        Poll::Pending if worker.is_hurrying() => Poll::Ready(Awaited::Draining),
        Poll::Pending => watch.poll_expired(context).map(|()| Awaited::Expired),
    })
    .await
}
