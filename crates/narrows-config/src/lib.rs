//! Text to plan, with every diagnostic at once.
//!
//! Three steps: text to a tree in which every value knows its place ([`load_text`] begins there), tree to the configuration
//! as it is written, and that to a [`Plan`]. None of them stops at the first error. What may be written is declared once,
//! in the module `model`; decoder, JSON Schema ([`schema`]) and reference ([`reference`]) are made from that.
//!
//! Invariant: no text makes this crate panic, overflow the stack or take unbounded memory.

mod code;
mod diagnostic;
mod endpoints;
mod expression;
mod log_format;
mod lower;
mod model;
mod nearest;
mod precedence;
mod reference;
mod shape;
mod source;
mod template;
mod tree;

pub use code::{Code, explain_code};
pub use diagnostic::{Diagnostic, Diagnostics, Label, Severity};
pub use endpoints::load_endpoints;
pub use expression::read_condition;
pub use nearest::nearest;
pub use reference::{reference, routing, schema};
pub use source::Sources;

use diagnostic::{Finding, Reporter};
use model::Configuration;
use narrows_plan::{Origin, Plan};
use shape::Shape;
use source::Place;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest configuration file, bytes.
const FILE_BYTES: u64 = 16 << 20;

/// What became of a configuration.
#[derive(Debug)]
pub struct Loaded {
    /// The meaning; there only when nothing is wrong.
    pub plan: Option<Plan>,
    /// Everything that is wrong or looks so.
    pub diagnostics: Diagnostics,
}

impl Loaded {
    /// Adds what somebody else found at a place of the plan, a file that it names for instance. An error takes the plan away.
    pub fn add(
        &mut self,
        origin: Origin,
        severity: Severity,
        code: Code,
        message: String,
        help: Option<String>,
    ) {
        self.diagnostics.add(origin, severity, code, message, help);
        if severity == Severity::Error {
            self.plan = None;
        }
    }
}

/// Reads files and unites what they hold. A listener, an upstream or a setting may stand in one of them only.
pub fn load(files: &[PathBuf]) -> Loaded {
    let mut reporter = Reporter::default();
    let mut parts = Vec::new();
    for path in files {
        let name = path.display().to_string();
        match read(path) {
            Ok(text) => {
                let folder = path.parent().unwrap_or(Path::new("")).to_owned();
                parts.push((reporter.sources.add(&name, text), folder));
            }
            Err((code, message)) => {
                let file = reporter.sources.add(&name, String::new());
                reporter.report(Finding::error(code, Place::beginning(file), message));
            }
        }
    }
    finish(reporter, parts)
}

/// Reads one text. Files that it names are looked for from `folder`.
pub fn load_text(name: &str, text: &str, folder: &Path) -> Loaded {
    let mut reporter = Reporter::default();
    if text.len() as u64 > FILE_BYTES {
        let file = reporter.sources.add(name, String::new());
        reporter.report(Finding::error(Code::TooLarge, Place::beginning(file), too_large()));
        return finish(reporter, Vec::new());
    }
    let file = reporter.sources.add(name, text.to_owned());
    finish(reporter, vec![(file, folder.to_owned())])
}

fn finish(mut reporter: Reporter, parts: Vec<(u16, PathBuf)>) -> Loaded {
    let mut written = Vec::new();
    for (file, folder) in parts {
        if let Some(node) = tree::parse(file, &mut reporter)
            && let Some(configuration) = Configuration::decode(&node, &mut reporter)
        {
            written.push((configuration, folder));
        }
    }
    let plan = lower::lower(written, &mut reporter);
    let plan = plan.filter(|_| !reporter.has_errors());
    Loaded { plan, diagnostics: reporter.finish() }
}

fn read(path: &Path) -> Result<String, (Code, String)> {
    let unreadable = |error: std::io::Error| (Code::Unreadable, format!("cannot read this file: {error}"));
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err((Code::TooLarge, too_large()));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        (Code::NotUtf8, format!("this file is not UTF-8 text: byte {at} does not fit"))
    })
}

fn too_large() -> String {
    format!("this file is larger than {}", model::size(FILE_BYTES))
}
