//! Signals: how the process is told to stop.

use crate::reload::Reloader;
use narrows_proxy::Running;
use std::io;
use std::process::ExitCode;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// How often it is looked whether the workers have ended.
const LOOK: Duration = Duration::from_millis(20);

/// Caught signals, from before the first socket is open.
pub(crate) struct Signals {
    runtime: Runtime,
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    pub(crate) fn catch() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let guard = runtime.enter();
        let terminate = signal(SignalKind::terminate())?;
        let interrupt = signal(SignalKind::interrupt())?;
        let hang_up = signal(SignalKind::hangup())?;
        drop(guard);
        Ok(Signals { runtime, terminate, interrupt, hang_up })
    }

    /// Waits for the end of the workers: of their own, or after a graceful stop.
    pub(crate) fn wait(self, running: &Running, reloader: &Reloader) -> ExitCode {
        let Signals { runtime, mut terminate, mut interrupt, mut hang_up } = self;
        let code = runtime.block_on(async {
            let mut interrupts = 0;
            let mut draining = false;
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => interrupts += 1,
                    _ = hang_up.recv() => {
                        let reloader = reloader.clone();
                        // Further signals are heard meanwhile.
                        tokio::task::spawn_blocking(move || reloader.reload());
                        continue;
                    }
                    () = tokio::time::sleep(LOOK), if draining => {
                        if running.is_finished() {
                            return None;
                        }
                        continue;
                    }
                }
                if interrupts > 1 {
                    crate::say("narrows: interrupted twice, ending now");
                    return Some(130);
                }
                if !draining {
                    crate::say("narrows: draining; running requests are finished");
                    running.drain();
                }
                draining = true;
            }
        });
        match code {
            Some(code) => {
                running.stop();
                ExitCode::from(code)
            }
            None => {
                running.wait();
                crate::say("narrows: stopped");
                ExitCode::SUCCESS
            }
        }
    }
}

/// A proxy needs two descriptors a connection, and the usual soft limit is 1024: takes what the hard limit allows.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit);
}
