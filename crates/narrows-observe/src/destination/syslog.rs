//! A syslog server: RFC 5424 messages over UDP (RFC 5426), TCP with octet counting (RFC 6587) or a Unix socket.

mod connection;

use super::{Delivered, Destination};
use crate::Batch;
use connection::Connection;
use narrows_plan::SyslogAddress;
use std::io;
use std::time::{Duration, Instant};

/// The shortest time between two attempts to connect.
const RETRY: Duration = Duration::from_secs(1);

/// A syslog server, and the connection to it while there is one.
pub(crate) struct SyslogServer {
    to: SyslogAddress,
    connection: Option<Connection>,
    /// No attempt to connect before.
    not_before: Option<Instant>,
}

impl SyslogServer {
    /// It is connected to with the first record: a server that is down keeps nobody from starting.
    pub(crate) fn new(to: SyslogAddress) -> Self {
        SyslogServer { to, connection: None, not_before: None }
    }

    fn connect(&mut self) -> io::Result<Connection> {
        let now = Instant::now();
        if self.not_before.is_some_and(|moment| now < moment) {
            return Err(io::Error::other("there is no connection, the next attempt follows"));
        }
        self.not_before = Some(now + RETRY);
        Connection::open(&self.to)
    }
}

impl Destination for SyslogServer {
    fn deliver(&mut self, batch: &Batch) -> Delivered {
        if self.connection.as_ref().is_some_and(Connection::is_closed) {
            self.connection = None;
            // One that was there may be made again at once.
            self.not_before = None;
        }
        let mut delivered = Delivered::default();
        let mut done = 0;
        loop {
            let (mut connection, is_new) = match self.connection.take() {
                Some(connection) => (connection, false),
                None => match self.connect() {
                    Ok(connection) => (connection, true),
                    Err(error) => {
                        delivered.error = Some(error);
                        return delivered;
                    }
                },
            };
            let sent = connection.send(batch, done);
            delivered.records += sent.records;
            done += sent.records + sent.lost;
            delivered.error = sent.error;
            if !sent.is_broken {
                self.connection = Some(connection);
                return delivered;
            }
            if is_new {
                return delivered;
            }
            self.not_before = None;
        }
    }
}

#[cfg(test)]
mod tests;
