//! What a value may look like: the one description from which decoder, JSON Schema and reference are made.

mod collections;
mod forms;
mod measures;
mod scalars;

use crate::code::Code;
use crate::diagnostic::{Finding, Reporter};
use crate::nearest::{elsewhere, nearest};
use crate::tree::{Content, Node};
use schemars::{JsonSchema, Schema};
use std::borrow::Cow;

pub(crate) use collections::{KeyShape, Map, OneOrMany, Plain, TextOr};
pub(crate) use forms::{OrTable, Switch, TrueOr};
pub(crate) use measures::{Integer, Percent, Portion, StatusRange};
pub(crate) use scalars::{Duration, Flag, Number, OrOff, Size, Words, choice, word};

/// A value of the configuration: how it is read, checked by editors and documented.
pub(crate) trait Shape: JsonSchema + Sized {
    /// Reads the value; reports what is wrong and then has none.
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self>;
    /// How the reference names the type, in Markdown.
    fn written() -> String;
    /// Adds the tables that the value may hold.
    fn collect(_tables: &mut Vec<TableReference>) {}
}

/// Whether a key must be there, and what holds without it.
#[derive(Debug, Clone)]
pub(crate) enum Presence {
    Required,
    Optional,
    Default(String),
    /// What holds is no value that could be written.
    Otherwise(&'static str),
}

/// The key must be there.
pub(crate) const REQUIRED: Presence = Presence::Required;
/// Without the key something holds that cannot be written as a value.
pub(crate) fn otherwise(what: &'static str) -> Presence {
    Presence::Otherwise(what)
}

/// Without the key nothing happens.
pub(crate) const OPTIONAL: Presence = Presence::Optional;

impl From<&str> for Presence {
    fn from(text: &str) -> Self {
        Presence::Default(text.to_owned())
    }
}

impl From<String> for Presence {
    fn from(text: String) -> Self {
        Presence::Default(text)
    }
}

/// A table for the reference.
#[derive(Debug, Clone)]
pub(crate) struct TableReference {
    pub(crate) name: &'static str,
    pub(crate) doc: &'static str,
    pub(crate) rows: Vec<RowReference>,
}

/// A key for the reference.
#[derive(Debug, Clone)]
pub(crate) struct RowReference {
    pub(crate) key: &'static str,
    pub(crate) written: String,
    pub(crate) presence: Presence,
    pub(crate) doc: &'static str,
}

/// Declares a table of the configuration: a struct with `Option` fields, its decoder, its schema and its reference, all
/// from the same rows. A row is `key: shape = presence`, or `field as "key": shape = presence` where the key is a word of Rust's.
macro_rules! table {
    ($(#[doc = $doc:literal])+ $name:ident {
        $($(#[doc = $row_doc:literal])+ $key:ident $(as $word:literal)?: $shape:ty = $presence:expr,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Debug)]
        pub(crate) struct $name {
            /// The whole table.
            pub(crate) place: $crate::source::Place,
            /// Where each key that is there stands.
            pub(crate) keys: Vec<(&'static str, $crate::source::Place)>,
            $($(#[doc = $row_doc])+ pub(crate) $key: Option<$shape>,)+
        }

        impl $name {
            /// Where a key stands, or the table when it is absent.
            #[allow(dead_code, reason = "not every table is asked")]
            pub(crate) fn key(&self, name: &str) -> $crate::source::Place {
                self.keys.iter().find(|(key, _)| *key == name).map_or(self.place, |(_, place)| *place)
            }

            /// Whether a key is there, even with a value that could not be read.
            #[allow(dead_code, reason = "not every table is asked")]
            pub(crate) fn has(&self, name: &str) -> bool {
                self.keys.iter().any(|(key, _)| *key == name)
            }
        }

        impl $crate::shape::Shape for $name {
            fn decode(
                node: &$crate::tree::Node,
                reporter: &mut $crate::diagnostic::Reporter,
            ) -> Option<Self> {
                let entries = $crate::shape::table_entries(node, stringify!($name), reporter)?;
                let mut table = $name { place: node.place, keys: Vec::new(), $($key: None,)+ };
                for (key, value) in entries {
                    match key.as_text().map(|text| text.text.as_str()) {
                        $(Some($crate::shape::key_word!($key $($word)?)) => {
                            table.keys.push(($crate::shape::key_word!($key $($word)?), key.place));
                            table.$key = $crate::shape::decode_value(key, value, reporter);
                        })+
                        _ => $crate::shape::unknown_key(key, stringify!($name), &[$($crate::shape::key_word!($key $($word)?)),+], reporter),
                    }
                }
                $(if matches!($crate::shape::Presence::from($presence), $crate::shape::Presence::Required)
                    && !table.has($crate::shape::key_word!($key $($word)?))
                {
                    $crate::shape::missing_key(node, $crate::shape::key_word!($key $($word)?), reporter);
                })+
                Some(table)
            }

            fn written() -> String {
                format!("[{0}](#{0})", $crate::shape::title(stringify!($name)))
            }

            fn collect(tables: &mut Vec<$crate::shape::TableReference>) {
                if tables.iter().any(|table| table.name == stringify!($name)) {
                    return;
                }
                tables.push($crate::shape::TableReference {
                    name: stringify!($name),
                    doc: concat!($($doc, "\n"),+).trim_ascii(),
                    rows: vec![$($crate::shape::RowReference {
                        key: $crate::shape::key_word!($key $($word)?),
                        written: <$shape as $crate::shape::Shape>::written(),
                        presence: $crate::shape::Presence::from($presence),
                        doc: concat!($($row_doc, "\n"),+).trim_ascii(),
                    },)+],
                });
                $(<$shape as $crate::shape::Shape>::collect(tables);)+
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let mut object = $crate::shape::ObjectSchema::new(concat!($($doc, "\n"),+));
                $(object.row(
                    $crate::shape::key_word!($key $($word)?),
                    generator.subschema_for::<$shape>(),
                    &$crate::shape::Presence::from($presence),
                    concat!($($row_doc, "\n"),+),
                );)+
                object.finish()
            }
        }
    };
}

pub(crate) use table;

/// The key of a row.
macro_rules! key_word {
    ($key:ident) => {
        stringify!($key)
    };
    ($key:ident $word:literal) => {
        $word
    };
}

pub(crate) use key_word;

/// `PathMatching` to `path-matching`: the anchor and the title in the reference.
pub(crate) fn title(name: &str) -> String {
    let mut title = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !title.is_empty() {
            title.push('-');
        }
        title.push(letter.to_ascii_lowercase());
    }
    title
}

/// The entries of a table, or a report that it is none.
pub(crate) fn entries<'n>(node: &'n Node, reporter: &mut Reporter) -> Option<&'n [(Node, Node)]> {
    match &node.content {
        Content::Table(entries) => Some(entries),
        _ => {
            wrong_kind(node, "a table", reporter);
            None
        }
    }
}

/// The entries of a declared table. A table that as a whole looks like another proxy's is told once.
pub(crate) fn table_entries<'n>(
    node: &'n Node,
    table: &str,
    reporter: &mut Reporter,
) -> Option<&'n [(Node, Node)]> {
    let Content::Table(entries) = &node.content else {
        wrong_kind_with(node, "a table", in_place_of_table(table, node), reporter);
        return None;
    };
    let told_once = match table {
        "Endpoint" => host_and_port(entries),
        "Stickiness" => source_as_key(entries),
        _ => None,
    };
    if let Some(finding) = told_once {
        reporter.report(finding);
        return None;
    }
    Some(entries)
}

/// The entry whose key is one of these words.
fn entry<'n>(entries: &'n [(Node, Node)], words: &[&str]) -> Option<&'n (Node, Node)> {
    entries.iter().find(|(key, _)| key.as_text().is_some_and(|key| words.contains(&key.text.as_str())))
}

