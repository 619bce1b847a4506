//! Diagnostics as text in the look of rustc, and as JSON.

use super::{Diagnostic, Diagnostics, Label, Severity};
use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use narrows_plan::FileId;
use serde_json::{Value, json};
use std::ops::Range;

/// Bytes between a diagnostic and a label that are still shown as one piece.
const FARTHEST: usize = 64 * 1024;

/// Some lines of a file.
struct Window<'a> {
    name: &'a str,
    text: &'a str,
    start: usize,
    line: usize,
}

impl<'a> Window<'a> {
    fn snippet<T: Clone>(&self) -> Snippet<'a, T> {
        Snippet::source(self.text).path(self.name).line_start(self.line).fold(true)
    }

    fn clamp(&self, span: &Range<usize>) -> Range<usize> {
        let inside = |byte: usize| byte.saturating_sub(self.start).min(self.text.len());
        let start = self.text.floor_char_boundary(inside(span.start));
        let end = self.text.ceil_char_boundary(inside(span.end));
        start..end.max(start)
    }
}

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
        let mut spans = vec![diagnostic.span.clone()];
        spans.extend(self.labels(diagnostic).filter(|(near, _)| *near).map(|(_, label)| label.span.clone()));
        let window = self.window(diagnostic.file, &spans);
        let primary = AnnotationKind::Primary.span(window.clamp(&diagnostic.span));
        let mut snippet = window.snippet().annotation(primary);
        let mut elsewhere = Vec::new();
        for (near, label) in self.labels(diagnostic) {
            if near {
                let span = window.clamp(&label.span);
                snippet = snippet.annotation(AnnotationKind::Context.span(span).label(label.text.as_str()));
            } else {
                let window = self.window(label.file, std::slice::from_ref(&label.span));
                let span = window.clamp(&label.span);
                let annotation = AnnotationKind::Context.span(span).label(label.text.as_str());
                elsewhere.push(window.snippet().annotation(annotation));
            }
        }
        let mut group = title.element(snippet).elements(elsewhere);
        if let Some(help) = &diagnostic.help {
            group = group.element(Level::HELP.message(help.as_str()));
        }
        group
    }

    /// The labels, and whether each is near enough to stand in the same piece of the file.
    fn labels<'a>(&self, diagnostic: &'a Diagnostic) -> impl Iterator<Item = (bool, &'a Label)> {
        diagnostic.labels.iter().map(|label| {
            let distance = label.span.start.abs_diff(diagnostic.span.start);
            (label.file == diagnostic.file && distance < FARTHEST, label)
        })
    }

    /// The lines of a file that hold `spans`, so that a large file is not looked through for each diagnostic.
    fn window(&self, file: FileId, spans: &[Range<usize>]) -> Window<'_> {
        let text = self.sources.text(file);
        let start = spans.iter().map(|span| span.start).min().unwrap_or(0).min(text.len());
        let end = spans.iter().map(|span| span.end).max().unwrap_or(0).clamp(start, text.len());
        let (start, end) = (text.floor_char_boundary(start), text.ceil_char_boundary(end));
        let first = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let last = text[end..].find('\n').map_or(text.len(), |newline| end + newline);
        let line = text[..first].matches('\n').count() + 1;
        Window { name: self.sources.name(file), text: &text[first..last], start: first, line }
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
