//! Matchers to conditions: one form, one evaluator.

use super::{AbsentFacts, Lowering};
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{Matcher, Route, is_token};
use crate::shape::{Map, TextOr};
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{Condition, Expression, Fact, Literal, TextTest};

/// Methods that operators mean when they write them in another case.
const METHODS: [&str; 9] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"];

impl Lowering<'_> {
    /// All conditions of a route besides host and path.
    pub(super) fn conditions(&mut self, route: &Route, tcp: bool) -> Vec<Condition> {
        let mut conditions = Vec::new();
        if let Some(methods) = &route.method {
            let expression = self.methods(&methods.0);
            self.push(&mut conditions, "method", methods.0.iter().map(|text| text.place), expression);
        }
        if let Some(headers) = &route.headers {
            let ask = |name: &str| {
                let name: Box<str> = name.to_ascii_lowercase().into();
                (Expression::Header(name.clone()), Expression::HasHeader(name))
            };
            self.matchers("headers", headers, ask, &mut conditions);
        }
        if let Some(cookies) = &route.cookies {
            let ask = |name: &str| (Expression::Cookie(name.into()), Expression::HasCookie(name.into()));
            self.matchers("cookies", cookies, ask, &mut conditions);
        }
        if let Some(query) = &route.query {
            let ask =
                |name: &str| (Expression::Parameter(name.into()), Expression::HasParameter(name.into()));
            self.matchers("query", query, ask, &mut conditions);
        }
        if let Some(protocols) = &route.alpn {
            let offered = |protocol: &Text| {
                Expression::In(
                    Box::new(Expression::text(&protocol.text)),
                    Box::new(Expression::Fact(Fact::Alpn)),
                )
            };
            let any =
                protocols.0.iter().map(offered).reduce(|one, two| Expression::Or(one.into(), two.into()));
            self.push(&mut conditions, "alpn", protocols.0.iter().map(|text| text.place), any);
        }
        if let Some(source) = &route.source {
            let networks = self.networks(&source.0);
            let inside = networks
                .map(|blocks| Expression::InNetwork(Box::new(Expression::Fact(Fact::Source)), blocks.into()));
            self.push(&mut conditions, "source", source.0.iter().map(|text| text.place), inside);
        }
        if let Some(when) = &route.when {
            let scope = Scope { tcp, response: false, record: false, condition: true, captures: None };
            if let Some(expression) = self.condition_text(when, scope) {
                self.warn_absent_facts(when, &expression);
                let origin = self.reporter.sources.origin(when.place);
                conditions.push(Condition { expression, written: when.text.trim().into(), origin });
            }
        }
        conditions
    }

    /// Warns of facts that the listener never has.
    fn warn_absent_facts(&mut self, when: &Text, expression: &Expression) {
        let Some(AbsentFacts { prefix, why }) = self.absent_facts else { return };
        let asked = Fact::ALL.iter().find(|fact| {
            fact.name().starts_with(prefix) && expression.any(&|one| *one == Expression::Fact(**fact))
        });
        if let Some(fact) = asked {
            let what = if *fact == Fact::TlsClientVerified { "false" } else { "empty" };
            let message = format!("`{}` is always {what} here: {why}", fact.name());
            self.reporter.report(Finding::warning(Code::NoEffect, when.place, message));
        }
    }

    /// Adds a condition; what is written is the key with the text of its values.
    fn push(
        &self,
        conditions: &mut Vec<Condition>,
        key: &str,
        places: impl Iterator<Item = Place>,
        expression: Option<Expression>,
    ) {
        let Some(expression) = expression else { return };
        let places: Vec<Place> = places.collect();
        let Some(first) = places.first() else { return };
        let values: Vec<&str> = places.iter().map(|place| self.reporter.sources.slice(*place)).collect();
        let written = match values.as_slice() {
            [one] => format!("{key}: {one}"),
            many => format!("{key}: [{}]", many.join(", ")),
        };
        let origin = self.reporter.sources.origin(*first);
        conditions.push(Condition { expression, written: written.into(), origin });
    }

    fn methods(&mut self, methods: &[Text]) -> Option<Expression> {
        let mut names = Vec::new();
        for method in methods {
            let upper = method.text.to_ascii_uppercase();
            if !is_token(&method.text) {
                let message = format!("`{}` is not a method", method.text);
                let help = "for several methods write a list: `[GET, HEAD]`";
                self.reporter.report(Finding::error(Code::BadMethod, method.place, message).help(help));
            } else if method.text != upper && METHODS.contains(&upper.as_str()) {
                let message = format!("`{}` is not a method; methods differ by case", method.text);
                let help = format!("did you mean `{upper}`?");
                self.reporter.report(Finding::error(Code::BadMethod, method.place, message).help(help));
            } else {
                names.push(method.text.clone());
            }
        }
        let method = Expression::Fact(Fact::Method);
        match names.as_slice() {
            [] => None,
            [one] => Some(method.equals(one)),
            _ => {
                let list = Expression::Literal(Literal::TextList(names.into()));
                Some(Expression::In(Box::new(method), Box::new(list)))
            }
        }
    }

    fn matchers<K>(
        &mut self,
        key: &str,
        written: &Map<K, TextOr<Matcher>>,
        ask: impl Fn(&str) -> (Expression, Expression),
        conditions: &mut Vec<Condition>,
    ) {
        for (name, matcher) in &written.entries {
            let (value, presence) = ask(&name.text);
            let expression = self.matcher(matcher, value, presence);
            let place = match matcher {
                TextOr::Short(text) => text.place,
                TextOr::Long(table) => table.place,
            };
            let Some(expression) = expression else { continue };
            let written = format!("{key}: {{ {}: {} }}", name.text, self.reporter.sources.slice(place));
            let origin = self.reporter.sources.origin(name.place);
            conditions.push(Condition { expression, written: written.into(), origin });
        }
    }

    fn matcher(
        &mut self,
        written: &TextOr<Matcher>,
        value: Expression,
        presence: Expression,
    ) -> Option<Expression> {
        let table = match written {
            TextOr::Short(text) => return Some(equals(value, presence, &text.text)),
            TextOr::Long(table) => table,
        };
        self.exactly_one(&table.keys, table.place, "a matcher")?;
        let test = |test, text: &Text, value| {
            Expression::Text(test, Box::new(value), Box::new(Expression::text(&text.text)))
        };
        if let Some(text) = &table.exact {
            return Some(equals(value, presence, &text.text));
        }
        if let Some(text) = &table.prefix {
            return Some(test(TextTest::StartsWith, text, value));
        }
        if let Some(text) = &table.contains {
            return Some(test(TextTest::Contains, text, value));
        }
        if let Some(flag) = table.present {
            return Some(if flag.0 { presence } else { Expression::Not(Box::new(presence)) });
        }
        let pattern = self.pattern(table.regex.as_ref()?)?;
        let matches_nothing = pattern.matches("");
        let matches = Expression::Matches(Box::new(value), pattern);
        // What is absent reads as an empty text, which must not pass for one that is there.
        Some(if matches_nothing { Expression::And(presence.into(), matches.into()) } else { matches })
    }

    /// Refuses tables that hold no key, or several, where one is wanted.
    pub(super) fn exactly_one(
        &mut self,
        keys: &[(&'static str, Place)],
        table: Place,
        what: &str,
    ) -> Option<()> {
        match keys {
            [_] => return Some(()),
            [] => {
                let message = format!("{what} needs one key");
                let place = table.first_line(&self.reporter.sources);
                self.reporter.report(Finding::error(Code::NotExactlyOne, place, message));
            }
            [(first, place), (second, other), ..] => {
                let message = format!("{what} has one key, this has `{first}` and `{second}`");
                self.reporter.report(
                    Finding::error(Code::NotExactlyOne, *other, message).label(*place, "the first is here"),
                );
            }
        }
        None
    }
}

/// Equality that tells an empty value from an absent one.
fn equals(value: Expression, presence: Expression, text: &str) -> Expression {
    let equal = value.equals(text);
    if text.is_empty() { Expression::And(presence.into(), equal.into()) } else { equal }
}
