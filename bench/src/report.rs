//! The results as Markdown and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::json;

use crate::campaign::{Campaign, Run};
use crate::meter::Outcome;
use crate::subject::Kind;
use crate::workload::Workload;

/// More of the proxy's core than this in other hands makes a run's numbers doubtful.
const QUIET: f64 = 0.05;

/// The medians of a campaign as two tables: the comparison, and every number.
pub(crate) fn markdown(campaign: &Campaign, runs: &[Run]) -> String {
    let mut text = format!("{}\n\n", facts(campaign));
    let kinds: Vec<Kind> = campaign.subjects.iter().map(|subject| subject.kind).collect();
    let rivals: Vec<Kind> = if kinds.contains(&Kind::Narrows) {
        kinds.iter().copied().filter(|kind| *kind != Kind::Narrows).collect()
    } else {
        Vec::new()
    };
    let mut heads = vec!["workload".to_owned(), "log".to_owned(), "unit".to_owned()];
    heads.extend(kinds.iter().map(|kind| kind.name().to_owned()));
    heads.extend(rivals.iter().map(|rival| format!("narrows / {}", rival.name())));
    let rows = campaign.cells().into_iter().map(|cell| comparison(cell, &kinds, &rivals, runs)).collect();
    table(&mut text, &heads, rows);
    text.push('\n');
    let heads = [
        "workload",
        "log",
        "subject",
        "CPU us/answer (min to max)",
        "answers/s",
        "p50 us",
        "p99 us",
        "core",
        "others",
        "RSS MiB",
    ]
    .map(str::to_owned);
    let mut rows = Vec::new();
    for cell in campaign.cells() {
        rows.extend(kinds.iter().map(|kind| detail(cell, *kind, runs)));
    }
    table(&mut text, &heads, rows);
    let disturbed = runs.iter().filter(|run| run.outcome.others_share > QUIET).count();
    if disturbed > 0 {
        let _ = write!(
            text,
            "\nDISTURBED: in {disturbed} of {} runs others took more than {:.0} % of the proxy's core; such numbers are too \
             high. Repeat on a quiet machine.",
            runs.len(),
            QUIET * 100.0
        );
    }
    for workload in &campaign.workloads {
        for reason in kinds.iter().filter_map(|kind| workload.impossible_for(*kind)) {
            let _ = write!(text, "\nCANNOT: {}: {reason}", workload.name());
        }
    }
    for run in runs {
        if let Some(failure) = &run.failure {
            let log = if run.log { "on" } else { "off" };
            let (subject, workload) = (run.subject.name(), run.workload.name());
            let _ =
                write!(text, "\nFAILED: {subject}, {workload}, log {log}, round {}: {failure}", run.round);
        }
    }
    text
}

/// Writes every run to `path`.
pub(crate) fn write_json(path: &Path, campaign: &Campaign, runs: &[Run]) -> anyhow::Result<()> {
    let subjects: Vec<_> = campaign
        .subjects
        .iter()
        .map(|subject| json!({ "name": subject.kind.name(), "program": subject.program, "version": subject.version }))
        .collect();
    let all = json!({
        "machine": machine(),
        "subjects": subjects,
        "rounds": campaign.rounds,
        "measure_seconds": campaign.measure.as_secs_f64(),
        "runs": runs,
    });
    fs::write(path, serde_json::to_string_pretty(&all)?).with_context(|| path.display().to_string())
}

fn facts(campaign: &Campaign) -> String {
    let versions: Vec<_> = campaign.subjects.iter().map(|subject| subject.version.clone()).collect();
    format!(
        "Machine: {}. Subjects: {}. Medians of {} rounds of {} s after {} s of warm-up; the proxy alone on one core.",
        machine(),
        versions.join("; "),
        campaign.rounds,
        campaign.measure.as_secs_f64(),
        campaign.warm_up.as_secs_f64()
    )
}

fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or("unknown CPU");
    let model = model.trim_start_matches(['\t', ' ', ':']);
    let cores = cpu.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{model}, {cores} cores, Linux {}", kernel.trim())
}

