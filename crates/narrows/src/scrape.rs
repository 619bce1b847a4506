//! The addresses of `metrics.bind`: whoever asks there reads the metrics, and can do nothing else.

use narrows_plan::{Bind, Plan};
use narrows_proxy::Running;
use narrows_wire::http1::{FieldName, HeadLimits, Method, Progress, RequestHead, parse_request};
use socket2::Socket;
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::Shutdown;
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

/// An address that is listened on.
struct Door {
    socket: Socket,
    bind: Bind,
    thread: Option<JoinHandle<()>>,
}

/// Addresses that are listened on and not served yet.
pub(crate) struct Opened(Vec<(Bind, Socket, Bind)>);

impl Scraping {
    /// Listens on the addresses of a plan that are not listened on yet.
    ///
    /// # Errors
    /// A sentence about the first one that cannot be had; the others are let go of.
    pub(crate) fn open(&self, plan: &Plan) -> Result<Opened, String> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        let mut opened = Vec::new();
        for (bind, origin) in plan.metrics.binds.iter().filter(|_| plan.metrics.is_on) {
            if doors.contains_key(bind) {
                continue;
            }
            let bound = narrows_runtime::bind(bind, 1)
                .map_err(|error| format!("{}: metrics: {error}", plan.locate(*origin)))?;
            opened.extend(bound.sockets.into_iter().next().map(|socket| (bind.clone(), socket, bound.bind)));
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
        for (written, socket, bind) in opened.0 {
            crate::say(&format!("narrows: metrics on {bind}"));
            let door = Door::open(socket, bind, Arc::clone(running));
            doors.insert(written, door.map_err(|error| format!("metrics: {error}"))?);
        }
        Ok(())
    }
}

impl Door {
    fn open(socket: Socket, bind: Bind, running: Arc<Running>) -> io::Result<Door> {
        socket.set_nonblocking(false)?;
        let listening = socket.try_clone()?;
        let thread = std::thread::Builder::new()
            .name("metrics".to_owned())
            .spawn(move || accept(&listening, &running))?;
        Ok(Door { socket, bind, thread: Some(thread) })
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        // It makes the thread return from its waiting.
        let _ = self.socket.shutdown(Shutdown::Both);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        if let Bind::Unix(path) = &self.bind {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Takes scrapers until the socket is shut down.
fn accept(socket: &Socket, running: &Arc<Running>) {
    let inside = Arc::new(AtomicUsize::new(0));
    loop {
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
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => return,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
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
