//! What checks cost: measured, not judged. Run with
//!
//! `cargo test --profile quick -p narrows-control -- --ignored --nocapture cost_of`

use super::{check, shown, start};
use narrows_plan::{Bind, CheckKind, HttpCheck, StartState};
use narrows_runtime::bind;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const ENDPOINTS: u16 = 10_000;
const INTERVAL: Duration = Duration::from_secs(2);
const MEASURED: Duration = Duration::from_secs(10);

/// Seconds of processor time that the thread of the control plane has used, in user space and in the kernel.
fn used() -> (f64, f64) {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten();
    let stats = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("stat")).ok());
    let stat = stats.into_iter().find(|stat| stat.contains("(control)")).expect("the thread runs");
    let behind = stat.rsplit_once(") ").unwrap().1;
    let field = |index: usize| behind.split(' ').nth(index).unwrap().parse::<f64>().unwrap() / 100.0;
    (field(11), field(12))
}

/// Answers everybody who asks, and counts who came.
fn serve(listener: &TcpListener, came: &AtomicU64) {
    listener.set_nonblocking(false).unwrap();
    let mut request = [0; 4096];
    while let Ok((mut stream, _)) = listener.accept() {
        came.fetch_add(1, Ordering::Relaxed);
        if stream.read(&mut request).is_ok_and(|count| count > 0) {
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        }
    }
}

/// Checks [`ENDPOINTS`] addresses of this machine, behind all of which is one server.
fn measure(name: &str, kind: CheckKind) {
    // With the backlog of a server, which the standard library's listener has not.
    let bound = bind(&Bind::Socket(([0, 0, 0, 0], 0).into()), 2).unwrap();
    let Bind::Socket(SocketAddr::V4(place)) = bound.bind else { panic!("IPv4 was asked for") };
    let port = place.port();
    let came = Arc::<AtomicU64>::default();
    for socket in bound.sockets {
        let came = Arc::clone(&came);
        std::thread::spawn(move || serve(&TcpListener::from(socket), &came));
    }
    let address = |number: u16| {
        let [high, low] = number.to_be_bytes();
        SocketAddr::from((Ipv4Addr::new(127, 1, high, low), port))
    };
    let endpoints: Vec<_> = (1..=ENDPOINTS).map(address).collect();
    let control = start(&endpoints, |upstream| {
        let mut health = check(StartState::Checked);
        (health.kind, health.interval, health.fall) = (kind, INTERVAL, 3);
        health.timeout = INTERVAL;
        upstream.health = Some(health);
    });
    let begin = Instant::now();
    while begin.elapsed() < 2 * INTERVAL {
        std::thread::park_timeout(INTERVAL);
    }
    let checks = || came.load(Ordering::Relaxed);
    let (before, (user_before, kernel_before), began) = (checks(), used(), Instant::now());
    while began.elapsed() < MEASURED {
        std::thread::park_timeout(MEASURED);
    }
    let (after, (user, kernel), seconds) = (checks(), used(), began.elapsed().as_secs_f64());
    let rate = (after - before) as f64 / seconds;
    let (user, kernel) = (user - user_before, kernel - kernel_before);
    println!(
        "{name}: {rate:.0} checks/s; {:.1} % of a core ({:.1} user, {:.1} kernel), {:.1} us a check",
        100.0 * (user + kernel) / seconds,
        100.0 * user / seconds,
        100.0 * kernel / seconds,
        1e6 * (user + kernel) / seconds / rate.max(1.0),
    );
    assert!(shown(&control).iter().all(|state| state.starts_with("up")), "a server that answers is well");
}

#[test]
#[ignore = "a measurement of half a minute"]
fn cost_of_ten_thousand_endpoints_every_two_seconds() {
    measure("tcp", CheckKind::Tcp { send: Box::default(), expect: None });
    measure(
        "http",
        CheckKind::Http(Box::new(HttpCheck {
            path: "/healthz".into(),
            method: "GET".into(),
            host: None,
            headers: Box::default(),
            statuses: [(200, 399)].into(),
            body: None,
        })),
    );
}