/// What a workload is compared by: CPU time per answer, or bytes per idle connection.
fn figure(workload: Workload, outcome: &Outcome) -> f64 {
    match workload {
        Workload::Idle => outcome.bytes_per_idle_connection.unwrap_or_default() / 1024.0,
        _ => outcome.cpu_us_per_answer,
    }
}

fn comparison(
    (workload, log): (Workload, bool),
    kinds: &[Kind],
    rivals: &[Kind],
    runs: &[Run],
) -> Vec<String> {
    let of = |kind| median_of((workload, log), kind, runs, |outcome| figure(workload, outcome));
    let text = |kind: &Kind| match of(*kind) {
        Some(figure) => format!("{figure:.2}"),
        None => without(workload, *kind),
    };
    let unit = if workload == Workload::Idle { "KiB each" } else { "us CPU" };
    let name = format!("{}: {}", workload.name(), workload.describe());
    let mut row = vec![name, on_or_off(log), unit.to_owned()];
    row.extend(kinds.iter().map(text));
    let own = of(Kind::Narrows);
    row.extend(rivals.iter().map(|rival| match (own, of(*rival)) {
        (Some(own), Some(rival)) if rival > 0.0 => format!("{:.2}", own / rival),
        _ => "-".to_owned(),
    }));
    row
}

fn detail(cell: (Workload, bool), kind: Kind, runs: &[Run]) -> Vec<String> {
    let median = |read: fn(&Outcome) -> f64, decimals: usize, unit: &str| {
        median_of(cell, kind, runs, read)
            .map_or_else(|| without(cell.0, kind), |figure| format!("{figure:.decimals$}{unit}"))
    };
    let all: Vec<f64> = good(cell, kind, runs).map(|outcome| outcome.cpu_us_per_answer).collect();
    let lowest = all.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = all.iter().copied().fold(0.0, f64::max);
    let spread = if all.is_empty() { String::new() } else { format!(" ({lowest:.2} to {highest:.2})") };
    vec![
        cell.0.name().to_owned(),
        on_or_off(cell.1),
        kind.name().to_owned(),
        median(|outcome| outcome.cpu_us_per_answer, 2, &spread),
        median(|outcome| outcome.answers_per_second, 0, ""),
        median(|outcome| outcome.p50_us, 0, ""),
        median(|outcome| outcome.p99_us, 0, ""),
        median(|outcome| outcome.cpu_share * 100.0, 0, " %"),
        median(|outcome| outcome.others_share * 100.0, 0, " %"),
        median(|outcome| outcome.resident_kib as f64 / 1024.0, 1, ""),
    ]
}

/// What stands in the place of a number.
fn without(workload: Workload, kind: Kind) -> String {
    (if workload.impossible_for(kind).is_some() { "cannot" } else { "failed" }).to_owned()
}

fn on_or_off(log: bool) -> String {
    (if log { "on" } else { "off" }).to_owned()
}

fn good((workload, log): (Workload, bool), kind: Kind, runs: &[Run]) -> impl Iterator<Item = &Outcome> {
    runs.iter()
        .filter(move |run| {
            run.workload == workload && run.log == log && run.subject == kind && run.failure.is_none()
        })
        .map(|run| &run.outcome)
}

/// The median over the rounds; nothing when any round failed, because a wrong answer is no answer.
fn median_of(
    cell: (Workload, bool),
    kind: Kind,
    runs: &[Run],
    read: impl Fn(&Outcome) -> f64,
) -> Option<f64> {
    let failed = |run: &&Run| {
        run.workload == cell.0 && run.log == cell.1 && run.subject == kind && run.failure.is_some()
    };
    if runs.iter().find(failed).is_some() {
        return None;
    }
    let mut figures: Vec<f64> = good(cell, kind, runs).map(read).collect();
    figures.sort_by(f64::total_cmp);
    let middle = figures.len() / 2;
    match figures.len() {
        0 => None,
        count if count % 2 == 1 => Some(figures[middle]),
        _ => Some((figures[middle - 1] + figures[middle]) / 2.0),
    }
}

fn table(text: &mut String, heads: &[String], rows: Vec<Vec<String>>) {
    let _ = writeln!(text, "| {} |", heads.join(" | "));
    let _ = writeln!(text, "|{}", "---|".repeat(heads.len()));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
}

#[cfg(test)]
mod tests;
