//! Giving up what the process was started with.

use super::identity::Identity;
use rustix::fs::fchown;
use rustix::process::{Gid, Uid};
use rustix::thread::{
    CapabilitySet, CapabilitySets, set_capabilities, set_keep_capabilities, set_no_new_privs,
    set_thread_groups, set_thread_res_gid, set_thread_res_uid,
};
use socket2::Socket;
use std::io;

/// Becomes `identity` for good: user, group and groups of every thread, no capability, no privileges from programs that are started (PR_SET_NO_NEW_PRIVS).
///
/// With `keeps_low_ports` the calling thread, and those that it starts from now on, may still bind ports below [`low_ports_begin`]. Programs that it starts may
/// not, but for one that takes over its sockets.
///
/// # Errors
/// What the system said. The process may be between two identities then, and must end.
pub fn drop_privileges(identity: &Identity, keeps_low_ports: bool) -> io::Result<()> {
    set_keep_capabilities(keeps_low_ports)?;
    become_everywhere(identity)?;
    if keeps_low_ports {
        let low_ports = CapabilitySet::NET_BIND_SERVICE;
        set_capabilities(
            None,
            CapabilitySets { effective: low_ports, permitted: low_ports, inheritable: low_ports },
        )?;
        set_keep_capabilities(false)?;
    }
    set_no_new_privs(true)?;
    Ok(())
}

/// Changes user and groups of all threads. The C library does that; the system call alone changes one thread.
#[allow(unsafe_code, reason = "only the C library changes all threads of a process")]
fn become_everywhere(identity: &Identity) -> io::Result<()> {
    let Identity { user, group, groups } = identity;
    let asked = |result: i32| if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) };
    // SAFETY: the pointer is to as many numbers as are told, and only read.
    asked(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
    // SAFETY: takes numbers alone.
    asked(unsafe { libc::setresgid(*group, *group, *group) })?;
    // SAFETY: as above.
    asked(unsafe { libc::setresuid(*user, *user, *user) })
}

/// Gives a socket to a user: sockets that share an address (SO_REUSEPORT) have to be of one user, and the process that will bind a further one is of that one.
///
/// # Errors
/// What the system said, when this process is not root for instance.
pub fn give_socket(socket: &Socket, identity: &Identity) -> io::Result<()> {
    Ok(fchown(socket, Some(Uid::from_raw(identity.user)), Some(Gid::from_raw(identity.group)))?)
}

/// The first port that every user may bind, 1024 unless the system is set otherwise.
pub fn low_ports_begin() -> u16 {
    let text = std::fs::read_to_string("/proc/sys/net/ipv4/ip_unprivileged_port_start");
    text.ok().and_then(|text| text.trim().parse().ok()).unwrap_or(1024)
}

/// Runs `look` on a thread that is `identity`, to see what that one may do; the rest of the process stays who it is.
///
/// # Errors
/// The system gives no thread, or does not let it become that one.
pub fn read_as<T: Send>(identity: &Identity, look: impl FnOnce() -> T + Send) -> io::Result<T> {
    let Identity { user, group, groups } = identity;
    let (user, group) = (Uid::from_raw(*user), Gid::from_raw(*group));
    let groups: Vec<Gid> = groups.iter().map(|group| Gid::from_raw(*group)).collect();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("as-user".into()).spawn_scoped(scope, move || {
            set_thread_groups(&groups)?;
            set_thread_res_gid(group, group, group)?;
            set_thread_res_uid(user, user, user)?;
            io::Result::Ok(look())
        })?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread ended early")))
    })
}
