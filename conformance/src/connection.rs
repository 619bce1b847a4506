//! One raw connection, seen from a client or from a backend.

use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::deadline::DEADLINE;
use crate::message::{Framing, Message, field};
use crate::tls::TlsFacts;
use crate::transport::Transport;

/// How long a connection may be silent between two requests: tests end connections long before.
const IDLE: Duration = Duration::from_secs(900);

/// How long a peer may refuse to take bytes: longer than [`DEADLINE`], so that the waiting test fails first.
const WRITING: Duration = Duration::from_secs(60);

/// How the other side ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// In order: a read found the end.
    Closed,
    /// By a reset.
    Reset,
    /// TLS: by the end of the TCP connection without a close_notify, which is how a truncation looks.
    Truncated,
    /// TLS: by a fatal alert, or by bytes that are not TLS.
    Refused,
}

/// A connection of which every byte is under the test's control.
#[derive(Debug)]
pub struct Connection {
    pub(crate) transport: Transport,
    unread: Vec<u8>,
    record: Arc<Mutex<Record>>,
}

/// What arrived on a connection so far.
#[derive(Debug, Default, Clone)]
pub struct Record {
    /// Every byte, in order.
    pub bytes: Vec<u8>,
    /// Every complete request that the test read.
    pub requests: Vec<Message>,
    /// How the other side ended it, when it did.
    pub end: Option<End>,
    /// TLS: why the session ended, for [`End::Refused`] and for a handshake that failed.
    pub refusal: String,
    /// TLS: what was agreed on, where the test is the server.
    pub tls: Option<TlsFacts>,
}

impl Connection {
    /// Connects to `host:port` (an address, no name) or to `unix:/path`.
    #[track_caller]
    pub fn connect(address: &str) -> Connection {
        Connection::try_connect(address)
            .unwrap_or_else(|error| panic!("connection to {address} is possible: {error}"))
    }

    /// Connects, or says why not.
    pub fn try_connect(address: &str) -> io::Result<Connection> {
        let (domain, address) = socket_address(address)?;
        let socket = Socket::new(domain, Type::STREAM, None)?;
        socket.connect_timeout(&address, DEADLINE)?;
        Ok(Connection::over(socket, Arc::default()))
    }

    /// A connection over a socket that is connected; what arrives is noted in `record`.
    pub fn over(socket: Socket, record: Arc<Mutex<Record>>) -> Connection {
        let _ = socket.set_tcp_nodelay(true);
        socket.set_nonblocking(false).expect("a socket can block");
        socket.set_write_timeout(Some(WRITING)).expect("a deadline can be set");
        Connection { transport: Transport::Plain(socket), unread: Vec::new(), record }
    }

