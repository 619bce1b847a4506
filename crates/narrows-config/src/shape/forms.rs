//! Values that are written short or as a table.

use super::{Shape, TableReference, in_place_of_table, inline_name, wrong_kind, wrong_kind_with};
use crate::diagnostic::Reporter;
use crate::tree::{Content, Node, Style};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// A table, or a value of another kind as its short form.
#[derive(Debug)]
pub(crate) enum OrTable<A, T> {
    Short(A),
    Long(T),
}

impl<A: Shape, T: Shape> Shape for OrTable<A, T> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        match &node.content {
            Content::Table(_) => T::decode(node, reporter).map(OrTable::Long),
            Content::Scalar(_) => A::decode(node, reporter).map(OrTable::Short),
            Content::List(_) => {
                let expected = format!("{}, or a table", super::plain(&A::written()));
                wrong_kind(node, &expected, reporter);
                None
            }
        }
    }

    fn written() -> String {
        format!("{}, or {}", A::written(), T::written())
    }

    fn collect(tables: &mut Vec<TableReference>) {
        A::collect(tables);
        T::collect(tables);
    }
}

impl<A: JsonSchema, T: JsonSchema> JsonSchema for OrTable<A, T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("{}Or{}", A::schema_name(), T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let short = generator.subschema_for::<A>();
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [short, table] })
    }
}

/// Something that can be switched: `off`, `on` with every default, or a table.
#[derive(Debug)]
pub(crate) enum Switch<T> {
    Off,
    On,
    Set(T),
}

impl<T: Shape> Shape for Switch<T> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        match (&node.content, node.as_text().map(|text| text.text.as_str())) {
            (Content::Table(_), _) => T::decode(node, reporter).map(Switch::Set),
            (_, Some("on")) => Some(Switch::On),
            (_, Some("off")) => Some(Switch::Off),
            _ => {
                let help = in_place_of_table(&T::schema_name(), node);
                wrong_kind_with(node, "`on`, `off` or a table", help, reporter);
                None
            }
        }
    }

    fn written() -> String {
        format!("`on`, `off` or {}", T::written())
    }

    fn collect(tables: &mut Vec<TableReference>) {
        T::collect(tables);
    }
}

impl<T: JsonSchema> JsonSchema for Switch<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("Switch{}", T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "enum": ["on", "off"] }, table] })
    }
}

/// `true` for every default, or a table. There is no `false`: the key is left out.
#[derive(Debug)]
pub(crate) enum TrueOr<T> {
    True,
    Set(T),
}

impl<T> TrueOr<T> {
    /// The table, where one is written.
    pub(crate) fn table(&self) -> Option<&T> {
        match self {
            TrueOr::True => None,
            TrueOr::Set(table) => Some(table),
        }
    }
}

impl<T: Shape> Shape for TrueOr<T> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        match &node.content {
            Content::Table(_) => T::decode(node, reporter).map(TrueOr::Set),
            Content::Scalar(text) if text.style == Style::Plain && text.text == "true" => Some(TrueOr::True),
            _ => {
                wrong_kind(node, "`true` or a table", reporter);
                None
            }
        }
    }

    fn written() -> String {
        format!("`true` or {}", T::written())
    }

    fn collect(tables: &mut Vec<TableReference>) {
        T::collect(tables);
    }
}

impl<T: JsonSchema> JsonSchema for TrueOr<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("TrueOr{}", T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let table = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [{ "const": true }, table] })
    }
}