/// An endpoint whose host and port are written apart.
fn host_and_port(entries: &[(Node, Node)]) -> Option<Finding> {
    let (host, host_value) = entry(entries, &["address", "host", "hostname", "ip"])?;
    let (port, port_value) = entry(entries, &["port"])?;
    let (bare, number) = (&host_value.as_text()?.text, &port_value.as_text()?.text);
    let help = match bare.contains(':') {
        true => format!("write `address: \"[{}]:{number}\"`", bare.trim_matches(['[', ']'])),
        false => format!("write `address: {bare}:{number}`"),
    };
    let message = "an endpoint has its host and its port in one key";
    let finding = Finding::error(Code::UnknownKey, port.place, message);
    Some(finding.label(host.place, format!("`{}` is here", host.as_text()?.text)).help(help))
}

/// Stickiness whose word for the client's address is written as a key.
fn source_as_key(entries: &[(Node, Node)]) -> Option<Finding> {
    let (key, _) = entry(entries, &["source"])?;
    if entry(entries, &["cookie", "key", "learn"]).is_some() {
        return None;
    }
    let help = "the client's address is a key: `key: source`";
    Some(Finding::error(Code::UnknownKey, key.place, "unknown key `source`").help(help))
}

/// What to write where a value stands in place of a table, or of a word that switches it.
pub(crate) fn in_place_of_table(table: &str, node: &Node) -> Option<String> {
    let text = node.as_text()?.text.as_str();
    let is_switch = matches!(
        table,
        "Queue" | "PassiveCheck" | "SuccessRate" | "LatencyOutlier" | "Breaker" | "AdaptiveConcurrency"
    );
    let key = match (table, node.kind()) {
        // There is no `on` for a queue: it is there.
        (_, _) if is_switch && table != "Queue" && matches!(text, "true" | "yes") => {
            return Some("write `on`".into());
        }
        (_, _) if is_switch && matches!(text, "false" | "no") => return Some("write `off`".into()),
        ("Queue", "a number") => "length",
        ("PassiveCheck", "a number") => "failures",
        ("Breaker", "a text") if text.ends_with('%') => "failure_rate",
        ("LatencyOutlier", "a text") if text.ends_with('%') => "factor",
        _ => return None,
    };
    Some(format!("write `{{ {key}: {text} }}`"))
}

