//! What this machine and this process are called in logs.

use std::sync::OnceLock;

/// The name of the machine; `-` where it has none that a log could hold.
pub(crate) fn hostname() -> &'static str {
    static NAME: OnceLock<String> = OnceLock::new();
    NAME.get_or_init(|| {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let name = name.trim();
        let is_fit =
            !name.is_empty() && name.len() <= 255 && name.bytes().all(|byte| byte.is_ascii_graphic());
        if is_fit { name.to_owned() } else { "-".to_owned() }
    })
}

/// The number of the process.
pub(crate) fn process_id() -> u32 {
    std::process::id()
}
