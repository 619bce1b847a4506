//! Text with expressions inside, `https://${ request.host }/`.

use crate::{Expression, Facts, Value};
use std::fmt::Write;

/// Text that is built from the traffic. Parsed once; rendering appends to a buffer of the caller's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Template {
    /// The pieces, in order.
    pub parts: Vec<Part>,
}

/// A piece of a [`Template`].
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Text as written.
    Text(Box<str>),
    /// The value of an expression; nothing when it cannot be computed.
    Expression(Expression),
}

impl Template {
    /// A template without expressions.
    pub fn literal(text: &str) -> Self {
        Template { parts: vec![Part::Text(text.into())] }
    }

    /// The text when it holds no expression.
    pub fn as_literal(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Appends the text for `facts` to `out`. Values are not escaped: the place that they go to decides that.
    pub fn render<F: Facts + ?Sized>(&self, facts: &F, out: &mut String) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Expression(expression) => match expression.evaluate(facts) {
                    Some(Value::Text(text)) => out.push_str(&text),
                    Some(Value::Int(number)) => drop(write!(out, "{number}")),
                    Some(Value::Double(number)) => drop(write!(out, "{number}")),
                    Some(Value::Bool(answer)) => drop(write!(out, "{answer}")),
                    Some(Value::TextList(list)) => out.push_str(&list.join(", ")),
                    Some(Value::IntList(_)) | None => {}
                },
            }
        }
    }
}
