//! CPU time and memory of a process and all its descendants.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};
use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;

/// What a process tree has used until now.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time, read from the CPU clock of each process (nanoseconds, running threads included).
    pub(crate) cpu: Duration,
    /// Resident memory.
    pub(crate) resident_kib: u64,
}

/// How long `core` has worked until now, for whomever, in steps of 10 ms; time that the hypervisor took counts.
pub(crate) fn busy(core: usize) -> anyhow::Result<Duration> {
    let stat = fs::read_to_string("/proc/stat").context("/proc/stat")?;
    let name = format!("cpu{core} ");
    let line = stat.lines().find_map(|line| line.strip_prefix(&name)).context("/proc/stat lacks the core")?;
    // user nice system idle iowait irq softirq steal
    let ticks: u64 = line
        .split_ascii_whitespace()
        .take(8)
        .enumerate()
        .filter(|(index, _)| !matches!(index, 3 | 4))
        .filter_map(|(_, field)| field.parse::<u64>().ok())
        .sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Sums up `root` and its descendants. Fails when `root` is gone.
pub(crate) fn usage(root: i32) -> anyhow::Result<Usage> {
    let mut usage = Usage::default();
    for pid in tree(root)? {
        let resident = resident_kib(pid);
        let cpu = clock_getcpuclockid(Pid::from_raw(pid)).and_then(clock_gettime);
        match (cpu, resident) {
            (Ok(cpu), Some(resident)) => {
                usage.cpu += Duration::from(cpu);
                usage.resident_kib += resident;
            }
            _ if pid == root => bail!("process {root} is gone"),
            _ => {}
        }
    }
    Ok(usage)
}

/// `root` and its descendants.
pub(crate) fn tree(root: i32) -> anyhow::Result<Vec<i32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").context("/proc")? {
        let Ok(entry) = entry else { continue };
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if let Some(parent) = parent(pid) {
            parents.push((pid, parent));
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&ancestor) = tree.get(next) {
        tree.extend(parents.iter().filter(|(_, parent)| *parent == ancestor).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(tree)
}

fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything: the fields begin after the last one.
    let fields = &stat[stat.rfind(')')? + 1..];
    fields.split_ascii_whitespace().nth(1)?.parse().ok()
}

fn resident_kib(pid: i32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_ascii_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests;
