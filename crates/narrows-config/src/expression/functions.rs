//! Functions and operators: names, types and the plan's form.

use super::Problem;
use super::check::Checker;
use crate::code::Code;
use crate::nearest::nearest;
use cel::IdedExpr;
use cel::common::ast::{Expr, LiteralValue};
use narrows_plan::{Expression, Network, Pattern, TextTest, Type};

/// A function: name, how it is written, what it does.
pub(crate) struct Function {
    pub(crate) name: &'static str,
    pub(crate) written: &'static str,
    pub(crate) doc: &'static str,
}

/// Every function.
pub(crate) const FUNCTIONS: &[Function] = &[
    Function {
        name: "startsWith",
        written: "text.startsWith(text)",
        doc: "whether a text begins with another",
    },
    Function { name: "endsWith", written: "text.endsWith(text)", doc: "whether a text ends with another" },
    Function { name: "contains", written: "text.contains(text)", doc: "whether a text holds another" },
    Function {
        name: "matches",
        written: "text.matches(\"regex\")",
        doc: "whether a regular expression is found in a text; the expression must be written out",
    },
    Function { name: "size", written: "size(text or list)", doc: "characters of a text, elements of a list" },
    Function { name: "lowerAscii", written: "text.lowerAscii()", doc: "ASCII letters made lower case" },
    Function { name: "upperAscii", written: "text.upperAscii()", doc: "ASCII letters made upper case" },
    Function {
        name: "inCidr",
        written: "text.inCidr(\"10.0.0.0/8\", ...)",
        doc: "whether an address lies in one of the blocks",
    },
    Function {
        name: "int",
        written: "int(text or double)",
        doc: "a whole number; no value when the text is none",
    },
    Function { name: "string", written: "string(value)", doc: "a value as text" },
    Function {
        name: "has",
        written: "has(request.headers.name)",
        doc: "whether a map has an entry, as `\"name\" in request.headers`",
    },
];

/// Every operator, from those that bind tightest.
pub(crate) const OPERATORS: &str =
    "`!` `-`, `*` `/` `%`, `+` `-`, `==` `!=` `<` `<=` `>` `>=` `in`, `&&`, `||`, `? :`";

/// A type for messages.
pub(super) fn kind(value: Type) -> &'static str {
    match value {
        Type::Bool => "a bool",
        Type::Int => "an int",
        Type::Double => "a double",
        Type::Text => "a text",
        Type::TextList => "a list of texts",
        Type::IntList => "a list of ints",
    }
}

impl Checker<'_> {
    /// A call of a named function; methods and functions may be written either way.
    pub(super) fn function(
        &mut self,
        node: &IdedExpr,
        name: &str,
        operands: &[&IdedExpr],
    ) -> Option<Expression> {
        if !FUNCTIONS.iter().any(|function| function.name == name) {
            let names: Vec<&str> = FUNCTIONS.iter().map(|function| function.name).collect();
            let help = match nearest(name, &names) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("known functions: {}", names.join(", ")),
            };
            let message = format!("there is no function `{name}`");
            return self.fail(Problem::new(Code::UnknownFact, self.own_range(node), message).help(help));
        }
        match (name, operands) {
            ("startsWith", [one, two]) => self.text_test(TextTest::StartsWith, one, two),
            ("endsWith", [one, two]) => self.text_test(TextTest::EndsWith, one, two),
            ("contains", [one, two]) => self.text_test(TextTest::Contains, one, two),
            ("matches", [one, pattern]) => {
                let subject = self.typed(one, Type::Text);
                let text = self.literal_text(pattern)?;
                match Pattern::new(&text) {
                    Ok(pattern) => Some(Expression::Matches(Box::new(subject?), pattern)),
                    Err(error) => {
                        let message =
                            format!("this regular expression cannot be compiled: {}", last_line(&error));
                        self.fail(Problem::new(Code::BadRegex, self.range(pattern), message))
                    }
                }
            }
            ("inCidr", [one, blocks @ ..]) if !blocks.is_empty() => {
                let subject = self.typed(one, Type::Text);
                let mut networks = Vec::new();
                for block in blocks {
                    let text = self.literal_text(block)?;
                    match text.parse::<Network>() {
                        Ok(network) => networks.push(network),
                        Err(message) => {
                            return self.fail(Problem::new(Code::BadNetwork, self.range(block), message));
                        }
                    }
                }
                Some(Expression::InNetwork(Box::new(subject?), networks.into()))
            }
            ("size", [one]) => {
                let value = self.check(one)?;
                match value.value_type() {
                    Type::Text | Type::TextList | Type::IntList => Some(Expression::Size(Box::new(value))),
                    other => self.mismatch(one, "a text or a list", other),
                }
            }
            ("lowerAscii", [one]) => Some(Expression::Lower(Box::new(self.typed(one, Type::Text)?))),
            ("upperAscii", [one]) => Some(Expression::Upper(Box::new(self.typed(one, Type::Text)?))),
            ("int", [one]) => {
                let value = self.check(one)?;
                match value.value_type() {
                    Type::Text | Type::Int | Type::Double => Some(Expression::ToInt(Box::new(value))),
                    other => self.mismatch(one, "a text or a number", other),
                }
            }
            ("string", [one]) => {
                let value = self.check(one)?;
                match value.value_type() {
                    other @ (Type::TextList | Type::IntList) => self.mismatch(one, "a single value", other),
                    _ => Some(Expression::ToText(Box::new(value))),
                }
            }
            _ => {
                let function = FUNCTIONS.iter().find(|function| function.name == name)?;
                let message = format!("`{name}` does not take {} arguments", operands.len());
                let help = format!("it is written `{}`", function.written);
                self.fail(Problem::new(Code::TypeMismatch, self.own_range(node), message).help(help))
            }
        }
    }

    fn text_test(&mut self, test: TextTest, one: &IdedExpr, two: &IdedExpr) -> Option<Expression> {
        let (one, two) = (self.typed(one, Type::Text), self.typed(two, Type::Text));
        Some(Expression::Text(test, Box::new(one?), Box::new(two?)))
    }

    fn literal_text(&mut self, node: &IdedExpr) -> Option<String> {
        if let Expr::Literal(LiteralValue::String(text)) = &node.expr {
            return Some(text.inner().to_owned());
        }
        let message = "this must be written out as a text in quotes, so that it is compiled once";
        self.fail(Problem::new(Code::NotLiteral, self.range(node), message))
    }
}

/// The sentence of a message that draws the pattern above it.
pub(crate) fn last_line(message: &str) -> &str {
    let line = message.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(message).trim();
    line.strip_prefix("error: ").unwrap_or(line)
}
