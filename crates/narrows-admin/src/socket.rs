//! The sockets that the admin API listens on.

use narrows_plan::Bind;
use socket2::{Domain, Protocol, Socket, Type};
use std::fs::Permissions;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Connections that may wait to be accepted.
const BACKLOG: i32 = 64;

/// A socket that is listened on. A Unix socket leaves the file system when this is dropped, unless another process has taken its place.
#[derive(Debug)]
pub(crate) struct Listening {
    /// Where; the real port where 0 was asked for.
    pub(crate) bind: Bind,
    /// Listening, non-blocking.
    pub(crate) socket: Socket,
    #[allow(dead_code, reason = "it leaves the file system with this")]
    file: Option<SocketFile>,
}

/// The file of a Unix socket.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    /// Device and number: another file at the same path is another process's.
    identity: (u64, u64),
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Listens on `bind`. A Unix socket is made beside its place with these permissions and then renamed, so that nobody sees it with others. One
/// whose owner is gone is replaced; one that answers only where `takes_over` says that its owner hands over.
///
/// # Errors
/// What the system said; [`ErrorKind::AddrInUse`] when another process has the place.
pub(crate) fn listen(bind: &Bind, mode: u32, takes_over: bool) -> io::Result<Listening> {
    match bind {
        Bind::Unix(path) => listen_unix(path, mode, takes_over),
        Bind::Socket(address) => listen_tcp(*address, takes_over),
    }
}

fn listen_unix(path: &Path, mode: u32, takes_over: bool) -> io::Result<Listening> {
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            return Err(io::Error::new(ErrorKind::AlreadyExists, "something else than a socket is there"));
        }
        if !takes_over && UnixStream::connect(path).is_ok() {
            return Err(ErrorKind::AddrInUse.into());
        }
    }
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    // Not longer than the place itself: the path of a socket has 107 bytes at most.
    let beside = path.with_file_name(format!(".{}", std::process::id()));
    let _ = std::fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside)?;
    let place = || -> io::Result<SocketFile> {
        std::fs::set_permissions(&beside, Permissions::from_mode(mode))?;
        std::fs::rename(&beside, path)?;
        Ok(SocketFile { path: path.to_owned(), identity: identity(path)? })
    };
    let file = place().inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
    listener.set_nonblocking(true)?;
    Ok(Listening { bind: Bind::Unix(path.to_owned()), socket: Socket::from(listener), file: Some(file) })
}

/// Makes the folder of a socket where it is missing, for its owner alone: between `bind` and `chmod` nobody else may come in.
fn make_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)
}

fn listen_tcp(address: SocketAddr, takes_over: bool) -> io::Result<Listening> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if takes_over {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        socket.set_only_v6(!address.ip().is_unspecified())?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    // Only now: another process that does not take over finds the address in use.
    socket.set_reuse_port(true)?;
    socket.listen(BACKLOG)?;
    let address = socket.local_addr()?.as_socket().unwrap_or(address);
    Ok(Listening { bind: Bind::Socket(address), socket, file: None })
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let found = std::fs::symlink_metadata(path)?;
    Ok((found.dev(), found.ino()))
}

impl Listening {
    /// Another handle of the socket for the thread that serves it; the file stays with this.
    pub(crate) fn served(&self) -> io::Result<Socket> {
        self.socket.try_clone()
    }

    /// The path in the file system, of a Unix socket.
    #[cfg(test)]
    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.as_ref().map(|file| &*file.path)
    }
}

#[cfg(test)]
mod tests;
