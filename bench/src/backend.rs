//! The servers behind the proxy: HTTP/1.1 and TCP on one thread with one epoll, answers made in advance. HTTP/2 and UDP
//! have threads of their own, which sleep while they are not asked.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::service::{BULK_REQUEST, LARGE, LARGE_MARK, SECURE_MARK, SMALL, Service};

mod http2;
mod udp;

/// The endpoints of each service.
const ENDPOINTS: [&str; 2] = ["A", "B"];
const SCRATCH: usize = 64 * 1024;
const MAX_UNREAD: usize = 64 * 1024;

/// A placeholder of the configurations (`API_V1_A`) and the port that stands for it.
pub(crate) type Port = (String, u16);

/// Serves all services until the process is ended; prints the list of [`Port`]s as JSON on stdout first.
pub(crate) fn serve() -> anyhow::Result<()> {
    let mut ports = Vec::new();
    let listeners = listen(&Service::TCP, "", &mut ports)?;
    let http2 = listen(&Service::HTTP2, "H2_", &mut ports)?;
    for endpoint in ENDPOINTS {
        ports.push((format!("{}_{endpoint}", Service::Udp.placeholder()), udp::start()?));
    }
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    for (index, (listener, _)) in listeners.iter().enumerate() {
        listener.set_nonblocking(true)?;
        epoll.add(listener.as_fd(), EpollEvent::new(EpollFlags::EPOLLIN, index as u64))?;
    }
    http2::start(http2)?;
    println!("{}", serde_json::to_string(&ports)?);
    Backend { epoll, listeners, peers: Vec::new(), free: Vec::new(), answers: Answers::new() }.run()
}

/// A listener for each endpoint of `services`.
fn listen(
    services: &[Service],
    prefix: &str,
    ports: &mut Vec<Port>,
) -> anyhow::Result<Vec<(TcpListener, Service)>> {
    let mut listeners = Vec::new();
    for service in services {
        for endpoint in ENDPOINTS {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let placeholder = format!("{prefix}{}_{endpoint}", service.placeholder());
            ports.push((placeholder, listener.local_addr()?.port()));
            listeners.push((listener, *service));
        }
    }
    Ok(listeners)
}

struct Backend {
    epoll: Epoll,
    listeners: Vec<(TcpListener, Service)>,
    peers: Vec<Option<Peer>>,
    free: Vec<usize>,
    answers: Answers,
}

impl Backend {
    fn run(&mut self) -> anyhow::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        let mut scratch = vec![0; SCRATCH];
        loop {
            let count = match self.epoll.wait(&mut events, EpollTimeout::NONE) {
                Ok(count) => count,
                Err(nix::Error::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            for event in &events[..count] {
                let token = event.data() as usize;
                match token.checked_sub(self.listeners.len()) {
                    None => self.accept(token)?,
                    Some(index) => {
                        let Some(peer) = self.peers[index].as_mut() else { continue };
                        let ended = event
                            .events()
                            .intersects(EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR);
                        if peer.advance(&self.answers, &mut scratch, ended).is_err() {
                            self.peers[index] = None;
                            self.free.push(index);
                        }
                    }
                }
            }
        }
    }

    fn accept(&mut self, listener: usize) -> anyhow::Result<()> {
        loop {
            let (listener, service) = &self.listeners[listener];
            let socket = match listener.accept() {
                Ok((socket, _)) => socket,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error.into()),
            };
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            let index = self.free.pop().unwrap_or_else(|| {
                self.peers.push(None);
                self.peers.len() - 1
            });
            let token = (index + self.listeners.len()) as u64;
            let flags =
                EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
            self.epoll.add(socket.as_fd(), EpollEvent::new(flags, token))?;
            self.peers[index] = Some(Peer {
                socket,
                service: *service,
                unread: Vec::new(),
                unsent: Unsent::Nothing,
                checked: false,
            });
        }
    }
}

/// The whole answers of each service, small and large, and the unit of the bulk service.
struct Answers {
    http: Vec<[Vec<u8>; 2]>,
    bulk: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        let http =
            Service::HTTP.iter().map(|service| [service.answer(SMALL), service.answer(LARGE)]).collect();
        Self { http, bulk: Service::Bulk.body(LARGE) }
    }
}

/// One connection from the proxy.
struct Peer {
    socket: TcpStream,
    service: Service,
    /// The beginning of a request that came in pieces.
    unread: Vec<u8>,
    unsent: Unsent,
    /// Whether the first request was looked at: does it carry what every subject is configured to send?
    checked: bool,
}

/// What the socket's buffer had no room for.
enum Unsent {
    Nothing,
    Small { sent: usize },
    Large { sent: usize },
    Own { bytes: Vec<u8>, sent: usize },
}

/// The connection is over; nobody needs to know why.
struct Ended;

