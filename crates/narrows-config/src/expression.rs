//! CEL text to typed expressions.
//!
//! The text is parsed by the `cel` crate; this module checks names and types and makes the plan's own form. Nothing is
//! evaluated here. Functions are rows of the table in [`functions`](self::functions).

mod bounds;
mod check;
mod functions;
mod names;

use crate::code::Code;
use cel::common::ast::SourceInfo;
use cel::parser::Parser;
use narrows_plan::{Expression, Pattern, Type};
use std::ops::Range;

pub(crate) use bounds::skip_text;
pub(crate) use functions::{FUNCTIONS, OPERATORS, last_line};

/// What an expression may ask, which depends on where it stands.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// Whether it stands in a tcp listener.
    pub(crate) tcp: bool,
    /// Whether there is a response.
    pub(crate) response: bool,
    /// Whether everything is over: it stands in an access log.
    pub(crate) record: bool,
    /// Whether it decides which route is taken.
    pub(crate) condition: bool,
    /// The pattern whose groups `captures` reads.
    pub(crate) captures: Option<&'a Pattern>,
}

/// What is wrong with an expression, and where in its text.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) range: Range<usize>,
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) help: Option<String>,
}

impl Problem {
    pub(crate) fn new(code: Code, range: Range<usize>, message: impl Into<String>) -> Self {
        Problem { range, code, message: message.into(), help: None }
    }

    pub(crate) fn help(self, help: impl Into<String>) -> Self {
        Problem { help: Some(help.into()), ..self }
    }
}

/// Compiles an expression that must be true or false.
pub(crate) fn compile_condition(text: &str, scope: Scope<'_>) -> Result<Expression, Vec<Problem>> {
    let expression = compile(text, scope)?;
    if expression.value_type() != Type::Bool {
        let message =
            format!("a condition is true or false, this is {}", functions::kind(expression.value_type()));
        let help = "compare it with something: `... == \"value\"`";
        return Err(vec![Problem::new(Code::TypeMismatch, 0..text.len(), message).help(help)]);
    }
    Ok(expression)
}

/// Compiles a condition on requests, flows and sessions that stands in no configuration.
///
/// # Errors
/// What is wrong with it: the column, counted from 1, a sentence, and what would help.
pub fn read_condition(text: &str) -> Result<Expression, Vec<String>> {
    let of = |tcp| {
        compile_condition(
            text,
            Scope { tcp, response: false, record: false, condition: true, captures: None },
        )
    };
    // What only flows know is not known of requests.
    let problems = match of(false) {
        Ok(expression) => return Ok(expression),
        Err(problems) => match of(true) {
            Ok(expression) => return Ok(expression),
            Err(_) => problems,
        },
    };
    let line = |problem: &Problem| {
        let column = text.get(..problem.range.start).map_or(0, |before| before.chars().count()) + 1;
        let help = problem.help.as_ref().map_or(String::new(), |help| format!(" ({help})"));
        format!("column {column}: {}{help}", problem.message)
    };
    Err(problems.iter().map(line).collect())
}

/// Compiles an expression of any type.
pub(crate) fn compile(text: &str, scope: Scope<'_>) -> Result<Expression, Vec<Problem>> {
    if text.trim().is_empty() {
        return Err(vec![Problem::new(Code::ExpressionSyntax, 0..text.len(), "there is no expression here")]);
    }
    bounds::check(text).map_err(|problem| vec![problem])?;
    let parser = Parser::new().max_recursion_depth(bounds::MAXIMUM_DEPTH);
    let (tree, info) = parser.parse_with_source_info(text).map_err(|errors| {
        // What follows the first error is mostly its consequence.
        errors.errors.iter().take(1).map(|error| syntax(text, error.pos, &error.msg)).collect::<Vec<_>>()
    })?;
    let mut checker = check::Checker { text, info: &info, scope, problems: Vec::new() };
    let expression = checker.check(&tree);
    match expression {
        Some(expression) if checker.problems.is_empty() => Ok(expression),
        _ => Err(checker.problems),
    }
}

fn syntax(text: &str, (line, column): (isize, isize), message: &str) -> Problem {
    let line_number = usize::try_from(line - 1).unwrap_or(0);
    let line_start: usize = text.split_inclusive('\n').take(line_number).map(str::len).sum();
    let rest = text.get(line_start..).unwrap_or_default();
    let column = usize::try_from(column - 1).unwrap_or(0);
    let start = line_start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at);
    let end = start + text[start..].chars().next().map_or(0, char::len_utf8);
    let what = match message.strip_prefix("Syntax error: ").unwrap_or(message) {
        _ if start == text.len() && !message.contains("missing") => "it ends too early".to_owned(),
        message => match message.split_once("missing '").and_then(|(_, rest)| rest.split_once('\'')) {
            Some((token, _)) => format!("`{token}` is missing"),
            None => format!("`{}` does not fit here", &text[start..end]),
        },
    };
    let problem =
        Problem::new(Code::ExpressionSyntax, start..end, format!("cannot read this expression: {what}"));
    match text[start..].chars().next() {
        Some('=') => problem.help("equality is written `==`"),
        Some('&' | '|') => problem.help("`&&` and `||` are written twice"),
        Some('\'' | '"') => problem.help("this text is not closed"),
        _ => problem,
    }
}

/// Bytes of a node, its operands included.
pub(crate) fn offset(info: &SourceInfo, id: u64) -> Option<Range<usize>> {
    info.offset_for(id).map(|(start, stop)| start as usize..stop as usize + 1)
}
