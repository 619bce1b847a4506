//! `cargo xtask test`, `cargo xtask soak` and `cargo xtask storm`.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::run::{narrows, run, run_with};
use crate::{fuzz, requirements};

/// The profile of the tests: optimised enough to drive real load.
const PROFILE: &str = "quick";

/// Runs every test, or with filters the tests whose names contain one of them.
pub(crate) fn test(filters: &[String]) -> Result<()> {
    let mut report = Report::default();
    report.step("what the tests need", requirements::prepare)?;
    report.step("the binary", build)?;
    let binary = narrows(PROFILE).display().to_string();
    let mut line = vec!["cargo", "nextest", "run", "--workspace", "--cargo-profile", PROFILE];
    line.extend(filters.iter().map(String::as_str));
    report.step("unit and end-to-end tests", || run_with(&line, &[("NARROWS_BIN", &binary)]))?;
    if filters.is_empty() {
        report.step("doc tests", || run(&["cargo", "test", "--doc", "--workspace", "--profile", PROFILE]))?;
        for target in fuzz::targets()? {
            report.step(&format!("fuzz target {target}, one minute"), || fuzz::run_a_minute(&target))?;
        }
    } else {
        report.note("doc tests and fuzz targets did not run: the command line names single tests");
    }
    report.note("the soak did not run: `cargo xtask soak` takes ten minutes more");
    report.print();
    Ok(())
}

/// Runs the long form of the load tests.
pub(crate) fn soak(seconds: &str) -> Result<()> {
    requirements::prepare()?;
    build()?;
    let binary = narrows(PROFILE).display().to_string();
    let environment = [
        ("NARROWS_BIN", binary.as_str()),
        ("NARROWS_SOAK_SECONDS", seconds),
        ("NARROWS_LARGE_BODY_GIB", "10"),
    ];
    let line = ["cargo", "nextest", "run", "--package", "narrows-conformance", "--cargo-profile", PROFILE];
    let which =
        ["--run-ignored", "all", "--no-capture", "--filterset", "test(/^soak_/) | test(/^load_a_large/)"];
    run_with(&[line.as_slice(), &which].concat(), &environment)
}

/// Runs the long form of the test of reloads and hand-overs.
pub(crate) fn storm(reloads: &str) -> Result<()> {
    requirements::prepare()?;
    build()?;
    let binary = narrows(PROFILE).display().to_string();
    let environment = [("NARROWS_BIN", binary.as_str()), ("NARROWS_STORM", reloads)];
    let line = ["cargo", "nextest", "run", "--package", "narrows-conformance", "--cargo-profile", PROFILE];
    run_with(&[line.as_slice(), &["--test", "storm", "--no-capture"]].concat(), &environment)
}

fn build() -> Result<()> {
    run(&["cargo", "build", "--profile", PROFILE, "--package", "narrows"])
}

/// What ran, and how long it took.
#[derive(Default)]
struct Report {
    steps: Vec<(String, Duration)>,
    notes: Vec<String>,
}

impl Report {
    /// Runs a step and notes it; prints what ran before when it fails.
    fn step(&mut self, name: &str, step: impl FnOnce() -> Result<()>) -> Result<()> {
        let start = Instant::now();
        let result = step();
        self.steps.push((name.to_owned(), start.elapsed()));
        if let Err(error) = result {
            self.note("the last step FAILED; what follows it did not run");
            self.print();
            return Err(error);
        }
        Ok(())
    }

    fn note(&mut self, note: &str) {
        self.notes.push(note.to_owned());
    }

    fn print(&self) {
        eprintln!("\nxtask: what ran");
        for (name, elapsed) in &self.steps {
            eprintln!("  {:>5} s  {name}", elapsed.as_secs());
        }
        for note in &self.notes {
            eprintln!("           {note}");
        }
    }
}