impl Peer {
    fn advance(&mut self, answers: &Answers, scratch: &mut [u8], ended: bool) -> Result<(), Ended> {
        self.flush(answers)?;
        loop {
            match self.socket.read(scratch) {
                Ok(0) => return Err(Ended),
                Ok(count) => {
                    self.take(answers, &scratch[..count])?;
                    if count < scratch.len() && !ended {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Ended),
            }
        }
    }

    fn take(&mut self, answers: &Answers, bytes: &[u8]) -> Result<(), Ended> {
        if self.service == Service::Echo {
            return self.echo(answers, bytes);
        }
        if self.unread.is_empty() {
            let used = self.answer_all(answers, bytes)?;
            self.unread.extend_from_slice(&bytes[used..]);
        } else {
            let mut unread = std::mem::take(&mut self.unread);
            unread.extend_from_slice(bytes);
            let used = self.answer_all(answers, &unread)?;
            unread.drain(..used);
            self.unread = unread;
        }
        if self.unread.len() > MAX_UNREAD { Err(Ended) } else { Ok(()) }
    }

    fn answer_all(&mut self, answers: &Answers, bytes: &[u8]) -> Result<usize, Ended> {
        let mut used = 0;
        while let Some(length) = self.request_length(&bytes[used..]) {
            // Neither the load nor the proxies send the next request before the answer: nothing may be unsent here.
            if !matches!(self.unsent, Unsent::Nothing) {
                return Err(Ended);
            }
            self.unsent = self.choose(&bytes[used..used + length]);
            used += length;
            self.flush(answers)?;
        }
        Ok(used)
    }

    fn request_length(&self, bytes: &[u8]) -> Option<usize> {
        if self.service == Service::Bulk {
            return (bytes.len() >= BULK_REQUEST.len()).then_some(BULK_REQUEST.len());
        }
        memchr::memmem::find(bytes, b"\r\n\r\n").map(|start| start + 4)
    }

    fn choose(&mut self, request: &[u8]) -> Unsent {
        if self.service == Service::Bulk {
            return Unsent::Large { sent: 0 };
        }
        if !self.checked {
            self.checked = true;
            if let Some(missing) = missing_from(request, self.service) {
                let bytes = format!("HTTP/1.1 500 {missing}\r\nContent-Length: 0\r\n\r\n").into_bytes();
                return Unsent::Own { bytes, sent: 0 };
            }
        }
        let line = &request[..memchr::memchr(b'\r', request).unwrap_or(request.len())];
        match memchr::memmem::find(line, LARGE_MARK) {
            Some(_) => Unsent::Large { sent: 0 },
            None => Unsent::Small { sent: 0 },
        }
    }

    fn echo(&mut self, answers: &Answers, bytes: &[u8]) -> Result<(), Ended> {
        match &mut self.unsent {
            Unsent::Own { bytes: waiting, .. } => waiting.extend_from_slice(bytes),
            _ => {
                let sent = match self.socket.write(bytes) {
                    Ok(sent) => sent,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
                    Err(_) => return Err(Ended),
                };
                if sent < bytes.len() {
                    self.unsent = Unsent::Own { bytes: bytes[sent..].to_vec(), sent: 0 };
                }
            }
        }
        self.flush(answers)
    }

    fn flush(&mut self, answers: &Answers) -> Result<(), Ended> {
        loop {
            let service = self.service;
            let (bytes, sent) = match &mut self.unsent {
                Unsent::Nothing => return Ok(()),
                Unsent::Small { sent } => (&answers.http[service as usize][0], sent),
                Unsent::Large { sent } if service == Service::Bulk => (&answers.bulk, sent),
                Unsent::Large { sent } => (&answers.http[service as usize][1], sent),
                Unsent::Own { bytes, sent } => (&*bytes, sent),
            };
            match self.socket.write(&bytes[*sent..]) {
                Ok(count) => {
                    *sent += count;
                    if *sent == bytes.len() {
                        self.unsent = Unsent::Nothing;
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(Ended),
            }
        }
    }
}

/// What a request lacks of what every configuration promises to send upstream.
fn missing_from(request: &[u8], service: Service) -> Option<&'static str> {
    let text = String::from_utf8_lossy(request).to_ascii_lowercase();
    let has = |line: &str| text.contains(&format!("\r\n{line}"));
    if !text.contains(" http/1.1\r\n") {
        return Some("the proxy does not speak HTTP/1.1 upstream");
    }
    if !has(&format!("host: {}\r\n", service.host())) {
        return Some("the proxy changed the Host or took the wrong route");
    }
    if has("connection: close") {
        return Some("the proxy does not keep upstream connections alive");
    }
    let line = text.lines().next().unwrap_or_default();
    let secure = memchr::memmem::find(line.as_bytes(), SECURE_MARK).is_some();
    let scheme = if secure { "x-forwarded-proto: https\r\n" } else { "x-forwarded-proto: http\r\n" };
    // Envoy tells the machine's own address instead of 127.0.0.1.
    ["x-forwarded-for: ", scheme, "x-forwarded-host: "]
        .iter()
        .any(|field| !has(field))
        .then_some("the proxy does not send X-Forwarded-For, -Proto and -Host")
}
