//! The first process of a container: it starts the proxy, passes signals on to it, and reaps whatever processes nobody else waits for.
//!
//! The proxy itself is never the first process: an upgrade replaces it by another one, and a container ends with its first process. Nor could the
//! proxy tell the orphans that it has to reap from the programs of health checks, for which it waits elsewhere.

use crate::fail;
use crate::program::Program;
use narrows_runtime::{Shared, Successor, start_ward};
use rustix::process::{Pid, Signal, WaitOptions, kill_process, test_kill_process, wait};
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, ExitCode, ExitStatus};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::net::unix::pipe::Receiver;
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};

/// What shells add to the number of a signal to make an exit status of it.
const KILLED: i32 = 128;

/// Whether this is the first process of its container.
pub(crate) fn is_wanted() -> bool {
    std::process::id() == 1
}

/// Looks after the proxy until it ends, and ends as it did.
pub(crate) fn guard(program: &Program, sockets: &[Shared]) -> ExitCode {
    let guarded = Builder::new_current_thread()
        .enable_all()
        .build()
        .and_then(|runtime| runtime.block_on(life(program, sockets)));
    match guarded {
        Ok(status) => status,
        Err(error) => fail(&format!("cannot look after the proxy in this container: {error}")),
    }
}

async fn life(program: &Program, sockets: &[Shared]) -> io::Result<ExitCode> {
    let mut ended = signal(SignalKind::child())?;
    let (hear, mut heard) = tokio::sync::mpsc::channel(16);
    for (kind, passed_on) in [
        (SignalKind::terminate(), Signal::TERM),
        (SignalKind::interrupt(), Signal::INT),
        (SignalKind::quit(), Signal::QUIT),
        (SignalKind::hangup(), Signal::HUP),
        (SignalKind::user_defined1(), Signal::USR1),
        (SignalKind::user_defined2(), Signal::USR2),
    ] {
        let (mut caught, hear) = (signal(kind)?, hear.clone());
        tokio::spawn(
            async move { while caught.recv().await.is_some() && hear.send(passed_on).await.is_ok() {} },
        );
    }
    let mut command = program.command();
    // A terminal's Ctrl-C comes to a whole group: it shall come once, from here.
    command.process_group(0);
    let Successor { child, report } = start_ward(command, sockets)?;
    let mut ward = process_of(&child)?;
    let mut successors = BufReader::new(Receiver::from_owned_fd(report)?).lines();
    loop {
        tokio::select! {
            biased;
            Some(number) = next(&mut successors) => ward = number,
            Some(passed_on) = heard.recv() => {
                // It may have ended at this very moment.
                let _ = kill_process(ward, passed_on);
            }
            _ = ended.recv() => {
                while let Ok(Some((process, status))) = wait(WaitOptions::NOHANG) {
                    if process == ward {
                        return Ok(exit_code(ExitStatus::from_raw(status.as_raw())));
                    }
                }
                if test_kill_process(ward).is_err() {
                    return Ok(fail("the process that took over is gone"));
                }
            }
        }
    }
}

/// The next process that took over; `None` for what is no number, and for ever once nobody is there to tell.
async fn next(successors: &mut Lines<BufReader<Receiver>>) -> Option<Pid> {
    match successors.next_line().await {
        Ok(Some(line)) => Pid::from_raw(line.parse().ok()?),
        Ok(None) | Err(_) => std::future::pending().await,
    }
}

fn process_of(child: &Child) -> io::Result<Pid> {
    let number = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    number.ok_or_else(|| io::Error::other("no process number"))
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| KILLED + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}
