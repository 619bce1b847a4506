//! Workload w5: what an idle keep-alive connection costs in memory.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::bail;

use crate::answer::{Answer, Progress};
use crate::latency::Latency;
use crate::meter::Outcome;
use crate::order::Order;
use crate::process;
use crate::source::Sources;
use crate::workload::Exchange;

/// Requests on one connection before the memory is read for the first time.
const WARM_UP_REQUESTS: usize = 400;
/// How long the proxy may tidy up before its memory is read.
const SETTLE: Duration = Duration::from_secs(1);
const PATIENCE: Duration = Duration::from_secs(5);

/// Opens all connections, one request on each, and compares the proxy's resident memory before and after.
pub(crate) fn run(order: &Order) -> anyhow::Result<Outcome> {
    let exchanges = order.workload.exchanges();
    let mut sources = Sources::default();
    let mut first = open(&mut sources, order.port)?;
    for index in 0..WARM_UP_REQUESTS {
        ask(&mut first, &exchanges[index % exchanges.len()])?;
    }
    thread::sleep(SETTLE);
    let before = process::usage(order.proxy)?;
    let start = Instant::now();
    let mut latency = Latency::new();
    let mut idle = Vec::with_capacity(order.workload.connections());
    for index in 0..order.workload.connections() {
        let begun = Instant::now();
        let mut socket = open(&mut sources, order.port)?;
        ask(&mut socket, &exchanges[index % exchanges.len()])?;
        latency.record(begun.elapsed());
        idle.push(socket);
    }
    let elapsed = start.elapsed();
    let opened = process::usage(order.proxy)?;
    thread::sleep(SETTLE);
    let after = process::usage(order.proxy)?;
    let closed = idle.iter().filter(|socket| !is_open(socket)).count();
    let answers = idle.len() as u64;
    let cpu = opened.cpu.saturating_sub(before.cpu);
    let grown = after.resident_kib.saturating_sub(before.resident_kib);
    Ok(Outcome {
        answers,
        errors: closed as u64,
        first_error: (closed > 0).then(|| format!("{closed} of {answers} idle connections were closed")),
        connects: answers,
        seconds: elapsed.as_secs_f64(),
        cpu_us_per_answer: cpu.as_secs_f64() * 1e6 / answers as f64,
        cpu_share: cpu.as_secs_f64() / elapsed.as_secs_f64(),
        others_share: 0.0,
        answers_per_second: answers as f64 / elapsed.as_secs_f64(),
        p50_us: latency.quantile_us(0.5),
        p99_us: latency.quantile_us(0.99),
        resident_kib: after.resident_kib,
        bytes_per_idle_connection: Some(grown as f64 * 1024.0 / answers as f64),
    })
}

fn open(sources: &mut Sources, port: u16) -> anyhow::Result<TcpStream> {
    let socket = sources.connect(port, true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn ask(socket: &mut TcpStream, exchange: &Exchange) -> anyhow::Result<()> {
    socket.write_all(&exchange.request)?;
    let mut answer = Answer::default();
    let mut bytes = [0; 4096];
    loop {
        let count = socket.read(&mut bytes)?;
        if count == 0 {
            bail!("closed without a whole answer");
        }
        match answer.take(&bytes[..count], exchange).map_err(anyhow::Error::msg)? {
            Progress::Incomplete => {}
            Progress::Complete { closes: false } => return Ok(()),
            Progress::Complete { closes: true } => bail!("the answer closes a connection that should idle"),
        }
    }
}

fn is_open(socket: &TcpStream) -> bool {
    let Ok(()) = socket.set_nonblocking(true) else { return false };
    matches!(socket.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}
