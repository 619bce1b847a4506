//! Lists, maps and values that may be written short.

use super::{Shape, TableReference, entries, inline_name, wrong_kind};
use crate::code::Code;
use crate::diagnostic::{Finding, Reporter};
use crate::tree::{Content, Node, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;
use std::marker::PhantomData;

/// Decodes each item; those that cannot be read are left out.
fn decode_items<T: Shape>(items: &[Node], reporter: &mut Reporter) -> Vec<T> {
    reporter.key = None;
    items.iter().filter_map(|item| T::decode(item, reporter)).collect()
}

/// A list.
#[derive(Debug)]
pub(crate) struct Plain<T>(pub(crate) Vec<T>);

impl<T: Shape> Shape for Plain<T> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        match &node.content {
            Content::List(items) => Some(Plain(decode_items(items, reporter))),
            _ => {
                wrong_kind(node, "a list", reporter);
                None
            }
        }
    }

    fn written() -> String {
        format!("list of {}", T::written())
    }

    fn collect(tables: &mut Vec<TableReference>) {
        T::collect(tables);
    }
}

impl<T: JsonSchema> JsonSchema for Plain<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("ListOf{}", T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<T>();
        json_schema!({ "type": "array", "items": items })
    }
}

/// A list with at least one entry; a single entry may stand for itself.
#[derive(Debug)]
pub(crate) struct OneOrMany<T>(pub(crate) Vec<T>);

impl<T: Shape> Shape for OneOrMany<T> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        match &node.content {
            Content::List(items) if items.is_empty() => {
                let message = "this list needs at least one entry";
                reporter.report(Finding::error(Code::EmptyList, node.place, message));
                None
            }
            Content::List(items) => Some(OneOrMany(decode_items(items, reporter))),
            _ => T::decode(node, reporter).map(|one| OneOrMany(vec![one])),
        }
    }

    fn written() -> String {
        format!("{0}, or list of {0}", T::written())
    }

    fn collect(tables: &mut Vec<TableReference>) {
        T::collect(tables);
    }
}

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("OneOrMany{}", T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let item = generator.subschema_for::<T>();
        let items = item.clone();
        json_schema!({ "anyOf": [item, { "type": "array", "items": items, "minItems": 1 }] })
    }
}

/// A text as the short form of a table.
#[derive(Debug)]
pub(crate) enum TextOr<T> {
    Short(Text),
    Long(T),
}

impl<T: Shape> Shape for TextOr<T> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        match &node.content {
            Content::Table(_) => T::decode(node, reporter).map(TextOr::Long),
            Content::Scalar(text) if !text.is_nothing() => Some(TextOr::Short(text.clone())),
            _ => {
                wrong_kind(node, "a text or a table", reporter);
                None
            }
        }
    }

    fn written() -> String {
        format!("text or {}", T::written())
    }

    fn collect(tables: &mut Vec<TableReference>) {
        T::collect(tables);
    }
}

impl<T: JsonSchema> JsonSchema for TextOr<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("TextOr{}", T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let text = generator.subschema_for::<Text>();
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [text, table] })
    }
}

/// What the keys of a map may be.
pub(crate) trait KeyShape {
    /// A regular expression for the schema.
    const PATTERN: &'static str;
    /// How the reference calls the key.
    const WRITTEN: &'static str;
    /// Says what is wrong with a key.
    fn check(key: &Text) -> Result<(), Finding>;
}

/// A table whose keys are names of the operator's.
#[derive(Debug)]
pub(crate) struct Map<K, T> {
    pub(crate) entries: Vec<(Text, T)>,
    key: PhantomData<K>,
}

impl<K: KeyShape, T: Shape> Shape for Map<K, T> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let mut decoded = Vec::new();
        for (key, value) in entries(node, reporter)? {
            let Some(name) = key.as_text() else {
                wrong_kind(key, &format!("a {}", K::WRITTEN), reporter);
                continue;
            };
            if let Err(finding) = K::check(name) {
                reporter.report(finding);
                continue;
            }
            if let Some(value) = super::decode_value(key, value, reporter) {
                decoded.push((name.clone(), value));
            }
        }
        Some(Map { entries: decoded, key: PhantomData })
    }

    fn written() -> String {
        format!("table of {} to {}", K::WRITTEN, T::written())
    }

    fn collect(tables: &mut Vec<TableReference>) {
        T::collect(tables);
    }
}

impl<K: KeyShape, T: JsonSchema> JsonSchema for Map<K, T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("Map{}To{}", K::WRITTEN, T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let values = generator.subschema_for::<T>();
        json_schema!({
            "type": "object",
            "propertyNames": { "pattern": (K::PATTERN) },
            "additionalProperties": values,
        })
    }
}
