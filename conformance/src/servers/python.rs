//! Python peers, in a virtual environment that `cargo xtask test` makes.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::program::output_of;

/// The Python that has the packages of the tests.
pub fn python() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace");
    let python = root.join("target/conformance-python/bin/python3");
    assert!(python.is_file(), "{} is missing: `cargo xtask test` makes it", python.display());
    python
}

/// What a Python program prints; the test fails when the program does.
#[track_caller]
pub fn python_prints(program: &str) -> String {
    output_of(Command::new(python()).args(["-c", program]))
}
