//! Header changes.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::expression::Scope;
use crate::model::{HeaderEdits, is_token};
use crate::tree::Text;
use narrows_plan::HeaderEdit;
use std::collections::HashMap;

/// Fields that frame a message or belong to one connection (RFC 9110 section 7.6.1, RFC 9112 section 6).
pub(super) const FRAMING: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "http2-settings",
];

impl Lowering<'_> {
    pub(super) fn header_edits(
        &mut self,
        written: Option<&HeaderEdits>,
        scope: Scope<'_>,
    ) -> Vec<HeaderEdit> {
        let Some(written) = written else { return Vec::new() };
        let mut edits = Vec::new();
        for name in written.remove.iter().flat_map(|names| &names.0) {
            if !is_token(&name.text) {
                let message = format!("`{}` is not a header name", name.text);
                self.reporter.report(Finding::error(Code::BadHeaderName, name.place, message));
            } else if self.may_change(name, scope) {
                edits.push(HeaderEdit::Remove(name.text.as_str().into()));
            }
        }
        let mut seen = HashMap::new();
        for (name, value) in written.set.iter().flat_map(|set| &set.entries) {
            if let Some(first) = seen.insert(name.text.to_ascii_lowercase(), name.place) {
                let message = format!("`{}` is set twice; header names do not differ by case", name.text);
                let finding =
                    Finding::error(Code::HeaderTwice, name.place, message).label(first, "first here");
                self.reporter.report(finding);
            }
            if self.may_change(name, scope)
                && let Some(value) = self.value_template(value, scope)
            {
                edits.push(HeaderEdit::Set(name.text.as_str().into(), value));
            }
        }
        for (name, value) in written.add.iter().flat_map(|add| &add.entries) {
            if self.may_change(name, scope)
                && let Some(value) = self.value_template(value, scope)
            {
                edits.push(HeaderEdit::Add(name.text.as_str().into(), value));
            }
        }
        edits
    }

    fn may_change(&mut self, name: &Text, scope: Scope<'_>) -> bool {
        let lower = name.text.to_ascii_lowercase();
        let help = if FRAMING.contains(&lower.as_str()) {
            "the proxy writes it itself, so that both sides agree where a message ends"
        } else if lower == "host" && !scope.response {
            "write `rewrite: { host: ... }`"
        } else {
            return true;
        };
        let message = format!("the header `{}` cannot be changed here", name.text);
        self.reporter.report(Finding::error(Code::FramingHeader, name.place, message).help(help));
        false
    }
}
