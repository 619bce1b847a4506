//! Endpoints from a file of their own, which is read again while the process runs.

use crate::diagnostic::{Diagnostics, Finding, Reporter, Severity};
use crate::model::Endpoint;
use crate::shape::{Plain, Shape, TextOr};
use crate::source::Place;
use crate::{Code, lower, read, tree};
use narrows_plan::Origin;
use std::fmt::Write;
use std::path::Path;

/// Reads a file that holds a list in the form of an upstream's `endpoints`, in YAML or JSON, of at most 16 MiB. The list
/// may be empty, the file may not: that is one that is being written. Origins are [`Origin::default`].
///
/// # Errors
/// A paragraph on one line that names the file, the place and the first thing that is wrong, and how many more there are.
pub fn load_endpoints(path: &Path) -> Result<Vec<narrows_plan::Endpoint>, String> {
    let name = path.display().to_string();
    let text = read(path).map_err(|(_, message)| format!("{name}: {message}"))?;
    let mut reporter = Reporter::default();
    let file = reporter.sources.add(&name, text);
    let node = tree::parse(file, &mut reporter);
    let list = node.and_then(|node| Plain::<TextOr<Endpoint>>::decode(&node, &mut reporter));
    if list.is_none() && !reporter.has_errors() {
        let message = "the file is empty; a list without entries is `[]`";
        reporter.report(Finding::error(Code::EmptyList, Place::beginning(file), message));
    }
    let mut endpoints = lower::lower_endpoints(list.as_ref().map_or(&[], |list| &list.0), &mut reporter);
    for endpoint in &mut endpoints {
        endpoint.origin = Origin::default();
    }
    match paragraph(&name, &reporter.finish()) {
        Some(text) => Err(text),
        None => Ok(endpoints),
    }
}

/// The first error on one line; `None` when there is none.
fn paragraph(name: &str, diagnostics: &Diagnostics) -> Option<String> {
    let mut errors = diagnostics.list.iter().filter(|one| one.severity == Severity::Error);
    let first = errors.next()?;
    let mut text = format!("{name}:{}:{}: {}", first.line, first.column, first.message);
    if let Some(help) = &first.help {
        let _ = write!(text, " ({help})");
    }
    match errors.count() {
        0 => {}
        1 => text.push_str("; one more error follows"),
        more => {
            let _ = write!(text, "; {more} more errors follow");
        }
    }
    Some(text)
}
