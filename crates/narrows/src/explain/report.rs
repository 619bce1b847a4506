//! What `explain` says about one listener, as text and as JSON.

use super::outcome::Outcome;
use serde_json::{Value, json};
use std::fmt::Write;

/// The answer for one listener.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// Name, place and addresses of the listener.
    pub(super) listener: String,
    /// What of the question could not be taken as it was.
    pub(super) notes: Vec<String>,
    /// What was asked, as the rules see it: name and value.
    pub(super) subject: Vec<(&'static str, String)>,
    /// The rules that were compared, best rank first.
    pub(super) compared: Vec<Compared>,
    /// Rules that were not looked at, best rank first.
    pub(super) skipped: Vec<Skipped>,
    /// Whether the skipped rules are listed.
    pub(super) lists_skipped: bool,
    /// What happens then.
    pub(super) outcome: Outcome,
}

/// A rule that was compared.
#[derive(Debug)]
pub(super) struct Compared {
    pub(super) route: String,
    pub(super) place: String,
    pub(super) patterns: String,
    pub(super) is_taken: bool,
    pub(super) conditions: Vec<Seen>,
    /// Conditions behind the one that did not hold.
    pub(super) unasked: usize,
}

/// A rule that was not looked at.
#[derive(Debug)]
pub(super) struct Skipped {
    pub(super) route: String,
    pub(super) place: String,
    pub(super) patterns: String,
    pub(super) why: &'static str,
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
        for note in &self.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        for (name, value) in &self.subject {
            let _ = writeln!(text, "  {name:<8} {value}");
        }
        text.push_str("\nrules compared, best rank first:\n");
        if self.compared.is_empty() {
            text.push_str("  none: no route fits\n");
        }
        for rule in &self.compared {
            rule.write(&mut text);
        }
        if self.lists_skipped {
            for Skipped { route, place, patterns, why } in &self.skipped {
                let _ = writeln!(text, "  {route}  {place}  not looked at: {why}\n      {patterns}");
            }
        } else if !self.skipped.is_empty() {
            let _ = writeln!(text, "  {}", self.skipped_by_reason());
        }
        text + &self.outcome.to_text()
    }

    /// `6 more not looked at: the host differs (5), the path differs (1); --all lists them`
    fn skipped_by_reason(&self) -> String {
        let mut reasons: Vec<(&str, usize)> = Vec::new();
        for Skipped { why, .. } in &self.skipped {
            match reasons.iter_mut().find(|(known, _)| known == why) {
                Some((_, count)) => *count += 1,
                None => reasons.push((why, 1)),
            }
        }
        let reasons: Vec<_> = reasons.iter().map(|(why, count)| format!("{why} ({count})")).collect();
        format!("{} more not looked at: {}; --all lists them", self.skipped.len(), reasons.join(", "))
    }

    pub(super) fn to_json(&self) -> Value {
        let subject: serde_json::Map<_, _> =
            self.subject.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let compared: Vec<_> = self.compared.iter().map(Compared::to_json).collect();
        let skipped: Vec<_> = self
            .skipped
            .iter()
            .map(|Skipped { route, place, patterns, why }| {
                json!({ "route": route, "place": place, "patterns": patterns, "why": why })
            })
            .collect();
        json!({
            "listener": self.listener,
            "notes": self.notes,
            "subject": subject,
            "compared": compared,
            "not_compared": skipped,
            "taken": self.outcome.is_taken(),
            "outcome": self.outcome.to_json(),
        })
    }
}

impl Compared {
    /// Appends the rule, and below it what it asked.
    pub(super) fn write(&self, text: &mut String) {
        let verdict = match (self.is_taken, self.conditions.last().and_then(|last| last.held)) {
            (true, _) => "TAKEN",
            (false, Some(false) | None) if !self.conditions.is_empty() => "a condition does not hold",
            (false, _) => "matches, but another ranks better",
        };
        let Compared { route, place, patterns, .. } = self;
        let _ = writeln!(text, "  {route}  {place}  {verdict}");
        if !patterns.is_empty() {
            let _ = writeln!(text, "      {patterns}");
        }
        for seen in &self.conditions {
            let values: Vec<_> =
                seen.values.iter().map(|(name, value)| format!("{name} = {value}")).collect();
            let (verdict, values) = (seen.verdict(), values.join(", "));
            let _ = writeln!(text, "      {}  {}\n        {verdict}: {values}", seen.written, seen.place);
        }
        if self.unasked > 0 {
            let _ = writeln!(text, "      {} further conditions not asked", self.unasked);
        }
    }

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
            "conditions_not_asked": self.unasked,
        })
    }
}
