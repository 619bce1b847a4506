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
    _program: Program,
    _folder: Folder,
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
        let mut program = Program::start(
            as_user(USER, &tool("mariadbd"))
                .args(["--no-defaults", &files, &format!("--port={port}"), "--bind-address=127.0.0.1"])
                .args([format!("--socket={home}/socket"), format!("--pid-file={home}/pid")])
                .args([format!("--init-file={grants}"), "--skip-name-resolve".to_owned()])
                .arg("--innodb-buffer-pool-size=64M")
                .current_dir(&home),
        );
        program.wait_for("ready for connections", |text| text.contains("ready for connections"));
        Mariadb { _program: program, _folder: folder, address: format!("127.0.0.1:{port}") }
    }
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
