//! The text of the configuration files and places in it.

use narrows_plan::{FileId, Origin};

/// A range of bytes in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) file: u16,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Place {
    /// The empty place at the beginning of a file.
    pub(crate) fn beginning(file: u16) -> Self {
        Place { file, start: 0, end: 0 }
    }

    /// Only the first line of a place, for tables that run over many.
    pub(crate) fn first_line(self, sources: &Sources) -> Self {
        let text = &sources.file(self.file).text[self.start..self.end];
        let length = text.find(['\n', '\r']).unwrap_or(text.len());
        Place { end: self.start + length, ..self }
    }
}

/// Every file that was read.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<Source>,
}

/// One file.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) name: String,
    pub(crate) text: String,
    line_starts: Vec<usize>,
}

impl Sources {
    /// Adds a file and tells its number.
    pub(crate) fn add(&mut self, name: &str, text: String) -> u16 {
        let line_starts = [0]
            .into_iter()
            .chain(text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1));
        let line_starts = line_starts.collect();
        self.files.push(Source { name: name.to_owned(), text, line_starts });
        u16::try_from(self.files.len() - 1).unwrap_or(u16::MAX)
    }

    pub(crate) fn file(&self, file: u16) -> &Source {
        &self.files[usize::from(file)]
    }

    /// The file's name as it was given.
    pub fn name(&self, file: FileId) -> &str {
        self.files.get(usize::from(file.0)).map_or("?", |source| &source.name)
    }

    /// The file's text.
    pub fn text(&self, file: FileId) -> &str {
        self.files.get(usize::from(file.0)).map_or("", |source| &source.text)
    }

    /// Names of all files, in the order of their numbers.
    pub(crate) fn names(&self) -> Vec<String> {
        self.files.iter().map(|source| source.name.clone()).collect()
    }

    /// Line and column of a byte, both from 1, the column in characters.
    pub(crate) fn position(&self, file: u16, byte: usize) -> (usize, usize) {
        let source = self.file(file);
        let line = source.line_starts.partition_point(|start| *start <= byte).max(1);
        let start = source.line_starts[line - 1];
        let column =
            source.text.get(start..byte.min(source.text.len())).map_or(0, |text| text.chars().count());
        (line, column + 1)
    }

    /// The word that begins at an origin.
    pub(crate) fn word_at(&self, origin: Origin) -> Place {
        let source = self.file(origin.file.0);
        let line = (origin.line as usize).saturating_sub(1).min(source.line_starts.len() - 1);
        let rest = &source.text[source.line_starts[line]..];
        let skipped = (origin.column as usize).saturating_sub(1);
        let start = rest.char_indices().nth(skipped).map_or(rest.len(), |(at, _)| at);
        let length = rest[start..].find([' ', ',', ']', '}', '\n', '\r']).unwrap_or(rest.len() - start);
        let start = source.line_starts[line] + start;
        Place { file: origin.file.0, start, end: start + length }
    }

    /// The text of a place.
    pub(crate) fn slice(&self, place: Place) -> &str {
        self.file(place.file).text.get(place.start..place.end).unwrap_or_default()
    }

    /// The place as the plan keeps it.
    pub(crate) fn origin(&self, place: Place) -> Origin {
        let (line, column) = self.position(place.file, place.start);
        let short = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Origin { file: FileId(place.file), line: short(line), column: short(column) }
    }
}
