//! Events of the YAML parser to a tree, bounded in depth and in the number of values.

use super::{Content, Node, Style, Text};
use crate::code::Code;
use crate::diagnostic::{Finding, Reporter};
use crate::source::Place;
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::HashMap;
use std::collections::hash_map::Entry;

/// Deepest nesting of tables and lists.
const MAXIMUM_DEPTH: usize = 64;
/// Most values in a file.
const MAXIMUM_NODES: usize = 2_000_000;
/// Most values that aliases may add ("billion laughs").
const MAXIMUM_ALIASED: usize = 100_000;

/// Reads file number `file`; `None` after an error, or when the file is empty.
pub(crate) fn parse(file: u16, reporter: &mut Reporter) -> Option<Node> {
    let text = reporter.sources.file(file).text.clone();
    let mut builder = Builder {
        file,
        offsets: Offsets::new(&text),
        text: &text,
        open: Vec::new(),
        anchors: HashMap::new(),
        root: None,
        nodes: 0,
        aliased: 0,
    };
    let mut parser = Parser::new_from_str(&text);
    let mut documents = 0;
    while let Some(event) = parser.next_event() {
        let step = match event {
            Err(error) => {
                let at = builder.offsets.byte(error.marker().index());
                Err(syntax(file, at, &text, error.info()))
            }
            Ok((Event::DocumentStart(_), span)) => {
                documents += 1;
                if documents > 1 {
                    let message = "a configuration file holds one YAML document, this begins a second";
                    Err(Finding::error(Code::SeveralDocuments, builder.place(span), message)
                        .help("put the second document into a file of its own and name both files"))
                } else {
                    Ok(())
                }
            }
            Ok((event, span)) => builder.take(event, span, reporter),
        };
        if let Err(finding) = step {
            reporter.report(finding);
            return None;
        }
    }
    builder.root
}

fn syntax(file: u16, at: usize, text: &str, info: &str) -> Finding {
    let at = text.floor_char_boundary(at.min(text.len()));
    let end = at + text[at..].chars().next().filter(|c| !c.is_control()).map_or(0, char::len_utf8);
    let line_start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let line_end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let help = text[line_start..line_end]
        .contains('\t')
        .then(|| "YAML is indented with spaces; this line holds a tab".to_owned());
    Finding::error(Code::Syntax, Place { file, start: at, end }, format!("this is not YAML: {info}"))
        .maybe_help(help)
}

/// A table or list that is still open.
struct Open {
    place: Place,
    anchor: usize,
    /// `None` for a list.
    key: Option<Option<Node>>,
    items: Vec<Node>,
    entries: Vec<(Node, Node)>,
    /// Where each key of `entries` was first written.
    keys: HashMap<String, Place>,
    /// Entries that `<<` brings, taken where the table has none of its own.
    merged: Vec<(Node, Node)>,
    height: usize,
}

struct Builder<'t> {
    file: u16,
    text: &'t str,
    offsets: Offsets,
    open: Vec<Open>,
    /// Finished anchored values with their size and height.
    anchors: HashMap<usize, (Node, usize, usize)>,
    root: Option<Node>,
    nodes: usize,
    aliased: usize,
}

