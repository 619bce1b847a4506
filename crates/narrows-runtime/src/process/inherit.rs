//! Taking what the process that started this one has passed on: from another Narrows, or from a service manager.

use super::description::{self, Passing, Transport};
use narrows_plan::Bind;
use rustix::fs::{FileType, fstat};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{getpid, getppid};
use rustix::thread::clear_ambient_capability_set;
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The variable in which a Narrows tells the next one its own process number and three descriptors: the list of sockets, the report, and what the first process of
/// a container listens to. `-` is none.
pub(super) const HANDOVER: &str = "NARROWS_HANDOVER";
/// The first descriptor that a service manager passes on (sd_listen_fds(3)).
const FIRST_MANAGED: RawFd = 3;
/// Most descriptors that a service manager may pass on.
const MANAGED_LIMIT: i32 = 4096;
/// Largest list of sockets, bytes.
const LIST_BYTES: u64 = 16 << 20;
/// What the new process writes once it serves; anything before is why it cannot.
pub(super) const READY: &[u8] = b"\0ready\n";

/// Sockets that were passed on, open and closed in every program that this process starts.
pub type Passed = Passing<Socket>;

/// Sockets that are used here as well as passed on.
pub type Shared = Passing<Arc<Socket>>;

impl Passed {
    /// The same, to be passed on again.
    pub fn shared(self) -> Shared {
        let Passing { listener, transport, written, managed, sockets } = self;
        let sockets = sockets.into_iter().map(Arc::new).collect();
        Passing { listener, transport, written, managed, sockets }
    }
}

/// What this process was passed.
#[derive(Debug, Default)]
pub struct Inheritance {
    /// Listening sockets.
    pub sockets: Vec<Passed>,
    /// Tells the process that hands over how things go; `None` where there is none.
    pub reporter: Option<Reporter>,
    /// Tells the first process of a container who serves; `None` where there is none.
    pub guardian: Option<Guardian>,
}

/// Tells the process that looks after this one, the first one of a container, which process is to be looked after.
#[derive(Debug)]
pub struct Guardian(File);

impl Guardian {
    /// Says that this process serves from now on.
    ///
    /// # Errors
    /// What the system said.
    pub fn tell(&self, process: u32) -> io::Result<()> {
        (&self.0).write_all(format!("{process}\n").as_bytes())
    }

    pub(super) fn copy(&self) -> io::Result<OwnedFd> {
        Ok(self.0.try_clone()?.into())
    }
}

/// Why what was passed on cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum InheritError {
    /// The text of a variable is not what its definition says.
    #[error("the environment variable {0} makes no sense")]
    Variable(&'static str),
    /// A descriptor that is told of is not a listening socket.
    #[error("descriptor {0}, which was passed on, is no listening socket")]
    NotASocket(RawFd),
    /// The system does not let it be taken.
    #[error("cannot take the sockets that were passed on: {0}")]
    System(#[from] io::Error),
}

/// Tells the process that hands over its sockets whether this one serves.
#[derive(Debug)]
pub struct Reporter(File);

impl Reporter {
    /// Says why this process does not come to serve. May be called several times.
    pub fn problem(&mut self, text: &str) {
        // The other process may be gone, which is no reason not to go on.
        let _ = self.0.write_all(text.as_bytes());
    }

    /// Says that this process serves: the other one stops to.
    pub fn ready(mut self) {
        let _ = self.0.write_all(READY);
    }
}

/// Takes what was passed on to this process; nothing, when nothing was. To be called before any thread is started: the variables that tell of it are taken
/// out of the environment, so that no program that this process starts believes them.
///
/// # Errors
/// What was passed on makes no sense. A process that hands over is to be told by ending then.
pub fn take_inheritance() -> Result<Inheritance, InheritError> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Inheritance::default());
    }
    // What this process may do is not for every program that it starts. Systems without such a set have nothing to clear.
    let _ = clear_ambient_capability_set();
    let handed = std::env::var(HANDOVER).ok();
    let managed = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"].map(|name| std::env::var(name).ok());
    forget_variables(&[HANDOVER, "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"]);
    // Who is the child of the first process of a container may be given sockets by a service manager as well.
    let handed = handed.map(|text| take_handed(&text)).transpose()?.unwrap_or_default();
    if handed.reporter.is_some() {
        return Ok(handed);
    }
    let [Some(process), Some(count), names] = managed else { return Ok(handed) };
    // Meant for another process, whose environment this one has as well.
    if process.parse() != Ok(getpid().as_raw_nonzero().get()) {
        return Ok(handed);
    }
    let count = count.parse::<i32>().ok().filter(|count| (0..=MANAGED_LIMIT).contains(count));
    let count = count.ok_or(InheritError::Variable("LISTEN_FDS"))?;
    let names = names.unwrap_or_default();
    let mut names = names.split(':');
    let sockets = (FIRST_MANAGED..FIRST_MANAGED + count).map(|number| {
        let name = names.next().unwrap_or_default();
        take_managed(number, name)
    });
    Ok(Inheritance { sockets: sockets.collect::<Result<_, _>>()?, ..handed })
}

