//! Hours in minutes: `cargo xtask soak` runs this, the ordinary tests do not.

use std::process::Command;
use std::time::Duration;

use narrows_conformance::program::Program;
use narrows_conformance::servers::nginx::Nginx;
use narrows_conformance::{DEADLINE, Setup, tool};

/// The memory that the proxy may gain after its first tenth, in KiB.
const GAIN_KIB: u64 = 16 * 1024;

fn seconds() -> u64 {
    std::env::var("NARROWS_SOAK_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(600)
}

#[test]
#[ignore = "takes ten minutes; `cargo xtask soak` runs it"]
fn soak_memory_stays_where_it_is_under_load() {
    let nginx = [Nginx::start(""), Nginx::start("")];
    nginx[0].folder.write("www/index.html", "x".repeat(100_000));
    let narrows = Setup::web(&nginx[0], "").upstream("app", &[&nginx[0], &nginx[1]]).workers(2).start();
    let url = format!("http://{}/", narrows.address("web"));
    let load = |duration: u64, header: &str| {
        let mut command = Command::new(tool("wrk"));
        command.args(["-t", "1", "-c", "64", "-d", &duration.to_string(), "-H", header, &url]);
        Program::start(&mut command)
    };
    let run = |duration: u64| {
        let mut both = [load(duration, "Connection: close"), load(duration, "X-Soak: 1")];
        for wrk in &mut both {
            let limit = DEADLINE + Duration::from_secs(duration);
            wrk.wait_longer_for("its end", limit, |text| text.contains("Requests/sec"));
        }
        both.each_ref().map(Program::output).concat()
    };
    let slice = (seconds() / 10).max(1);
    let mut reports = run(slice);
    let early = narrows.peak_memory_kib();
    for tenth in 2..=10 {
        reports += &run(slice);
        println!("{tenth}0 %: {} KiB at most", narrows.peak_memory_kib());
    }
    let late = narrows.peak_memory_kib();
    assert!(late < early + GAIN_KIB, "from {early} to {late} KiB");
    assert!(!reports.contains("Non-2xx") && !reports.contains("Socket errors"), "{reports}");
}
