//! What `explain` prints of an expression: the facts that it looked at, with their values.

use super::{Arithmetic, Comparison, Expression, TextTest, Value};
use crate::Facts;
use std::fmt;

impl Expression {
    /// Name and value of each fact that the expression can look at, in the order of the text, each once.
    pub fn observed<F: Facts>(&self, facts: &F) -> Vec<(String, String)> {
        let mut seen = Vec::new();
        self.collect(facts, &mut seen);
        seen
    }

    fn collect<F: Facts>(&self, facts: &F, seen: &mut Vec<(String, String)>) {
        if let Some(name) = self.fact_name() {
            let value = self.evaluate(facts).map_or_else(|| "no value".into(), |value| value.show());
            if !seen.iter().any(|(known, _)| *known == name) {
                seen.push((name, value));
            }
        }
        for operand in self.operands() {
            operand.collect(facts, seen);
        }
    }

    fn fact_name(&self) -> Option<String> {
        Some(match self {
            Expression::Fact(fact) => fact.name().into(),
            Expression::Header(name) => format!("request.headers[{name:?}]"),
            Expression::Cookie(name) => format!("request.cookies[{name:?}]"),
            Expression::Parameter(name) => format!("request.params[{name:?}]"),
            Expression::ResponseHeader(name) => format!("response.headers[{name:?}]"),
            Expression::Capture(group) => format!("captures[{group}]"),
            Expression::ProxyTlv(kind) => format!("proxy_protocol.tlv[\"{kind:#04X}\"]"),
            Expression::HasProxyTlv(kind) => format!("\"{kind:#04X}\" in proxy_protocol.tlv"),
            Expression::HasHeader(name) => format!("{name:?} in request.headers"),
            Expression::HasCookie(name) => format!("{name:?} in request.cookies"),
            Expression::HasParameter(name) => format!("{name:?} in request.params"),
            Expression::ResponseCookie(name) => format!("response.cookies[{name:?}]"),
            Expression::HasResponseCookie(name) => format!("{name:?} in response.cookies"),
            Expression::HasResponseHeader(name) => format!("{name:?} in response.headers"),
            _ => return None,
        })
    }
}

impl Value<'_> {
    /// The value as it would be written in an expression.
    pub fn show(&self) -> String {
        match self {
            Value::Bool(answer) => answer.to_string(),
            Value::Int(number) => number.to_string(),
            Value::Double(number) => number.to_string(),
            Value::Text(text) => format!("{text:?}"),
            Value::TextList(list) => format!("{list:?}"),
            Value::IntList(list) => format!("{list:?}"),
        }
    }
}

/// As it could be written; parentheses stand around every operator that is an operand.
impl fmt::Display for Expression {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(name) = self.fact_name() {
            return formatter.write_str(&name);
        }
        let operator =
            |formatter: &mut fmt::Formatter<'_>, one: &Expression, sign: &str, other: &Expression| {
                write!(formatter, "{} {sign} {}", Operand(one), Operand(other))
            };
        match self {
            Expression::Literal(literal) => formatter.write_str(&literal.value().show()),
            Expression::Not(one) => write!(formatter, "!{}", Operand(one)),
            Expression::Negate(one) => write!(formatter, "-{}", Operand(one)),
            Expression::And(one, other) => operator(formatter, one, "&&", other),
            Expression::Or(one, other) => operator(formatter, one, "||", other),
            Expression::In(one, other) => operator(formatter, one, "in", other),
            Expression::Conditional(parts) => {
                let [condition, then, otherwise] = &**parts;
                write!(formatter, "{} ? {} : {}", Operand(condition), Operand(then), Operand(otherwise))
            }
            Expression::Compare(comparison, one, other) => {
                let sign = match comparison {
                    Comparison::Equal => "==",
                    Comparison::NotEqual => "!=",
                    Comparison::Less => "<",
                    Comparison::LessOrEqual => "<=",
                    Comparison::Greater => ">",
                    Comparison::GreaterOrEqual => ">=",
                };
                operator(formatter, one, sign, other)
            }
            Expression::Arithmetic(arithmetic, one, other) => {
                let sign = match arithmetic {
                    Arithmetic::Add => "+",
                    Arithmetic::Subtract => "-",
                    Arithmetic::Multiply => "*",
                    Arithmetic::Divide => "/",
                    Arithmetic::Remainder => "%",
                };
                operator(formatter, one, sign, other)
            }
            Expression::Text(test, one, other) => {
                let name = match test {
                    TextTest::StartsWith => "startsWith",
                    TextTest::EndsWith => "endsWith",
                    TextTest::Contains => "contains",
                };
                write!(formatter, "{}.{name}({other})", Operand(one))
            }
            Expression::Matches(one, pattern) => {
                write!(formatter, "{}.matches({:?})", Operand(one), pattern.text())
            }
            Expression::InNetwork(one, networks) => {
                let networks: Vec<String> = networks.iter().map(|network| network.to_string()).collect();
                write!(formatter, "{}.inNetwork({networks:?})", Operand(one))
            }
            Expression::Size(one) => write!(formatter, "size({one})"),
            Expression::Lower(one) => write!(formatter, "{}.lowerAscii()", Operand(one)),
            Expression::Upper(one) => write!(formatter, "{}.upperAscii()", Operand(one)),
            Expression::ToInt(one) => write!(formatter, "int({one})"),
            Expression::ToText(one) => write!(formatter, "string({one})"),
            // What is left has a name.
            _ => Ok(()),
        }
    }
}

/// An expression inside another one.
struct Operand<'a>(&'a Expression);

impl fmt::Display for Operand<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_operator = matches!(
            self.0,
            Expression::And(..)
                | Expression::Or(..)
                | Expression::In(..)
                | Expression::Conditional(_)
                | Expression::Compare(..)
                | Expression::Arithmetic(..)
        );
        if is_operator { write!(formatter, "({})", self.0) } else { self.0.fmt(formatter) }
    }
}
