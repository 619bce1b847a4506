//! Redis: a server of its own.

use std::process::Command;

use crate::folder::Folder;
use crate::program::{Program, tool};
use crate::servers::free_port;

/// A running Redis on loopback that keeps nothing on disk.
#[derive(Debug)]
pub struct Redis {
    program: Program,
    folder: Folder,
    password: String,
    /// The address that it listens on.
    pub address: String,
}

impl Redis {
    /// Starts it; without a password when that is empty.
    pub fn start(password: &str) -> Redis {
        let (folder, port) = (Folder::new(), free_port());
        let program = run(&folder, port, password);
        Redis { program, folder, password: password.to_owned(), address: format!("127.0.0.1:{port}") }
    }

    /// Kills it; its port refuses connections then.
    pub fn stop(&mut self) {
        self.program.signal("KILL");
        self.program.wait_for_exit();
    }

    /// Starts it again after [`stop`](Redis::stop), at the same address.
    pub fn start_again(&mut self) {
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        self.program = run(&self.folder, port.expect("the address has a port"), &self.password);
    }

    /// Sends it a signal such as `STOP`.
    pub fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }
}

fn run(folder: &Folder, port: u16, password: &str) -> Program {
    let mut command = Command::new(tool("redis-server"));
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    command.args(["--dir", &folder.join("")]);
    if !password.is_empty() {
        command.args(["--requirepass", password]);
    }
    let mut program = Program::start(&mut command);
    program.wait_for("ready to accept", |text| text.to_lowercase().contains("ready to accept connections"));
    program
}

impl std::fmt::Display for Redis {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}
