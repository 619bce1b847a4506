//! Templates, expressions and regular expressions inside texts, with exact positions.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::{Problem, Scope, compile_condition, last_line};
use crate::template;
use crate::tree::Text;
use narrows_plan::{Expression, Part, Pattern, Template};

impl Lowering<'_> {
    pub(super) fn template(&mut self, text: &Text, scope: Scope<'_>) -> Option<Template> {
        template::parse(&text.text, scope).map_err(|problems| self.report_problems(text, problems)).ok()
    }

    /// A template for a header value, which holds no control characters (RFC 9110 section 5.5).
    pub(super) fn value_template(&mut self, text: &Text, scope: Scope<'_>) -> Option<Template> {
        let template = self.template(text, scope)?;
        let is_control = |letter: char| letter.is_control() && letter != '\t';
        let bad =
            template.parts.iter().any(|part| matches!(part, Part::Text(text) if text.contains(is_control)));
        if bad {
            let message = "a header value cannot hold line breaks or other control characters";
            let place = text.place.first_line(&self.reporter.sources);
            self.reporter.report(Finding::error(Code::BadHeaderValue, place, message));
            return None;
        }
        Some(template)
    }

    /// A text that is sent in a header as it is.
    pub(super) fn header_text(&mut self, text: &Text) -> Option<Box<str>> {
        if text.text.is_empty() || text.text.contains(char::is_control) {
            let message = "this text cannot stand in a header";
            let place = text.place.first_line(&self.reporter.sources);
            self.reporter.report(Finding::error(Code::BadHeaderValue, place, message));
            return None;
        }
        Some(text.text.as_str().into())
    }

    pub(super) fn condition_text(&mut self, text: &Text, scope: Scope<'_>) -> Option<Expression> {
        compile_condition(&text.text, scope).map_err(|problems| self.report_problems(text, problems)).ok()
    }

    pub(super) fn report_problems(&mut self, text: &Text, problems: Vec<Problem>) {
        for problem in problems {
            let place = text.at(problem.range, self.reporter);
            self.reporter
                .report(Finding::error(problem.code, place, problem.message).maybe_help(problem.help));
        }
    }

    /// Compiles a regular expression; an error points into it.
    pub(super) fn pattern(&mut self, text: &Text) -> Option<Pattern> {
        match Pattern::new(&text.text) {
            Ok(pattern) => Some(pattern),
            Err(message) => {
                let range = error_range(&text.text).unwrap_or(0..text.text.len());
                let place = text.at(range, self.reporter);
                let message = format!("this regular expression cannot be compiled: {}", last_line(&message));
                self.reporter.report(Finding::error(Code::BadRegex, place, message));
                None
            }
        }
    }
}

/// Where the syntax error of a regular expression is.
fn error_range(text: &str) -> Option<std::ops::Range<usize>> {
    let span = match regex_syntax::ParserBuilder::new().nest_limit(64).build().parse(text) {
        Err(regex_syntax::Error::Parse(error)) => *error.span(),
        Err(regex_syntax::Error::Translate(error)) => *error.span(),
        _ => return None,
    };
    let start = span.start.offset.min(text.len());
    let end = span.end.offset.min(text.len());
    let wider = end + text[end..].chars().next().map_or(0, char::len_utf8);
    Some(if start == end { start..wider } else { start..end })
}
