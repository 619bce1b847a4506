//! Backends that do exactly what a test wants.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use socket2::{Domain, SockAddr, Socket, Type};

use crate::connection::{Connection, Record};
use crate::deadline::until;
use crate::message::Message;

/// A backend on loopback: each connection that arrives is played by a script on a thread of its own. Shown as
/// its address, so that it can stand in a configuration. A script that panics fails the test when the backend
/// is dropped.
pub struct Backend {
    address: String,
    listener: Arc<Socket>,
    connections: Arc<Mutex<Vec<Arc<Mutex<Record>>>>>,
    finished: Arc<Mutex<Vec<usize>>>,
    faults: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    /// Plays `script` on each connection; its second argument counts the connections from 0.
    pub fn script(script: impl Fn(Connection, usize) + Send + Sync + 'static) -> Backend {
        Backend::script_at("127.0.0.1:0", script)
    }

    /// The same on an address of choice: `host:port` or `unix:/path`.
    pub fn script_at(address: &str, script: impl Fn(Connection, usize) + Send + Sync + 'static) -> Backend {
        let (address, listener) = listen(address, 1024);
        let listener = Arc::new(listener);
        let backend = Backend {
            address,
            listener: Arc::clone(&listener),
            connections: Arc::default(),
            finished: Arc::default(),
            faults: Arc::default(),
        };
        let connections = Arc::clone(&backend.connections);
        let faults = Arc::clone(&backend.faults);
        let script = Arc::new(script);
        let finished = Arc::clone(&backend.finished);
        thread::spawn(move || {
            while let Ok((socket, _)) = listener.accept() {
                let record = Arc::<Mutex<Record>>::default();
                let number = {
                    let mut connections = connections.lock().expect("no poison");
                    connections.push(Arc::clone(&record));
                    connections.len() - 1
                };
                let (script, faults) = (Arc::clone(&script), Arc::clone(&faults));
                let finished = Arc::clone(&finished);
                thread::spawn(move || {
                    play(&*script, Connection::over(socket, record), number, &faults);
                    finished.lock().expect("no poison").push(number);
                });
            }
        });
        backend
    }

    /// Answers every request, on connections kept alive, with what `answer` makes of it.
    pub fn respond(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static) -> Backend {
        Backend::script(responder(answer))
    }

    /// The same on an address of choice.
    pub fn respond_at(
        address: &str,
        answer: impl Fn(&Message) -> Vec<u8> + Send + Sync + 'static,
    ) -> Backend {
        Backend::script_at(address, responder(answer))
    }

    /// Answers every request with these bytes.
    pub fn answering(bytes: impl Into<Vec<u8>>) -> Backend {
        let bytes = bytes.into();
        Backend::respond(move |_| bytes.clone())
    }

    /// Answers every request with 200 and `body`.
    pub fn saying(body: &str) -> Backend {
        Backend::answering(ok(body))
    }

    /// Sends every byte back, until the other side ends; then ends too.
    pub fn echo() -> Backend {
        Backend::script(|mut connection, _| {
            while let Some(bytes) = connection.some_bytes() {
                if connection.try_send(bytes).is_err() {
                    return;
                }
            }
        })
    }

    /// The address that it listens on.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// How many connections arrived so far.
    pub fn connections(&self) -> usize {
        self.connections.lock().expect("no poison").len()
    }

    /// What arrived on connection `number` so far.
    #[track_caller]
    pub fn record(&self, number: usize) -> Record {
        let record = Arc::clone(&self.connections.lock().expect("no poison")[number]);
        let record = record.lock().expect("no poison");
        record.clone()
    }

    /// All requests that were read, connection by connection.
    pub fn requests(&self) -> Vec<Message> {
        let connections = self.connections.lock().expect("no poison");
        connections.iter().flat_map(|record| record.lock().expect("no poison").requests.clone()).collect()
    }

    /// The only request that was read.
    #[track_caller]
    pub fn only_request(&self) -> Message {
        let mut requests = self.requests();
        assert_eq!(requests.len(), 1, "requests that reached the backend");
        requests.remove(0)
    }

