//! Real servers and clients that the proxy is put between.

pub mod certificates;
pub mod grpc;
pub mod grpc_health;
pub mod haproxy;
pub mod knot;
pub mod mariadb;
pub mod nghttpd;
pub mod nginx;
pub mod openssl;
pub mod otlp;
pub mod postgres;
pub mod python;
pub mod quic;
pub mod redis;
pub mod websocket;

use std::net::{TcpListener, UdpSocket};
use std::ops::Range;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::program::{output_of, tool};

/// Below Linux's default range for outgoing connections (32768 and more).
const FIXED_PORTS: Range<u16> = 20000..32000;

/// A command for a database server: run as `user` when the test is root, because databases refuse to be.
fn as_user(user: &str, program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new(tool("setpriv"));
    command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]).arg(program);
    command
}

/// Gives a folder to `user` when the test is root.
fn give_to(user: &str, folder: &str) {
    std::fs::create_dir_all(folder).expect("a folder can be created");
    if is_root() {
        output_of(Command::new("chown").arg(format!("{user}:{user}")).arg(folder));
    }
}

fn is_root() -> bool {
    output_of(Command::new("id").arg("-u")).trim() == "0"
}

/// A port that is free, for servers that cannot choose one themselves. It lies below the range from which the
/// kernel gives ports to others, and each process starts at another one.
pub fn free_port() -> u16 {
    static TAKEN: AtomicU16 = AtomicU16::new(0);
    let start = (std::process::id() % 1000) as u16 * 12;
    for _ in 0..FIXED_PORTS.len() {
        let step = start.wrapping_add(TAKEN.fetch_add(1, Ordering::Relaxed));
        let port = FIXED_PORTS.start + step % (FIXED_PORTS.end - FIXED_PORTS.start);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() && UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
    panic!("no port of {FIXED_PORTS:?} is free");
}
