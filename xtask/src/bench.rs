//! `cargo xtask bench`: the release build against the others.

use anyhow::Result;

use crate::run::run;

/// Builds for release and runs the benchmark with these arguments. `--balancers` measures the choice of an endpoint instead.
pub(crate) fn bench(arguments: &[String]) -> Result<()> {
    if let Some((_, further)) = arguments.split_first().filter(|(first, _)| *first == "--balancers") {
        let mut line = vec!["cargo", "run", "--release", "--package", "narrows-bench", "--", "balancers"];
        line.extend(further.iter().map(String::as_str));
        return run(&line);
    }
    run(&["cargo", "build", "--release", "--package", "narrows"])?;
    let mut line = vec!["cargo", "run", "--release", "--package", "narrows-bench", "--"];
    line.extend(arguments.iter().map(String::as_str));
    run(&line)
}
