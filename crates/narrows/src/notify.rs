//! Telling a service manager how things go: the protocol of sd_notify(3), datagrams to the socket that `NOTIFY_SOCKET` names.

use rustix::time::{ClockId, clock_gettime};
use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// A service manager that wants to know.
#[derive(Debug)]
pub(crate) struct Manager {
    socket: UnixDatagram,
    address: SocketAddr,
}

impl Manager {
    /// The manager that the environment names; `None` when there is none.
    pub(crate) fn of_environment() -> Option<Manager> {
        Manager::at(&std::env::var_os("NOTIFY_SOCKET")?).ok()
    }

    /// The manager behind a socket: an absolute path, or `@` and a name in the abstract namespace.
    fn at(name: &OsStr) -> io::Result<Manager> {
        let address = match name.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            // `vsock:` is for virtual machines that report to their host.
            _ => return Err(io::ErrorKind::Unsupported.into()),
        };
        let socket = UnixDatagram::unbound()?;
        // A manager that does not read must not stop the proxy.
        socket.set_nonblocking(true)?;
        Ok(Manager { socket, address })
    }

    fn tell(&self, state: &str) {
        // What cannot be told is lost: a manager that is gone is no reason to end.
        let _ = self.socket.send_to_addr(state.as_bytes(), &self.address);
    }

    /// The process serves; also after [`Manager::reloading`].
    pub(crate) fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nMAINPID={}\nSTATUS={}", std::process::id(), one_line(status)));
    }

    /// The configuration is taken anew. [`Manager::ready`] has to follow, whatever becomes of it.
    #[allow(dead_code, reason = "a reload tells it")]
    pub(crate) fn reloading(&self) {
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", monotonic_us()));
    }

    /// The process drains and will end.
    pub(crate) fn stopping(&self, status: &str) {
        self.tell(&format!("STOPPING=1\nSTATUS={}", one_line(status)));
    }

    /// Something for people to read.
    pub(crate) fn status(&self, status: &str) {
        self.tell(&format!("STATUS={}", one_line(status)));
    }

    /// Another process is the one to watch from now on.
    pub(crate) fn hand_over(&self, process: u32) {
        self.tell(&format!("MAINPID={process}\nREADY=1"));
    }

    /// The process lives.
    pub(crate) fn alive(&self) {
        self.tell("WATCHDOG=1");
    }
}

/// How often the service manager wants to hear that the process lives; `None` when it does not want to. A process that took over from another one was not
/// started by the manager, which asks for it all the same.
pub(crate) fn watchdog_interval(took_over: bool) -> Option<Duration> {
    let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let process = number("WATCHDOG_PID");
    if !took_over && process.is_some_and(|process| process != u64::from(std::process::id())) {
        return None;
    }
    number("WATCHDOG_USEC").filter(|interval| *interval > 0).map(Duration::from_micros)
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

fn monotonic_us() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    let (seconds, nanoseconds) = (now.tv_sec.unsigned_abs(), now.tv_nsec.unsigned_abs());
    seconds * 1_000_000 + nanoseconds / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 1024];
        let count = socket.recv(&mut buffer).expect("something was told");
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    #[test]
    fn a_manager_in_the_abstract_namespace_is_told() {
        let name = format!("narrows-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).unwrap();
        let socket = UnixDatagram::bind_addr(&address).unwrap();
        let manager = Manager::at(OsStr::new(&format!("@{name}"))).unwrap();
        manager.ready("serving\nwell");
        let told = heard(&socket);
        assert_eq!(told, format!("READY=1\nMAINPID={}\nSTATUS=serving well", std::process::id()));
        manager.reloading();
        let told = heard(&socket);
        let time = told.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").expect("the time follows");
        assert!(time.parse::<u64>().expect("a number") > 0);
    }

    #[test]
    fn a_manager_that_is_gone_stops_nobody() {
        let name = OsStr::new("@narrows-nobody-is-here");
        Manager::at(name).unwrap().alive();
        assert!(Manager::at(OsStr::new("relative")).is_err());
    }
}
