//! Making a connection to an endpoint.

use crate::{Connection, EndpointState};
use narrows_plan::Address;
use narrows_runtime::{Stream, Watch};
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
    /// Connects within `timeout`, which it sets on `watch`. Cancel safe.
    pub async fn connect(
        &self,
        watch: &Watch,
        timeout: Option<Duration>,
    ) -> Result<Connection, ConnectFailure> {
        watch.set(timeout);
        let mut connecting = pin!(self.dial());
        let connected = poll_fn(|context| match connecting.as_mut().poll(context) {
            Poll::Ready(result) => Poll::Ready(result.map_err(|error| ConnectFailure::from_error(&error))),
            Poll::Pending => watch.poll_expired(context).map(|()| Err(ConnectFailure::TimedOut)),
        });
        let stream = connected.await?;
        Ok(Connection { stream, requests: 0, born: watch.now() })
    }

    async fn dial(&self) -> io::Result<Stream> {
        match &self.address {
            Address::Socket(address) => Stream::connect(*address).await,
            Address::Unix(path) => Stream::connect_unix(path).await,
            Address::Name(..) => Err(io::Error::new(io::ErrorKind::NotFound, "the name was not resolved")),
        }
    }
}
