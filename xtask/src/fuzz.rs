//! The fuzz targets, each for a minute.

use anyhow::{Context, Result};

use crate::run::{root, run_with};

/// The names of all targets in `fuzz/fuzz_targets`.
pub(crate) fn targets() -> Result<Vec<String>> {
    let folder = root().join("fuzz/fuzz_targets");
    let mut targets = Vec::new();
    for file in std::fs::read_dir(&folder).with_context(|| format!("{}", folder.display()))? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "rs") {
            targets.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    targets.sort();
    Ok(targets)
}

/// Runs one target for a minute, from its seeds and from what earlier runs found.
pub(crate) fn run_a_minute(target: &str) -> Result<()> {
    let (found, seeds) = (format!("fuzz/corpus/{target}"), format!("fuzz/seeds/{target}"));
    std::fs::create_dir_all(&found).with_context(|| found.clone())?;
    let mut line = vec!["cargo", "fuzz", "run", target, &found];
    if root().join(&seeds).is_dir() {
        line.push(&seeds);
    }
    line.extend(["--", "-max_total_time=60", "-print_final_stats=1"]);
    // cargo-fuzz instruments with flags that are stable in fact but not in name.
    run_with(&line, &[("RUSTC_BOOTSTRAP", "1")])
}
