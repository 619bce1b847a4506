//! Evaluation of expressions over the facts of the traffic.

use super::{Arithmetic, Comparison, Expression, Literal, TextTest, Value};
use crate::{Fact, Facts, Type};
use std::borrow::Cow;
use std::cmp::Ordering;
use std::net::IpAddr;

impl Expression {
    /// The value for `facts`; `None` when a number overflows, is divided by zero or cannot be read from a text.
    /// Comparisons allocate nothing.
    pub fn evaluate<'a, F: Facts + ?Sized>(&'a self, facts: &'a F) -> Option<Value<'a>> {
        Some(match self {
            Expression::Literal(literal) => literal.value(),
            Expression::Fact(fact) => match fact.value_type() {
                Type::Int => Value::Int(facts.number(*fact)),
                Type::TextList => Value::TextList(Cow::Borrowed(facts.texts(*fact))),
                Type::Bool => Value::Bool(facts.flag(*fact)),
                _ => Value::Text(facts.text(*fact)),
            },
            Expression::Header(name) => Value::Text(facts.header(name).unwrap_or_default()),
            Expression::Cookie(name) => Value::Text(facts.cookie(name).unwrap_or_default()),
            Expression::Parameter(name) => Value::Text(facts.parameter(name).unwrap_or_default()),
            Expression::ResponseHeader(name) => Value::Text(facts.response_header(name).unwrap_or_default()),
            Expression::Capture(group) => {
                Value::Text(Cow::Borrowed(facts.capture(*group).unwrap_or_default()))
            }
            Expression::ProxyTlv(kind) => Value::Text(facts.proxy_tlv(*kind).unwrap_or_default()),
            Expression::HasHeader(name) => Value::Bool(facts.header(name).is_some()),
            Expression::HasCookie(name) => Value::Bool(facts.cookie(name).is_some()),
            Expression::HasParameter(name) => Value::Bool(facts.parameter(name).is_some()),
            Expression::ResponseCookie(name) => Value::Text(facts.response_cookie(name).unwrap_or_default()),
            Expression::HasResponseCookie(name) => Value::Bool(facts.response_cookie(name).is_some()),
            Expression::HasResponseHeader(name) => Value::Bool(facts.response_header(name).is_some()),
            Expression::HasProxyTlv(kind) => Value::Bool(facts.proxy_tlv(*kind).is_some()),
            Expression::Not(one) => Value::Bool(!one.truth(facts)?),
            // One side that decides is enough, also when the other has no value (as in CEL).
            Expression::And(one, two) => match one.truth(facts) {
                Some(false) => Value::Bool(false),
                Some(true) => Value::Bool(two.truth(facts)?),
                None if two.truth(facts) == Some(false) => Value::Bool(false),
                None => return None,
            },
            Expression::Or(one, two) => match one.truth(facts) {
                Some(true) => Value::Bool(true),
                Some(false) => Value::Bool(two.truth(facts)?),
                None if two.truth(facts) == Some(true) => Value::Bool(true),
                None => return None,
            },
            Expression::Conditional(three) => {
                let chosen = if three[0].truth(facts)? { &three[1] } else { &three[2] };
                chosen.evaluate(facts)?
            }
            Expression::Compare(comparison, one, two) => {
                let order = order(&one.evaluate(facts)?, &two.evaluate(facts)?)?;
                Value::Bool(comparison.holds(order))
            }
            Expression::Arithmetic(operation, one, two) => {
                combine(*operation, one.evaluate(facts)?, two.evaluate(facts)?)?
            }
            Expression::Negate(one) => match one.evaluate(facts)? {
                Value::Int(number) => Value::Int(number.checked_neg()?),
                Value::Double(number) => Value::Double(-number),
                _ => return None,
            },
            Expression::In(one, two) => {
                Value::Bool(is_element(&one.evaluate(facts)?, &two.evaluate(facts)?)?)
            }
            Expression::Text(test, one, two) => {
                let (subject, wanted) = (one.evaluate(facts)?, two.evaluate(facts)?);
                let (subject, wanted) = (subject.as_text()?, wanted.as_text()?);
                Value::Bool(match test {
                    TextTest::StartsWith => subject.starts_with(wanted),
                    TextTest::EndsWith => subject.ends_with(wanted),
                    TextTest::Contains => {
                        memchr::memmem::find(subject.as_bytes(), wanted.as_bytes()).is_some()
                    }
                })
            }
            Expression::Matches(one, pattern) => {
                Value::Bool(pattern.matches(one.evaluate(facts)?.as_text()?))
            }
            Expression::InNetwork(one, networks) => {
                let address: Option<IpAddr> = match &**one {
                    Expression::Fact(Fact::Source) => Some(facts.source()),
                    other => other.evaluate(facts)?.as_text()?.parse().ok(),
                };
                let inside = |address| networks.iter().any(|network| network.contains(address));
                Value::Bool(address.is_some_and(inside))
            }
            Expression::Size(one) => Value::Int(match one.evaluate(facts)? {
                Value::Text(text) => i64::try_from(text.chars().count()).ok()?,
                Value::TextList(list) => i64::try_from(list.len()).ok()?,
                Value::IntList(list) => i64::try_from(list.len()).ok()?,
                _ => return None,
            }),
            Expression::Lower(one) => {
                Value::Text(one.evaluate(facts)?.as_text()?.to_ascii_lowercase().into())
            }
            Expression::Upper(one) => {
                Value::Text(one.evaluate(facts)?.as_text()?.to_ascii_uppercase().into())
            }
            Expression::ToInt(one) => Value::Int(match one.evaluate(facts)? {
                Value::Int(number) => number,
                Value::Double(number) if number.abs() < 9.2e18 => number as i64,
                Value::Text(text) => text.parse().ok()?,
                _ => return None,
            }),
            Expression::ToText(one) => Value::Text(match one.evaluate(facts)? {
                Value::Text(text) => text,
                Value::Int(number) => number.to_string().into(),
                Value::Double(number) => number.to_string().into(),
                Value::Bool(answer) => answer.to_string().into(),
                Value::TextList(_) | Value::IntList(_) => return None,
            }),
        })
    }

