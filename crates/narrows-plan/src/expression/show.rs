//! What `explain` prints of an expression: the facts that it looked at, with their values.

use super::{Expression, Value};
use crate::Facts;

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
