//! What is known of a request, a TCP flow or a UDP session once it is over.

use narrows_plan::Facts;
use std::net::IpAddr;
use std::time::Duration;

/// The datagrams of a UDP session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Datagrams {
    /// From the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
    /// Those of either side that could not be passed on.
    pub dropped: u64,
}

/// What the TLS of a client came to.
#[derive(Debug, Clone, Copy, Default)]
pub struct TlsRecord<'a> {
    /// `1.2` or `1.3`.
    pub version: &'a str,
    /// The cipher suite, as IANA names it.
    pub cipher: &'a str,
    /// The name that the client asked for; empty when it asked for none.
    pub server_name: &'a str,
    /// The application protocol that was agreed on; empty without one.
    pub protocol: &'a str,
    /// Whether an earlier session was resumed.
    pub resumed: bool,
}

/// The names under which others know a request; empty where it has none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ids<'a> {
    /// The request id, made or taken over.
    pub request: &'a str,
    /// The trace, 32 hexadecimal digits.
    pub trace: &'a str,
    /// The span of the request, 16 hexadecimal digits.
    pub span: &'a str,
    /// Whether the trace is sampled, so that it can be looked up.
    pub is_sampled: bool,
}

/// How long the parts of an exchange took; `None` where there was no such part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the first byte of the request to its complete head; `None` when the head came in one piece.
    pub head: Option<Duration>,
    /// In the upstream's queue, all attempts together.
    pub queue: Option<Duration>,
    /// Until the connection of the last attempt was there; `None` when it was taken from the pool.
    pub connect: Option<Duration>,
    /// From then on, until the head of the endpoint's answer was complete.
    pub answer: Option<Duration>,
}

/// Who ended an exchange.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Ender {
    /// Nobody: it came to its proper end.
    #[default]
    Nobody,
    /// The client went away.
    Client,
    /// The client took too long.
    ClientTimeout,
    /// The endpoint refused, failed or broke off.
    Server,
    /// The endpoint took too long.
    ServerTimeout,
    /// The proxy refused it.
    Proxy,
    /// The proxy had no connection left.
    Resource,
    /// The endpoint went down meanwhile.
    Down,
    /// The proxy answered on its own, as it is configured.
    Local,
}

/// How far an exchange was when it ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Stage {
    /// It was over.
    #[default]
    Over,
    /// The request was read, or looked at.
    Request,
    /// It waited in the queue.
    Queue,
    /// A connection to an endpoint was made.
    Connect,
    /// The head of the answer was waited for.
    Head,
    /// Bytes were passed on.
    Body,
}

/// Who ended an exchange, and when.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Termination {
    /// Who.
    pub by: Ender,
    /// When.
    pub at: Stage,
}

/// What is known of a request once its answer is over, or of a TCP flow or UDP session once it has ended. It borrows everything: making one
/// allocates nothing.
#[derive(Clone, Copy)]
pub struct AccessRecord<'a> {
    /// When it ended, since 1970.
    pub ended: Duration,
    /// The client, after trusted proxies were believed.
    pub client: IpAddr,
    /// The other end of the connection, or whom its PROXY protocol header names.
    pub peer: IpAddr,
    /// The port of that one; 0 for a local process.
    pub peer_port: u16,
    /// The listener that took it.
    pub listener: &'a str,
    /// The port that the client connected to; 0 for a Unix socket.
    pub local_port: u16,
    /// `http`, `tcp`, `udp` or `quic`.
    pub protocol: &'static str,
    /// The client's TLS; `None` where it was plain, or where it passes through.
    pub tls: Option<TlsRecord<'a>>,
    /// Request, trace and span.
    pub ids: Ids<'a>,
    /// Method as sent; `TCP`, `UDP`, `QUIC` or `TLS` for what is no request, empty for a request that could not be read.
    pub method: &'a [u8],
    /// Request target as sent.
    pub target: &'a [u8],
    /// `HTTP/1.1` or the like; empty for TCP.
    pub version: &'a str,
    /// Host, or TLS server name.
    pub host: &'a str,
    /// Status of the answer; 0 when none was sent, and for TCP.
    pub status: u16,
    /// Status that the endpoint answered with; 0 when it did not.
    pub upstream_status: u16,
    /// Bytes of the request's head.
    pub head_received: u64,
    /// Bytes received from the client after the head.
    pub bytes_received: u64,
    /// Bytes of the answer's head.
    pub head_sent: u64,
    /// Bytes of the answer after its head, or bytes to the client.
    pub bytes_sent: u64,
    /// From the first byte of the request to the last of the answer.
    pub duration: Duration,
    /// The parts of it.
    pub timings: Timings,
    /// `Referer`.
    pub referer: &'a [u8],
    /// `User-Agent`.
    pub user_agent: &'a [u8],
    /// The route that took it; empty when none did.
    pub route: &'a str,
    /// The upstream; empty when none was asked.
    pub upstream: &'a str,
    /// The last endpoint that was asked.
    pub endpoint: &'a str,
    /// Of a UDP session, its datagrams.
    pub datagrams: Option<Datagrams>,
    /// How many attempts were made.
    pub attempts: u32,
    /// The typed cause when something went wrong; empty when nothing did.
    pub fault: &'a str,
    /// Who ended it, and when.
    pub termination: Termination,
    /// Everything else that expressions may ask: headers, cookies, certificates.
    pub facts: &'a dyn Facts,
}

impl Termination {
    /// The two letters of HAProxy's session state: `--` for a proper end.
    pub fn letters(self) -> [u8; 2] {
        let by = match self.by {
            Ender::Nobody => b'-',
            Ender::Client => b'C',
            Ender::ClientTimeout => b'c',
            Ender::Server => b'S',
            Ender::ServerTimeout => b's',
            Ender::Proxy => b'P',
            Ender::Resource => b'R',
            Ender::Down => b'D',
            Ender::Local => b'L',
        };
        let at = match self.at {
            Stage::Over => b'-',
            Stage::Request => b'R',
            Stage::Queue => b'Q',
            Stage::Connect => b'C',
            Stage::Head => b'H',
            Stage::Body => b'D',
        };
        [by, at]
    }
}

impl AccessRecord<'_> {
    /// When it began, since 1970.
    pub fn began(&self) -> Duration {
        self.ended.saturating_sub(self.duration)
    }
}

impl<'a> AccessRecord<'a> {
    /// A record in which nothing else is known.
    pub fn blank(
        ended: Duration,
        peer: IpAddr,
        listener: &'a str,
        method: &'a [u8],
        facts: &'a dyn Facts,
    ) -> Self {
        AccessRecord {
            ended,
            client: peer,
            peer,
            peer_port: 0,
            listener,
            local_port: 0,
            protocol: "",
            tls: None,
            ids: Ids::default(),
            method,
            target: &[],
            version: "",
            host: "",
            status: 0,
            upstream_status: 0,
            head_received: 0,
            bytes_received: 0,
            head_sent: 0,
            bytes_sent: 0,
            duration: Duration::ZERO,
            timings: Timings::default(),
            referer: &[],
            user_agent: &[],
            route: "",
            upstream: "",
            endpoint: "",
            datagrams: None,
            attempts: 0,
            fault: "",
            termination: Termination::default(),
            facts,
        }
    }
}
