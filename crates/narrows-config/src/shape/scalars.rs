//! Numbers, durations, sizes, flags and words.

use super::{Shape, inline_name, wrong_kind};
use crate::code::Code;
use crate::diagnostic::{Finding, Reporter};
use crate::nearest::nearest;
use crate::source::Place;
use crate::tree::{Node, Style, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

impl Shape for Text {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let text = node.as_text().cloned();
        if text.is_none() {
            wrong_kind(node, "a text", reporter);
        }
        text
    }

    fn written() -> String {
        "text".into()
    }
}

impl JsonSchema for Text {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name("Text")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["string", "number", "boolean"] })
    }
}

/// `true` or `false`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flag(pub(crate) bool);

impl Shape for Flag {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let text = node.as_text().filter(|text| text.style == Style::Plain);
        match text.map(|text| text.text.as_str()) {
            Some("true") => Some(Flag(true)),
            Some("false") => Some(Flag(false)),
            _ => {
                wrong_kind(node, "`true` or `false`", reporter);
                None
            }
        }
    }

    fn written() -> String {
        "bool".into()
    }
}

impl JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name("Flag")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

/// A whole number between two bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Number<const LEAST: u64, const MOST: u64> {
    pub(crate) number: u64,
    pub(crate) place: Place,
}

impl<const LEAST: u64, const MOST: u64> Shape for Number<LEAST, MOST> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let Some(text) = node.as_text() else {
            wrong_kind(node, "a whole number", reporter);
            return None;
        };
        let number = text.text.replace('_', "").parse::<u64>().ok();
        let number = number.filter(|number| (LEAST..=MOST).contains(number) && text.style == Style::Plain);
        if number.is_none() {
            let message = format!("expected a whole number from {LEAST} to {MOST}, found `{}`", text.text);
            let quoted = text.style != Style::Plain && text.text.parse::<u64>().is_ok();
            let help = quoted.then(|| "write the number without quotes".to_owned());
            reporter.report(Finding::error(Code::NumberOutOfRange, node.place, message).maybe_help(help));
        }
        Some(Number { number: number?, place: node.place })
    }

    fn written() -> String {
        format!("number from {LEAST} to {MOST}")
    }
}

impl<const LEAST: u64, const MOST: u64> JsonSchema for Number<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("Number{LEAST}To{MOST}"))
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

/// A length of time, `250ms` for instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Duration(pub(crate) std::time::Duration);

/// Longest duration that can be written: ten years.
const LONGEST: u64 = 3660 * 24 * 3600 * 1000;

impl Shape for Duration {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let Some(text) = node.as_text() else {
            wrong_kind(node, "a duration", reporter);
            return None;
        };
        let units = [("ms", 1), ("s", 1000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
        let milliseconds = in_units(&text.text, &units).filter(|number| *number <= LONGEST);
        if milliseconds.is_none() {
            let message = format!("`{}` is not a duration", text.text);
            let help = if text.text.parse::<f64>().is_ok() {
                format!("say the unit, `{}s` or `{0}ms` for instance", text.text)
            } else {
                "write a whole number and a unit: `250ms`, `5s`, `2m`, `1h` or `30d`".into()
            };
            reporter.report(Finding::error(Code::BadDuration, node.place, message).help(help));
        }
        Some(Duration(std::time::Duration::from_millis(milliseconds?)))
    }

    fn written() -> String {
        "duration".into()
    }
}

impl JsonSchema for Duration {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name("Duration")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(ms|s|m|h|d)$" })
    }
}

/// A number of bytes, `64KiB` for instance.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    pub(crate) bytes: u64,
    pub(crate) place: Place,
}

impl Shape for Size {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let Some(text) = node.as_text() else {
            wrong_kind(node, "a size", reporter);
            return None;
        };
        let units = [
            ("KiB", 1 << 10),
            ("MiB", 1 << 20),
            ("GiB", 1 << 30),
            ("TiB", 1 << 40),
            ("KB", 1000),
            ("MB", 1_000_000),
            ("GB", 1_000_000_000),
            ("B", 1),
        ];
        let bytes = text.text.parse().ok().or_else(|| in_units(&text.text, &units));
        if bytes.is_none() {
            let message = format!("`{}` is not a size", text.text);
            let help = "write bytes, or a whole number and a unit: `8192`, `8KiB`, `1MiB` or `10GB`";
            reporter.report(Finding::error(Code::BadSize, node.place, message).help(help));
        }
        Some(Size { bytes: bytes?, place: node.place })
    }

    fn written() -> String {
        "size".into()
    }
}

impl JsonSchema for Size {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name("Size")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 0 },
            { "type": "string", "pattern": "^[0-9]+(KiB|MiB|GiB|TiB|KB|MB|GB|B)?$" },
        ] })
    }
}

/// `12KiB` and the like; `None` for anything else.
fn in_units(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let digits = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(digits);
    let factor = units.iter().find(|(name, _)| *name == unit)?.1;
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// A value, or the word `off`.
#[derive(Debug, Clone, Copy)]
pub(crate) enum OrOff<T> {
    Off,
    On(T),
}

impl<T> OrOff<T> {
    /// The value unless it is off.
    pub(crate) fn on(self) -> Option<T> {
        match self {
            OrOff::Off => None,
            OrOff::On(value) => Some(value),
        }
    }
}

impl<T: Shape> Shape for OrOff<T> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        if node.as_text().is_some_and(|text| text.text == "off") {
            return Some(OrOff::Off);
        }
        T::decode(node, reporter).map(OrOff::On)
    }

    fn written() -> String {
        format!("{} or `off`", T::written())
    }
}

impl<T: JsonSchema> JsonSchema for OrOff<T> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("{}OrOff", T::schema_name()))
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let value = generator.subschema_for::<T>();
        json_schema!({ "anyOf": [value, { "const": "off" }] })
    }
}

/// The words of a choice.
pub(crate) trait Words: Sized + Copy + 'static {
    /// Every word with its value.
    const WORDS: &'static [(&'static str, Self)];
}

/// Declares a choice between words.
macro_rules! choice {
    ($(#[doc = $doc:literal])+ $name:ident { $($(#[doc = $word_doc:literal])+ $variant:ident = $word:literal,)+ }) => {
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[doc = $word_doc])+ $variant,)+ }

        impl $crate::shape::Words for $name {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, $name::$variant)),+];
        }

        impl $crate::shape::Shape for $name {
            fn decode(
                node: &$crate::tree::Node,
                reporter: &mut $crate::diagnostic::Reporter,
            ) -> Option<Self> {
                $crate::shape::word(node, reporter)
            }

            fn written() -> String {
                let words: &[&str] = &[$($word),+];
                words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ")
            }
        }

        impl schemars::JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }
            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({ "enum": [$($word),+] })
            }
        }
    };
}

pub(crate) use choice;

/// Reads one of the words.
pub(crate) fn word<T: Words>(node: &Node, reporter: &mut Reporter) -> Option<T> {
    let Some(text) = node.as_text() else {
        wrong_kind(node, "a word", reporter);
        return None;
    };
    let found = T::WORDS.iter().find(|(word, _)| *word == text.text).map(|(_, value)| *value);
    if found.is_none() {
        let words: Vec<&str> = T::WORDS.iter().map(|(word, _)| *word).collect();
        let help = match nearest(&text.text, &words) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("write one of: {}", words.join(", ")),
        };
        let message = format!("`{}` may not stand here", text.text);
        reporter.report(Finding::error(Code::UnknownValue, node.place, message).help(help));
    }
    found
}
