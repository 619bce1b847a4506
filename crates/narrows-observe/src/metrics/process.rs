//! What the system tells of this process.

use super::{Family, Kind};
use std::fs;

/// Memory, descriptors, threads and processor time, under the names that every exporter has for them. What the system does not tell is left out.
pub fn process_families() -> Vec<Family> {
    let mut families = Vec::new();
    let mut add = |name, kind, help, number: Option<f64>| {
        families.extend(number.map(|number| Family::single(name, kind, help, number)));
    };
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let bytes = |key: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(key))?;
        Some(line.split_whitespace().next()?.parse::<f64>().ok()? * 1024.0)
    };
    add("process_resident_memory_bytes", Kind::Gauge, "Memory that is in use, in bytes.", bytes("VmRSS:"));
    add("process_virtual_memory_bytes", Kind::Gauge, "Memory that is reserved, in bytes.", bytes("VmSize:"));
    let open = fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1) as f64);
    add("process_open_fds", Kind::Gauge, "Open file descriptors.", open);
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    let most = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most = most.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    add("process_max_fds", Kind::Gauge, "Most file descriptors that may be open.", most);
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name of the program, which may hold anything, stands the third field.
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<f64>().ok();
    // The kernel counts in hundredths of a second (USER_HZ), on every architecture that Linux has today.
    let ticks = 100.0;
    let busy = field(14).zip(field(15)).map(|(user, system)| (user + system) / ticks);
    add("process_cpu_seconds", Kind::Counter, "Processor time, user and system, in seconds.", busy);
    let threads = field(20);
    add("process_threads", Kind::Gauge, "Threads.", threads);
    let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
    let boot = boot.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok());
    let started = field(22).zip(boot).map(|(started, boot)| boot + started / ticks);
    add(
        "process_start_time_seconds",
        Kind::Gauge,
        "When the process started, in seconds since 1970.",
        started,
    );
    families
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_descriptors_and_a_past() {
        let families = process_families();
        assert_eq!(families.len(), 7, "{families:?}");
        for family in families {
            let [sample] = &family.samples[..] else { panic!("{family:?}") };
            let super::super::Value::Number(number) = sample.value else { panic!("{family:?}") };
            assert!(number > 0.0 || family.name == "process_cpu_seconds", "{family:?}");
        }
    }
}
