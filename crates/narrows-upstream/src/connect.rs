//! Making a connection to an endpoint: the socket, TLS, HTTP/2.

use crate::{AttemptFailure, Connection, EndpointState};
use narrows_http2::{Client, Failure};
use narrows_plan::{Address, UpstreamProtocol};
use narrows_runtime::{Stream, Tick, Watch};
use narrows_tls::{Purpose, TlsFault};
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Why an endpoint could not be reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConnectFailure {
    /// It refused: nothing listens there.
    Refused,
    /// It did not answer in time.
    TimedOut,
    /// There is no way to it.
    Unreachable,
    /// This process has no descriptor, port or memory left.
    Exhausted,
    /// The TLS handshake failed.
    Tls(TlsFault),
    /// It does not speak HTTP/2.
    Http2,
    /// It has as many connections as it may; nothing was tried. Comes only when somebody else was faster.
    Full,
}

impl ConnectFailure {
    /// What the system said of a connect.
    pub fn from_error(error: &io::Error) -> Self {
        match error.raw_os_error() {
            // EMFILE, ENFILE, ENOBUFS, ENOMEM, EADDRNOTAVAIL (no local port left), EAGAIN (Unix backlog full)
            Some(24 | 23 | 105 | 12 | 99 | 11) => ConnectFailure::Exhausted,
            _ => match error.kind() {
                io::ErrorKind::ConnectionRefused
                | io::ErrorKind::NotFound
                | io::ErrorKind::ConnectionReset => ConnectFailure::Refused,
                io::ErrorKind::TimedOut => ConnectFailure::TimedOut,
                _ => ConnectFailure::Unreachable,
            },
        }
    }
}

impl EndpointState {
    /// A connection that is there already: a stream on a shared one, or an idle one that the other end has not closed as far as we
    /// know. With `certain` the kernel is asked, for requests that must not be repeated.
    pub fn reuse(&self, now: Tick, certain: bool) -> Option<Connection> {
        if self.protocol != UpstreamProtocol::Http1
            && let Some(connection) = self.multiplexed.open(now)
        {
            return Some(connection);
        }
        self.pool.take(now, certain, |open| self.places.discard(open))
    }

    /// Connects within `timeout`, which it sets on `watch`, and sends `preface` before anything else. Requests to an endpoint that speaks
    /// HTTP/2 share connections: while one is being made, the others wait for it. Cancel safe.
    ///
    /// # Errors
    /// Why it failed.
    pub async fn connect(
        &self,
        purpose: Purpose,
        watch: &Watch,
        timeout: Option<Duration>,
        preface: &[u8],
    ) -> Result<Connection, ConnectFailure> {
        watch.set(timeout);
        let shares = purpose == Purpose::Http
            && match self.protocol {
                UpstreamProtocol::Http1 => false,
                UpstreamProtocol::Http2 => true,
                UpstreamProtocol::Negotiated => self.multiplexed.was_chosen.get(),
            };
        // Boxed apart: the common case is plain HTTP/1.1 and should not carry their size.
        if shares {
            Box::pin(self.connect_shared(watch)).await
        } else if self.connector.is_some() {
            Box::pin(self.connect_secure(purpose, watch, preface)).await
        } else {
            let open = self.open_within_limit()?;
            let stream = self.dial_within(watch, preface).await?;
            Ok(Connection { stream, requests: 0, born: watch.now(), open })
        }
    }

    /// No connection could be made. What this process lacks itself is not the endpoint's failure.
    pub fn not_connected(&self, failure: ConnectFailure) {
        if !matches!(failure, ConnectFailure::Exhausted | ConnectFailure::Full) {
            self.failed(AttemptFailure::Connect);
        }
    }

    /// A stream on a shared connection, which is made when there is none with room.
    async fn connect_shared(&self, watch: &Watch) -> Result<Connection, ConnectFailure> {
        loop {
            if let Some(connection) = self.multiplexed.open(watch.now()) {
                return Ok(connection);
            }
            let begun = self.multiplexed.begin(watch).await;
            if let Some(_connecting) = begun.map_err(|()| ConnectFailure::TimedOut)? {
                return self.connect_secure(Purpose::Http, watch, &[]).await;
            }
        }
    }

    /// TLS where the upstream wants it, then the version of HTTP that was agreed on.
    async fn connect_secure(
        &self,
        purpose: Purpose,
        watch: &Watch,
        preface: &[u8],
    ) -> Result<Connection, ConnectFailure> {
        let open = self.open_within_limit()?;
        let mut stream = self.dial_within(watch, preface).await?;
        let mut is_http2 = self.protocol == UpstreamProtocol::Http2;
        if let Some(connector) = &self.connector {
            let done = connector.connect(stream, &self.server_name, purpose, watch).await;
            let (secure, facts) = done.map_err(|fault| match fault {
                TlsFault::TimedOut => ConnectFailure::TimedOut,
                fault => ConnectFailure::Tls(fault),
            })?;
            stream = secure;
            is_http2 |= facts.protocol == "h2";
        }
        self.multiplexed.was_chosen.set(is_http2 && purpose == Purpose::Http);
        if purpose == Purpose::Bytes || !is_http2 {
            return Ok(Connection { stream, requests: 0, born: watch.now(), open });
        }
        let begun = Client::begin(stream, self.multiplexed.client_limits, watch).await;
        let client = begun.map_err(|failure| match failure {
            Failure::TimedOut => ConnectFailure::TimedOut,
            Failure::Gone | Failure::Protocol | Failure::Flood(_) => ConnectFailure::Http2,
        })?;
        self.multiplexed.add(client, watch.now(), open);
        self.multiplexed.open(watch.now()).ok_or(ConnectFailure::Http2)
    }

    async fn dial_within(&self, watch: &Watch, preface: &[u8]) -> Result<Stream, ConnectFailure> {
        let mut connecting = pin!(self.dial(preface));
        poll_fn(|context| match connecting.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result.map_err(|error| ConnectFailure::from_error(&error))),
            Poll::Pending => watch.poll_expired(context).map(|()| Err(ConnectFailure::TimedOut)),
        })
        .await
    }

    async fn dial(&self, preface: &[u8]) -> io::Result<Stream> {
        let mut stream = match &self.address {
            Address::Socket(address) => Stream::connect(*address).await?,
            Address::Unix(path) => Stream::connect_unix(path).await?,
            Address::Name(..) | Address::Service(_) => {
                return Err(io::Error::new(io::ErrorKind::NotFound, "the name was not resolved"));
            }
        };
        let mut rest = preface;
        while !rest.is_empty() {
            match poll_fn(|context| stream.poll_write(context, rest)).await? {
                0 => return Err(io::ErrorKind::ConnectionReset.into()),
                count => rest = &rest[count..],
            }
        }
        Ok(stream)
    }
}
