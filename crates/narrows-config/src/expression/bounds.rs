//! Limits on the text of an expression, checked before the recursive parser sees it.

use super::Problem;
use crate::code::Code;

/// Longest expression, bytes.
const MAXIMUM_BYTES: usize = 8 * 1024;
/// Deepest nesting of what recursion follows: brackets, members, unary and arithmetic operators.
pub(super) const MAXIMUM_DEPTH: u16 = 96;
/// Deepest nesting of brackets.
const MAXIMUM_BRACKETS: usize = 24;

/// Refuses what is too long or too deep. Chains of `&&`, `||` and list elements do not count: they are balanced or flat.
pub(super) fn check(text: &str) -> Result<(), Problem> {
    if text.len() > MAXIMUM_BYTES {
        let message = format!("this expression is longer than {MAXIMUM_BYTES} bytes");
        return Err(Problem::new(Code::ExpressionTooLarge, 0..text.len(), message));
    }
    let mut open: Vec<usize> = vec![0];
    let mut below = 0;
    let mut at = 0;
    while let Some(letter) = text[at..].chars().next() {
        let start = at;
        at += letter.len_utf8();
        let current = open.last().copied().unwrap_or(0);
        let next = match letter {
            '"' | '\'' => {
                at = skip_text(text, start);
                current
            }
            '(' | '[' | '{' => {
                below += current + 1;
                open.push(0);
                0
            }
            ')' | ']' | '}' if open.len() > 1 => {
                open.pop();
                let outside = open.last().copied().unwrap_or(0);
                below -= outside + 1;
                // What follows a bracket, `f(x)[y]`, lies above it in the tree.
                outside + 1
            }
            ',' => 0,
            '&' | '|' if text[at..].starts_with(letter) => {
                at += 1;
                0
            }
            '.' | '!' | '-' | '+' | '*' | '/' | '%' | '?' | '<' | '>' | '=' => current + 1,
            // `in` is an operator of letters.
            'i' if text[start..].starts_with("in ") => current + 1,
            _ => current,
        };
        open.last_mut().into_iter().for_each(|depth| *depth = next);
        let depth = below + open.last().copied().unwrap_or(0);
        if open.len() > MAXIMUM_BRACKETS || depth > usize::from(MAXIMUM_DEPTH) {
            let message = "this expression is nested too deeply";
            return Err(Problem::new(Code::ExpressionTooLarge, start..at, message));
        }
    }
    Ok(())
}

/// The byte after the text literal that begins at `start`, or the end of an unclosed one.
pub(crate) fn skip_text(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let quote = bytes[start];
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let is_raw = start > 0 && matches!(bytes[start - 1], b'r' | b'R');
    let mut at = start + if triple { 3 } else { 1 };
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if !is_raw => at += 2,
            byte if byte == quote && (!triple || bytes[at..].starts_with(&[quote; 3])) => {
                return at + if triple { 3 } else { 1 };
            }
            _ => at += 1,
        }
    }
    // A backslash may have skipped over the end, or into a character.
    text.ceil_char_boundary(at.min(text.len()))
}
