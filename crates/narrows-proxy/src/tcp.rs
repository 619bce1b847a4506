//! The life of a TCP flow: peek, route, connect, pump.

use crate::Fault;
use crate::request::time_fact;
use crate::tunnel::{self, Ends, Moved};
use crate::worker::{OpenConnection, Place, Worker};
use narrows_observe::{AccessRecord, Calendar};
use narrows_plan::{Fact, Facts, Protocol, Subject, TcpListener, UpstreamId};
use narrows_runtime::{Buffer, Peer, Stream, Watch};
use narrows_upstream::{Cluster, ConnectFailure, Connection, Running, Tried};
use narrows_wire::client_hello::{self, Peek};
use std::borrow::Cow;
use std::future::poll_fn;
use std::net::IpAddr;
use std::rc::Rc;
use std::task::Poll;
use std::time::Instant;

/// Answers expressions about a flow of layer 4: a TCP connection or a UDP session.
#[derive(Debug)]
pub struct TcpFacts<'a> {
    /// Address of the client.
    pub source: IpAddr,
    /// Its port.
    pub source_port: u16,
    /// Name of the listener.
    pub listener: &'a str,
    /// Port of the listener.
    pub local_port: u16,
    /// Server name that the client asked for, lower case; empty when none.
    pub server_name: &'a str,
    /// Application protocols that it offered.
    pub alpn: &'a [String],
    /// Seconds since 1970.
    pub unix: u64,
}

/// What is kept for the record.
#[derive(Default)]
struct Outcome<'a> {
    route: &'a str,
    upstream: &'a str,
    endpoint: &'a str,
    attempts: u32,
    server_name: String,
    moved: Moved,
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
    let mut stream = stream;
    let watch = worker.deadlines.watch();
    let mut outcome = Outcome::default();
    if let Err(fault) = carry(&worker, place, &mut stream, peer, &watch, &mut outcome).await {
        outcome.moved.fault = Some(fault);
        if !matches!(fault, Fault::ClientGone) {
            stream.reset_on_close();
        }
    }
    record(&worker, place, peer, started, &outcome);
}

async fn carry<'a>(
    worker: &'a Worker,
    place: Place,
    stream: &mut Stream,
    peer: Peer,
    watch: &Watch,
    outcome: &mut Outcome<'a>,
) -> Result<(), Fault> {
    let plan = &worker.plan.listeners[place.listener];
    let Protocol::Tcp(listener) = &plan.protocol else { return Ok(()) };
    let mut hello = ClientHello::default();
    if listener.peeks {
        hello = peek(worker, listener, stream, watch).await?;
    }
    let facts = TcpFacts {
        source: peer.address(),
        source_port: peer.port(),
        listener: &plan.name,
        local_port: place.local_port,
        server_name: &hello.server_name,
        alpn: &hello.alpn,
        unix: worker.unix(),
    };
    let upstream = route(listener, &facts, outcome)?;
    let cluster = worker.cluster(upstream);
    outcome.upstream = &cluster.name;
    outcome.server_name = std::mem::take(&mut hello.server_name);
    let (mut connection, running) = connect(cluster, listener, peer, watch, outcome).await?;

    let received = hello.received.as_ref().map_or(&[][..], |(buffer, length)| &buffer[..*length]);
    let ends = Ends { client: stream, server: &mut connection.stream };
    // Boxed apart, so that a waiting flow is small.
    outcome.moved = tunnel::life(worker, watch, listener.timeouts.idle, ends, received, &[]).await;
    drop(running);
    Ok(())
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
    listener: &'a TcpListener,
    facts: &TcpFacts<'_>,
    outcome: &mut Outcome<'a>,
) -> Result<UpstreamId, Fault> {
    let subject = Subject { host: facts.server_name, path: "" };
    if let Some(rule) = listener.table.select(subject, facts, &mut ()) {
        outcome.route = &listener.routes[rule].name;
        return Ok(listener.routes[rule].upstream);
    }
    listener.fallback.ok_or(Fault::NoRoute)
}

/// Connects to the first endpoint that accepts.
async fn connect<'a>(
    cluster: &'a Cluster,
    listener: &TcpListener,
    peer: Peer,
    watch: &Watch,
    outcome: &mut Outcome<'a>,
) -> Result<(Connection, Running), Fault> {
    let mut tried = Tried::default();
    let mut failure = ConnectFailure::Unreachable;
    for _ in 0..=cluster.retries {
        let Some(index) = cluster.pick(&tried, peer.address()) else { break };
        let endpoint = cluster.endpoint(index);
        outcome.endpoint = &endpoint.label;
        outcome.attempts += 1;
        let running = endpoint.begin();
        match endpoint.connect(watch, listener.timeouts.connect).await {
            Ok(connection) => return Ok((connection, running)),
            Err(failed) => failure = failed,
        }
        tried.add(index);
    }
    Err(Fault::Connect(failure))
}

fn record(worker: &Worker, place: Place, peer: Peer, started: Instant, outcome: &Outcome<'_>) {
    let Some(log) = &worker.log else { return };
    log.add(&AccessRecord {
        time: Calendar::from_unix(worker.unix()),
        client: peer.address(),
        listener: &worker.plan.listeners[place.listener].name,
        method: b"TCP",
        target: &[],
        version: "",
        host: &outcome.server_name,
        status: 0,
        bytes_received: outcome.moved.received,
        bytes_sent: outcome.moved.sent,
        duration: started.elapsed(),
        referer: &[],
        user_agent: &[],
        route: outcome.route,
        upstream: outcome.upstream,
        endpoint: outcome.endpoint,
        datagrams: None,
        attempts: outcome.attempts,
        fault: outcome.moved.fault.map_or("", |fault| fault.meaning().code),
    });
}

impl Facts for TcpFacts<'_> {
    fn text(&self, fact: Fact) -> Cow<'_, str> {
        match fact {
            Fact::Source => self.source.to_string().into(),
            Fact::Listener => self.listener.into(),
            Fact::ServerName => self.server_name.into(),
            _ => Cow::default(),
        }
    }

    fn number(&self, fact: Fact) -> i64 {
        match fact {
            Fact::SourcePort => self.source_port.into(),
            Fact::LocalPort => self.local_port.into(),
            _ => time_fact(fact, self.unix),
        }
    }

    fn source(&self) -> IpAddr {
        self.source
    }

    fn header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn parameter(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn response_header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }

    fn capture(&self, _: usize) -> Option<&str> {
        None
    }

    fn alpn(&self) -> &[String] {
        self.alpn
    }
}
