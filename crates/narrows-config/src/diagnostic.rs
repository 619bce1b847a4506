//! What is wrong with a configuration: code, place, cause and help.

mod render;

use crate::code::Code;
use crate::source::{Place, Sources};
use narrows_plan::{FileId, Origin};
use std::ops::Range;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    /// The configuration cannot be used.
    Error,
    /// It can, but probably does not do what was meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        }
    }
}

/// One thing that is wrong. Lines and columns count from 1, columns in characters; the end is exclusive.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What it is about.
    pub code: Code,
    /// What is wrong, in a sentence.
    pub message: String,
    /// The file.
    pub file: FileId,
    /// Bytes of the file.
    pub span: Range<usize>,
    /// First line.
    pub line: usize,
    /// First column.
    pub column: usize,
    /// Last line.
    pub end_line: usize,
    /// Column after the last.
    pub end_column: usize,
    /// Further places, with what is there.
    pub labels: Vec<Label>,
    /// What to do.
    pub help: Option<String>,
}

/// A further place of a diagnostic.
#[derive(Debug, Clone)]
pub struct Label {
    /// The file.
    pub file: FileId,
    /// Bytes of the file.
    pub span: Range<usize>,
    /// What is there.
    pub text: String,
}

/// All diagnostics of a configuration, by file and place.
#[derive(Debug, Default)]
pub struct Diagnostics {
    /// In the order of the files and their text.
    pub list: Vec<Diagnostic>,
    /// The files.
    pub sources: Sources,
}

impl Diagnostics {
    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds one at the first character of an origin, the word there included.
    pub(crate) fn add(
        &mut self,
        origin: Origin,
        severity: Severity,
        code: Code,
        message: String,
        help: Option<String>,
    ) {
        let Place { start, end, .. } = self.sources.word_at(origin);
        let (line, column) = (origin.line as usize, origin.column as usize);
        let (end_line, end_column) = self.sources.position(origin.file.0, end);
        self.list.push(Diagnostic {
            severity,
            code,
            message,
            file: origin.file,
            span: start..end,
            line,
            column,
            end_line,
            end_column,
            labels: Vec::new(),
            help,
        });
        self.list.sort_by_key(|one| (one.file.0, one.span.start, one.span.end));
    }

    /// Whether the configuration cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }
}

/// A diagnostic in the making.
#[derive(Debug)]
pub(crate) struct Finding {
    severity: Severity,
    code: Code,
    place: Place,
    message: String,
    labels: Vec<(Place, String)>,
    help: Option<String>,
}

impl Finding {
    pub(crate) fn error(code: Code, place: Place, message: impl Into<String>) -> Self {
        Finding {
            severity: Severity::Error,
            code,
            place,
            message: message.into(),
            labels: Vec::new(),
            help: None,
        }
    }

    pub(crate) fn warning(code: Code, place: Place, message: impl Into<String>) -> Self {
        Finding { severity: Severity::Warning, ..Finding::error(code, place, message) }
    }

    pub(crate) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(crate) fn maybe_help(mut self, help: Option<String>) -> Self {
        self.help = help.or(self.help);
        self
    }

    pub(crate) fn label(mut self, place: Place, text: impl Into<String>) -> Self {
        self.labels.push((place, text.into()));
        self
    }
}

/// Takes findings while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Reporter {
    pub(crate) sources: Sources,
    /// The key whose value is being read, when it stands right before it.
    pub(crate) key: Option<Place>,
    list: Vec<Diagnostic>,
    deferred: Vec<Finding>,
}

/// Most diagnostics that are kept; a text may hold millions of mistakes.
const MAXIMUM_DIAGNOSTICS: usize = 10_000;

impl Reporter {
    /// Whether further findings would not be kept, so that there is no need to make them.
    pub(crate) fn is_full(&self) -> bool {
        self.list.len() >= MAXIMUM_DIAGNOSTICS
    }

    /// A warning that may only be the consequence of an error elsewhere: kept when there is none.
    pub(crate) fn defer(&mut self, finding: Finding) {
        self.deferred.push(finding);
    }

    pub(crate) fn report(&mut self, finding: Finding) {
        if self.is_full() {
            return;
        }
        let Place { file, start, end } = finding.place;
        let (line, column) = self.sources.position(file, start);
        let (end_line, end_column) = self.sources.position(file, end.max(start));
        let labels = finding.labels.into_iter().map(|(place, text)| Label {
            file: FileId(place.file),
            span: place.start..place.end,
            text,
        });
        self.list.push(Diagnostic {
            severity: finding.severity,
            code: finding.code,
            message: finding.message,
            file: FileId(file),
            span: start..end.max(start),
            line,
            column,
            end_line,
            end_column,
            labels: labels.collect(),
            help: finding.help,
        });
    }

    pub(crate) fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    pub(crate) fn finish(mut self) -> Diagnostics {
        if !self.has_errors() {
            for finding in std::mem::take(&mut self.deferred) {
                self.report(finding);
            }
        }
        self.list.sort_by_key(|one| (one.file.0, one.span.start, one.span.end));
        // A value that aliases repeat is wrong once.
        let same = |one: &Diagnostic, two: &Diagnostic| {
            (one.file, &one.span, one.code, &one.message) == (two.file, &two.span, two.code, &two.message)
        };
        self.list.dedup_by(|one, two| same(one, two));
        Diagnostics { list: self.list, sources: self.sources }
    }
}
