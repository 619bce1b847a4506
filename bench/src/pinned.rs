//! Child processes that stay on one core, may open many files and never outlive the benchmark.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::prctl::set_pdeathsig;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid, setsid};

use crate::process;

/// The core of the proxy.
pub(crate) const PROXY_CORE: usize = 0;
/// The core that the load and the backends share.
pub(crate) const LOAD_CORE: usize = 1;

const OPEN_FILES: u64 = 65_536;
/// Keeps other programs of the machine off the two cores, as far as priority can; skipped where it is not permitted.
const NICENESS: i32 = -15;
const PATIENCE: Duration = Duration::from_secs(3);

/// The command that runs `program` through [`become_program`].
pub(crate) fn command(core: usize, program: &Path) -> anyhow::Result<Command> {
    let own = std::env::current_exe().context("the path of this program")?;
    let mut command = Command::new(own);
    command.arg("pinned").arg(core.to_string()).arg(std::process::id().to_string()).arg(program);
    Ok(command)
}

/// Turns this process into `program`, on `core`; it gets SIGTERM when `parent` ends.
pub(crate) fn become_program(core: usize, parent: i32, program: &[OsString]) -> anyhow::Result<Infallible> {
    set_pdeathsig(Signal::SIGTERM)?;
    if getppid().as_raw() != parent {
        bail!("the benchmark has ended");
    }
    let mut cores = CpuSet::new();
    cores.set(core)?;
    sched_setaffinity(Pid::from_raw(0), &cores).with_context(|| format!("core {core}"))?;
    raise_priority();
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    if setrlimit(Resource::RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES.max(hard)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
    }
    let [name, arguments @ ..] = program else { bail!("no program") };
    Err(Command::new(name).args(arguments).exec()).with_context(|| format!("{}", name.display()))
}

/// Linux may weigh whole sessions (autogroups) against each other: so the child gets a session of its own, which also
/// keeps the terminal's interrupt away from it until the benchmark ends it.
fn raise_priority() {
    let _ = setsid();
    let _ = rustix::process::nice(NICENESS);
    let _ = fs::write("/proc/self/autogroup", NICENESS.to_string());
}

/// A child that ends, with all its descendants, when this is dropped.
pub(crate) struct Guard(Child);

impl Guard {
    pub(crate) fn new(child: Child) -> Self {
        Self(child)
    }

    pub(crate) fn child(&mut self) -> &mut Child {
        &mut self.0
    }

    pub(crate) fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(Some(_))) {
            return;
        }
        let descendants = process::tree(self.pid()).unwrap_or_default();
        let _ = kill(Pid::from_raw(self.pid()), Signal::SIGTERM);
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            thread::sleep(Duration::from_millis(5));
        }
        for pid in descendants {
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        let _ = self.0.wait();
    }
}
