//! Other programs that the tests run.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use crate::deadline::{DEADLINE, holds_within};

/// Folders outside of PATH in which Debian keeps programs that the tests need.
const FOLDERS: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/bin", "/usr/local/sbin"];

/// The path of an installed program; panics with the way to install it. A missing program fails the test: no
/// test is skipped silently.
#[track_caller]
pub fn tool(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let debian_postgres = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(debian_postgres.map(|version| version.path().join("bin")))
        .chain(FOLDERS.iter().map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|candidate| candidate.is_file())
        .unwrap_or_else(|| panic!("{name} is not installed; `cargo xtask test` installs what the tests need"))
}

/// Runs a command to its end; panics when it fails, with all that it printed.
#[track_caller]
pub fn output_of(command: &mut Command) -> String {
    let output = run(command);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{text}\n{problem}", output.status);
    text
}

/// Runs a command to its end, whatever that is.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap_or_else(|error| panic!("{command:?} starts: {error}"))
}

/// A program that runs beside the test and ends with it.
#[derive(Debug)]
pub struct Program {
    child: Child,
    name: String,
    output: Arc<Mutex<String>>,
    stop_signal: &'static str,
}

impl Program {
    /// Starts it; what it prints (both streams) is collected.
    #[track_caller]
    pub fn start(command: &mut Command) -> Program {
        let name = Path::new(command.get_program()).display().to_string();
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name} starts: {error}"));
        let output = Arc::<Mutex<String>>::default();
        collect(child.stdout.take(), &output);
        collect(child.stderr.take(), &output);
        Program { child, name, output, stop_signal: "KILL" }
    }

    /// Ends it with this signal instead of KILL when dropped.
    pub fn stopping_with(mut self, signal: &'static str) -> Program {
        self.stop_signal = signal;
        self
    }

    /// Waits until `condition` holds of what it printed.
    #[track_caller]
    pub fn wait_for(&mut self, what: &str, condition: impl FnMut(&str) -> bool) {
        self.wait_longer_for(what, 3 * DEADLINE, condition);
    }

    /// The same with a deadline of choice.
    #[track_caller]
    pub fn wait_longer_for(&mut self, what: &str, limit: Duration, mut condition: impl FnMut(&str) -> bool) {
        let ready = holds_within(limit, || {
            let fulfilled = condition(&self.output.lock().expect("no poison"));
            fulfilled || self.child.try_wait().is_ok_and(|status| status.is_some())
        });
        let output = self.output();
        assert!(ready && condition(&output), "{} never came to: {what}\n{output}", self.name);
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_for_exit(&mut self) -> ExitStatus {
        let mut status = None;
        holds_within(DEADLINE, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        status.unwrap_or_else(|| panic!("{} does not end\n{}", self.name, self.output()))
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_none())
    }

    /// Everything that it printed so far.
    pub fn output(&self) -> String {
        self.output.lock().expect("no poison").clone()
    }

    /// Its process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal such as `TERM`.
    #[track_caller]
    pub fn signal(&self, signal: &str) {
        output_of(Command::new("kill").arg(format!("-{signal}")).arg(self.pid().to_string()));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if self.stop_signal != "KILL" && self.is_running() {
            let _ =
                run(Command::new("kill").arg(format!("-{}", self.stop_signal)).arg(self.pid().to_string()));
            holds_within(DEADLINE, || !self.is_running());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- {} printed:\n{}", self.name, self.output());
        }
    }
}

fn collect(stream: Option<impl Read + Send + 'static>, output: &Arc<Mutex<String>>) {
    let Some(mut stream) = stream else { return };
    let output = Arc::clone(output);
    thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut buffer) {
            output.lock().expect("no poison").push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    });
}
