//! The endpoints of the UDP service: each sends back what it gets, on a thread of its own.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::thread;

const LARGEST: usize = 65_536;

/// Starts an endpoint; gives its port.
pub(super) fn start() -> anyhow::Result<u16> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let port = socket.local_addr()?.port();
    thread::spawn(move || echo(&socket));
    Ok(port)
}

fn echo(socket: &UdpSocket) {
    let mut bytes = vec![0; LARGEST];
    loop {
        match socket.recv_from(&mut bytes) {
            // A client that has gone (ECONNREFUSED comes with the next call) is its own business.
            Ok((count, peer)) => drop(socket.send_to(&bytes[..count], peer)),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::ConnectionRefused) => {}
            Err(error) => {
                eprintln!("the UDP backend: {error}");
                std::process::exit(1);
            }
        }
    }
}
