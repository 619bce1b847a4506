//! What happens to a request in the end, as text and as JSON.

use super::target::Target;
use narrows_plan::{ErrorPages, StatusPattern};
use serde_json::{Value, json};
use std::fmt::Write;
use std::time::Duration;

/// The end of the way.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// `forward`, `respond`, `redirect` or `refuse`.
    pub(super) kind: &'static str,
    /// What is done, where that is no forwarding.
    pub(super) sentence: String,
    /// The route and its place; `None` when none took it.
    pub(super) route: Option<(String, String)>,
    /// Where it is forwarded to; several share by weight.
    pub(super) targets: Vec<Target>,
    /// Where copies go, a line each.
    pub(super) mirrors: Vec<String>,
    /// The head that the endpoint gets, a line each.
    pub(super) sent: Vec<String>,
    /// What becomes of the response's head, a line each.
    pub(super) response_edits: Vec<String>,
    /// Deadlines and sizes that hold on the way: name and value.
    pub(super) limits: Vec<(&'static str, String)>,
    /// Own pages for errors: statuses and type.
    pub(super) error_pages: Vec<(String, String)>,
}

impl Outcome {
    pub(super) fn refuse(sentence: String) -> Self {
        Outcome { kind: "refuse", sentence, ..Outcome::default() }
    }

    /// Whether something takes the request.
    pub(super) fn is_taken(&self) -> bool {
        self.kind != "refuse"
    }

    pub(super) fn to_text(&self) -> String {
        let mut lines = Vec::new();
        match &self.route {
            Some((name, place)) => lines.push(format!("route {name} ({place})")),
            None if self.is_taken() => {
                lines.push("no route takes it: the listener's own `upstream` does".to_owned());
            }
            None => {}
        }
        if !self.sentence.is_empty() {
            lines.push(self.sentence.clone());
        }
        for target in &self.targets {
            target.write(self.targets.len() > 1, &mut lines);
        }
        lines.extend(self.mirrors.iter().cloned());
        if !self.sent.is_empty() {
            lines.push("sent as:".to_owned());
            lines.extend(self.sent.iter().map(|line| format!("  {line}")));
        }
        if !self.response_edits.is_empty() {
            lines.push("response headers:".to_owned());
            lines.extend(self.response_edits.iter().map(|line| format!("  {line}")));
        }
        if !self.limits.is_empty() {
            let limits: Vec<_> = self.limits.iter().map(|(name, value)| format!("{name} {value}")).collect();
            lines.push(format!("limits: {}", limits.join(", ")));
        }
        if !self.error_pages.is_empty() {
            let pages: Vec<_> =
                self.error_pages.iter().map(|(status, kind)| format!("{status} ({kind})")).collect();
            lines.push(format!("own error pages: {}", pages.join(", ")));
        }
        lines.iter().fold("\nthen:\n".to_owned(), |mut text, line| {
            let _ = writeln!(text, "  {line}");
            text
        })
    }

    pub(super) fn to_json(&self) -> Value {
        let pairs = |pairs: &[(&'static str, String)]| -> Value {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
        };
        let pages: Vec<_> = self
            .error_pages
            .iter()
            .map(|(status, kind)| json!({ "status": status, "content_type": kind }))
            .collect();
        json!({
            "kind": self.kind,
            "route": self.route.as_ref().map(|(name, place)| json!({ "name": name, "place": place })),
            "sentence": self.sentence,
            "upstreams": self.targets.iter().map(Target::to_json).collect::<Vec<_>>(),
            "mirrors": self.mirrors,
            "sent": self.sent,
            "response_headers": self.response_edits,
            "limits": pairs(&self.limits),
            "error_pages": pages,
        })
    }
}

/// Statuses and types of the pages, most specific first.
pub(super) fn pages(pages: &ErrorPages) -> Vec<(String, String)> {
    let shown = pages.pages.iter().map(|(pattern, page)| {
        let status = match pattern {
            StatusPattern::Exact(status) => status.to_string(),
            StatusPattern::Class(class) => format!("{class}xx"),
        };
        (status, page.content_type.to_string())
    });
    shown.collect()
}

/// A duration as it is written in the configuration.
pub(super) fn duration(duration: Option<Duration>) -> String {
    let Some(duration) = duration else { return "off".to_owned() };
    let (milliseconds, seconds) = (duration.as_millis(), duration.as_secs());
    match (milliseconds % 1000, seconds % 3600, seconds % 60) {
        (0, 0, _) if seconds > 0 => format!("{}h", seconds / 3600),
        (0, _, 0) if seconds > 0 => format!("{}m", seconds / 60),
        (0, ..) => format!("{seconds}s"),
        _ => format!("{milliseconds}ms"),
    }
}

/// A size as it is written in the configuration.
pub(super) fn size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else { return "off".to_owned() };
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes > 0 && bytes % unit == 0) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => bytes.to_string(),
    }
}

pub(super) fn percent(part: u32, whole: u32) -> f64 {
    f64::from(part) * 100.0 / f64::from(whole.max(1))
}
