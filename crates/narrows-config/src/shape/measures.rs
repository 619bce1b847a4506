//! Percentages, ranges of statuses and numbers below zero.

use super::{Shape, inline_name, wrong_kind};
use crate::code::Code;
use crate::diagnostic::{Finding, Reporter};
use crate::tree::{Node, Style, Text};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

/// A whole number of per cent, `125%`, between two bounds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Percent<const LEAST: u32, const MOST: u32>(pub(crate) u32);

impl<const LEAST: u32, const MOST: u32> Shape for Percent<LEAST, MOST> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let text = percentage(node, reporter)?;
        let percent = text.text.strip_suffix('%').filter(|digits| is_digits(digits));
        let percent = percent.and_then(|digits| digits.parse::<u32>().ok());
        let percent = percent.filter(|percent| (LEAST..=MOST).contains(percent));
        if percent.is_none() {
            let message = format!("expected a percentage from {LEAST}% to {MOST}%, found `{}`", text.text);
            let help = percent_help(text, LEAST);
            reporter.report(Finding::error(Code::BadPercentage, node.place, message).maybe_help(help));
        }
        Some(Percent(percent?))
    }

    fn written() -> String {
        format!("percentage from {LEAST}% to {MOST}%")
    }
}

impl<const LEAST: u32, const MOST: u32> JsonSchema for Percent<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("Percent{LEAST}To{MOST}"))
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+%$" })
    }
}

/// A part of a whole, up to `100%`, with at most two decimals: `0.25%`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portion {
    /// Of 10,000.
    pub(crate) hundredths: u32,
}

impl Shape for Portion {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let text = percentage(node, reporter)?;
        let hundredths = text.text.strip_suffix('%').and_then(hundredths).filter(|part| *part <= 10_000);
        if hundredths.is_none() {
            let message = format!(
                "expected a percentage from 0% to 100% with at most two decimals, found `{}`",
                text.text
            );
            let help = percent_help(text, 0);
            reporter.report(Finding::error(Code::BadPercentage, node.place, message).maybe_help(help));
        }
        Some(Portion { hundredths: hundredths? })
    }

    fn written() -> String {
        "percentage from 0% to 100%, two decimals".into()
    }
}

impl JsonSchema for Portion {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name("Portion")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^[0-9]+(\\.[0-9]{1,2})?%$" })
    }
}

fn percentage<'n>(node: &'n Node, reporter: &mut Reporter) -> Option<&'n Text> {
    let text = node.as_text();
    if text.is_none() {
        wrong_kind(node, "a percentage", reporter);
    }
    text
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// `12`, `12.5` and `12.25` as 1200, 1250 and 1225.
fn hundredths(text: &str) -> Option<u32> {
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "00"));
    if !is_digits(whole) || !is_digits(decimals) || decimals.len() > 2 {
        return None;
    }
    let decimals = decimals.parse::<u32>().ok()? * if decimals.len() == 1 { 10 } else { 1 };
    whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(decimals)
}

/// What was probably meant by a number without a sign, where `least` is the smallest percentage.
fn percent_help(text: &Text, least: u32) -> Option<String> {
    let number = text.text.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0)?;
    // 1.25 is how other proxies write 125 %; so is 3 where nothing below 100 % makes sense.
    let is_factor = number <= 10.0 && (text.text.contains('.') || number >= 1.0 && least >= 100);
    let percent = if is_factor { (number * 100.0).round() } else { number };
    Some(format!("write the sign: `{percent}%`"))
}

/// Statuses: one (`502`), a range (`502-504`) or a class (`5xx`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StatusRange {
    pub(crate) first: u16,
    pub(crate) last: u16,
}

impl StatusRange {
    /// Reads one; `None` for anything that is no range of statuses from 100 to 599.
    pub(crate) fn read(text: &str) -> Option<StatusRange> {
        let status = |text: &str| {
            let number = text.parse::<u16>().ok().filter(|_| text.len() == 3 && is_digits(text));
            number.filter(|number| (100..600).contains(number))
        };
        if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            let first = status(&format!("{class}00"))?;
            return Some(StatusRange { first, last: first + 99 });
        }
        let (first, last) = match text.split_once('-') {
            Some((first, last)) => (status(first.trim())?, status(last.trim())?),
            None => (status(text)?, status(text)?),
        };
        (first <= last).then_some(StatusRange { first, last })
    }

    /// A regular expression for the schema.
    pub(crate) const PATTERN: &'static str = "^([1-5][0-9][0-9]( *- *[1-5][0-9][0-9])?|[1-5](xx|XX))$";
}

impl Shape for StatusRange {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let Some(text) = node.as_text() else {
            wrong_kind(node, "a status or a range of them", reporter);
            return None;
        };
        let range = StatusRange::read(&text.text);
        if range.is_none() {
            let message = format!("`{}` is not a status from 100 to 599, nor a range of them", text.text);
            let help = "write `503`, `502-504` or `5xx`";
            reporter.report(Finding::error(Code::BadStatus, node.place, message).help(help));
        }
        range
    }

    fn written() -> String {
        "status, range of statuses or class (`5xx`)".into()
    }
}

impl JsonSchema for StatusRange {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name("StatusRange")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": (StatusRange::PATTERN) },
        ] })
    }
}

/// A whole number that may be below zero.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Integer<const LEAST: i32, const MOST: i32>(pub(crate) i32);

impl<const LEAST: i32, const MOST: i32> Shape for Integer<LEAST, MOST> {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let Some(text) = node.as_text() else {
            wrong_kind(node, "a whole number", reporter);
            return None;
        };
        let number = text.text.parse::<i32>().ok();
        let number = number.filter(|number| (LEAST..=MOST).contains(number) && text.style == Style::Plain);
        if number.is_none() {
            let message = format!("expected a whole number from {LEAST} to {MOST}, found `{}`", text.text);
            reporter.report(Finding::error(Code::NumberOutOfRange, node.place, message));
        }
        Some(Integer(number?))
    }

    fn written() -> String {
        format!("number from {LEAST} to {MOST}")
    }
}

impl<const LEAST: i32, const MOST: i32> JsonSchema for Integer<LEAST, MOST> {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name(&format!("Integer{LEAST}To{MOST}"))
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": LEAST, "maximum": MOST })
    }
}

#[cfg(test)]
mod tests;
