//! YAML text as a tree in which every value knows its place.

mod parse;

use crate::diagnostic::Reporter;
use crate::source::Place;
use std::ops::Range;

pub(crate) use parse::parse;

/// A value with its place.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) content: Content,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Scalar(Text),
    List(Vec<Node>),
    Table(Vec<(Node, Node)>),
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
    Folded,
}

/// A scalar, its quotes and escapes resolved.
#[derive(Debug, Clone)]
pub(crate) struct Text {
    pub(crate) text: String,
    pub(crate) style: Style,
    pub(crate) place: Place,
}

impl Node {
    /// What the value is, for messages.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.content {
            Content::Scalar(text) if text.is_nothing() => "nothing",
            Content::Scalar(text) if text.style == Style::Plain => match text.text.as_str() {
                "true" | "false" => "a bool",
                number if number.parse::<f64>().is_ok() => "a number",
                _ => "a text",
            },
            Content::Scalar(_) => "a text",
            Content::List(_) => "a list",
            Content::Table(_) => "a table",
        }
    }

    pub(crate) fn as_text(&self) -> Option<&Text> {
        match &self.content {
            Content::Scalar(text) if !text.is_nothing() => Some(text),
            _ => None,
        }
    }
}

impl Text {
    /// Whether it is YAML's null.
    pub(crate) fn is_nothing(&self) -> bool {
        self.style == Style::Plain && matches!(self.text.as_str(), "" | "~" | "null")
    }

    /// Where `range` of the text stands in the file. Exact for scalars on one line and literal blocks; the whole
    /// scalar otherwise.
    pub(crate) fn at(&self, range: Range<usize>, reporter: &Reporter) -> Place {
        let source = &reporter.sources.file(self.place.file).text;
        let written = source.get(self.place.start..self.place.end).unwrap_or_default();
        let exact = match self.style {
            Style::Plain if written == self.text => Some(range),
            Style::SingleQuoted | Style::DoubleQuoted if !written.contains('\n') => {
                let start = unescaped_offset(written, self.style, range.start);
                let end = unescaped_offset(written, self.style, range.end);
                start.zip(end).map(|(start, end)| start..end)
            }
            Style::Literal => literal_offset(written, &self.text, &range),
            _ => None,
        };
        match exact {
            Some(exact) if exact.end <= written.len() => Place {
                start: self.place.start + exact.start,
                end: self.place.start + exact.end,
                ..self.place
            },
            _ => self.place.first_line(&reporter.sources),
        }
    }
}

/// The offset in a quoted scalar as written that holds byte `wanted` of its text.
fn unescaped_offset(written: &str, style: Style, wanted: usize) -> Option<usize> {
    let (mut at, mut made) = (1, 0);
    while made < wanted {
        let rest = written.get(at..)?;
        let first = rest.chars().next()?;
        let (consumed, produced) = match (style, first) {
            (Style::SingleQuoted, '\'') => (2, 1),
            (Style::DoubleQuoted, '\\') => escape(rest)?,
            _ => (first.len_utf8(), first.len_utf8()),
        };
        at += consumed;
        made += produced;
    }
    Some(at)
}

/// Bytes of an escape sequence as written, and of the character that it stands for (YAML 1.2 section 5.7).
fn escape(rest: &str) -> Option<(usize, usize)> {
    let letter = rest[1..].chars().next()?;
    let digits = match letter {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        'N' | '_' => return Some((2, 2)),
        'L' | 'P' => return Some((2, 3)),
        _ => return Some((1 + letter.len_utf8(), 1)),
    };
    let number = u32::from_str_radix(rest.get(2..2 + digits)?, 16).ok()?;
    Some((2 + digits, char::from_u32(number)?.len_utf8()))
}

/// The range of a literal block as written that holds `range` of its text; both are compared line by line.
fn literal_offset(written: &str, text: &str, range: &Range<usize>) -> Option<Range<usize>> {
    let line = text.get(..range.start)?.matches('\n').count();
    let column = range.start - text[..range.start].rfind('\n').map_or(0, |at| at + 1);
    let wanted = text.lines().nth(line)?;
    // The span of a block begins at its indicator or at its first line, depending on the scanner.
    let skip = usize::from(written.starts_with('|'));
    let mut at = 0;
    for (number, source_line) in written.split_inclusive('\n').enumerate() {
        if number == line + skip {
            let bare = source_line.trim_end_matches(['\n', '\r']);
            let indent = bare.len().checked_sub(wanted.len())?;
            let start = bare.ends_with(wanted).then_some(at + indent + column)?;
            let end = (start + range.len()).min(at + bare.len());
            return Some(start..end.max(start));
        }
        at += source_line.len();
    }
    None
}

#[cfg(test)]
mod tests;
