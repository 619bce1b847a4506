//! MariaDB: a server of its own, and its client.

use std::process::Command;

use crate::folder::Folder;
use crate::program::{Program, output_of, tool};
use crate::servers::{as_user, free_port, give_to};

/// The user that runs it when the test is root; Debian's package makes it.
const USER: &str = "mysql";

/// A running MariaDB with a user `test` and a database `test`, on loopback, without passwords.
#[derive(Debug)]
pub struct Mariadb {
    program: Program,
    folder: Folder,
    /// The address that it listens on.
    pub address: String,
}

impl Mariadb {
    /// Creates and starts it.
    pub fn start() -> Mariadb {
        let folder = Folder::new();
        let home = folder.join("mariadb");
        give_to(USER, &home);
        let files = format!("--datadir={home}/files");
        output_of(
            as_user(USER, &tool("mariadb-install-db"))
                .args(["--no-defaults", &files, "--auth-root-authentication-method=normal"])
                .args(["--skip-test-db", "--skip-name-resolve"])
                .current_dir(&home),
        );
        let grants = format!("{home}/grants.sql");
        std::fs::write(
            &grants,
            "CREATE DATABASE test;\nCREATE USER 'test'@'%';\nGRANT ALL ON test.* TO 'test'@'%';\nFLUSH PRIVILEGES;\n",
        )
        .expect("a file can be written");
        let port = free_port();
        let program = run(&folder, port, &[&format!("--init-file={grants}")]);
        Mariadb { program, folder, address: format!("127.0.0.1:{port}") }
    }

    /// Ends it at once; its port refuses connections then.
    pub fn stop(&mut self) {
        self.program.signal("KILL");
        self.program.wait_for_exit();
    }

    /// Starts it again after [`stop`](Mariadb::stop), at the same address.
    pub fn start_again(&mut self) {
        let port = self.address.rsplit(':').next().and_then(|port| port.parse().ok());
        self.program = run(&self.folder, port.expect("the address has a port"), &[]);
    }
}

fn run(folder: &Folder, port: u16, further: &[&str]) -> Program {
    let home = folder.join("mariadb");
    let mut program = Program::start(
        as_user(USER, &tool("mariadbd"))
            .args(["--no-defaults", &format!("--datadir={home}/files"), &format!("--port={port}")])
            .args([format!("--socket={home}/socket"), format!("--pid-file={home}/pid")])
            .args(["--bind-address=127.0.0.1", "--skip-name-resolve", "--innodb-buffer-pool-size=64M"])
            .args(further)
            .current_dir(&home),
    );
    program.wait_for("ready for connections", |text| text.contains("ready for connections"));
    program
}

/// A command of MariaDB's client against `port` on loopback.
pub fn client(port: u16) -> Command {
    let mut command = Command::new(tool("mariadb"));
    command.args(["--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-u", "test", "--batch", "--raw"]);
    command.args(["-P", &port.to_string(), "--skip-column-names", "test"]);
    command
}

impl std::fmt::Display for Mariadb {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&self.address)
    }
}