    /// Sends bytes; panics when the other side does not take them.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the bytes can be sent");
    }

    /// Sends bytes; an error when the other side is gone.
    pub fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.transport.write_all(bytes.as_ref())?;
        self.transport.flush()
    }

    /// Sends bytes below TLS, which the other side takes for records.
    #[track_caller]
    pub fn send_below(&mut self, bytes: &[u8]) {
        let mut socket = self.transport.socket();
        socket.write_all(bytes).expect("the bytes can be sent");
    }

    /// TLS 1.3: takes a new key for what is sent, and asks the other side for one.
    pub fn change_keys(&mut self) -> io::Result<()> {
        self.transport.change_keys()
    }

    /// Sends a request and reads its final response; interim ones are dropped.
    #[track_caller]
    pub fn exchange(&mut self, request: impl AsRef<[u8]>) -> Message {
        let request = request.as_ref();
        self.send(request);
        let method = request.split(|byte| *byte == b' ').next().unwrap_or_default();
        self.final_response(&String::from_utf8_lossy(method))
    }

    /// Reads responses up to the final one, the answer to a request with `method`.
    #[track_caller]
    pub fn final_response(&mut self, method: &str) -> Message {
        loop {
            let response = self.response(method);
            if response.status() / 100 != 1 || response.status() == 101 {
                return response;
            }
        }
    }

    /// Reads one response to `method`, which may be an interim one.
    #[track_caller]
    pub fn response(&mut self, method: &str) -> Message {
        let mut message = self.response_head();
        let framing = message.response_framing(method).unwrap_or_else(|fault| panic!("{fault}"));
        self.content(&mut message, framing);
        message
    }

    /// Reads the head of a response and leaves its content unread.
    #[track_caller]
    pub fn response_head(&mut self) -> Message {
        let head = self.read_until(b"\r\n\r\n");
        Message::parse_head(&head).unwrap_or_else(|fault| panic!("{fault} in {:?}", lossy(&head)))
    }

    /// Reads one request; `None` when the other side ended the connection instead of starting one.
    #[track_caller]
    pub fn next_request(&mut self) -> Option<Message> {
        let mut message = self.next_request_head()?;
        let framing = message.request_framing().unwrap_or_else(|fault| panic!("{fault}"));
        self.content(&mut message, framing);
        self.record.lock().expect("no poison").requests.push(message.clone());
        Some(message)
    }

    /// Reads the head of one request and leaves its content unread; `None` when there is none.
    #[track_caller]
    pub fn next_request_head(&mut self) -> Option<Message> {
        if self.unread.is_empty() && !self.fill(IDLE) {
            return None;
        }
        Some(self.response_head())
    }

    /// Reads one request; panics when there is none.
    #[track_caller]
    pub fn request(&mut self) -> Message {
        self.next_request().expect("a request arrives")
    }

    /// Reads up to and with `pattern`.
    #[track_caller]
    pub fn read_until(&mut self, pattern: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.unread.windows(pattern.len()).position(|window| window == pattern) {
                return self.unread.drain(..at + pattern.len()).collect();
            }
            if !self.fill(DEADLINE) {
                panic!("the connection ended before {:?}: {:?}", lossy(pattern), lossy(&self.unread));
            }
        }
    }

    /// Reads exactly `count` bytes.
    #[track_caller]
    pub fn read_exactly(&mut self, count: usize) -> Vec<u8> {
        while self.unread.len() < count {
            if !self.fill(DEADLINE) {
                panic!("the connection ended after {} of {count} bytes", self.unread.len());
            }
        }
        self.unread.drain(..count).collect()
    }

    /// Reads exactly `count` bytes; `None` when the connection ends before.
    #[track_caller]
    pub fn try_read_exactly(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            if !self.fill(DEADLINE) {
                return None;
            }
        }
        Some(self.unread.drain(..count).collect())
    }

    /// Reads and forgets `count` bytes, without a record: for bodies larger than the test's memory.
    #[track_caller]
    pub fn discard(&mut self, count: u64) {
        let mut left = count - (self.unread.len() as u64).min(count);
        self.unread.drain(..(count - left) as usize);
        let mut buffer = vec![0; 256 * 1024];
        self.transport.socket().set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
        while left > 0 {
            let want = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            match self.transport.read(&mut buffer[..want]) {
                Ok(0) => panic!("the connection ended {left} bytes early"),
                Ok(count) => left -= count as u64,
                Err(error) => panic!("{left} bytes are missing: {error}"),
            }
        }
    }

    /// Reads what is there, at least one byte; `None` at the end of the connection.
    #[track_caller]
    pub fn some_bytes(&mut self) -> Option<Vec<u8>> {
        if self.unread.is_empty() && !self.fill(IDLE) {
            return None;
        }
        Some(std::mem::take(&mut self.unread))
    }

    /// Reads until the other side ends the connection and returns what came before.
    #[track_caller]
    pub fn read_to_end(&mut self) -> Vec<u8> {
        while self.fill(DEADLINE) {}
        std::mem::take(&mut self.unread)
    }

    /// Asserts that the other side ends the connection and sends nothing before; tells how.
    #[track_caller]
    pub fn expect_end(&mut self) -> End {
        let rest = self.read_to_end();
        assert!(rest.is_empty(), "nothing more was expected: {:?}", lossy(&rest));
        self.record.lock().expect("no poison").end.expect("the end was seen")
    }

    /// Whether bytes or the end arrive within `limit`. For proofs that something is NOT sent, which cannot be
    /// had without waiting; keep `limit` short.
    pub fn anything_within(&mut self, limit: Duration) -> bool {
        if !self.unread.is_empty() {
            return true;
        }
        let before = self.record.lock().expect("no poison").bytes.len();
        self.try_fill(limit)
            .is_ok_and(|open| !open || self.record.lock().expect("no poison").bytes.len() > before)
    }

    /// Sends as much of `total` bytes as the other side takes, in the given piece over and over. Returns how
    /// much was taken when it stops taking for `patience`, or `total`.
    pub fn flood(&mut self, piece: &[u8], total: u64, patience: Duration) -> u64 {
        self.transport.socket().set_write_timeout(Some(patience)).expect("a deadline can be set");
        // A TLS session that cannot write looks for what it might read.
        self.transport.socket().set_read_timeout(Some(patience)).expect("a deadline can be set");
        let mut sent = 0;
        while sent < total {
            let want = piece.len().min(usize::try_from(total - sent).unwrap_or(usize::MAX));
            match self.transport.write(&piece[..want]) {
                Ok(count) => sent += count as u64,
                Err(error) if is_timeout(&error) => break,
                Err(_) => break,
            }
        }
        self.transport.socket().set_write_timeout(Some(WRITING)).expect("a deadline can be set");
        sent
    }

    /// Makes the kernel take few bytes ahead of the reader (a slow peer).
    pub fn small_receive_buffer(&self) {
        let _ = self.transport.socket().set_recv_buffer_size(16 * 1024);
    }

    /// Ends the sending direction only. Nothing happens when the other side has ended both already.
    pub fn finish_sending(&mut self) {
        self.transport.finish_sending();
    }

    /// What the two sides of a TLS connection agreed on.
    #[track_caller]
    pub fn tls(&self) -> TlsFacts {
        TlsFacts::of(&self.transport)
    }

    /// Ends the connection with a reset.
    pub fn reset(self) {
        self.transport.socket().set_linger(Some(Duration::ZERO)).expect("linger can be set");
    }

    /// The local address, as text.
    pub fn local_address(&self) -> SocketAddr {
        self.transport
            .socket()
            .local_addr()
            .ok()
            .and_then(|address| address.as_socket())
            .expect("a TCP connection")
    }

    /// A second handle on the same connection: one thread may send while another reads. Bytes that arrived and
    /// were not read yet go to the second handle.
    pub fn second_handle(&mut self) -> Connection {
        let Transport::Plain(socket) = &self.transport else { panic!("a TLS session has one handle") };
        let transport = Transport::Plain(socket.try_clone().expect("a socket can be cloned"));
        Connection { transport, unread: std::mem::take(&mut self.unread), record: Arc::default() }
    }

    /// What arrived so far.
    pub fn record(&self) -> Record {
        self.record.lock().expect("no poison").clone()
    }

    /// Puts TLS in the place of the socket; `wrap` says why where that fails.
    pub(crate) fn upgraded(
        self,
        wrap: impl FnOnce(Socket) -> Result<Transport, String>,
    ) -> Result<Connection, String> {
        let Connection { transport: Transport::Plain(socket), record, .. } = self else {
            panic!("TLS within TLS is not built");
        };
        socket.set_read_timeout(Some(DEADLINE)).expect("a deadline can be set");
        match wrap(socket) {
            Ok(transport) => {
                if matches!(transport, Transport::Server(_)) {
                    record.lock().expect("no poison").tls = Some(TlsFacts::of(&transport));
                }
                Ok(Connection { transport, unread: Vec::new(), record })
            }
            Err(error) => {
                record.lock().expect("no poison").refusal.clone_from(&error);
                Err(error)
            }
        }
    }

    #[track_caller]
    fn content(&mut self, message: &mut Message, framing: Framing) {
        match framing {
            Framing::None => {}
            Framing::Length(length) => message.body = self.read_exactly(length),
            Framing::UntilClose => message.body = self.read_to_end(),
            Framing::Chunked => self.chunks(message),
        }
    }

    #[track_caller]
    fn chunks(&mut self, message: &mut Message) {
        loop {
            let line = self.line();
            let size = line.split(';').next().unwrap_or_default();
            let valid = !size.is_empty() && size.bytes().all(|byte| byte.is_ascii_hexdigit());
            assert!(valid, "a chunk size: {line:?}");
            let size = usize::from_str_radix(size, 16).expect("a chunk size fits");
            if size == 0 {
                break;
            }
            message.chunks.push(size);
            message.body.extend(self.read_exactly(size));
            assert_eq!(self.read_exactly(2), b"\r\n", "CRLF ends a chunk");
        }
        loop {
            let line = self.line();
            if line.is_empty() {
                return;
            }
            message.trailers.push(field(&line).unwrap_or_else(|fault| panic!("{fault}")));
        }
    }

    #[track_caller]
    fn line(&mut self) -> String {
        let mut line = self.read_until(b"\r\n");
        line.truncate(line.len() - 2);
        String::from_utf8(line).expect("a line is text")
    }

    /// Reads what is there; false at the end of the connection.
    #[track_caller]
    fn fill(&mut self, limit: Duration) -> bool {
        match self.try_fill(limit) {
            Ok(open) => open,
            Err(error) => panic!("nothing arrives: {error}; unread is {:?}", lossy(&self.unread)),
        }
    }

    fn try_fill(&mut self, limit: Duration) -> io::Result<bool> {
        let end = Instant::now() + limit;
        let mut buffer = [0; 64 * 1024];
        loop {
            let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.transport.socket().set_read_timeout(Some(left))?;
            match self.transport.read(&mut buffer) {
                Ok(0) => return Ok(self.ended(End::Closed)),
                Ok(count) => {
                    self.unread.extend_from_slice(&buffer[..count]);
                    self.record.lock().expect("no poison").bytes.extend_from_slice(&buffer[..count]);
                    return Ok(true);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => {
                    return Ok(self.ended(End::Reset));
                }
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    return Ok(self.ended(End::Truncated));
                }
                Err(error) if error.kind() == ErrorKind::InvalidData => {
                    self.record.lock().expect("no poison").refusal = error.to_string();
                    return Ok(self.ended(End::Refused));
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn ended(&mut self, end: End) -> bool {
        self.record.lock().expect("no poison").end.get_or_insert(end);
        false
    }
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn socket_address(address: &str) -> io::Result<(Domain, SockAddr)> {
    if let Some(path) = address.strip_prefix("unix:") {
        return Ok((Domain::UNIX, SockAddr::unix(path)?));
    }
    let address: SocketAddr = address
        .parse()
        .map_err(|_| io::Error::new(ErrorKind::InvalidInput, format!("{address} is no address")))?;
    Ok((Domain::for_address(address), address.into()))
}

/// Bytes for a message to the reader of a failed test.
fn lossy(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(2000)];
    String::from_utf8_lossy(shown).into_owned()
}
