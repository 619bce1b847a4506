//! The proxy under test, as a process.

use std::path::PathBuf;
use std::process::{Command, ExitStatus};
use std::thread;

use crate::connection::Connection;
use crate::folder::Folder;
use crate::message::Message;
use crate::program::Program;

/// A running `narrows run`. It is killed when dropped; a panic message on its stderr fails the test then.
#[derive(Debug)]
pub struct Narrows {
    program: Program,
    bound: Vec<(String, String)>,
    /// The folder of its configuration.
    pub folder: Folder,
}

impl Narrows {
    /// Starts the proxy with this configuration and one worker, and waits until it is ready.
    #[track_caller]
    pub fn start(yaml: &str) -> Narrows {
        Narrows::start_in(Folder::new(), yaml, &["--workers", "1"])
    }

    /// The same, in a folder with further files and with further arguments.
    #[track_caller]
    pub fn start_in(folder: Folder, yaml: &str, arguments: &[&str]) -> Narrows {
        let mut command = Command::new(binary());
        command.arg("run").args(arguments);
        Narrows::start_with(command, folder, yaml)
    }

    /// Starts a command of choice that becomes the proxy; the path of the configuration is added to it.
    #[track_caller]
    pub fn start_with(mut command: Command, folder: Folder, yaml: &str) -> Narrows {
        let path = folder.write("narrows.yaml", yaml);
        if command.get_envs().all(|(name, _)| name != "NARROWS_ADMIN") {
            // All tests at one time would want the one usual place.
            command.env("NARROWS_ADMIN", "off");
        }
        let mut program = Program::start(command.arg(path));
        program.wait_for("narrows: ready", |text| text.lines().any(|line| line == "narrows: ready"));
        let bound = program.output().lines().filter_map(listening).collect();
        Narrows { program, bound, folder }
    }

    /// The first address of a listener: `host:port` or `unix:/path`.
    #[track_caller]
    pub fn address(&self, listener: &str) -> &str {
        self.addresses(listener)
            .first()
            .copied()
            .unwrap_or_else(|| panic!("{listener} is not in {:?}", self.bound))
    }

    /// All addresses of a listener.
    pub fn addresses(&self, listener: &str) -> Vec<&str> {
        self.bound.iter().filter(|(name, _)| name == listener).map(|(_, address)| address.as_str()).collect()
    }

    /// The port of a listener.
    #[track_caller]
    pub fn port(&self, listener: &str) -> u16 {
        let address = self.address(listener);
        address.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address ends with a port")
    }

    /// A new connection to a listener.
    #[track_caller]
    pub fn connect(&self, listener: &str) -> Connection {
        Connection::connect(self.address(listener))
    }

    /// A new connection to the listener `web`.
    #[track_caller]
    pub fn web(&self) -> Connection {
        self.connect("web")
    }

    /// Sends `GET path` with `Host: example.com` and these further header lines to the listener `web`, on a new
    /// connection; returns the final response.
    #[track_caller]
    pub fn get(&self, path: &str, headers: &[&str]) -> Message {
        let further = headers.iter().map(|line| format!("{line}\r\n")).collect::<String>();
        let host = if headers.iter().any(|line| line.to_ascii_lowercase().starts_with("host:")) {
            ""
        } else {
            "Host: example.com\r\n"
        };
        self.web().exchange(format!("GET {path} HTTP/1.1\r\n{host}{further}\r\n"))
    }

    /// The state of an upstream, as of a second ago at most. Needs the listener `status`.
    #[track_caller]
    pub fn state_of(&self, upstream: &str) -> serde_json::Value {
        let answer = self.connect("status").exchange("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let all: serde_json::Value = serde_json::from_str(&answer.text()).expect("the status is JSON");
        let mut upstreams = all["upstreams"].as_array().cloned().unwrap_or_default().into_iter();
        upstreams.find(|one| one["upstream"] == upstream).unwrap_or_default()
    }

    /// What a scraper reads that sends this `Accept`: the answer as it came. Needs [`Setup::metrics`](crate::Setup::metrics).
    #[track_caller]
    pub fn scrape(&self, accept: &str) -> Message {
        let output = self.output();
        let address = output.lines().find_map(|line| line.strip_prefix("narrows: metrics on "));
        let mut connection = Connection::connect(address.expect("the metrics have an address"));
        connection.exchange(format!("GET /metrics HTTP/1.1\r\nHost: a\r\nAccept: {accept}\r\n\r\n"))
    }

    /// The metrics as text.
    #[track_caller]
    pub fn metrics(&self) -> String {
        self.scrape("text/plain").text()
    }

    /// The number of a series, written as in the text; `None` where there is none.
    #[track_caller]
    pub fn metric(&self, series: &str) -> Option<f64> {
        let text = self.metrics();
        let rest = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        Some(rest.parse().expect("a number"))
    }

    /// Writes another configuration and has it served.
    #[track_caller]
    pub fn reload(&self, yaml: &str) {
        const SERVED: &str = "narrows: reloaded; ";
        let before = self.output().matches(SERVED).count();
        self.folder.write("narrows.yaml", yaml);
        self.signal("HUP");
        crate::until("the new configuration is served", || {
            let output = self.output();
            assert!(!output.contains("narrows: not reloaded"), "{output}");
            output.matches(SERVED).count() > before
        });
    }

    /// The address of a listener that came with a reload.
    #[track_caller]
    pub fn new_address(&self, listener: &str) -> String {
        let output = self.output();
        let found = output.lines().filter_map(listening).rfind(|(name, _)| name == listener);
        found.unwrap_or_else(|| panic!("{listener} is not in {output}")).1
    }

    /// Sends it a signal such as `TERM`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        self.program.signal(signal);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        self.program.wait_for_exit()
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    /// Everything that it printed so far.
    pub fn output(&self) -> String {
        self.program.output()
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// The most memory that it ever held, in KiB.
    #[track_caller]
    pub fn peak_memory_kib(&self) -> u64 {
        let path = format!("/proc/{}/status", self.pid());
        let status = std::fs::read_to_string(path).expect("the proxy runs");
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("Linux tells VmHWM");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).expect("VmHWM is a number")
    }
}

impl Drop for Narrows {
    fn drop(&mut self) {
        let output = self.output();
        if output.contains("panicked at") && !thread::panicking() {
            panic!("the proxy panicked:\n{output}");
        }
    }
}

/// The path of the binary under test: `NARROWS_BIN`, or the one built in the profile of this test.
#[track_caller]
pub fn binary() -> PathBuf {
    if let Some(path) = std::env::var_os("NARROWS_BIN") {
        return path.into();
    }
    let test = std::env::current_exe().expect("a test knows its path");
    let path = test.parent().and_then(|deps| deps.parent()).expect("tests are in deps").join("narrows");
    assert!(path.is_file(), "{} is missing: `cargo xtask test` builds it", path.display());
    path
}

/// Runs `narrows` with arguments to its end.
#[track_caller]
pub fn command_line(arguments: &[&str]) -> std::process::Output {
    crate::program::run(Command::new(binary()).args(arguments))
}

/// Reads `narrows: listening on ADDRESS (listener NAME, ...)`.
fn listening(line: &str) -> Option<(String, String)> {
    let (address, rest) = line.strip_prefix("narrows: listening on ")?.split_once(" (listener ")?;
    let name = rest.split([',', ')']).next()?;
    Some((name.to_owned(), address.to_owned()))
}
