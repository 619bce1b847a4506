//! A proxy and the backends, started for a run and ended after it.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use crate::backend::Port;
use crate::certificate::Files;
use crate::meter::Outcome;
use crate::order::Order;
use crate::pinned::{self, Guard, LOAD_CORE, PROXY_CORE};
use crate::ports::{free_ports, listens};
use crate::process;
use crate::setting::{Door, Setting};
use crate::subject::Subject;
use crate::template;

const PATIENCE: Duration = Duration::from_secs(10);

/// The backends, alive until this is dropped.
pub(crate) struct Backends {
    _guard: Guard,
    /// The placeholders of the ports, filled.
    names: Vec<(String, String)>,
}

impl Backends {
    pub(crate) fn start() -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let mut command = pinned::command(LOAD_CORE, &own)?;
        let child = command.arg("backend").stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut guard = Guard::new(child);
        let mut line = String::new();
        let output = guard.child().stdout.take().context("the backends have an output")?;
        BufReader::new(output).read_line(&mut line)?;
        let ports: Vec<Port> = serde_json::from_str(&line).context("the backends did not start")?;
        let names = ports.into_iter().map(|(name, port)| (name, port.to_string())).collect();
        Ok(Self { _guard: guard, names })
    }
}

/// A proxy that listens; it ends when this is dropped.
pub(crate) struct Proxy {
    guard: Guard,
    ports: Vec<(Door, u16)>,
    access_log: PathBuf,
}

impl Proxy {
    /// Starts `subject` in the empty folder `directory` and waits until all its ports listen.
    pub(crate) fn start(
        subject: &Subject,
        setting: Setting,
        log: bool,
        backends: &Backends,
        certificate: &Files,
        directory: &Path,
    ) -> anyhow::Result<Self> {
        fs::create_dir_all(directory)?;
        let ports = free_ports(setting.doors())?;
        let access_log = directory.join("access.log");
        let (file, template) = setting.template(subject.kind).context("no configuration")?;
        let mut names = backends.names.clone();
        names.extend(certificate.names());
        for (door, port) in &ports {
            names.push((door.placeholder().to_owned(), port.to_string()));
        }
        names.push(("DIRECTORY".to_owned(), directory.display().to_string()));
        names.push(("ACCESS_LOG".to_owned(), access_log.display().to_string()));
        names.push(("LOAD_STREAM_MODULE".to_owned(), subject.load_stream_module()));
        let config = directory.join(file);
        fs::write(&config, template::fill(template, log, &names)?)?;

        let messages = directory.join("messages.txt");
        let stdout = if log && subject.kind.logs_to_stdout() { &access_log } else { &messages };
        let open = |path: &Path| File::options().create(true).append(true).open(path);
        let mut command = pinned::command(PROXY_CORE, &subject.program)?;
        command.args(subject.arguments(&config)).stdin(Stdio::null());
        command.stdout(open(stdout)?).stderr(open(&messages)?);
        let mut proxy = Self { guard: Guard::new(command.spawn()?), ports, access_log };
        proxy.wait_until_listening().with_context(|| {
            let said = fs::read_to_string(&messages).unwrap_or_default();
            format!("{} did not start; it said:\n{said}", subject.kind.name())
        })?;
        Ok(proxy)
    }

    pub(crate) fn pid(&self) -> i32 {
        self.guard.pid()
    }

    pub(crate) fn port(&self, door: Door) -> anyhow::Result<u16> {
        let found = self.ports.iter().find(|(other, _)| *other == door);
        found.map(|(_, port)| *port).context("the configuration does not have the listener")
    }

    /// Ends the proxy and counts the lines of its access log.
    pub(crate) fn stop(self) -> anyhow::Result<u64> {
        drop(self.guard);
        let Ok(file) = File::open(&self.access_log) else { return Ok(0) };
        let mut reader = BufReader::with_capacity(1 << 20, file);
        let mut lines = 0;
        loop {
            let bytes = reader.fill_buf()?;
            if bytes.is_empty() {
                return Ok(lines);
            }
            lines += memchr::memchr_iter(b'\n', bytes).count() as u64;
            let length = bytes.len();
            reader.consume(length);
        }
    }

    fn wait_until_listening(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + PATIENCE;
        for (door, port) in self.ports.clone() {
            while !listens(door, port)? {
                if let Some(status) = self.guard.child().try_wait()? {
                    bail!("it ended: {status}");
                }
                if Instant::now() > deadline {
                    bail!("port {port} does not listen");
                }
                thread::sleep(Duration::from_millis(10));
            }
        }
        process::usage(self.pid()).map(drop)
    }
}

/// Runs the load in a process of its own, on the load's core, and ends it early once `interrupted`.
pub(crate) fn load(order: &Order, interrupted: &AtomicBool) -> anyhow::Result<Outcome> {
    let own = std::env::current_exe()?;
    let mut command: Command = pinned::command(LOAD_CORE, &own)?;
    command.arg("load").arg(serde_json::to_string(order)?).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut guard = Guard::new(command.spawn()?);
    // The result is one short line: it fits in the pipe until the load has ended.
    let status = loop {
        if let Some(status) = guard.child().try_wait()? {
            break status;
        }
        if interrupted.load(Ordering::Relaxed) {
            bail!("interrupted");
        }
        thread::sleep(Duration::from_millis(20));
    };
    if !status.success() {
        bail!("the load failed: {status}");
    }
    let mut line = String::new();
    let output = guard.child().stdout.take().context("the load has an output")?;
    BufReader::new(output).read_line(&mut line)?;
    serde_json::from_str(&line).context("the load's result")
}
