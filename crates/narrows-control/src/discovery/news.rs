//! What the operator is told of a look-up: changes, and whether it works.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::time::{Duration, Instant};

/// Between two lines about one name.
const PAUSE: Duration = Duration::from_secs(10);
/// Places that a line spells out.
const SPELLED: usize = 5;

/// What the operator was told of one name or file.
#[derive(Debug, Default)]
pub(super) struct News {
    last: Option<Instant>,
    told: BTreeSet<String>,
    trouble: Option<String>,
}

impl News {
    /// The line to say now, if any. `places` are those that hold, `trouble` is why the last look-up brought
    /// nothing. What falls into a pause is said after it, as far as it still holds; the first success is not
    /// worth a line.
    pub(super) fn line(
        &mut self,
        now: Instant,
        subject: &str,
        places: impl IntoIterator<Item = impl Display>,
        trouble: Option<&str>,
    ) -> Option<String> {
        let places: BTreeSet<String> = places.into_iter().map(|place| place.to_string()).collect();
        if self.last.is_none() && trouble.is_none() && self.told.is_empty() {
            self.told = places;
            self.last = Some(now.checked_sub(PAUSE).unwrap_or(now));
            return None;
        }
        let is_known = self.trouble.as_deref() == trouble && self.told == places;
        let is_pause = self.last.is_some_and(|last| now.saturating_duration_since(last) < PAUSE);
        if is_known || is_pause {
            return None;
        }
        let changes = changes(&self.told, &places);
        let line = match (trouble, &self.trouble) {
            (Some(trouble), _) if places.is_empty() => {
                format!("cannot look up {subject}: {trouble}; until then it has no endpoint")
            }
            (Some(trouble), _) => {
                format!("cannot look up {subject}: {trouble}; its last endpoints stay: {}", spelled(&places))
            }
            (None, Some(_)) => format!("{subject} can be looked up again{changes}"),
            (None, None) => format!("{subject} has changed{changes}"),
        };
        self.last = Some(now);
        self.told = places;
        self.trouble = trouble.map(str::to_owned);
        Some(line)
    }
}

fn changes(before: &BTreeSet<String>, now: &BTreeSet<String>) -> String {
    let came: BTreeSet<_> = now.difference(before).cloned().collect();
    let left: BTreeSet<_> = before.difference(now).cloned().collect();
    let mut text = String::new();
    for (what, places) in [("came", came), ("left", left)] {
        if !places.is_empty() {
            text += &format!("{} {} {what}", if text.is_empty() { ":" } else { "," }, spelled(&places));
        }
    }
    if text.is_empty() { text } else { format!("{text} ({} now)", counted(now.len(), "endpoint")) }
}

fn spelled(places: &BTreeSet<String>) -> String {
    let mut text = places.iter().take(SPELLED).cloned().collect::<Vec<_>>().join(" ");
    if places.len() > SPELLED {
        text += &format!(" and {} more", places.len() - SPELLED);
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests;
