//! `cargo xtask docs`: the reference of the configuration, generated from the types.

use anyhow::{Context, Result, bail};

use crate::run::{output, root};

const PAGE: &str = "docs/configuration.md";

/// Writes the page.
pub(crate) fn write() -> Result<()> {
    let path = root().join(PAGE);
    std::fs::write(&path, generated()?).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!("xtask: wrote {PAGE}");
    Ok(())
}

/// Compares the page with what would be written.
pub(crate) fn check() -> Result<()> {
    let found = std::fs::read_to_string(root().join(PAGE)).with_context(|| format!("cannot read {PAGE}"))?;
    let expected = generated()?;
    if found == expected {
        return Ok(());
    }
    let same = found.lines().zip(expected.lines()).take_while(|(found, expected)| found == expected).count();
    bail!("{PAGE} is not what the types say, from line {} on; run `cargo xtask docs`", same + 1)
}

fn generated() -> Result<String> {
    output(&[
        "cargo",
        "run",
        "--quiet",
        "--profile",
        "quick",
        "--package",
        "narrows",
        "--",
        "schema",
        "--markdown",
    ])
}