impl Builder<'_> {
    fn take(&mut self, event: Event<'_>, span: Span, reporter: &mut Reporter) -> Result<(), Finding> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.is_some(), span, reporter);
                let place = self.scalar_place(span, style);
                let text = Text { text: text.into_owned(), style: self::style(style), place };
                let node = Node { place, content: Content::Scalar(text) };
                self.finish(node, anchor, 1, 0, reporter)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span, reporter);
                self.begin(span, anchor, None)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.is_some(), span, reporter);
                self.begin(span, anchor, Some(None))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut open) = self.open.pop() else { return Ok(()) };
                open.settle_merged();
                let end = self.place(span).end;
                let mut place = Place { end: end.max(open.place.start), ..open.place };
                let written = self.text.get(place.start..place.end).unwrap_or_default();
                place.end = place.start + written.trim_end().len();
                let content =
                    if open.key.is_some() { Content::Table(open.entries) } else { Content::List(open.items) };
                let size = size(&content);
                self.finish(Node { place, content }, open.anchor, size, open.height + 1, reporter)
            }
            Event::Alias(anchor) => {
                let place = self.place(span);
                let Some((node, size, height)) = self.anchors.get(&anchor) else {
                    let message = "this alias stands inside the value that it names";
                    return Err(Finding::error(Code::Syntax, place, message));
                };
                self.aliased += size;
                if self.aliased > MAXIMUM_ALIASED {
                    let message = format!("aliases expand to more than {MAXIMUM_ALIASED} values");
                    return Err(Finding::error(Code::TooManyNodes, place, message));
                }
                if self.open.len() + height > MAXIMUM_DEPTH {
                    return Err(too_deep(place));
                }
                let (node, size, height) = (node.clone(), *size, *height);
                self.finish(node, 0, size, height, reporter)
            }
            _ => Ok(()),
        }
    }

    fn begin(&mut self, span: Span, anchor: usize, key: Option<Option<Node>>) -> Result<(), Finding> {
        let place = self.place(span);
        if self.open.len() >= MAXIMUM_DEPTH {
            return Err(too_deep(place));
        }
        self.open.push(Open {
            place,
            anchor,
            key,
            items: Vec::new(),
            entries: Vec::new(),
            keys: HashMap::new(),
            merged: Vec::new(),
            height: 0,
        });
        Ok(())
    }

    fn finish(
        &mut self,
        node: Node,
        anchor: usize,
        size: usize,
        height: usize,
        reporter: &mut Reporter,
    ) -> Result<(), Finding> {
        self.nodes += 1;
        if self.nodes > MAXIMUM_NODES {
            let message = format!("the file holds more than {MAXIMUM_NODES} values");
            return Err(Finding::error(Code::TooManyNodes, node.place, message));
        }
        if anchor > 0 {
            self.anchors.insert(anchor, (node.clone(), size, height));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node).filter(|node| node.kind() != "nothing");
            return Ok(());
        };
        open.height = open.height.max(height);
        match &mut open.key {
            None => open.items.push(node),
            Some(key) => match key.take() {
                None => *key = Some(node),
                Some(key) => open.enter(key, node, reporter),
            },
        }
        Ok(())
    }

    /// A tag would be ignored, and nothing is ignored silently.
    fn refuse_tag(&self, is_tagged: bool, span: Span, reporter: &mut Reporter) {
        if is_tagged {
            let place = self.place(span).first_line(&reporter.sources);
            reporter.report(Finding::error(
                Code::Tag,
                place,
                "this value has a tag, remove the `!...` before it",
            ));
        }
    }

    fn place(&self, span: Span) -> Place {
        let start = self.offsets.byte(span.start.index());
        let end = self.offsets.byte(span.end.index()).max(start);
        Place { file: self.file, start, end }
    }

    /// The scanner's span may include blanks and a comment behind the scalar.
    fn scalar_place(&self, span: Span, style: ScalarStyle) -> Place {
        let mut place = self.place(span);
        let written = self.text.get(place.start..place.end).unwrap_or_default();
        if matches!(style, ScalarStyle::Literal | ScalarStyle::Folded) {
            return place;
        }
        let quoted = match style {
            ScalarStyle::SingleQuoted => quoted_length(written, b'\''),
            ScalarStyle::DoubleQuoted => quoted_length(written, b'"'),
            _ => None,
        };
        place.end = place.start + quoted.unwrap_or_else(|| written.trim_end().len());
        place
    }
}

