//! A program that says by its status whether an endpoint is well.

use super::dialogue::within;
use super::failure::Failure;
use super::subject::Subject;
use narrows_plan::Address;
use narrows_runtime::Watch;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::Semaphore;

/// Programs that run at one time; the others wait for their turn.
pub(crate) const PROGRAMS: usize = 64;

/// Runs the program until its end, or until the timeout, when it is killed with all that it started. The time begins when its turn
/// has come.
pub(super) async fn ask(
    subject: &Subject,
    command: &[Box<str>],
    timeout: Duration,
    watch: &Watch,
    turns: &Semaphore,
) -> Result<(), Failure> {
    let _turn = turns.acquire().await.map_err(|_| Failure::Exhausted)?;
    watch.set(Some(timeout));
    let (program, arguments) = command.split_first().ok_or(Failure::NoProgram(io::ErrorKind::NotFound))?;
    let (host, port) = match &subject.address {
        Address::Socket(address) => (address.ip().to_string(), address.port().to_string()),
        Address::Unix(path) => (path.display().to_string(), String::new()),
        Address::Name(host, port) => (host.to_string(), port.to_string()),
        Address::Service(name) => (name.to_string(), String::new()),
    };
    let started = Command::new(&**program)
        .args(arguments.iter().map(|argument| &**argument))
        .env("NARROWS_ADDRESS", host)
        .env("NARROWS_PORT", port)
        .env("NARROWS_ENDPOINT", &*subject.label)
        .env("NARROWS_UPSTREAM", &*subject.upstream)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn();
    let mut child = started.map_err(|error| failure(&error))?;
    let mut group = Group(child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)));
    let ended = async { child.wait().await.map_err(|error| failure(&error)) };
    let status = within(watch, ended).await?;
    // The number may be another's from now on.
    group.0 = None;
    if status.success() { Ok(()) } else { Err(Failure::Program(describe(status))) }
}

/// The processes that a check started; dropping it kills them.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // It may have ended at this very moment.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

fn failure(error: &io::Error) -> Failure {
    // EMFILE, ENFILE, ENOMEM, EAGAIN (no process left): not the endpoint's fault.
    match error.raw_os_error() {
        Some(24 | 23 | 12 | 11) => Failure::Exhausted,
        _ => Failure::NoProgram(error.kind()),
    }
}

fn describe(status: ExitStatus) -> Box<str> {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("status {code}").into(),
        (None, Some(signal)) => format!("signal {signal}").into(),
        (None, None) => "an unknown status".into(),
    }
}
