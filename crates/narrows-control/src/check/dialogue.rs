//! A connection to an endpoint that is checked, and what came back on it.

use super::failure::Failure;
use super::subject::Subject;
use narrows_http2::{Client, ClientLimits, Failure as Http2Failure};
use narrows_plan::{Address, UpstreamProtocol};
use narrows_runtime::{Stream, Watch};
use narrows_tls::Purpose;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// Most bytes of an answer that are looked at.
pub(super) const LIMIT: usize = 64 << 10;
/// How much is read at once.
const PIECE: usize = 4 << 10;
/// How long a server that was told farewell gets to close the connection. The check is over by then.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection to an endpoint that is checked, and what came back on it.
#[derive(Debug)]
pub(crate) struct Dialogue {
    stream: Stream,
    received: Vec<u8>,
    /// Whether the endpoint has finished.
    is_over: bool,
    farewell: Option<Farewell>,
}

/// How a connection ends after its check has passed. Without one it is reset: 10,000 endpoints that are checked every 2 s would leave
/// 300,000 connections in TIME_WAIT otherwise.
#[derive(Debug)]
enum Farewell {
    /// These bytes, after which the server closes.
    Bytes(Vec<u8>),
    /// The end of our bytes, after which the server closes.
    End,
}

/// What is spoken on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Speech {
    /// Bytes that only the check understands.
    Bytes,
    /// One HTTP exchange, in the version that the upstream speaks.
    Http,
    /// One HTTP exchange in HTTP/2.
    Http2,
}

impl Dialogue {
    /// Connects, says what every connection begins with, and makes the TLS handshake where the check wants one. `watch` is the deadline of
    /// the handshakes; the caller's own of everything else.
    pub(super) async fn open(subject: &Subject, speech: Speech, watch: &Watch) -> Result<Dialogue, Failure> {
        let connected = match &subject.address {
            Address::Socket(address) => Stream::connect(*address).await,
            Address::Unix(path) => Stream::connect_unix(path).await,
            Address::Name(..) | Address::Service(_) => Err(io::ErrorKind::NotFound.into()),
        };
        let mut stream = connected.map_err(|error| Failure::of_connect(&error))?;
        stream.reset_on_close();
        send(&mut stream, &subject.preface).await?;
        let mut is_http2 = match speech {
            Speech::Bytes => false,
            Speech::Http => subject.protocol == UpstreamProtocol::Http2,
            Speech::Http2 => true,
        };
        if let Some(connector) = &subject.connector {
            // Where the upstream is not said to speak HTTP/2, a server would be offered HTTP/1.1 alone.
            let purpose = match (speech, subject.protocol) {
                (Speech::Bytes, _) | (Speech::Http2, UpstreamProtocol::Http1) => Purpose::Bytes,
                (Speech::Http | Speech::Http2, _) => Purpose::Http,
            };
            let done = connector.connect(stream, &subject.server_name, purpose, watch).await;
            let (secure, facts) = done.map_err(Failure::of_tls)?;
            stream = secure;
            if speech == Speech::Http2 && facts.protocol == "http/1.1" {
                return Err(Failure::NoHttp2);
            }
            is_http2 |= facts.protocol == "h2";
        }
        if is_http2 {
            stream = message(stream, subject.connector.is_some(), watch).await?;
        }
        Ok(Dialogue { stream, received: Vec::new(), is_over: false, farewell: None })
    }