    /// All bytes that arrived on any connection.
    pub fn received(&self) -> Vec<u8> {
        let connections = self.connections.lock().expect("no poison");
        connections.iter().flat_map(|record| record.lock().expect("no poison").bytes.clone()).collect()
    }

    /// Waits until the script of connection `number` came to its end.
    #[track_caller]
    pub fn wait_for_script(&self, number: usize) {
        until("the backend's script ends", || self.finished.lock().expect("no poison").contains(&number));
    }

    /// Waits until connection `number` was ended by the other side.
    #[track_caller]
    pub fn wait_for_end(&self, number: usize) {
        until("the backend's connection is ended by the proxy", || {
            self.connections() > number && self.record(number).end.is_some()
        });
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.address)
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        let _ = self.listener.shutdown(std::net::Shutdown::Both);
        let faults = self.faults.lock().expect("no poison");
        if !faults.is_empty() && !thread::panicking() {
            panic!("the backend's script failed: {}", faults.join("; "));
        }
    }
}

/// An address that refuses connections: bound, so that nobody else gets it, but not listening.
pub struct Refusing {
    address: String,
    _socket: Socket,
}

impl Refusing {
    /// Reserves a port.
    pub fn new() -> Refusing {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
        socket.bind(&loopback()).expect("a free port");
        let address = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address");
        Refusing { address: address.to_string(), _socket: socket }
    }
}

impl Default for Refusing {
    fn default() -> Refusing {
        Refusing::new()
    }
}

impl fmt::Display for Refusing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.address)
    }
}

/// An address that neither accepts nor refuses: its queue is full, so that the kernel drops further attempts.
pub struct Silent {
    address: String,
    _listener: Socket,
    _queue: Vec<Socket>,
}

impl Silent {
    /// Listens without a queue and fills what the kernel grants all the same.
    pub fn new() -> Silent {
        let (address, listener) = listen("127.0.0.1:0", 0);
        let target: std::net::SocketAddr = address.parse().expect("an address");
        let mut queue = Vec::new();
        loop {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
            let connected = socket.connect_timeout(&target.into(), Duration::from_millis(200)).is_ok();
            queue.push(socket);
            if !connected {
                return Silent { address, _listener: listener, _queue: queue };
            }
            assert!(queue.len() < 64, "a full queue stops connections");
        }
    }
}

impl Default for Silent {
    fn default() -> Silent {
        Silent::new()
    }
}

impl fmt::Display for Silent {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.address)
    }
}

/// A complete 200 answer with `body`.
pub fn ok(body: &str) -> Vec<u8> {
    answer("200 OK", body)
}

/// A complete answer with a Content-Length.
pub fn answer(status: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: text/plain\r\n\r\n{body}", body.len())
        .into_bytes()
}

fn responder(answer: impl Fn(&Message) -> Vec<u8> + Send + Sync) -> impl Fn(Connection, usize) + Send + Sync {
    move |mut connection, _| {
        while let Some(request) = connection.next_request() {
            if connection.try_send(answer(&request)).is_err() {
                return;
            }
        }
    }
}

fn play(
    script: &(dyn Fn(Connection, usize) + Send + Sync),
    connection: Connection,
    number: usize,
    faults: &Mutex<Vec<String>>,
) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| script(connection, number))) {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let text = format!("connection {number}: {}", text.unwrap_or_default());
        faults.lock().expect("no poison").push(text);
    }
}

fn listen(address: &str, backlog: i32) -> (String, Socket) {
    let (domain, target) = match address.strip_prefix("unix:") {
        Some(path) => (Domain::UNIX, SockAddr::unix(path).expect("a socket path")),
        None => {
            let address: std::net::SocketAddr = address.parse().expect("an address");
            (Domain::for_address(address), address.into())
        }
    };
    let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
    if domain != Domain::UNIX {
        socket.set_reuse_address(true).expect("an address can be used again");
    }
    socket.bind(&target).expect("the address is free");
    socket.listen(backlog).expect("the socket listens");
    let bound = socket.local_addr().ok().and_then(|address| address.as_socket());
    (bound.map_or(address.to_owned(), |bound| bound.to_string()), socket)
}

fn loopback() -> SockAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], 0)).into()
}