fn take_handed(text: &str) -> Result<Inheritance, InheritError> {
    let nonsense = || InheritError::Variable(HANDOVER);
    let fields: Vec<&str> = text.split(':').collect();
    let [parent, list, report, guardian] = fields[..] else { return Err(nonsense()) };
    let is_meant = getppid().is_some_and(|process| parent.parse() == Ok(process.as_raw_nonzero().get()));
    if !is_meant {
        return Ok(Inheritance::default());
    }
    let take_file = |field: &str, kind| {
        if field == "-" {
            return Ok(None);
        }
        let taken = field.parse().ok().and_then(|number| take(number, kind));
        taken.map(|taken| Some(File::from(taken))).ok_or_else(nonsense)
    };
    let list = take_file(list, FileType::RegularFile)?;
    let reporter = take_file(report, FileType::Fifo)?.map(Reporter);
    let guardian = take_file(guardian, FileType::Fifo)?.map(Guardian);
    let mut text = String::new();
    if let Some(mut list) = list {
        list.rewind()?;
        list.take(LIST_BYTES).read_to_string(&mut text)?;
    }
    let described = description::read(&text).ok_or_else(nonsense)?;
    let mut passed = Vec::with_capacity(described.len());
    for Passing { listener, transport, written, managed, sockets } in described {
        let sockets = sockets.into_iter().map(take_socket).collect::<Result<_, _>>()?;
        passed.push(Passing { listener, transport, written, managed, sockets });
    }
    Ok(Inheritance { sockets: passed, reporter, guardian })
}

fn take_socket(number: RawFd) -> Result<Socket, InheritError> {
    let socket = take(number, FileType::Socket).ok_or(InheritError::NotASocket(number))?;
    let socket = Socket::from(socket);
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A socket of a service manager. Its name is that of a listener, where it is one.
fn take_managed(number: RawFd, name: &str) -> Result<Passed, InheritError> {
    let socket = take_socket(number)?;
    let transport = match socket.r#type()? {
        Type::STREAM if socket.is_listener()? => Transport::Stream,
        Type::DGRAM if socket.domain()? != Domain::UNIX => Transport::LoneDatagrams,
        _ => return Err(InheritError::NotASocket(number)),
    };
    let address = socket.local_addr()?;
    let written = match (address.as_socket(), address.as_pathname()) {
        (Some(address), _) => Bind::Socket(address),
        (None, Some(path)) => Bind::Unix(path.to_owned()),
        (None, None) => return Err(InheritError::NotASocket(number)),
    };
    if transport == Transport::Stream {
        // As those that this process makes itself; on a Unix socket there is nothing to delay.
        let _ = socket.set_tcp_nodelay(true);
    } else {
        crate::udp::prepare(&socket, &address)?;
    }
    Ok(Passing { listener: name.into(), transport, written, managed: true, sockets: vec![socket] })
}

/// Owns a descriptor that was passed on, closed from now on in programs that this process starts. `None` when there is none, or another kind of thing.
#[allow(unsafe_code, reason = "a number from the environment becomes a descriptor")]
fn take(number: RawFd, kind: FileType) -> Option<OwnedFd> {
    if number < FIRST_MANAGED {
        return None;
    }
    // SAFETY: the descriptor is only looked at. Should the number not be that of an open one, the system says so. This is the beginning of the
    // process (`take_inheritance` runs once): no other part of it had a reason to open or to close one of these.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let found = fstat(borrowed).ok()?;
    if FileType::from_raw_mode(found.st_mode) != kind {
        return None;
    }
    fcntl_setfd(borrowed, FdFlags::CLOEXEC).ok()?;
    // SAFETY: it is open, as was just seen, and the process that started this one made it for nobody but the caller.
    Some(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Takes variables out of the environment, as long as nobody else can be reading it.
#[allow(unsafe_code, reason = "the standard library lets the environment be changed in no other way")]
fn forget_variables(names: &[&str]) {
    if names.iter().all(|name| std::env::var_os(name).is_none()) {
        return;
    }
    // Where this cannot be seen, the variables stay: they name this process' number and mislead nobody.
    let threads = std::fs::read_dir("/proc/self/task").map_or(0, Iterator::count);
    if threads != 1 {
        return;
    }
    for name in names {
        // SAFETY: this is the only thread of the process, so that no other one reads or writes the environment meanwhile.
        unsafe { std::env::remove_var(name) };
    }
}