    /// Sends all of `bytes`.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        send(&mut self.stream, bytes).await
    }

    /// Waits until `find` sees in what was received what it looks for, and returns that. `find` is shown everything that was not
    /// [taken](Dialogue::take) yet, again with each further piece, and whether that is all there will ever be.
    pub(super) async fn until<T>(
        &mut self,
        mut find: impl FnMut(&[u8], bool) -> Result<Option<T>, Failure>,
    ) -> Result<T, Failure> {
        loop {
            if let Some(found) = find(&self.received, self.is_over)? {
                return Ok(found);
            }
            if self.is_over {
                return Err(Failure::Ended);
            }
            if self.received.len() >= LIMIT {
                return Err(Failure::TooLong);
            }
            self.receive().await?;
        }
    }

    /// Takes the first bytes that were received away.
    pub(super) fn take(&mut self, count: usize) {
        self.received.drain(..count.min(self.received.len()));
    }

    /// The check has passed: the connection ends with these bytes, after which the server closes it. Without any it does that by itself.
    pub(super) fn leave_with(&mut self, farewell: impl Into<Vec<u8>>) {
        self.farewell = Some(Farewell::Bytes(farewell.into()));
    }

    /// The check has passed: the connection ends with the end of our bytes, for servers that would note a reset as a failure.
    pub(super) fn leave_quietly(&mut self) {
        self.farewell = Some(Farewell::End);
    }

    /// Ends the connection, politely where that was asked for; the server's part is waited for apart, because it changes nothing about the check.
    pub(super) async fn end(mut self, watch: &Watch) {
        let said = match self.farewell.take() {
            None => return,
            Some(Farewell::Bytes(bytes)) => within(watch, self.send(&bytes)).await,
            Some(Farewell::End) => {
                self.stream.shutdown_write().map_err(|error| Failure::Broken(error.kind()))
            }
        };
        if said.is_ok() {
            let watch = watch.another();
            tokio::task::spawn_local(async move { self.ended(&watch).await });
        }
    }

    /// Waits for the server to close.
    async fn ended(mut self, watch: &Watch) {
        watch.set(Some(FAREWELL));
        let leaving = async {
            let mut seen = 0;
            while !self.is_over && seen < LIMIT {
                self.received.clear();
                self.receive().await?;
                seen += self.received.len();
            }
            Ok(())
        };
        // The check is over, however its connection ends.
        let _: Result<(), Failure> = within(watch, leaving).await;
    }

    async fn receive(&mut self) -> Result<(), Failure> {
        let before = self.received.len();
        self.received.resize(before + PIECE, 0);
        let read = poll_fn(|context| self.stream.poll_read(context, &mut self.received[before..])).await;
        self.received.truncate(before + *read.as_ref().unwrap_or(&0));
        let count = read.map_err(|error| Failure::Broken(error.kind()))?;
        self.is_over = count == 0;
        Ok(())
    }
}

/// What `work` comes to, or that it did not within the deadline of `watch`.
pub(super) async fn within<T>(
    watch: &Watch,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    let mut work = pin!(work);
    poll_fn(|context| match work.as_mut().poll(context) {
        Poll::Ready(result) => Poll::Ready(result),
        Poll::Pending => watch.poll_expired(context).map(|()| Err(Failure::TimedOut)),
    })
    .await
}

async fn send(stream: &mut Stream, bytes: &[u8]) -> Result<(), Failure> {
    let mut rest = bytes;
    while !rest.is_empty() {
        match poll_fn(|context| stream.poll_write(context, rest)).await {
            Ok(0) => return Err(Failure::Ended),
            Ok(count) => rest = &rest[count..],
            Err(error) => return Err(Failure::Broken(error.kind())),
        }
    }
    Ok(())
}

/// One exchange on an HTTP/2 connection that ends with it.
async fn message(stream: Stream, is_secure: bool, watch: &Watch) -> Result<Stream, Failure> {
    let scheme = if is_secure { "https" } else { "http" };
    let limits = ClientLimits { streams: 1, ping: None, scheme, grpc_web: false };
    let client = Client::begin(stream, limits, watch).await.map_err(|failure| match failure {
        Http2Failure::TimedOut => Failure::TimedOut,
        Http2Failure::Gone | Http2Failure::Protocol | Http2Failure::Flood(_) => Failure::NoHttp2,
    })?;
    client.open().ok_or(Failure::NoHttp2)
}