    /// The value of an expression of type bool.
    pub fn truth<F: Facts + ?Sized>(&self, facts: &F) -> Option<bool> {
        match self.evaluate(facts)? {
            Value::Bool(answer) => Some(answer),
            _ => None,
        }
    }
}

impl Literal {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Literal::Bool(answer) => Value::Bool(*answer),
            Literal::Int(number) => Value::Int(*number),
            Literal::Double(number) => Value::Double(*number),
            Literal::Text(text) => Value::Text(Cow::Borrowed(text)),
            Literal::TextList(list) => Value::TextList(Cow::Borrowed(list)),
            Literal::IntList(list) => Value::IntList(list),
        }
    }
}

impl Value<'_> {
    /// The text, when it is one.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }
}

impl Comparison {
    fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }
}

fn order(one: &Value<'_>, two: &Value<'_>) -> Option<Ordering> {
    match (one, two) {
        (Value::Bool(one), Value::Bool(two)) => Some(one.cmp(two)),
        (Value::Int(one), Value::Int(two)) => Some(one.cmp(two)),
        (Value::Double(one), Value::Double(two)) => one.partial_cmp(two),
        (Value::Int(one), Value::Double(two)) => (*one as f64).partial_cmp(two),
        (Value::Double(one), Value::Int(two)) => one.partial_cmp(&(*two as f64)),
        (Value::Text(one), Value::Text(two)) => Some(one.cmp(two)),
        (Value::TextList(one), Value::TextList(two)) => Some(one.cmp(two)),
        (Value::IntList(one), Value::IntList(two)) => Some(one.cmp(two)),
        _ => None,
    }
}

fn is_element(one: &Value<'_>, list: &Value<'_>) -> Option<bool> {
    match (one, list) {
        (Value::Text(text), Value::TextList(list)) => Some(list.iter().any(|element| *element == **text)),
        (Value::Int(number), Value::IntList(list)) => Some(list.contains(number)),
        _ => None,
    }
}

fn combine<'a>(operation: Arithmetic, one: Value<'a>, two: Value<'a>) -> Option<Value<'a>> {
    let (one, two) = match (one, two) {
        (Value::Int(one), Value::Int(two)) => {
            return Some(Value::Int(match operation {
                Arithmetic::Add => one.checked_add(two)?,
                Arithmetic::Subtract => one.checked_sub(two)?,
                Arithmetic::Multiply => one.checked_mul(two)?,
                Arithmetic::Divide => one.checked_div(two)?,
                Arithmetic::Remainder => one.checked_rem(two)?,
            }));
        }
        (Value::Text(one), Value::Text(two)) if operation == Arithmetic::Add => {
            return Some(Value::Text((one.into_owned() + &two).into()));
        }
        (Value::Double(one), Value::Double(two)) => (one, two),
        (Value::Int(one), Value::Double(two)) => (one as f64, two),
        (Value::Double(one), Value::Int(two)) => (one, two as f64),
        _ => return None,
    };
    Some(Value::Double(match operation {
        Arithmetic::Add => one + two,
        Arithmetic::Subtract => one - two,
        Arithmetic::Multiply => one * two,
        Arithmetic::Divide => one / two,
        Arithmetic::Remainder => one % two,
    }))
}
