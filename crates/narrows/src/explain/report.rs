//! What `explain` says about one listener, as text and as JSON.

use serde_json::{Value, json};
use std::fmt::Write;

/// The answer for one listener.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Name, place and addresses of the listener.
    pub(super) listener: String,
    /// What was asked, as the rules see it: name and value.
    pub(super) subject: Vec<(&'static str, String)>,
    /// The rules that were compared, best rank first.
    pub(super) compared: Vec<Compared>,
    /// Rules that were not looked at: route, place, why.
    pub(super) skipped: Vec<(String, String, &'static str)>,
    /// Whether the skipped rules are listed.
    pub(super) lists_skipped: bool,
    /// What happens then, a line each.
    pub(super) action: Vec<String>,
    /// Whether something takes the request.
    pub(super) is_taken: bool,
}

/// A rule that was compared.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) route: String,
    pub(super) place: String,
    pub(super) patterns: String,
    pub(super) is_taken: bool,
    pub(super) conditions: Vec<Seen>,
}

/// A condition with what it saw.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) written: String,
    pub(super) held: Option<bool>,
    pub(super) values: Vec<(String, String)>,
    pub(super) place: String,
}

impl Seen {
    fn verdict(&self) -> &'static str {
        match self.held {
            Some(true) => "true",
            Some(false) => "false",
            None => "no value, counts as false",
        }
    }
}

impl Report {
    pub(super) fn to_text(&self) -> String {
        let mut text = format!("listener {}\n", self.listener);
        for (name, value) in &self.subject {
            let _ = writeln!(text, "  {name:<8} {value}");
        }
        text.push_str("\nrules compared, best rank first:\n");
        if self.compared.is_empty() {
            text.push_str("  none: no rule names this host and path\n");
        }
        for rule in &self.compared {
            let verdict = match (rule.is_taken, rule.conditions.last().and_then(|last| last.held)) {
                (true, _) => "TAKEN",
                (false, Some(false) | None) if !rule.conditions.is_empty() => "a condition does not hold",
                (false, _) => "matches, but another ranks better",
            };
            let Compared { route, place, patterns, .. } = rule;
            let _ = writeln!(text, "  {route}  {place}  {verdict}\n      {patterns}");
            for seen in &rule.conditions {
                let values: Vec<_> =
                    seen.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
                let _ = writeln!(
                    text,
                    "      {}  ->  {}  ({})  {}",
                    seen.written,
                    seen.verdict(),
                    values.join(", "),
                    seen.place
                );
            }
        }
        if self.lists_skipped {
            for (route, place, why) in &self.skipped {
                let _ = writeln!(text, "  {route}  {place}  not looked at: {why}");
            }
        } else if !self.skipped.is_empty() {
            let _ = writeln!(text, "  {} more not looked at (--all lists them)", self.skipped.len());
        }
        text.push_str("\nthen:\n");
        for line in &self.action {
            let _ = writeln!(text, "  {line}");
        }
        text
    }

    pub(super) fn to_json(&self) -> Value {
        let subject: serde_json::Map<_, _> =
            self.subject.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let compared: Vec<_> = self.compared.iter().map(Compared::to_json).collect();
        let skipped: Vec<_> = self
            .skipped
            .iter()
            .map(|(route, place, why)| json!({ "route": route, "place": place, "why": why }))
            .collect();
        json!({
            "listener": self.listener,
            "subject": subject,
            "compared": compared,
            "not_compared": skipped,
            "taken": self.is_taken,
            "action": self.action,
        })
    }
}

impl Compared {
    fn to_json(&self) -> Value {
        let conditions: Vec<_> = self
            .conditions
            .iter()
            .map(|seen| {
                let values: serde_json::Map<_, _> =
                    seen.values.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                json!({ "written": seen.written, "held": seen.held, "values": values, "place": seen.place })
            })
            .collect();
        json!({
            "route": self.route,
            "place": self.place,
            "patterns": self.patterns,
            "taken": self.is_taken,
            "conditions": conditions,
        })
    }
}
