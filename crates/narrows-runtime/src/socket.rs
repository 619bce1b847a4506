//! Listening sockets: one per worker and address, so that the kernel spreads connections without a lock.

use narrows_plan::Bind;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// Connections that may wait to be accepted; the kernel lowers it to `net.core.somaxconn`.
const BACKLOG: i32 = 4096;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {bind}: {source}{}", hint(.source))]
pub struct BindError {
    /// The address.
    pub bind: Bind,
    /// What the system said.
    pub source: io::Error,
}

fn hint(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::AddrInUse => " (another process listens there)",
        io::ErrorKind::PermissionDenied => " (ports below 1024 need CAP_NET_BIND_SERVICE or root)",
        io::ErrorKind::AddrNotAvailable => " (no interface of this machine has that address)",
        _ => "",
    }
}

/// The sockets of one address, one for each worker.
#[derive(Debug)]
pub struct BoundSocket {
    /// Where it listens; the real port where 0 was asked for.
    pub bind: Bind,
    /// One socket per worker, listening, non-blocking.
    pub sockets: Vec<Socket>,
}

/// Listens on `bind` with one socket for each of `workers`. Nothing is accepted yet.
///
/// `[::]` takes IPv4 as well. A Unix socket whose owner is gone is replaced; one that answers is not.
///
/// # Errors
/// What the system said, with the address.
pub fn bind(bind: &Bind, workers: usize) -> Result<BoundSocket, BindError> {
    let fail = |source| BindError { bind: bind.clone(), source };
    match bind {
        Bind::Socket(address) => {
            let first = listen(*address, workers > 1).map_err(fail)?;
            let address = first.local_addr().map_err(fail)?.as_socket().unwrap_or(*address);
            let mut sockets = vec![first];
            for _ in 1..workers {
                sockets.push(listen(address, true).map_err(fail)?);
            }
            Ok(BoundSocket { bind: Bind::Socket(address), sockets })
        }
        Bind::Unix(path) => {
            let first = listen_unix(path).map_err(fail)?;
            let mut sockets = Vec::with_capacity(workers);
            for _ in 1..workers {
                sockets.push(first.try_clone().map_err(fail)?);
            }
            sockets.push(first);
            Ok(BoundSocket { bind: bind.clone(), sockets })
        }
    }
}

fn listen(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    // Accepted sockets inherit it, which saves a system call for each connection.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

fn listen_unix(path: &Path) -> io::Result<Socket> {
    let stale = std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
        && UnixStream::connect(path).is_err();
    if stale {
        std::fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(Socket::from(listener))
}

/// Binds `count` further sockets beside `present` ones of another process, which have to be of the same user: for connections or datagrams, in the order of
/// `is_stream`. Connections and datagrams that come from now on are spread over all of them.
///
/// # Errors
/// What the system said; then none is bound.
pub fn bind_beside(
    present: &[std::sync::Arc<Socket>],
    address: SocketAddr,
    is_stream: bool,
    count: usize,
) -> io::Result<Vec<Socket>> {
    // One that had no company may have been bound without.
    present.iter().try_for_each(|socket| socket.set_reuse_port(true))?;
    let open = |_| if is_stream { listen(address, true) } else { crate::udp::open(address, true) };
    (0..count).map(open).collect()
}
