//! The life of a TCP flow: gate, peek, route, connect, pump.

use crate::explain::{Attempted, Trail};
use crate::flow_facts::FlowFacts;
use crate::forward::pause;
use crate::gate::{self, Arrival};
use crate::generation::Generation;
use crate::preface::preface;
use crate::queueing::{self, Reserved};
use crate::termination::{Progress, termination};
use crate::tunnel::{self, Ends, Moved};
use crate::wants::Wants;
use crate::worker::{OpenConnection, Place, Worker};
use crate::{Fault, record, secure};
use narrows_observe::{AccessRecord, Timings};
use narrows_plan::{Subject, TcpListener, UpstreamId};
use narrows_runtime::{Buffer, Peer, Stream, Watch};
use narrows_upstream::{Cluster, Connection, EndpointState, Need, Purpose, Tried, Unavailable, Wanted};
use narrows_wire::client_hello::{self, Peek};
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Instant;

/// What is kept for the record.
#[derive(Default)]
struct Outcome<'a> {
    route: &'a str,
    upstream: &'a str,
    endpoint: Option<Rc<EndpointState>>,
    attempts: u32,
    server_name: String,
    timings: Timings,
    moved: Moved,
    /// Where somebody wants it explained.
    trail: Option<Box<Trail>>,
}

/// The life of a TCP flow.
pub(crate) async fn life(
    worker: Rc<Worker>,
    place: Place,
    stream: Stream,
    peer: Peer,
    _open: OpenConnection,
) {
    let started = Instant::now();
    let generation = worker.generation_of(place.listener);
    let Some(listener) = generation.tcp(place.listener) else { return };
    let mut stream = stream;
    let watch = worker.deadlines.watch();
    let mut arrival = Arrival::new(place, peer);
    let mut outcome = Outcome::default();
    let passed =
        gate::pass(&worker, &generation, &mut stream, &watch, listener.timeouts.peek, &mut arrival).await;
    if let (Ok(()), Some(acceptor)) = (&passed, generation.acceptor(place.listener)) {
        match Box::pin(secure::end_tls(&worker, &generation, acceptor, stream, &watch, &mut arrival)).await {
            Some(inside) => stream = inside,
            None => return,
        }
    }
    let carried = match passed {
        Ok(()) => carry(&worker, &generation, listener, &mut stream, &watch, &arrival, &mut outcome).await,
        Err(refused) => Err(refused.unwrap_or(Fault::ClientGone)),
    };
    if let Err(fault) = carried {
        outcome.moved.fault = Some(fault);
        if !matches!(fault, Fault::ClientGone) {
            stream.reset_on_close();
        }
    }
    add_record(&worker, &generation, &arrival, started, &outcome);
    if let Some(trail) = outcome.trail {
        let Moved { received, sent, fault, .. } = outcome.moved;
        trail.end(outcome.timings, started.elapsed(), 0, fault, (received, sent));
    }
}

/// Carries a flow that was let in: peek, route, connect, pump.
async fn carry<'a>(
    worker: &Worker,
    generation: &'a Generation,
    listener: &'a TcpListener,
    stream: &mut Stream,
    watch: &Watch,
    arrival: &Arrival,
    outcome: &mut Outcome<'a>,
) -> Result<(), Fault> {
    let mut hello = ClientHello::default();
    if let Some(tls) = arrival.tls.as_deref() {
        hello.server_name.clone_from(&tls.server_name);
        hello.alpn.extend((!tls.protocol.is_empty()).then(|| tls.protocol.clone()));
    } else if listener.peeks {
        hello = peek(worker, listener, stream, watch).await?;
    }
    let facts = FlowFacts {
        source: arrival.peer.address(),
        source_port: arrival.peer.port(),
        listener: generation.listener_name(arrival.place.listener),
        local_port: arrival.place.local_port,
        tlvs: arrival.tlvs(),
        server_name: &hello.server_name,
        alpn: &hello.alpn,
        tls: arrival.tls.as_deref(),
        unix: worker.unix(),
    };
    outcome.trail = worker.asked.of_flow("tcp", &facts);
    let upstream = route(generation, listener, &facts, outcome)?;
    let cluster = generation.cluster(upstream);
    outcome.upstream = &cluster.upstream.name;
    if let Some(trail) = &outcome.trail {
        trail.goes_to(&cluster.upstream.name);
    }
    let wants = Wants::of_flow(&facts, cluster, generation.sticky(upstream));
    outcome.server_name = std::mem::take(&mut hello.server_name);
    let preface = preface(cluster.upstream.proxy_protocol, arrival, &outcome.server_name);
    let entered = cluster.enter(Need::Flow).map_err(Fault::Shed)?;
    let mut received = hello.received.map_or(Vec::new(), |(buffer, length)| buffer[..length].to_vec());
    let client = Client { stream, wants: &wants, received: &mut received };
    let connected = connect(worker, cluster, listener, client, watch, &preface, outcome).await;
    if connected.as_ref().is_err_and(|fault| fault.is_upstream()) {
        entered.failed();
    }
    let (mut connection, (endpoint, running)) = connected?;
    entered.answered(0);

    let ends =
        Ends { client: stream, server: &mut connection.stream, endpoint: &endpoint, is_unproven: true };
    // Boxed apart, so that a waiting flow is small.
    outcome.moved = tunnel::life(worker, watch, listener.timeouts.idle, ends, &received, &[]).await;
    drop(connection);
    drop(running);
    Ok(())
}

