//! Handing over to a new process: start it, wait until it serves, or go on as if nothing had happened.

use crate::orders::{Asker, Outcome};
use crate::program::Program;
use narrows_proxy::Running;
use narrows_runtime::{Guardian, Successor, start_successor};
use std::io;
use std::process::{Child, ExitStatus};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::Receiver;
use tokio::time::{Instant, timeout_at};

/// Most that is kept of what a new process says, bytes.
const SAID_BYTES: usize = 64 << 10;

/// A new process that does not serve yet. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Upgrade {
    asker: Asker,
    child: Option<Child>,
    report: Receiver,
    said: Vec<u8>,
    deadline: Instant,
    limit: Duration,
}

impl Upgrade {
    /// Starts the program and passes on the sockets. Needs a runtime around it.
    ///
    /// # Errors
    /// Who asked, and why nothing was started.
    pub(crate) fn begin(
        program: &Program,
        running: &Running,
        guardian: Option<&Guardian>,
        limit: Duration,
        asker: Asker,
    ) -> Result<Upgrade, (Asker, String)> {
        let started = start_successor(program.command(), &running.passing(), guardian);
        let begun = started.and_then(|Successor { child, report }| {
            Receiver::from_owned_fd(report).map(|report| (Some(child), report))
        });
        match begun {
            Ok((child, report)) => {
                let deadline = Instant::now() + limit;
                Ok(Upgrade { asker, child, report, said: Vec::new(), deadline, limit })
            }
            Err(error) => {
                let path = program.path().display();
                Err((asker, format!("cannot start {path}: {error}; this process goes on")))
            }
        }
    }

    /// Returns once the new process serves, or will not. Cancel safe.
    pub(crate) async fn decided(&mut self) -> Decision {
        match timeout_at(self.deadline, self.listen()).await {
            Ok(Ok(true)) => Decision::Serves,
            Ok(Ok(false)) => Decision::Ended,
            Ok(Err(error)) => Decision::Failed(format!("cannot listen to the new process: {error}")),
            Err(_) => Decision::Failed(format!("the new process was not ready within {:?}", self.limit)),
        }
    }

    /// Listens until the new process serves (true) or ends (false).
    async fn listen(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 4096];
        loop {
            let count = self.report.read(&mut buffer).await?;
            if count == 0 {
                return Ok(false);
            }
            self.said.extend_from_slice(&buffer[..count]);
            if Successor::is_ready(&self.said) {
                return Ok(true);
            }
            // The end is what matters: the last of what a process says is whether it serves.
            if self.said.len() > SAID_BYTES {
                self.said.drain(..self.said.len() - SAID_BYTES / 2);
            }
        }
    }

    /// The new process serves.
    pub(crate) fn succeed(mut self) -> Option<(Child, Asker)> {
        Some((self.child.take()?, std::mem::take(&mut self.asker)))
    }

    /// The new process does not come to serve: ends it and tells who asked.
    pub(crate) fn fail(mut self, why: Option<String>) {
        let status = self.end();
        let ended = || match status {
            Some(status) => format!("the new process ended before it was ready ({status})"),
            None => "the new process ended before it was ready".to_owned(),
        };
        let said = String::from_utf8_lossy(&self.said);
        let said = said.trim();
        let colon = if said.is_empty() { "" } else { ":\n" };
        let why = why.unwrap_or_else(ended);
        let outcome: Outcome = Err(format!("upgrade failed, this process goes on; {why}{colon}{said}"));
        std::mem::take(&mut self.asker).answer(outcome);
    }

    fn end(&mut self) -> Option<ExitStatus> {
        let mut child = self.child.take()?;
        // It ended by itself, or has to now.
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for Upgrade {
    fn drop(&mut self) {
        self.end();
    }
}

/// What became of a new process.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It serves.
    Serves,
    /// It ended, and may have said why.
    Ended,
    /// It has to be ended, for this reason.
    Failed(String),
}
