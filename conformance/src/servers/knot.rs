//! Knot DNS as a backend.

use std::process::Command;

use crate::deadline::until;
use crate::folder::Folder;
use crate::program::{Program, output_of, tool};
use crate::servers::free_port;

const ZONE: &str = "\
$ORIGIN example.com.
$TTL 60
@ SOA ns hostmaster 1 3600 600 86400 60
@ NS ns
ns A 192.0.2.1
www A 192.0.2.80
large TXT ( \"PIECE\" \"PIECE\" \"PIECE\" \"PIECE\" \"PIECE\" \"PIECE\" \"PIECE\" \"PIECE\" \"PIECE\" \"PIECE\" )
";

/// A running knotd that is the authority for `example.com`.
#[derive(Debug)]
pub struct Knot {
    _program: Program,
    /// Its folder.
    pub folder: Folder,
    /// The port that it listens on.
    pub port: u16,
}

impl Knot {
    /// Starts it.
    pub fn start() -> Knot {
        let folder = Folder::new();
        let port = free_port();
        let here = folder.path().display();
        folder.write("zone", ZONE.replace("PIECE", &"x".repeat(250)));
        let configuration = folder.write(
            "knot.conf",
            format!(
                "server:
  rundir: \"{here}\"
  listen: 127.0.0.1@{port}
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
  udp-max-payload: 4096
log:
- target: stderr
  any: warning
database:
  storage: \"{here}\"
template:
- id: default
  storage: \"{here}\"
zone:
- domain: example.com
  file: zone
"
            ),
        );
        let mut command = Command::new(tool("knotd"));
        let program = Program::start(command.args(["-c", &configuration])).stopping_with("TERM");
        until("knotd answers", || {
            let mut dig = Command::new(tool("dig"));
            dig.args([
                "+short",
                "+time=1",
                "+tries=1",
                "-p",
                &port.to_string(),
                "@127.0.0.1",
                "www.example.com",
            ]);
            crate::program::run(&mut dig).stdout.starts_with(b"192.0.2.80")
        });
        Knot { _program: program, folder, port }
    }
}

impl std::fmt::Display for Knot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "127.0.0.1:{}", self.port)
    }
}

/// What `dig` prints for a question to this port.
#[track_caller]
pub fn dig(port: u16, arguments: &[&str]) -> String {
    let mut dig = Command::new(tool("dig"));
    output_of(dig.args(["+time=5", "+tries=1", "-p", &port.to_string(), "@127.0.0.1"]).args(arguments))
}
