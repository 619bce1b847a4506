//! `cargo xtask bench`: the release build against the others.

use anyhow::Result;

use crate::run::run;

/// Builds for release and runs the benchmark with these arguments.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    run(&["cargo", "build", "--release", "--package", "narrows"])?;
    let mut line = vec!["cargo", "run", "--release", "--package", "narrows-bench", "--"];
    line.extend(arguments.iter().map(String::as_str));
    run(&line)
}
