//! Real servers and clients that the proxy is put between.

pub mod certificates;
pub mod mariadb;
pub mod nginx;
pub mod openssl;
pub mod postgres;
pub mod websocket;

use std::path::Path;
use std::process::Command;

use crate::program::{output_of, tool};

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

/// A port that was free a moment ago, for servers that cannot choose one themselves.
pub fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("an address").port()
}
