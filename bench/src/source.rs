//! Opens the load's connections from many loopback addresses, so that ports do not run out.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};

/// Addresses 127.0.0.2 to 127.0.0.251 in turn.
#[derive(Default)]
pub(crate) struct Sources {
    opened: u32,
}

impl Sources {
    /// Begins a connection to `port` on 127.0.0.1. A `waiting` one is established on return; the other kind is
    /// non-blocking and becomes writable when it is.
    pub(crate) fn connect(&mut self, port: u16, waiting: bool) -> io::Result<TcpStream> {
        let last = (2 + self.opened % 250) as u8;
        self.opened = self.opened.wrapping_add(1);
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(!waiting)?;
        socket.set_tcp_nodelay(true)?;
        // The kernel chooses the port at connect, when it knows the whole pair of addresses.
        setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, last), 0).into())?;
        match socket.connect(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into()) {
            Err(error) if error.raw_os_error() != Some(nix::Error::EINPROGRESS as i32) => Err(error),
            _ => Ok(socket.into()),
        }
    }
}
