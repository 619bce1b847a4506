//! `cargo xtask ci`: everything that must hold before a change is merged.

use anyhow::Result;

use crate::run::run;
use crate::{docs, test};

/// Formatting, lints, generated pages, tests; the quick checks first.
pub(crate) fn ci() -> Result<()> {
    run(&["cargo", "fmt", "--all", "--check"])?;
    run(&["cargo", "clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])?;
    docs::check()?;
    test::test(&[])
}
