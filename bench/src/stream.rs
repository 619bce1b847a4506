//! A non-blocking connection of the load: TCP, or TLS over it.

use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;

use rustls::client::ClientConnection;

/// How many bytes of TLS records are read at once.
const RECORDS: usize = 64 * 1024;

/// A connection whose `read` and `write` behave like those of a non-blocking socket.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls { socket: BufReader<TcpStream>, connection: Box<ClientConnection> },
}

impl Stream {
    /// Begins a handshake with the first [`Self::flush`], `write` or `read`.
    pub(crate) fn tls(socket: TcpStream, connection: ClientConnection) -> Self {
        let socket = BufReader::with_capacity(RECORDS, socket);
        Self::Tls { socket, connection: Box::new(connection) }
    }

    pub(crate) fn connection(&self) -> Option<&ClientConnection> {
        match self {
            Self::Plain(_) => None,
            Self::Tls { connection, .. } => Some(connection),
        }
    }

    /// Whether a read that filled less than its buffer has left nothing to read. With TLS the next record may wait.
    pub(crate) fn is_emptied_by_a_short_read(&self) -> bool {
        matches!(self, Self::Plain(_))
    }

    /// Reads what has come; 0 is the end of the stream (with TLS: with or without a notice).
    pub(crate) fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let (socket, connection) = match self {
            Self::Plain(socket) => return socket.read(bytes),
            Self::Tls { socket, connection } => (socket, connection),
        };
        loop {
            match connection.reader().read(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                result => return result,
            }
            if connection.read_tls(socket)? == 0 {
                return Ok(0);
            }
            connection.process_new_packets().map_err(io::Error::other)?;
            send_records(socket, connection)?;
        }
    }

    /// Takes bytes to send. TLS keeps what the socket does not take: [`Self::flush`] when it is writable again.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(socket) => socket.write(bytes),
            Self::Tls { socket, connection } => {
                let count = connection.writer().write(bytes)?;
                send_records(socket, connection)?;
                Ok(count)
            }
        }
    }

    /// Sends records that are waiting.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(_) => Ok(()),
            Self::Tls { socket, connection } => send_records(socket, connection),
        }
    }
}

fn send_records(socket: &mut BufReader<TcpStream>, connection: &mut ClientConnection) -> io::Result<()> {
    while connection.wants_write() {
        match connection.write_tls(socket.get_mut()) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
