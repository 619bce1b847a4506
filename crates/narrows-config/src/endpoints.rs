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
    read_endpoints(path).map_err(|Complaint { at, text }| match at {
        Some((line, column)) => format!("{}:{line}:{column}: {text}", path.display()),
        None => format!("{}: {text}", path.display()),
    })
}

/// Why a file of endpoints cannot be used.
pub(crate) struct Complaint {
    /// Line and column, both from 1.
    pub(crate) at: Option<(usize, usize)>,
    /// What is wrong, on one line.
    pub(crate) text: String,
}

/// [`load_endpoints`] with an error that does not name the file.
pub(crate) fn read_endpoints(path: &Path) -> Result<Vec<narrows_plan::Endpoint>, Complaint> {
    let text = read(path).map_err(|(_, text)| Complaint { at: None, text })?;
    let mut reporter = Reporter::default();
    let file = reporter.sources.add(&path.display().to_string(), text);
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
    match first_error(&reporter.finish()) {
        Some(complaint) => Err(complaint),
        None => Ok(endpoints),
    }
}

/// The first error on one line, and how many more there are; `None` when there is none.
fn first_error(diagnostics: &Diagnostics) -> Option<Complaint> {
    let mut errors = diagnostics.list.iter().filter(|one| one.severity == Severity::Error);
    let first = errors.next()?;
    let mut text = first.message.clone();
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
    Some(Complaint { at: Some((first.line, first.column)), text })
}
