//! The addresses of `metrics.bind`: whoever asks there reads the metrics, and can do nothing else.

use narrows_plan::{Bind, Plan};
use narrows_proxy::Running;
use narrows_runtime::{Passed, Shared, Transport};
use narrows_wire::http1::{FieldName, HeadLimits, Method, Progress, RequestHead, parse_request};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use socket2::Socket;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Scrapers at one time on each address; further ones are closed at once.
const SCRAPERS: usize = 16;
/// How long a scraper may take for its request and our answer together.
const PATIENCE: Duration = Duration::from_secs(30);
/// A pause after a failed accept, so that a process without descriptors does not spin.
const PAUSE: Duration = Duration::from_millis(100);

/// The open addresses. Dropping it closes them; answers on their way are finished.
#[derive(Default)]
pub(crate) struct Scraping {
    /// By the address as it is written.
    doors: Mutex<HashMap<Bind, Door>>,
}

/// The name under which these sockets are passed on to a new process; no listener can have it.
const PASSED_AS: &str = "/metrics";

/// An address that is listened on.
struct Door {
    socket: Arc<Socket>,
    bind: Bind,
    /// Closing it makes the thread return. The socket itself is not shut down: another process may have it as well.
    stop: Option<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    /// Whether no other process listens there as well.
    is_ours: bool,
}

/// Addresses that are listened on and not served yet.
pub(crate) struct Opened(Vec<Open>);

/// One of them.
struct Open {
    written: Bind,
    bind: Bind,
    socket: Socket,
    was_passed: bool,
}

/// Whether sockets that were passed on are those of the metrics.
pub(crate) fn are_of_metrics(passed: &Passed) -> bool {
    &*passed.listener == PASSED_AS
}

impl Scraping {
    /// Listens on the addresses of a plan that are not listened on yet, with sockets that were passed on where there are some.
    ///
    /// # Errors
    /// A sentence about the first one that cannot be had; the others are let go of.
    pub(crate) fn open(&self, plan: &Plan, mut passed: Vec<Passed>) -> Result<Opened, String> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut opened = Vec::new();
        for (bind, origin) in plan.metrics.binds.iter().filter(|_| plan.metrics.is_on) {
            if doors.contains_key(bind) {
                continue;
            }
            let known = passed.iter().position(|passed| passed.written == *bind);
            let known = known.and_then(|known| passed.swap_remove(known).sockets.pop());
            if let Some(socket) = known {
                let address = socket.local_addr().ok().and_then(|address| address.as_socket());
                let (written, bind) = (bind.clone(), address.map_or_else(|| bind.clone(), Bind::Socket));
                opened.push(Open { written, bind, socket, was_passed: true });
                continue;
            }
            let bound = narrows_runtime::bind(bind, 1)
                .map_err(|error| format!("{}: metrics: {error}", plan.locate(*origin)))?;
            let open = |socket| Open { written: bind.clone(), bind: bound.bind, socket, was_passed: false };
            opened.extend(bound.sockets.into_iter().next().map(open));
        }
        Ok(Opened(opened))
    }

    /// Answers on what was opened, and closes what the plan does not have any more.
    ///
    /// # Errors
    /// A sentence, when the system gives no thread.
    pub(crate) fn serve(&self, plan: &Plan, opened: Opened, running: &Arc<Running>) -> Result<(), String> {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let is_wanted =
            |bind: &Bind| plan.metrics.is_on && plan.metrics.binds.iter().any(|(wanted, _)| wanted == bind);
        doors.retain(|written, _| is_wanted(written));
        for open in opened.0 {
            crate::say(&format!("narrows: metrics on {}", open.bind));
            let written = open.written.clone();
            let door = Door::open(open, Arc::clone(running));
            doors.insert(written, door.map_err(|error| format!("metrics: {error}"))?);
        }
        Ok(())
    }

    /// The sockets, for a process that is to take over.
    pub(crate) fn passing(&self) -> Vec<Shared> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let passing = doors.iter().map(|(written, door)| Shared {
            listener: PASSED_AS.into(),
            transport: Transport::Stream,
            written: written.clone(),
            managed: false,
            sockets: vec![Arc::clone(&door.socket)],
        });
        passing.collect()
    }

    /// No other process listens here any more.
    pub(crate) fn own(&self) {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.values_mut().for_each(|door| door.is_ours = true);
    }

    /// Answers nobody any more: another process does, on the same sockets.
    pub(crate) fn hand_over(&self) {
        let mut doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.values_mut().for_each(|door| door.is_ours = false);
        doors.clear();
    }
}

