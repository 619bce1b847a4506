//! Passing descriptors on to a program that this process starts, and to no other.

use super::description::{self, Passing};
use super::inherit::{Guardian, HANDOVER, READY, Shared};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::getpid;
use rustix::thread::{CapabilitySet, capabilities, configure_capability_in_ambient_set};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

/// Passes descriptors on to the program of `command`, under the same numbers. They stay closed in every other program, also in one that is started at the same
/// moment: what is changed is the new process, after it came to be and before its program begins.
///
/// A process that may bind low ports without being root passes that on as well.
#[allow(unsafe_code, reason = "the one way to change a new process before its program begins")]
fn pass_to(command: &mut Command, descriptors: Vec<OwnedFd>) {
    let before = move || {
        for descriptor in &descriptors {
            fcntl_setfd(descriptor, FdFlags::empty())?;
        }
        let low_ports = CapabilitySet::NET_BIND_SERVICE;
        let held = capabilities(None)?;
        if held.inheritable.contains(low_ports) && held.permitted.contains(low_ports) {
            configure_capability_in_ambient_set(low_ports, true)?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only what is safe in a signal handler may be called. `before` makes system calls alone: it allocates nothing, takes no
    // lock, and does not drop what it owns. The errors are numbers of the system.
    unsafe { command.pre_exec(before) };
}

/// A process that was passed the sockets of this one and is to take over, or one that is looked after.
#[derive(Debug)]
pub struct Successor {
    /// The process.
    pub child: Child,
    /// What it says: why it cannot serve, or at last [`Successor::is_ready`]. At its end when the process ended.
    pub report: OwnedFd,
}

impl Successor {
    /// Whether the last of what the process said is that it serves.
    pub fn is_ready(said: &[u8]) -> bool {
        said.ends_with(READY)
    }
}

/// Starts the program of `command` and passes on the sockets of this process, and the way to the first process of a container.
///
/// # Errors
/// The system gives no descriptor, or the program cannot be started. Nothing has changed then.
pub fn start_successor(
    command: Command,
    sockets: &[Shared],
    guardian: Option<&Guardian>,
) -> io::Result<Successor> {
    let (report, reporter) = io::pipe()?;
    let child = start(command, sockets, Some(reporter.into()), guardian.map(Guardian::copy).transpose()?)?;
    Ok(Successor { child, report: report.into() })
}

/// Starts the program of `command`, to be looked after by this process, the first one of a container. What comes out of the descriptor is the
/// number of each process that takes over, a line each ([`Guardian::tell`]).
///
/// # Errors
/// The system gives no descriptor, or the program cannot be started.
pub fn start_ward(command: Command, sockets: &[Shared]) -> io::Result<Successor> {
    let (report, way) = io::pipe()?;
    let child = start(command, sockets, None, Some(way.into()))?;
    Ok(Successor { child, report: report.into() })
}

fn start(
    mut command: Command,
    sockets: &[Shared],
    reporter: Option<OwnedFd>,
    guardian: Option<OwnedFd>,
) -> io::Result<Child> {
    let mut list = File::from(memfd_create("narrows-sockets", MemfdFlags::CLOEXEC)?);
    let mut told = Vec::with_capacity(sockets.len());
    let mut passed = Vec::new();
    for passing in sockets {
        // Copies: the originals may be closed, by a reload for instance, before the program begins.
        let copies = passing.sockets.iter().map(|socket| socket.try_clone().map(OwnedFd::from));
        let copies = copies.collect::<io::Result<Vec<OwnedFd>>>()?;
        told.push(Passing {
            listener: passing.listener.clone(),
            transport: passing.transport,
            written: passing.written.clone(),
            managed: passing.managed,
            sockets: copies.iter().map(AsRawFd::as_raw_fd).collect(),
        });
        passed.extend(copies);
    }
    list.write_all(description::write(&told).as_bytes())?;
    let number = |descriptor: &Option<OwnedFd>| {
        descriptor.as_ref().map_or("-".to_owned(), |descriptor| descriptor.as_raw_fd().to_string())
    };
    let (process, list_number) = (getpid().as_raw_nonzero(), list.as_raw_fd());
    command.env(HANDOVER, format!("{process}:{list_number}:{}:{}", number(&reporter), number(&guardian)));
    passed.push(list.into());
    passed.extend(reporter);
    passed.extend(guardian);
    pass_to(&mut command, passed);
    // With the command goes this process' end of the pipes, so that their readers see the end when the other process ends.
    command.spawn()
}