/// A client whose flow has no server yet.
struct Client<'a> {
    stream: &'a mut Stream,
    /// What it wants of its server.
    wants: &'a Wants<'a>,
    /// What it sent already.
    received: &'a mut Vec<u8>,
}

impl Client<'_> {
    /// Keeps what the client sends while it has no server, as far as it goes. Fails when it has reset its connection.
    fn poll(&mut self, context: &mut Context<'_>, worker: &Worker, is_read: &mut bool) -> Result<(), Fault> {
        /// A client that sends more has to wait with the rest.
        const AHEAD_BYTES: usize = 16 << 10;
        while *is_read && self.received.len() < AHEAD_BYTES {
            let mut buffer = worker.buffers.take(0);
            match self.stream.poll_read(context, &mut buffer) {
                // One that only closed its half may still want an answer.
                Poll::Ready(Ok(0)) => *is_read = false,
                Poll::Ready(Ok(count)) => self.received.extend_from_slice(&buffer[..count]),
                Poll::Ready(Err(_)) => return Err(Fault::ClientGone),
                Poll::Pending => break,
            }
        }
        Ok(())
    }
}

/// What a client hello said, with the bytes that it came in.
#[derive(Default)]
struct ClientHello {
    server_name: String,
    alpn: Vec<String>,
    received: Option<(Buffer, usize)>,
}

/// Reads until the client hello is complete or it is clear that there is none. A client that stays silent waits for the
/// server to speak first (databases, mail): it goes on without a hello.
async fn peek(
    worker: &Worker,
    listener: &TcpListener,
    stream: &mut Stream,
    watch: &Watch,
) -> Result<ClientHello, Fault> {
    watch.set(listener.timeouts.peek);
    let mut buffer = worker.buffers.take(32 << 10);
    let mut length = 0;
    loop {
        let read = poll_fn(|context| match stream.poll_read(context, &mut buffer[length..]) {
            Poll::Ready(Ok(count)) => Poll::Ready(Ok(count)),
            Poll::Ready(Err(_)) => Poll::Ready(Err(Fault::ClientGone)),
            Poll::Pending => watch.poll_expired(context).map(|()| Err(Fault::PeekTimedOut)),
        });
        match read.await {
            Ok(0) => return Err(Fault::ClientGone),
            Ok(count) => length += count,
            Err(Fault::PeekTimedOut) if length == 0 => return Ok(ClientHello::default()),
            Err(fault) => return Err(fault),
        }
        match client_hello::peek(&buffer[..length]) {
            Peek::Partial if length < buffer.len() => {}
            Peek::Partial | Peek::Invalid(_) => return Err(Fault::ClientHello),
            Peek::NotTls => {
                return Ok(ClientHello { received: Some((buffer, length)), ..ClientHello::default() });
            }
            Peek::Hello { server_name, alpn } => {
                let server_name = server_name.unwrap_or_default();
                return Ok(ClientHello { server_name, alpn, received: Some((buffer, length)) });
            }
        }
    }
}

fn route<'a>(
    generation: &Generation,
    listener: &'a TcpListener,
    facts: &FlowFacts<'_>,
    outcome: &mut Outcome<'a>,
) -> Result<UpstreamId, Fault> {
    let subject = Subject { host: facts.server_name, path: "" };
    let selected = match &outcome.trail {
        None => listener.table.select(subject, facts, &mut ()),
        Some(trail) => {
            let route = |rule: usize| (&*listener.routes[rule].name, listener.routes[rule].origin);
            trail.select(&generation.plan, &listener.table, subject, facts, route)
        }
    };
    if let Some(rule) = selected {
        outcome.route = &listener.routes[rule].name;
        return Ok(listener.routes[rule].upstream);
    }
    listener.fallback.ok_or(Fault::NoRoute)
}

