//! `text with ${ expressions }` to templates.

use crate::code::Code;
use crate::expression::{Problem, Scope, compile, skip_text};
use narrows_plan::{Part, Template};
use std::ops::Range;

/// Most expressions in a template.
const MAXIMUM_PARTS: usize = 4096;

/// Parses a template; ranges of problems are bytes of `text`.
pub(crate) fn parse(text: &str, scope: Scope<'_>) -> Result<Template, Vec<Problem>> {
    let mut parts = Vec::new();
    let mut problems = Vec::new();
    let mut literal = String::new();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        literal.push_str(&text[at..dollar]);
        match text.as_bytes().get(dollar + 1) {
            Some(b'$') => {
                literal.push('$');
                at = dollar + 2;
            }
            Some(b'{') => {
                let Some(inside) = expression_end(text, dollar + 2) else {
                    let message = "this `${` has no closing brace";
                    problems.push(Problem::new(Code::UnclosedTemplate, dollar..dollar + 2, message));
                    return Err(problems);
                };
                if !literal.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut literal).into()));
                }
                at = inside.end + 1;
                match compile(&text[inside.clone()], scope) {
                    Ok(expression) => parts.push(Part::Expression(expression)),
                    Err(found) => problems.extend(found.into_iter().map(|problem| Problem {
                        range: problem.range.start + inside.start..problem.range.end + inside.start,
                        ..problem
                    })),
                }
                if parts.len() > MAXIMUM_PARTS {
                    let message = format!("this template holds more than {MAXIMUM_PARTS} parts");
                    return Err(vec![Problem::new(Code::ExpressionTooLarge, 0..text.len(), message)]);
                }
            }
            _ => {
                let message = "a dollar sign begins an expression, `${ ... }`";
                problems.push(
                    Problem::new(Code::LoneDollar, dollar..dollar + 1, message)
                        .help("write `$$` for a dollar sign"),
                );
                at = dollar + 1;
            }
        }
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        parts.push(Part::Text(literal.into()));
    }
    if problems.is_empty() { Ok(Template { parts }) } else { Err(problems) }
}

/// The range from `start` to the brace that closes it; braces and quotes inside are skipped.
fn expression_end(text: &str, start: usize) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let mut depth = 0usize;
    let mut at = start;
    while at < bytes.len() {
        match bytes[at] {
            b'"' | b'\'' => {
                at = skip_text(text, at);
                continue;
            }
            b'{' => depth += 1,
            b'}' if depth == 0 => return Some(start..at),
            b'}' => depth -= 1,
            _ => {}
        }
        at += 1;
    }
    None
}
