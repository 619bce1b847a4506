//! `cargo xtask docs`: the pages about the configuration and the causes, generated from the types.

use anyhow::{Context, Result, bail};

use crate::run::{output, root};

/// The generated pages, by the name that `narrows schema --markdown` knows.
const PAGES: [&str; 3] = ["configuration", "routing", "causes"];

/// Writes the pages.
pub(crate) fn write() -> Result<()> {
    for page in PAGES {
        let path = root().join(format!("docs/{page}.md"));
        std::fs::write(&path, generated(page)?)
            .with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("xtask: wrote docs/{page}.md");
    }
    Ok(())
}

/// Compares the pages with what would be written.
pub(crate) fn check() -> Result<()> {
    for page in PAGES {
        let path = root().join(format!("docs/{page}.md"));
        let found =
            std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let expected = generated(page)?;
        if found != expected {
            let same =
                found.lines().zip(expected.lines()).take_while(|(found, expected)| found == expected).count();
            bail!(
                "docs/{page}.md is not what the types say, from line {} on; run `cargo xtask docs`",
                same + 1
            );
        }
    }
    Ok(())
}

fn generated(page: &str) -> Result<String> {
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
        page,
    ])
}
