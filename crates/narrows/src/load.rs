//! From the files that a command names to a plan.

use crate::{fail, misused};
use narrows_config::{Diagnostics, Loaded};
use std::io::{IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Most that is read from standard input, bytes: one more than the largest configuration, which then is refused as too large.
const STDIN_BYTES: u64 = (16 << 20) + 1;

/// Where configuration is read from.
#[derive(clap::Args)]
pub(crate) struct Files {
    /// Configuration files; several are united. `-` alone is standard input
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
}

impl Files {
    /// Reads the files, with every diagnostic.
    ///
    /// # Errors
    /// The status to end with, when standard input is named together with files or cannot be read; it was said why.
    pub(crate) fn load(&self) -> Result<Loaded, ExitCode> {
        load(&self.files)
    }
}

/// Reads files, or standard input for `-`, in which relative file names are meant from the current folder.
///
/// # Errors
/// As for [`Files::load`].
pub(crate) fn load(files: &[PathBuf]) -> Result<Loaded, ExitCode> {
    let is_stdin = |path: &PathBuf| path.as_os_str() == "-";
    match files {
        [only] if is_stdin(only) => {
            let mut bytes = Vec::new();
            std::io::stdin()
                .take(STDIN_BYTES)
                .read_to_end(&mut bytes)
                .map_err(|error| fail(&format!("cannot read standard input: {error}")))?;
            let text = String::from_utf8(bytes).map_err(|_| fail("standard input is not UTF-8 text"))?;
            Ok(narrows_config::load_text("<stdin>", &text, Path::new("")))
        }
        files if files.iter().any(is_stdin) => Err(misused("`-` (standard input) stands alone")),
        files => Ok(narrows_config::load(files)),
    }
}

/// Prints diagnostics on standard error, in colour where somebody looks.
pub(crate) fn show(diagnostics: &Diagnostics) {
    if !diagnostics.is_empty() {
        let text = diagnostics.render(std::io::stderr().is_terminal());
        let _ = std::io::stderr().write_all(text.as_bytes());
    }
}
