//! Typed expressions: one form for every condition and every computed text, whatever dialect wrote it.

mod evaluate;
mod show;

use crate::{Fact, Network, Pattern};
use std::borrow::Cow;

/// What a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Type {
    Bool,
    Int,
    Double,
    Text,
    TextList,
    IntList,
}

/// A value while an expression is evaluated; texts are borrowed where that is possible.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Value<'a> {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Cow<'a, str>),
    TextList(Cow<'a, [String]>),
    IntList(&'a [i64]),
}

/// A value written in the configuration.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Literal {
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(Box<str>),
    TextList(Box<[String]>),
    IntList(Box<[i64]>),
}

/// How two values of one type are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

/// How two numbers (or, for `Add`, two texts) are combined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// How a text is looked for in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names say it")]
pub enum TextTest {
    StartsWith,
    EndsWith,
    Contains,
}

/// A typed expression. Lowering checks the types; evaluation of a well-typed tree fails only on overflow, division by zero and unreadable
/// numbers, and then has no value.
#[derive(Debug, Clone, PartialEq)]
pub enum Expression {
    /// A constant.
    Literal(Literal),
    /// Something known of the traffic.
    Fact(Fact),
    /// All values of a request header joined by `, `, or an empty text. Lower-case name.
    Header(Box<str>),
    /// A request cookie, or an empty text.
    Cookie(Box<str>),
    /// A query parameter, or an empty text.
    Parameter(Box<str>),
    /// All values of a response header joined by `, `, or an empty text. Lower-case name.
    ResponseHeader(Box<str>),
    /// A cookie that the response sets, or an empty text.
    ResponseCookie(Box<str>),
    /// A group of the route's path pattern, or an empty text.
    Capture(usize),
    /// A TLV of the PROXY protocol header by its type, or an empty text.
    ProxyTlv(u8),
    /// Whether the request has that header.
    HasHeader(Box<str>),
    /// Whether the request has that cookie.
    HasCookie(Box<str>),
    /// Whether the query has that parameter.
    HasParameter(Box<str>),
    /// Whether the response has that header.
    HasResponseHeader(Box<str>),
    /// Whether the response sets that cookie.
    HasResponseCookie(Box<str>),
    /// Whether the PROXY protocol header has a TLV of that type.
    HasProxyTlv(u8),
    /// Negation of a bool.
    Not(Box<Expression>),
    /// Both hold; the second is not looked at when the first does not.
    And(Box<Expression>, Box<Expression>),
    /// One holds; the second is not looked at when the first does.
    Or(Box<Expression>, Box<Expression>),
    /// The second when the first holds, else the third.
    Conditional(Box<[Expression; 3]>),
    /// Comparison of two values of one type (int and double mix).
    Compare(Comparison, Box<Expression>, Box<Expression>),
    /// Checked arithmetic; `Add` also joins texts.
    Arithmetic(Arithmetic, Box<Expression>, Box<Expression>),
    /// Checked negation of a number.
    Negate(Box<Expression>),
    /// Whether the first value is an element of the list.
    In(Box<Expression>, Box<Expression>),
    /// Whether a text holds another.
    Text(TextTest, Box<Expression>, Box<Expression>),
    /// Whether the pattern occurs in the text.
    Matches(Box<Expression>, Pattern),
    /// Whether the text is an address inside one of the blocks.
    InNetwork(Box<Expression>, Box<[Network]>),
    /// Characters of a text, elements of a list.
    Size(Box<Expression>),
    /// ASCII letters made lower case.
    Lower(Box<Expression>),
    /// ASCII letters made upper case.
    Upper(Box<Expression>),
    /// A number from a text or a double.
    ToInt(Box<Expression>),
    /// Any value as text.
    ToText(Box<Expression>),
}

impl Expression {
    /// A constant text.
    pub fn text(text: &str) -> Self {
        Expression::Literal(Literal::Text(text.into()))
    }

    /// `self == text`.
    pub fn equals(self, text: &str) -> Self {
        Expression::Compare(Comparison::Equal, Box::new(self), Box::new(Expression::text(text)))
    }

    /// The expressions directly inside this one.
    pub fn operands(&self) -> Vec<&Expression> {
        match self {
            Expression::Literal(_)
            | Expression::Fact(_)
            | Expression::Header(_)
            | Expression::Cookie(_)
            | Expression::Parameter(_)
            | Expression::ResponseHeader(_)
            | Expression::ResponseCookie(_)
            | Expression::Capture(_)
            | Expression::ProxyTlv(_)
            | Expression::HasHeader(_)
            | Expression::HasCookie(_)
            | Expression::HasParameter(_)
            | Expression::HasResponseHeader(_)
            | Expression::HasResponseCookie(_)
            | Expression::HasProxyTlv(_) => Vec::new(),
            Expression::Not(one)
            | Expression::Negate(one)
            | Expression::Matches(one, _)
            | Expression::InNetwork(one, _)
            | Expression::Size(one)
            | Expression::Lower(one)
            | Expression::Upper(one)
            | Expression::ToInt(one)
            | Expression::ToText(one) => vec![one],
            Expression::And(one, two)
            | Expression::Or(one, two)
            | Expression::Compare(_, one, two)
            | Expression::Arithmetic(_, one, two)
            | Expression::In(one, two)
            | Expression::Text(_, one, two) => vec![one, two],
            Expression::Conditional(three) => three.iter().collect(),
        }
    }

    /// Whether this expression or one inside it satisfies `test`.
    pub fn any(&self, test: &impl Fn(&Expression) -> bool) -> bool {
        test(self) || self.operands().iter().any(|operand| operand.any(test))
    }

    /// What the expression's value is; the tree is taken to be well typed.
    pub fn value_type(&self) -> Type {
        match self {
            Expression::Literal(Literal::Bool(_)) => Type::Bool,
            Expression::Literal(Literal::Int(_)) | Expression::Size(_) | Expression::ToInt(_) => Type::Int,
            Expression::Literal(Literal::Double(_)) => Type::Double,
            Expression::Literal(Literal::TextList(_)) => Type::TextList,
            Expression::Literal(Literal::IntList(_)) => Type::IntList,
            Expression::Fact(fact) => fact.value_type(),
            Expression::Literal(Literal::Text(_))
            | Expression::Header(_)
            | Expression::Cookie(_)
            | Expression::Parameter(_)
            | Expression::ResponseHeader(_)
            | Expression::ResponseCookie(_)
            | Expression::Capture(_)
            | Expression::ProxyTlv(_)
            | Expression::Lower(_)
            | Expression::Upper(_)
            | Expression::ToText(_) => Type::Text,
            Expression::HasHeader(_)
            | Expression::HasCookie(_)
            | Expression::HasParameter(_)
            | Expression::HasResponseHeader(_)
            | Expression::HasResponseCookie(_)
            | Expression::HasProxyTlv(_)
            | Expression::Not(_)
            | Expression::And(..)
            | Expression::Or(..)
            | Expression::Compare(..)
            | Expression::In(..)
            | Expression::Text(..)
            | Expression::Matches(..)
            | Expression::InNetwork(..) => Type::Bool,
            Expression::Negate(one) => one.value_type(),
            Expression::Arithmetic(_, one, two) => match (one.value_type(), two.value_type()) {
                (Type::Double, _) | (_, Type::Double) => Type::Double,
                (first, _) => first,
            },
            Expression::Conditional(three) => three[1].value_type(),
        }
    }
}

#[cfg(test)]
mod tests;
