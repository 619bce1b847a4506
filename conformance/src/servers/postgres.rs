//! PostgreSQL: a server of its own, and its clients.

use std::process::Command;

use crate::folder::Folder;
use crate::program::{Program, output_of, tool};
use crate::servers::{as_user, free_port, give_to, is_root};

/// The user that runs it when the test is root; Debian's package makes it.
const USER: &str = "postgres";

/// A running PostgreSQL with an empty database `postgres`, on loopback, without passwords.
#[derive(Debug)]
pub struct Postgres {
    program: Program,
    folder: Folder,
    /// The address that it listens on.
    pub address: String,
}

impl Postgres {
    /// Creates and starts it.
    pub fn start() -> Postgres {
        let folder = Folder::new();
        let home = folder.join("postgres");
        give_to(USER, &home);
        let cluster = format!("{home}/cluster");
        output_of(
            as_user(USER, &tool("initdb"))
                .args(["-D", &cluster, "-U", "postgres", "--auth=trust", "--no-sync", "--encoding=UTF8"])
                .args(["--locale=C"])
                .current_dir(&home),
        );
        let port = free_port();
        let program = run(&folder, port);
        Postgres { program, folder, address: format!("127.0.0.1:{port}") }
    }

    /// Ends it at once; its port refuses connections then.
    pub fn stop(&mut self) {
        self.program.signal("QUIT");
        self.program.wait_for_exit();
    }

    /// Starts it again after [`stop`](Postgres::stop), at the same address.
    pub fn start_again(&mut self) {
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        self.program = run(&self.folder, port.expect("the address has a port"));
    }

    /// Sends it a signal such as `STOP`.
    pub fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }

    /// What it has noted since it was started last.
    pub fn output(&self) -> String {
        self.program.output()
    }
}

fn run(folder: &Folder, port: u16) -> Program {
    let home = folder.join("postgres");
    let mut program = Program::start(
        as_user(USER, &tool("postgres"))
            .args(["-D", &format!("{home}/cluster"), "-p", &port.to_string(), "-k", &home, "-c", "fsync=off"])
            .args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=50"])
            .current_dir(&home),
    )
    .stopping_with("QUIT");
    program.wait_for("ready to accept", |text| text.contains("database system is ready to accept"));
    program
}

/// A command of PostgreSQL's clients (`psql`, `pgbench`) against `port` on loopback.
pub fn client(name: &str, port: u16) -> Command {
    let mut command = Command::new(tool(name));
    command.args(["-h", "127.0.0.1", "-p", &port.to_string(), "-U", "postgres"]).env("PGSSLMODE", "disable");
    if is_root() {
        command.current_dir("/");
    }
    command
}

impl std::fmt::Display for Postgres {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}
