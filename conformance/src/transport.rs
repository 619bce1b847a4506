//! What carries the bytes of a connection: TCP, or TLS over it.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use rustls::{ClientConnection, ServerConnection, StreamOwned};
use socket2::Socket;

/// A socket, or TLS over one.
#[derive(Debug)]
pub(crate) enum Transport {
    /// Bytes as they are.
    Plain(Socket),
    /// The test is the client of a TLS session.
    Client(Box<StreamOwned<ClientConnection, Socket>>),
    /// The test is the server of a TLS session.
    Server(Box<StreamOwned<ServerConnection, Socket>>),
}

impl Transport {
    /// The socket below.
    pub(crate) fn socket(&self) -> &Socket {
        match self {
            Transport::Plain(socket) => socket,
            Transport::Client(stream) => &stream.sock,
            Transport::Server(stream) => &stream.sock,
        }
    }

    /// Takes new keys (RFC 8446 section 4.6.3).
    pub(crate) fn change_keys(&mut self) -> io::Result<()> {
        let Transport::Client(stream) = self else { panic!("the client of a TLS session changes keys") };
        stream.conn.refresh_traffic_keys().map_err(io::Error::other)?;
        stream.flush()
    }

    /// Ends the sending direction: over TLS with its close_notify first.
    pub(crate) fn finish_sending(&mut self) {
        match self {
            Transport::Plain(_) => {}
            Transport::Client(stream) => {
                stream.conn.send_close_notify();
                let _ = stream.conn.complete_io(&mut stream.sock);
            }
            Transport::Server(stream) => {
                stream.conn.send_close_notify();
                let _ = stream.conn.complete_io(&mut stream.sock);
            }
        }
        let _ = self.socket().shutdown(Shutdown::Write);
    }
}

impl Read for Transport {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.read(buffer),
            Transport::Client(stream) => stream.read(buffer),
            Transport::Server(stream) => stream.read(buffer),
        }
    }
}

impl Write for Transport {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Transport::Plain(socket) => socket.write(bytes),
            Transport::Client(stream) => stream.write(bytes),
            Transport::Server(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Transport::Plain(socket) => socket.flush(),
            Transport::Client(stream) => stream.flush(),
            Transport::Server(stream) => stream.flush(),
        }
    }
}