/// Connects to the first endpoint that accepts.
async fn connect<'a>(
    worker: &Worker,
    cluster: &'a Cluster,
    listener: &TcpListener,
    mut client: Client<'_>,
    watch: &Watch,
    preface: &[u8],
    outcome: &mut Outcome<'a>,
) -> Result<(Connection, Reserved), Fault> {
    let mut tried = Tried::default();
    let mut fault = None;
    let policy = &cluster.upstream.retry;
    for number in 0..=policy.limit {
        let wanted = client.wants.wanted(&tried);
        if let (Some(last), false) = (number.checked_sub(1), policy.backoff.is_zero()) {
            // A place is taken after the pause: others may use it until then.
            if let (Err(Unavailable::Tried | Unavailable::Down | Unavailable::Sticky), Some(fault)) =
                (cluster.pick(&wanted), fault)
            {
                return Err(fault);
            }
            watch.set(Some(pause(policy.backoff, last, worker.chance.number() as u32)));
            let mut is_read = true;
            poll_fn(|context| {
                client.poll(context, worker, &mut is_read)?;
                watch.poll_expired(context).map(Ok::<(), Fault>)
            })
            .await?;
        }
        if let Some(trail) = &outcome.trail {
            trail.choosing(cluster, client.wants, &tried);
        }
        let (endpoint, running) = match cluster.reserve(&wanted, Need::Flow) {
            Ok(reserved) => reserved,
            Err(Unavailable::Full) => {
                let since = Instant::now();
                let waited = Box::pin(wait(worker, cluster, &wanted, &mut client, watch)).await;
                outcome.timings.queue = Some(outcome.timings.queue.unwrap_or_default() + since.elapsed());
                waited?
            }
            Err(why) => return Err(fault.unwrap_or(why.into())),
        };
        outcome.endpoint = Some(Rc::clone(&endpoint));
        outcome.attempts += 1;
        let since = Instant::now();
        let connected = endpoint.connect(Purpose::Bytes, watch, listener.timeouts.connect, preface).await;
        outcome.timings.connect = Some(since.elapsed());
        if let Some(trail) = &outcome.trail {
            trail.attempted(&Attempted {
                endpoint: &endpoint.label,
                connect: outcome.timings.connect,
                took: since.elapsed(),
                status: 0,
                fault: connected.as_ref().err().map(|failure| Fault::Connect(*failure)),
            });
        }
        match connected {
            Ok(connection) => {
                client.wants.reached(&endpoint);
                return Ok((connection, (endpoint, running)));
            }
            Err(failure) => {
                endpoint.not_connected(failure);
                fault = Some(Fault::Connect(failure));
            }
        }
        if !policy.on.connect_failure {
            break;
        }
        if let Some(trail) = outcome.trail.as_ref().filter(|_| number < policy.limit) {
            trail.again("no connection could be made");
        }
        tried.add(endpoint.id());
    }
    Err(fault.unwrap_or(Fault::NoEndpoint))
}

/// Waits in the queue for an endpoint that has room. What the client sends meanwhile is kept, as far as it goes.
async fn wait(
    worker: &Worker,
    cluster: &Cluster,
    wanted: &Wanted<'_>,
    client: &mut Client<'_>,
    watch: &Watch,
) -> Result<Reserved, Fault> {
    let mut is_read = true;
    let reserve = || cluster.reserve_in_turn(wanted, Need::Flow);
    queueing::wait(cluster, 0, watch, watch.never(), reserve, |context| {
        client.poll(context, worker, &mut is_read)
    })
    .await
}

fn add_record(
    worker: &Worker,
    generation: &Generation,
    arrival: &Arrival,
    started: Instant,
    outcome: &Outcome<'_>,
) {
    let Outcome { attempts, moved, .. } = outcome;
    let facts =
        FlowFacts { server_name: &outcome.server_name, ..record::flow_facts(worker, generation, arrival) };
    let has_moved = moved.received > 0 || moved.sent > 0;
    let progress = Progress { attempts: *attempts, is_connected: has_moved, is_answered: has_moved };
    record::tell(
        worker,
        &AccessRecord {
            host: &outcome.server_name,
            bytes_received: moved.received,
            bytes_sent: moved.sent,
            duration: started.elapsed(),
            timings: outcome.timings,
            route: outcome.route,
            upstream: outcome.upstream,
            endpoint: outcome.endpoint.as_ref().map_or("", |endpoint| &endpoint.label),
            attempts: *attempts,
            fault: moved.fault.map_or("", |fault| fault.meaning().code),
            termination: termination(moved.fault, progress),
            ..record::blank(worker, generation, arrival, b"TCP", &facts)
        },
    );
}
