//! `narrows diff`: what another configuration would change.

use crate::load::{load, show};
use narrows_config::{Code, Loaded};
use narrows_plan::{Changes, Plan};
use serde_json::json;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

pub(crate) const HELP: &str = "Examples:
  narrows diff /etc/narrows/narrows.yaml new.yaml
  narrows diff --old listeners.yaml --old upstreams.yaml --new new.yaml
  narrows diff old.yaml new.yaml --format json | jq '.changes[] | select(.kind == \"route\")'

Compared is what the files mean: comments, order of keys and values that are the defaults change nothing.
Certificates and other files are not read.

Exit status: 0 both mean the same, 1 they do not, 2 one of them cannot be read or is wrong.";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// What is served now, then what would be
    #[arg(value_name = "FILE", num_args = 2, required_unless_present = "old", conflicts_with_all = ["old", "new"])]
    files: Vec<PathBuf>,
    /// A file of the present configuration; several are united
    #[arg(long, value_name = "FILE", requires = "new")]
    old: Vec<PathBuf>,
    /// A file of the other configuration; several are united
    #[arg(long, value_name = "FILE", requires = "old")]
    new: Vec<PathBuf>,
    /// For people, or for programs
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Text,
    Json,
}

pub(crate) fn diff(arguments: &Arguments) -> ExitCode {
    let (old, new) = match &arguments.files[..] {
        [old, new] => (vec![old.clone()], vec![new.clone()]),
        _ => (arguments.old.clone(), arguments.new.clone()),
    };
    let (Some(old), Some(new)) = (read(&old), read(&new)) else { return ExitCode::from(2) };
    let changes = new.plan.changes_from(&old.plan);
    let hidden = Hidden::between(&old, &new);
    let text = match arguments.format {
        Format::Text => in_text(&changes, &hidden),
        Format::Json => in_json(&changes, &hidden),
    };
    let _ = std::io::stdout().write_all(text.as_bytes());
    if changes.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

/// A configuration, and what its warnings say of routes that no request reaches.
struct Read {
    plan: Plan,
    unreachable: BTreeSet<String>,
}

fn read(files: &[PathBuf]) -> Option<Read> {
    let Ok(Loaded { plan, diagnostics }) = load(files) else { return None };
    let Some(plan) = plan else {
        show(&diagnostics);
        return None;
    };
    let unreachable = diagnostics.list.iter().filter(|one| one.code == Code::Shadowed);
    let unreachable = unreachable.map(|one| one.message.clone()).collect();
    Some(Read { plan, unreachable })
}

/// Routes that no request reaches in one of the two.
struct Hidden {
    now: Vec<String>,
    no_more: Vec<String>,
}

impl Hidden {
    fn between(old: &Read, new: &Read) -> Self {
        Hidden {
            now: new.unreachable.difference(&old.unreachable).cloned().collect(),
            no_more: old.unreachable.difference(&new.unreachable).cloned().collect(),
        }
    }
}

fn in_text(changes: &Changes, hidden: &Hidden) -> String {
    let mut text = String::new();
    for change in &changes.changes {
        let place = if change.place.is_empty() { String::new() } else { format!("  ({})", change.place) };
        text += &format!("{change}{place}\n");
    }
    for (title, lines) in [
        ("routes that no request reaches any more:", &hidden.now),
        ("routes that are reached again:", &hidden.no_more),
        ("a reload would:", &changes.effects),
    ] {
        if !lines.is_empty() {
            text += &format!("\n{title}\n");
            lines.iter().for_each(|line| text += &format!("  {line}\n"));
        }
    }
    if !text.is_empty() {
        text.push('\n');
    }
    text + &changes.summary() + "\n"
}

fn in_json(changes: &Changes, hidden: &Hidden) -> String {
    let whole = json!({
        "summary": changes.summary(),
        "changes": changes.changes,
        "effects": changes.effects,
        "unreachable": hidden.now,
        "reachable_again": hidden.no_more,
    });
    format!("{whole:#}\n")
}
