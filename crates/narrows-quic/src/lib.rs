//! The client hello of a QUIC connection, read by somebody who only passes it on.
//!
//! The keys of Initial packets are made from what the packets show to everybody (RFC 9001 section 5.2), so that a proxy on the
//! way can read the server name without terminating anything. This is the one room that has cryptography for QUIC;
//! the parsers stand in [`narrows_wire::quic`], where they are fuzzed.

mod keys;

use keys::InitialKeys;
use narrows_wire::client_hello::Peek;
use narrows_wire::quic::{HelloStream, initials};

/// Reads the client hello out of the first datagrams of a connection.
#[derive(Debug)]
pub struct HelloReader {
    keys: InitialKeys,
    stream: HelloStream,
    opened: bool,
    memory: Vec<u8>,
}

/// What the datagrams of a connection said so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hello {
    /// A client hello that goes on in the next datagram.
    Partial,
    /// The whole client hello.
    Whole {
        /// Server name in lower case.
        server_name: Option<String>,
        /// Application protocols, the preferred one first.
        alpn: Vec<String>,
    },
    /// Nothing in it could be opened: not the Initial packet of a client, or damaged.
    Sealed,
    /// An authentic Initial packet that holds no client hello a server could accept.
    Invalid,
}

impl HelloReader {
    /// A reader for the connection that `datagram` begins; `None` when no Initial packet of a known version stands in it.
    pub fn new(datagram: &[u8]) -> Option<Self> {
        let first = initials(datagram).next()?;
        let keys = InitialKeys::of_client(first.version, first.destination)?;
        Some(HelloReader { keys, stream: HelloStream::default(), opened: false, memory: Vec::new() })
    }

    /// Reads the next datagram of the connection; order does not matter.
    pub fn read(&mut self, datagram: &[u8]) -> Hello {
        for packet in initials(datagram) {
            // Packets that cannot be opened are somebody else's or damaged: the server will skip them as well.
            let Some(frames) = self.keys.open(&packet, &mut self.memory) else { continue };
            self.opened = true;
            if self.stream.add(frames).is_err() {
                return Hello::Invalid;
            }
        }
        match self.stream.peek() {
            _ if !self.opened => Hello::Sealed,
            Peek::Partial => Hello::Partial,
            Peek::Hello { server_name, alpn } => Hello::Whole { server_name, alpn },
            Peek::NotTls | Peek::Invalid(_) => Hello::Invalid,
        }
    }
}

#[cfg(test)]
mod tests;
