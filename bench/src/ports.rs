//! Ports for a proxy, and whether it listens on them.

use std::collections::HashSet;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};

use anyhow::{Context, bail};

use crate::setting::Door;

/// The state of a TCP socket that listens, and of a UDP socket that is not connected, in the kernel's tables.
const LISTENS: &str = "0A";
const UNCONNECTED: &str = "07";

/// A port for each door that nothing listens on: the kernel chose them, and gives them to nobody else while they are held.
pub(crate) fn free_ports(doors: &[Door]) -> anyhow::Result<Vec<(Door, u16)>> {
    let (mut streams, mut datagrams, mut ports) = (Vec::new(), Vec::new(), Vec::new());
    for door in doors {
        let address = if door.is_udp() {
            let socket = UdpSocket::bind("127.0.0.1:0")?;
            let address = socket.local_addr()?;
            datagrams.push(socket);
            address
        } else {
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            streams.push(listener);
            address
        };
        ports.push((*door, address.port()));
    }
    drop((streams, datagrams));
    for (door, port) in &ports {
        if taken(door.is_udp())?.contains(port) {
            bail!("something listens on port {port} already");
        }
    }
    Ok(ports)
}

/// Whether anybody listens on the port of `door`.
pub(crate) fn listens(door: Door, port: u16) -> anyhow::Result<bool> {
    if door.is_udp() {
        return Ok(taken(true)?.contains(&port));
    }
    Ok(TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).is_ok())
}

/// The ports that any process listens on, on any address (a stale one with SO_REUSEPORT would take a share in silence).
fn taken(udp: bool) -> anyhow::Result<HashSet<u16>> {
    let (tables, state) = if udp {
        (["/proc/net/udp", "/proc/net/udp6"], UNCONNECTED)
    } else {
        (["/proc/net/tcp", "/proc/net/tcp6"], LISTENS)
    };
    let mut ports = HashSet::new();
    for table in tables {
        let text = fs::read_to_string(table).unwrap_or_default();
        for line in text.lines().skip(1) {
            let mut fields = line.split_ascii_whitespace().skip(1);
            let local = fields.next().and_then(|address| address.rsplit_once(':'));
            let matches = fields.nth(1) == Some(state);
            if let (Some((_, port)), true) = (local, matches) {
                ports.insert(u16::from_str_radix(port, 16).context(table)?);
            }
        }
    }
    Ok(ports)
}