impl Door {
    fn open(open: Open, running: Arc<Running>) -> io::Result<Door> {
        let Open { bind, socket, was_passed, .. } = open;
        socket.set_nonblocking(true)?;
        let socket = Arc::new(socket);
        let (stopped, stop) = io::pipe()?;
        let listening = Arc::clone(&socket);
        let thread = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || accept(&listening, &stopped.into(), &running))?;
        let (stop, thread) = (Some(stop.into()), Some(thread));
        Ok(Door { socket, bind, stop, thread, is_ours: !was_passed })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let (Bind::Unix(path), true) = (&self.bind, self.is_ours) {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Takes scrapers until the other end of `stopped` is closed.
fn accept(socket: &Socket, stopped: &OwnedFd, running: &Arc<Running>) {
    let inside = Arc::new(AtomicUsize::new(0));
    loop {
        let mut awaited = [PollFd::new(socket, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut awaited, None) {
            Ok(_) if !awaited[1].revents().is_empty() => return,
            Ok(_) | Err(Errno::INTR) => {}
            Err(_) => std::thread::sleep(PAUSE),
        }
        match socket.accept() {
            Ok((client, _)) => {
                if inside.fetch_add(1, Ordering::Relaxed) >= SCRAPERS {
                    inside.fetch_sub(1, Ordering::Relaxed);
                    continue;
                }
                let (running, left) = (Arc::clone(running), Arc::clone(&inside));
                let life = move || {
                    // What fails is the scraper's connection, and it knows.
                    let _ = answer(client, &running);
                    left.fetch_sub(1, Ordering::Relaxed);
                };
                if std::thread::Builder::new().name("scrape".to_owned()).spawn(life).is_err() {
                    inside.fetch_sub(1, Ordering::Relaxed);
                }
            }
            // Another process that has the socket was faster.
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// One request and its answer.
fn answer(mut client: Socket, running: &Running) -> io::Result<()> {
    let until = Instant::now() + PATIENCE;
    client.set_nonblocking(false)?;
    let limits = HeadLimits { head_bytes: 16 << 10, ..HeadLimits::default() };
    let (mut bytes, mut head) = (Vec::new(), RequestHead::default());
    let is_read = loop {
        match parse_request(&bytes, &limits, &mut head) {
            Ok(Progress::Partial) => {}
            Ok(_) => break true,
            Err(_) => break false,
        }
        let mut piece = [0; 4096];
        client.set_read_timeout(Some(left(until)?))?;
        match client.read(&mut piece)? {
            0 => return Ok(()),
            count => bytes.extend_from_slice(&piece[..count]),
        }
    };
    let (status, further, content_type, body) = if is_read {
        reply(&head, &bytes, running)
    } else {
        ("400 Bad Request", "", TEXT, b"this is no request\n".to_vec())
    };
    let length = body.len();
    let mut out = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n{further}Cache-Control: no-store\r\nConnection: close\r\n\r\n"
    )
    .into_bytes();
    if head.method != Method::Head {
        out.extend_from_slice(&body);
    }
    let mut rest = &out[..];
    while !rest.is_empty() {
        client.set_write_timeout(Some(left(until)?))?;
        match client.write(rest)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            count => rest = &rest[count..],
        }
    }
    client.shutdown(Shutdown::Write)
}

const TEXT: &str = "text/plain; charset=utf-8";

fn reply(
    head: &RequestHead,
    bytes: &[u8],
    running: &Running,
) -> (&'static str, &'static str, &'static str, Vec<u8>) {
    if !matches!(head.method, Method::Get | Method::Head) {
        let text = b"the metrics can only be read\n".to_vec();
        return ("405 Method Not Allowed", "Allow: GET, HEAD\r\n", TEXT, text);
    }
    let path = head.path_and_query.of(bytes).split(|byte| *byte == b'?').next().unwrap_or_default();
    if path != b"/metrics" {
        return ("404 Not Found", "", TEXT, b"the metrics are at /metrics\n".to_vec());
    }
    let accept = head.field(FieldName::Accept).map(|field| field.value.of(bytes));
    let accept = accept.and_then(|value| std::str::from_utf8(value).ok());
    match running.scrape(accept) {
        Some((content_type, body)) => ("200 OK", "Vary: Accept\r\n", content_type, body),
        None => ("404 Not Found", "", TEXT, b"nothing is counted: metrics: off\n".to_vec()),
    }
}

/// The time that is left.
fn left(until: Instant) -> io::Result<Duration> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
}
