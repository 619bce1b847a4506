//! Diagnostics as text in the look of rustc, and as JSON.

use super::{Diagnostic, Diagnostics, Severity};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use narrows_plan::FileId;
use serde_json::{Value, json};
use std::ops::Range;

impl Diagnostics {
    /// All diagnostics as text for people, with the lines that they are about.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let renderer = renderer.decor_style(DecorStyle::Ascii);
        let mut text = String::new();
        for diagnostic in &self.list {
            text.push_str(&renderer.render(&[self.group(diagnostic)]));
            text.push_str("\n\n");
        }
        text
    }

    fn group<'a>(&'a self, diagnostic: &'a Diagnostic) -> Group<'a> {
        let level = match diagnostic.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
        let mut snippet = self
            .snippet(diagnostic.file)
            .annotation(AnnotationKind::Primary.span(self.clamp(diagnostic.file, &diagnostic.span)));
        let mut elsewhere: Vec<(FileId, Snippet<'a, _>)> = Vec::new();
        for label in &diagnostic.labels {
            let annotation =
                AnnotationKind::Context.span(self.clamp(label.file, &label.span)).label(label.text.as_str());
            if label.file == diagnostic.file {
                snippet = snippet.annotation(annotation);
            } else {
                elsewhere.push((label.file, self.snippet(label.file).annotation(annotation)));
            }
        }
        let mut group = title.element(snippet).elements(elsewhere.into_iter().map(|(_, snippet)| snippet));
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }

    fn snippet<'a, T: Clone>(&'a self, file: FileId) -> Snippet<'a, T> {
        Snippet::source(self.sources.text(file)).path(self.sources.name(file)).fold(true)
    }

    fn clamp(&self, file: FileId, span: &Range<usize>) -> Range<usize> {
        let text = self.sources.text(file);
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.ceil_char_boundary(span.end.min(text.len()));
        start..end.max(start)
    }

    /// All diagnostics as an array of objects, for programs.
    pub fn to_json(&self) -> Value {
        self.list.iter().map(|diagnostic| self.object(diagnostic)).collect()
    }

    fn object(&self, diagnostic: &Diagnostic) -> Value {
        json!({
            "code": diagnostic.code.as_str(),
            "severity": diagnostic.severity.as_str(),
            "message": diagnostic.message,
            "file": self.sources.name(diagnostic.file),
            "line": diagnostic.line,
            "column": diagnostic.column,
            "end_line": diagnostic.end_line,
            "end_column": diagnostic.end_column,
            "help": diagnostic.help,
        })
    }
}
