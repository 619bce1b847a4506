//! Names, types and shapes of a parsed expression.

use super::names::{dotted, map};
use super::{Problem, Scope, functions, offset};
use crate::code::Code;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, Expr, ListExpr, LiteralValue, SourceInfo, operators};
use narrows_plan::{Arithmetic, Comparison, Expression, Literal, Type};
use std::ops::Range;

/// Walks the parser's tree once; collects every problem.
pub(super) struct Checker<'a> {
    pub(super) text: &'a str,
    pub(super) info: &'a SourceInfo,
    pub(super) scope: Scope<'a>,
    pub(super) problems: Vec<Problem>,
}

impl Checker<'_> {
    pub(super) fn check(&mut self, node: &IdedExpr) -> Option<Expression> {
        match &node.expr {
            Expr::Literal(literal) => self.literal(node, literal),
            Expr::Ident(_) => self.name(node),
            Expr::Select(select) if select.test => match map(&select.operand.expr) {
                Some(map) => self.presence(node, map, &select.field),
                None => {
                    let message = "`has` asks a map: `has(request.headers.name)`";
                    self.fail(Problem::new(Code::TypeMismatch, self.range(node), message))
                }
            },
            Expr::Select(_) if dotted(&node.expr).is_some() => self.name(node),
            Expr::Select(select) => {
                let value = self.check(&select.operand)?.value_type();
                let message = format!("{} has no field `{}`", functions::kind(value), select.field);
                self.fail(Problem::new(Code::TypeMismatch, self.range(node), message))
            }
            Expr::Call(call) => self.call(node, call),
            Expr::List(list) => self.list(node, list),
            Expr::Comprehension(_) => {
                self.unsupported(node, "a macro like `all`, `exists`, `map` or `filter`")
            }
            Expr::Map(_) => self.unsupported(node, "a map literal"),
            Expr::Struct(_) => self.unsupported(node, "a message literal"),
            Expr::Unspecified => self.unsupported(node, "this"),
        }
    }

    fn literal(&mut self, node: &IdedExpr, literal: &LiteralValue) -> Option<Expression> {
        Some(Expression::Literal(match literal {
            LiteralValue::Boolean(answer) => Literal::Bool(*answer.inner()),
            LiteralValue::Int(number) => Literal::Int(*number.inner()),
            LiteralValue::Double(number) => Literal::Double(*number.inner()),
            LiteralValue::String(text) => Literal::Text(text.inner().into()),
            LiteralValue::UInt(_) => return self.unsupported(node, "an unsigned number"),
            LiteralValue::Bytes(_) => return self.unsupported(node, "a bytes literal"),
            LiteralValue::Null => return self.unsupported(node, "`null`"),
        }))
    }

    fn list(&mut self, node: &IdedExpr, list: &ListExpr) -> Option<Expression> {
        let (mut texts, mut numbers) = (Vec::new(), Vec::new());
        for element in &list.elements {
            match &element.expr {
                Expr::Literal(LiteralValue::String(text)) => texts.push(text.inner().to_owned()),
                Expr::Literal(LiteralValue::Int(number)) => numbers.push(*number.inner()),
                _ => {
                    let message = "elements of a list are texts or whole numbers, written out";
                    return self.fail(Problem::new(Code::NotLiteral, self.range(element), message));
                }
            }
        }
        match (texts.is_empty(), numbers.is_empty()) {
            (_, true) => Some(Expression::Literal(Literal::TextList(texts.into()))),
            (true, false) => Some(Expression::Literal(Literal::IntList(numbers.into()))),
            (false, false) => {
                let message = "a list holds texts or numbers, not both";
                self.fail(Problem::new(Code::TypeMismatch, self.range(node), message))
            }
        }
    }

    fn call(&mut self, node: &IdedExpr, call: &CallExpr) -> Option<Expression> {
        let name = call.func_name.as_str();
        let arguments = call.args.as_slice();
        if call.target.is_some() {
            let operands: Vec<&IdedExpr> = call.target.as_deref().into_iter().chain(arguments).collect();
            return self.function(node, name, &operands);
        }
        match (name, arguments) {
            (operators::INDEX, _) => self.index(node, arguments),
            (operators::LOGICAL_NOT, [one]) => Some(Expression::Not(Box::new(self.typed(one, Type::Bool)?))),
            (operators::LOGICAL_AND, [one, two]) => {
                let (one, two) = (self.typed(one, Type::Bool), self.typed(two, Type::Bool));
                Some(Expression::And(Box::new(one?), Box::new(two?)))
            }
            (operators::LOGICAL_OR, [one, two]) => {
                let (one, two) = (self.typed(one, Type::Bool), self.typed(two, Type::Bool));
                Some(Expression::Or(Box::new(one?), Box::new(two?)))
            }
            (operators::CONDITIONAL, [test, one, two]) => {
                let (test, first, second) = (self.typed(test, Type::Bool), self.check(one), self.check(two));
                let (test, first, second) = (test?, first?, second?);
                if first.value_type() != second.value_type() {
                    return self.mismatch(two, functions::kind(first.value_type()), second.value_type());
                }
                Some(Expression::Conditional(Box::new([test, first, second])))
            }
            (operators::NEGATE, [one]) => {
                let value = self.check(one)?;
                match value.value_type() {
                    Type::Int | Type::Double => Some(Expression::Negate(Box::new(value))),
                    other => self.mismatch(one, "a number", other),
                }
            }
            (operators::IN, [one, two]) => self.membership(node, one, two),
            (_, [one, two]) if comparison(name).is_some() => self.compare(node, comparison(name)?, one, two),
            (_, [one, two]) if arithmetic(name).is_some() => {
                self.arithmetic(node, arithmetic(name)?, one, two)
            }
            _ if name.starts_with(|first: char| first.is_ascii_alphabetic()) => {
                let operands: Vec<&IdedExpr> = arguments.iter().collect();
                self.function(node, name, &operands)
            }
            _ => self.unsupported(node, "this operator"),
        }
    }

    fn membership(&mut self, node: &IdedExpr, one: &IdedExpr, two: &IdedExpr) -> Option<Expression> {
        if let Some(map) = map(&two.expr) {
            if let Expr::Literal(LiteralValue::String(key)) = &one.expr {
                return self.presence(node, map, key.inner());
            }
            let message = "the name must be written out, as a text in quotes";
            return self.fail(Problem::new(Code::NotLiteral, self.range(one), message));
        }
        let (element, list) = (self.check(one), self.check(two));
        let (element, list) = (element?, list?);
        match (element.value_type(), list.value_type()) {
            (Type::Text, Type::TextList) | (Type::Int, Type::IntList) => {
                Some(Expression::In(Box::new(element), Box::new(list)))
            }
            (Type::Text, Type::Text) => {
                let message = "`in` looks into a list or a map, this is a text";
                let help = "to look for a text in a text: `text.contains(\"part\")`";
                self.fail(Problem::new(Code::TypeMismatch, self.range(two), message).help(help))
            }
            (Type::Text, Type::IntList) => self.mismatch(one, "an int", Type::Text),
            (other, Type::TextList) => self.mismatch(one, "a text", other),
            (other, Type::IntList) => self.mismatch(one, "an int", other),
            (_, other) => self.mismatch(two, "a list or a map", other),
        }
    }

    fn compare(
        &mut self,
        node: &IdedExpr,
        comparison: Comparison,
        one: &IdedExpr,
        two: &IdedExpr,
    ) -> Option<Expression> {
        let (first, second) = (self.check(one), self.check(two));
        let (first, second) = (first?, second?);
        let (left, right) = (first.value_type(), second.value_type());
        let is_number = |value| matches!(value, Type::Int | Type::Double);
        if left != right && !(is_number(left) && is_number(right)) {
            let message = format!("{} is compared with {}", functions::kind(left), functions::kind(right));
            let problem = Problem::new(Code::TypeMismatch, self.range(node), message);
            return self.fail(match (left, right) {
                (Type::Text, Type::Int | Type::Double) | (Type::Int | Type::Double, Type::Text) => {
                    problem.help("put the number into quotes, or make a number of the text with `int(...)`")
                }
                _ => problem,
            });
        }
        let is_order = !matches!(comparison, Comparison::Equal | Comparison::NotEqual);
        if is_order && !matches!(left, Type::Int | Type::Double | Type::Text) {
            return self.mismatch(node, "numbers or texts", left);
        }
        Some(Expression::Compare(comparison, Box::new(first), Box::new(second)))
    }

    fn arithmetic(
        &mut self,
        node: &IdedExpr,
        operation: Arithmetic,
        one: &IdedExpr,
        two: &IdedExpr,
    ) -> Option<Expression> {
        let (first, second) = (self.check(one), self.check(two));
        let (first, second) = (first?, second?);
        match (first.value_type(), second.value_type()) {
            (Type::Int | Type::Double, Type::Int | Type::Double) => {}
            (Type::Text, Type::Text) if operation == Arithmetic::Add => {}
            (left, right) => {
                let message = format!(
                    "{} and {} do not go together here",
                    functions::kind(left),
                    functions::kind(right)
                );
                let problem = Problem::new(Code::TypeMismatch, self.range(node), message);
                return self.fail(match (left, right) {
                    (Type::Text, _) | (_, Type::Text) => problem.help("make a text of it: `string(...)`"),
                    _ => problem,
                });
            }
        }
        Some(Expression::Arithmetic(operation, Box::new(first), Box::new(second)))
    }

    /// Checks a node that must be of a type.
    pub(super) fn typed(&mut self, node: &IdedExpr, wanted: Type) -> Option<Expression> {
        let value = self.check(node)?;
        if value.value_type() != wanted {
            return self.mismatch(node, functions::kind(wanted), value.value_type());
        }
        Some(value)
    }

    pub(super) fn mismatch<T>(&mut self, node: &IdedExpr, wanted: &str, found: Type) -> Option<T> {
        let message = format!("expected {wanted}, found {}", functions::kind(found));
        self.fail(Problem::new(Code::TypeMismatch, self.range(node), message))
    }

    pub(super) fn unsupported<T>(&mut self, node: &IdedExpr, what: &str) -> Option<T> {
        let message = format!("{what} cannot be used here");
        let help = format!("operators are {}; functions are listed in routing.md", functions::OPERATORS);
        self.fail(Problem::new(Code::Unsupported, self.own_range(node), message).help(help))
    }

    pub(super) fn fail<T>(&mut self, problem: Problem) -> Option<T> {
        self.problems.push(problem);
        None
    }

    /// Bytes of what a node itself is: its operator or name.
    pub(super) fn own_range(&self, node: &IdedExpr) -> Range<usize> {
        let range = match &node.expr {
            Expr::Comprehension(comprehension) => {
                let (start, end) = (self.range(&comprehension.iter_range), self.text.len());
                start.start..end
            }
            Expr::Call(call) => {
                let own = offset(self.info, node.id).unwrap_or(0..self.text.len());
                // The parser puts a call at its bracket; the name stands before it.
                let before = self.text.get(..own.start).unwrap_or_default().trim_end();
                match before.strip_suffix(call.func_name.as_str()) {
                    Some(rest) => rest.len()..before.len(),
                    None => own,
                }
            }
            _ => offset(self.info, node.id).unwrap_or(0..self.text.len()),
        };
        range.start.min(self.text.len())..range.end.min(self.text.len())
    }

    /// Bytes of a node with everything inside it.
    pub(super) fn range(&self, node: &IdedExpr) -> Range<usize> {
        let mut range = self.own_range(node);
        let mut include = |other: Range<usize>| {
            range = range.start.min(other.start)..range.end.max(other.end);
        };
        match &node.expr {
            Expr::Select(select) => {
                include(self.range(&select.operand));
                let dot = offset(self.info, node.id).map_or(0, |own| own.end);
                let rest = self.text.get(dot..).unwrap_or_default();
                let field = dot + (rest.len() - rest.trim_start().len());
                let field_end = field + select.field.len();
                if self.text.get(field..field_end) == Some(select.field.as_str()) {
                    include(field..field_end);
                }
            }
            Expr::Call(call) => {
                call.target.iter().for_each(|target| include(self.range(target)));
                call.args.iter().for_each(|argument| include(self.range(argument)));
            }
            Expr::List(list) => list.elements.iter().for_each(|element| include(self.range(element))),
            _ => {}
        }
        // The closing bracket belongs to the call or list that it closes.
        let closing = match &node.expr {
            Expr::Call(call) if call.func_name == operators::INDEX => "]",
            Expr::List(_) => "]",
            Expr::Call(call) if call.func_name.starts_with(|first: char| first.is_ascii_alphabetic()) => ")",
            _ => "",
        };
        if self.text.get(range.end..).is_some_and(|rest| !closing.is_empty() && rest.starts_with(closing)) {
            range.end += 1;
        }
        range
    }
}

fn comparison(name: &str) -> Option<Comparison> {
    Some(match name {
        operators::EQUALS => Comparison::Equal,
        operators::NOT_EQUALS => Comparison::NotEqual,
        operators::LESS => Comparison::Less,
        operators::LESS_EQUALS => Comparison::LessOrEqual,
        operators::GREATER => Comparison::Greater,
        operators::GREATER_EQUALS => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

fn arithmetic(name: &str) -> Option<Arithmetic> {
    Some(match name {
        operators::ADD => Arithmetic::Add,
        operators::SUBSTRACT => Arithmetic::Subtract,
        operators::MULTIPLY => Arithmetic::Multiply,
        operators::DIVIDE => Arithmetic::Divide,
        operators::MODULO => Arithmetic::Remainder,
        _ => return None,
    })
}
