//! How much processor time the threads of this process took.

use std::collections::HashMap;

/// Processor time by name of the thread, seconds; empty where the system does not tell.
pub(crate) fn cpu_seconds() -> HashMap<String, f64> {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else { return HashMap::new() };
    let one = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.ok()?.path();
        let name = std::fs::read_to_string(path.join("comm")).ok()?;
        // The first number: nanoseconds on a processor.
        let times = std::fs::read_to_string(path.join("schedstat")).ok()?;
        let nanoseconds: u64 = times.split_ascii_whitespace().next()?.parse().ok()?;
        Some((name.trim_end().to_owned(), nanoseconds as f64 / 1e9))
    };
    threads.filter_map(one).collect()
}
