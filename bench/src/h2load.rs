//! Workloads w7-h2: the load of `h2load`, the program of nghttp2, with its counts checked; and whole answers checked
//! by a client of our own before and after it.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::runtime::Builder;
use tokio::task::LocalSet;

use crate::http2;
use crate::meter::{Meter, Outcome, Tally};
use crate::order::Order;
use crate::pinned::{self, LOAD_CORE};
use crate::service::{Request, SMALL, Service};
use crate::tls;

use summary::Summary;

mod summary;

pub(crate) const PROGRAM: &str = "h2load";
/// h2load asks one host.
const SERVICES: [Service; 2] = [Service::ApiV1, Service::ApiV2];
const REQUEST: Request = Request { large: false, secure: true, close: false };
/// A shorter run says nothing about the rate.
const SHORTEST_WARM_UP: Duration = Duration::from_millis(200);

/// Finds the rate for the time of the warm-up, then measures as many requests as take the time of measuring.
pub(crate) fn run(order: &Order) -> anyhow::Result<Outcome> {
    let mut tally = Tally::new();
    probe(order, &mut tally)?;
    let warm_up = order.warm_up.max(SHORTEST_WARM_UP);
    let duration = format!("{}ms", warm_up.as_millis());
    let summary = Summary::read(&h2load(order, &["-D", &duration])?)?;
    let rate = summary.done as f64 / warm_up.as_secs_f64();
    let least = (order.workload.connections() * order.workload.streams()) as u64;
    let requests = ((rate * order.measure.as_secs_f64()) as u64).max(least);
    let log = order.directory.join("h2load.log");

    let meter = Meter::start(order.proxy, &mut tally)?;
    let (count, log_file) = (requests.to_string(), format!("--log-file={}", log.display()));
    let text = h2load(order, &["-n", &count, &log_file])?;
    let measured = meter.stop()?;

    if let Err(error) = Summary::read(&text)?.check(requests, SMALL as u64) {
        tally.wrong(error);
    }
    read_log(&log, requests, &mut tally)?;
    tally.connects = order.workload.connections() as u64;
    probe(order, &mut tally)?;
    Ok(measured.outcome(&tally))
}

/// Compares every byte of some answers, which h2load does not.
fn probe(order: &Order, tally: &mut Tally) -> anyhow::Result<()> {
    let offer = tls::offer(&order.certificate, http2::ALPN, false)?;
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let probed = LocalSet::new().block_on(&runtime, http2::probe(order.port, &offer, &Service::HTTP));
    if let Err(error) = probed {
        tally.wrong(error);
    }
    Ok(())
}

/// Runs h2load with the offer of TLS that the other loads make; gives what it printed.
fn h2load(order: &Order, arguments: &[&str]) -> anyhow::Result<String> {
    let mut command = pinned::command(LOAD_CORE, Path::new(PROGRAM))?;
    command
        .args(["--groups=X25519", "--tls13-ciphers=TLS_AES_128_GCM_SHA256", "--npn-list=h2"])
        .arg(format!("--connect-to=127.0.0.1:{}", order.port))
        .args(["-c", &order.workload.connections().to_string()])
        .args(["-m", &order.workload.streams().to_string()])
        // A proxy that stalls fails the requests instead of holding the run.
        .args(["-N", "10s"])
        .args(arguments);
    for (name, value) in Service::ApiV1.fields() {
        command.arg(format!("-H{}: {value}", name.to_ascii_lowercase()));
    }
    command.args(SERVICES.map(|service| format!("https://{}{}", service.host(), service.path(REQUEST))));
    let Output { status, stdout, stderr } =
        command.stdin(Stdio::null()).output().context("starting h2load")?;
    if !status.success() {
        bail!("h2load failed: {status} {}", String::from_utf8_lossy(&stderr).trim());
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

/// The log has a line for each answer: when it was asked for, its status, how many microseconds it took.
fn read_log(path: &Path, requests: u64, tally: &mut Tally) -> anyhow::Result<()> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    for line in text.lines() {
        match answer(line) {
            Some(duration) => tally.right(duration),
            None => tally.wrong(format!("h2load logged `{line}`")),
        }
    }
    if tally.answers < requests {
        tally.wrong(format!("h2load logged {} of {requests} answers", tally.answers));
    }
    Ok(())
}

/// How long an answer with status 200 took.
fn answer(line: &str) -> Option<Duration> {
    let mut columns = line.split('\t').skip(1);
    let (status, duration) = (columns.next()?, columns.next()?);
    (status == "200").then_some(())?;
    duration.parse().ok().map(Duration::from_micros)
}

#[cfg(test)]
mod tests;
