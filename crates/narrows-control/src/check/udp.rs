//! A datagram gets an answer; without anything expected, no ICMP error.

use super::dialogue::{LIMIT, within};
use super::expect::is_met;
use super::failure::Failure;
use super::subject::Subject;
use narrows_plan::{Address, Expect};
use narrows_runtime::Watch;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use tokio::net::UdpSocket;

/// Sends, and waits for the first answer. Where nothing is expected, silence until the deadline of `watch` is good.
pub(super) async fn ask(
    subject: &Subject,
    send: &[u8],
    expect: Option<&Expect>,
    watch: &Watch,
) -> Result<(), Failure> {
    let Address::Socket(address) = subject.address else { return Err(Failure::Unreachable) };
    let exchange = async {
        let any = match address {
            SocketAddr::V4(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            SocketAddr::V6(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        };
        let socket = UdpSocket::bind((any, 0)).await.map_err(|error| Failure::of_connect(&error))?;
        socket.connect(address).await.map_err(|error| Failure::of_connect(&error))?;
        socket.send(&[&subject.preface, send].concat()).await.map_err(|error| failure(&error))?;
        let mut answer = vec![0; LIMIT];
        let length = socket.recv(&mut answer).await.map_err(|error| failure(&error))?;
        match expect {
            Some(expect) if !is_met(expect, &answer[..length]) => Err(Failure::Unexpected),
            _ => Ok(()),
        }
    };
    match within(watch, exchange).await {
        Err(Failure::TimedOut) if expect.is_none() => Ok(()),
        result => result,
    }
}

/// What the kernel says of a datagram is what an ICMP message said.
fn failure(error: &io::Error) -> Failure {
    Failure::of_connect(error)
}
