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

/// The head of a zone `example.com` whose records hold for a second.
const SHORT_LIVED: &str = "\
$ORIGIN example.com.
$TTL 1
@ SOA ns hostmaster 1 3600 600 86400 1
@ NS ns
ns A 192.0.2.1
";

/// A running knotd that is the authority for `example.com`.
#[derive(Debug)]
pub struct Knot {
    program: Program,
    configuration: String,
    /// Its folder.
    pub folder: Folder,
    /// The port that it listens on.
    pub port: u16,
}

impl Knot {
    /// Starts it.
    pub fn start() -> Knot {
        Knot::with(&ZONE.replace("PIECE", &"x".repeat(250)))
    }

    /// Starts it with these records, one on a line, that hold for a second; so does that there are no others.
    pub fn short_lived(records: &str) -> Knot {
        Knot::with(&format!("{SHORT_LIVED}{records}\n"))
    }

    fn with(zone: &str) -> Knot {
        let folder = Folder::new();
        let port = free_port();
        let here = folder.path().display();
        folder.write("zone", zone);
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
                "ns.example.com",
            ]);
            crate::program::run(&mut dig).stdout.starts_with(b"192.0.2.1")
        });
        Knot { program, configuration, folder, port }
    }

    /// Changes the zone, all at once: `set app 1 A 192.0.2.7`, `unset app A`, one on a line.
    #[track_caller]
    pub fn change(&self, changes: &str) {
        self.control("zone-begin example.com");
        for change in changes.lines().map(str::trim).filter(|change| !change.is_empty()) {
            let (verb, rest) = change.split_once(' ').expect("a change is a verb and what it is about");
            self.control(&format!("zone-{verb} example.com {rest}"));
        }
        self.control("zone-commit example.com");
    }

    /// It answers nothing more, until [`resume`](Knot::resume).
    #[track_caller]
    pub fn pause(&self) {
        self.program.signal("STOP");
    }

    /// It answers again.
    #[track_caller]
    pub fn resume(&self) {
        self.program.signal("CONT");
    }

    #[track_caller]
    fn control(&self, order: &str) {
        output_of(Command::new(tool("knotc")).args(["-c", &self.configuration]).args(order.split(' ')));
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
