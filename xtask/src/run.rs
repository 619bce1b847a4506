//! Running other programs.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace").to_owned()
}

/// The folder of all that is built: CARGO_TARGET_DIR or `target`.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The binary `narrows` of a profile.
pub(crate) fn narrows(profile: &str) -> PathBuf {
    target().join(profile).join("narrows")
}

/// Whether a program is in PATH, or in the folders where Debian keeps servers.
pub(crate) fn installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let postgres = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin"].map(PathBuf::from))
        .chain(postgres.map(|version| version.path().join("bin")))
        .any(|folder| folder.join(program).is_file())
}

/// Runs a command line and shows what it prints; an error when it fails.
pub(crate) fn run(line: &[&str]) -> Result<()> {
    run_with(line, &[])
}

/// The same with further environment variables.
pub(crate) fn run_with(line: &[&str], environment: &[(&str, &str)]) -> Result<()> {
    let (program, arguments) = line.split_first().context("a command line is not empty")?;
    let shown = line.join(" ");
    eprintln!("xtask: {shown}");
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for (name, value) in environment {
        command.env(name, value);
    }
    let status = command.status().with_context(|| format!("cannot start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    Ok(())
}

/// Runs a command line and returns what it prints on its standard output.
pub(crate) fn output(line: &[&str]) -> Result<String> {
    let (program, arguments) = line.split_first().context("a command line is not empty")?;
    let shown = line.join(" ");
    let output = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| format!("`{shown}` prints text"))
}
