//! What the tests of checks stand on.

use crate::check::{Failure, PROGRAMS, Subject, check};
use narrows_plan::{Address, CheckKind, Expect, HealthCheck, StartState, UpstreamProtocol};
use narrows_runtime::{Deadlines, TICK};
use std::future::Future;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::rc::Rc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::Semaphore;

/// A timeout that no check reaches when all is well.
pub(super) const LONG: Duration = Duration::from_secs(20);
/// A timeout of checks that reach it.
pub(super) const SHORT: Duration = Duration::from_millis(100);

/// A server that plays a script on its only connection.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    script: JoinHandle<()>,
}

impl Server {
    pub(super) fn playing(script: impl FnOnce(&mut TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let script = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            stream.set_read_timeout(Some(LONG)).unwrap();
            script(&mut stream);
        });
        Server { address, script }
    }

    /// Says each answer when what stands before it has come, and then waits for the end.
    pub(super) fn dialogue(lines: &'static [(&'static [u8], &'static [u8])]) -> Self {
        Server::playing(move |stream| {
            for (wanted, answer) in lines {
                assert_eq!(read_exactly(stream, wanted.len()), *wanted);
                stream.write_all(answer).unwrap();
            }
        })
    }

    /// The script has come to its end, without a complaint.
    #[track_caller]
    pub(super) fn done(self) {
        if let Err(panic) = self.script.join() {
            std::panic::resume_unwind(panic);
        }
    }
}

pub(super) fn read_exactly(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// How the other end went: reads what is left first.
pub(super) fn how_it_ended(stream: &mut TcpStream) -> &'static str {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => "closed",
        Err(error) if error.kind() == ErrorKind::ConnectionReset => "reset",
        Err(error) => panic!("{error}"),
    }
}

/// Runs a future on a runtime with a clock, as the control plane does.
pub(super) fn run<T, F: Future<Output = T>>(work: impl FnOnce(Rc<Deadlines>) -> F) -> T {
    let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        let deadlines = Deadlines::new();
        let clock = Rc::clone(&deadlines);
        tokio::task::spawn_local(async move {
            let mut ticking = tokio::time::interval(TICK);
            loop {
                ticking.tick().await;
                clock.sweep();
            }
        });
        work(deadlines).await
    })
}

pub(super) fn subject(address: SocketAddr) -> Subject {
    Subject {
        upstream: "app".into(),
        label: address.to_string().into(),
        address: Address::Socket(address),
        server_name: "localhost".into(),
        connector: None,
        protocol: UpstreamProtocol::Http1,
        preface: Box::default(),
    }
}

pub(super) fn plan(kind: CheckKind, timeout: Duration) -> HealthCheck {
    HealthCheck {
        kind,
        interval: Duration::from_secs(2),
        fast_interval: None,
        slow_interval: None,
        jitter: 0,
        timeout,
        rise: 2,
        fall: 3,
        port: None,
        address: None,
        tls: true,
        start: StartState::Up,
    }
}

/// What a check of `subject` comes to, in words; `passed` when it does.
pub(super) fn result_of(subject: &Subject, kind: CheckKind, timeout: Duration) -> String {
    let plan = plan(kind, timeout);
    let result = run(|deadlines| async move {
        let watch = deadlines.watch();
        check(subject, &plan, &watch, &Semaphore::new(PROGRAMS)).await
    });
    result.as_ref().map_or_else(Failure::to_string, |()| "passed".to_owned())
}

/// What a check of a server comes to.
pub(super) fn ask(server: &Server, kind: CheckKind) -> String {
    result_of(&subject(server.address), kind, LONG)
}

pub(super) fn contains(text: &str) -> Option<Expect> {
    Some(Expect::Contains(text.as_bytes().into()))
}