/// Decodes the value of a key.
pub(crate) fn decode_value<T: Shape>(key: &Node, value: &Node, reporter: &mut Reporter) -> Option<T> {
    if value.kind() == "nothing" {
        let name = key.as_text().map_or("", |text| &text.text);
        let message = format!("`{name}` has no value, expected {}", plain(&T::written()));
        reporter.report(Finding::error(Code::WrongKind, value.place, message));
        return None;
    }
    let outer = reporter.key.replace(key.place);
    let decoded = T::decode(value, reporter);
    reporter.key = outer;
    decoded
}

/// A type's name without Markdown, for messages.
pub(crate) fn plain(written: &str) -> String {
    let mut text = String::new();
    let mut rest = written;
    while let Some((before, link)) = rest.split_once('[') {
        let Some((name, after)) = link.split_once("](") else { break };
        text.push_str(before);
        text.push_str(name);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    text + rest
}

pub(crate) fn wrong_kind(node: &Node, expected: &str, reporter: &mut Reporter) {
    wrong_kind_with(node, expected, None, reporter);
}

pub(crate) fn wrong_kind_with(node: &Node, expected: &str, help: Option<String>, reporter: &mut Reporter) {
    let place = node.place.first_line(&reporter.sources);
    let message = format!("expected {expected}, found {}", node.kind());
    reporter.report(Finding::error(Code::WrongKind, place, message).maybe_help(help));
}

pub(crate) fn unknown_key(key: &Node, table: &str, known: &[&str], reporter: &mut Reporter) {
    if reporter.is_full() {
        return;
    }
    let Some(name) = key.as_text() else {
        let message = format!("expected a key, found {}", key.kind());
        reporter.report(Finding::error(Code::WrongKind, key.place.first_line(&reporter.sources), message));
        return;
    };
    let help = match (elsewhere(table, &name.text), nearest(&name.text, known)) {
        (Some(help), _) => help.to_owned(),
        (None, Some(near)) => format!("did you mean `{near}`?"),
        (None, None) => format!("known here: {}", known.join(", ")),
    };
    let message = format!("unknown key `{}`", name.text);
    reporter.report(Finding::error(Code::UnknownKey, key.place, message).help(help));
}

pub(crate) fn missing_key(node: &Node, key: &str, reporter: &mut Reporter) {
    let place = reporter.key.unwrap_or_else(|| node.place.first_line(&reporter.sources));
    reporter.report(Finding::error(Code::MissingKey, place, format!("the key `{key}` is missing here")));
}

/// Builds the schema of a table.
pub(crate) struct ObjectSchema {
    properties: serde_json::Map<String, serde_json::Value>,
    required: Vec<&'static str>,
    doc: &'static str,
}

impl ObjectSchema {
    pub(crate) fn new(doc: &'static str) -> Self {
        ObjectSchema { properties: serde_json::Map::new(), required: Vec::new(), doc: doc.trim_ascii() }
    }

    pub(crate) fn row(&mut self, key: &'static str, schema: Schema, presence: &Presence, doc: &'static str) {
        let mut value = schema.to_value();
        if let Some(object) = value.as_object_mut() {
            object.insert("description".into(), unwrap_lines(doc).into());
            match presence {
                Presence::Required => self.required.push(key),
                Presence::Optional | Presence::Otherwise(_) => {}
                Presence::Default(text) => drop(object.insert("default".into(), default_value(text))),
            }
        }
        self.properties.insert(key.into(), value);
    }

    pub(crate) fn finish(self) -> Schema {
        let mut object = serde_json::Map::new();
        object.insert("type".into(), "object".into());
        object.insert("description".into(), unwrap_lines(self.doc).into());
        object.insert("additionalProperties".into(), false.into());
        if !self.required.is_empty() {
            object.insert("required".into(), self.required.into());
        }
        object.insert("properties".into(), self.properties.into());
        object.into()
    }
}

/// Lines of a doc comment as one paragraph.
pub(crate) fn unwrap_lines(doc: &str) -> String {
    doc.lines().map(str::trim).collect::<Vec<_>>().join(" ").trim().to_owned()
}

/// A default as JSON: numbers and bools as such, lists and tables as they are written.
fn default_value(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|_| text.into())
}

/// The name of a schema that is written out where it is used.
pub(crate) fn inline_name(name: &str) -> Cow<'static, str> {
    name.to_owned().into()
}