impl Open {
    fn enter(&mut self, key: Node, value: Node, reporter: &mut Reporter) {
        let is_merge = key.as_text().is_some_and(|text| text.text == "<<" && text.style == Style::Plain);
        if is_merge {
            return self.merge(&key, value, reporter);
        }
        if let Some(text) = key.as_text() {
            if let Some(first) = self.keys.get(&text.text) {
                let message = format!("`{}` stands twice in this table", text.text);
                let finding = Finding::error(Code::DuplicateKey, key.place, message);
                reporter.report(finding.label(*first, "first here"));
                return;
            }
            self.keys.insert(text.text.clone(), key.place);
        }
        self.entries.push((key, value));
    }

    /// `<<: *defaults`: entries of another table that this one does not have itself.
    fn merge(&mut self, key: &Node, value: Node, reporter: &mut Reporter) {
        let tables = match value.content {
            Content::Table(entries) => vec![entries],
            Content::List(items) if items.iter().all(|item| matches!(item.content, Content::Table(_))) => {
                items
                    .into_iter()
                    .filter_map(
                        |item| if let Content::Table(entries) = item.content { Some(entries) } else { None },
                    )
                    .collect()
            }
            _ => {
                let message = "`<<` takes a table or a list of tables";
                reporter.report(Finding::error(Code::Merge, key.place, message));
                return;
            }
        };
        self.merged.extend(tables.into_iter().flatten());
    }
}

impl Open {
    /// Own keys win over merged ones, earlier merged tables over later ones.
    fn settle_merged(&mut self) {
        for (key, value) in std::mem::take(&mut self.merged) {
            let name = key.as_text().map(|text| text.text.clone()).unwrap_or_default();
            if let Entry::Vacant(vacant) = self.keys.entry(name) {
                vacant.insert(key.place);
                self.entries.push((key, value));
            }
        }
    }
}

/// Bytes of a quoted scalar, quotes included.
fn quoted_length(written: &str, quote: u8) -> Option<usize> {
    let bytes = written.as_bytes();
    let mut at = 1;
    loop {
        match (*bytes.get(at)?, bytes.get(at + 1)) {
            (b'\\', _) if quote == b'"' => at += 2,
            (byte, Some(next)) if byte == quote && *next == quote && quote == b'\'' => at += 2,
            (byte, _) if byte == quote => return Some(at + 1),
            _ => at += 1,
        }
    }
}

fn too_deep(place: Place) -> Finding {
    let message = format!("tables and lists are nested more than {MAXIMUM_DEPTH} levels deep");
    Finding::error(Code::TooDeep, Place { end: place.start, ..place }, message)
}

fn size(content: &Content) -> usize {
    match content {
        Content::Scalar(_) => 1,
        Content::List(items) => 1 + items.iter().map(|item| size(&item.content)).sum::<usize>(),
        Content::Table(entries) => {
            1 + entries.iter().map(|(key, value)| size(&key.content) + size(&value.content)).sum::<usize>()
        }
    }
}

fn style(style: ScalarStyle) -> Style {
    match style {
        ScalarStyle::Plain => Style::Plain,
        ScalarStyle::SingleQuoted => Style::SingleQuoted,
        ScalarStyle::DoubleQuoted => Style::DoubleQuoted,
        ScalarStyle::Literal => Style::Literal,
        ScalarStyle::Folded => Style::Folded,
    }
}

/// Character numbers of the scanner to bytes.
struct Offsets {
    length: usize,
    /// Byte of each character; empty for ASCII, where they are the same.
    bytes: Vec<u32>,
}

impl Offsets {
    fn new(text: &str) -> Self {
        let bytes = if text.is_ascii() {
            Vec::new()
        } else {
            text.char_indices().map(|(at, _)| u32::try_from(at).unwrap_or(u32::MAX)).collect()
        };
        Offsets { length: text.len(), bytes }
    }

    fn byte(&self, character: usize) -> usize {
        if self.bytes.is_empty() {
            return character.min(self.length);
        }
        self.bytes.get(character).map_or(self.length, |byte| *byte as usize)
    }
}
