use std::path::PathBuf;
use std::time::Duration;

use super::markdown;
use crate::campaign::{Campaign, Run};
use crate::meter::Outcome;
use crate::subject::{Kind, Subject};
use crate::workload::Workload;

fn campaign(workloads: Vec<Workload>, logs: Vec<bool>) -> Campaign {
    let subject = |kind: Kind| Subject {
        kind,
        program: PathBuf::from(kind.name()),
        version: format!("{} 1", kind.name()),
    };
    Campaign {
        subjects: vec![subject(Kind::Narrows), subject(Kind::Nginx)],
        workloads,
        logs,
        rounds: 3,
        warm_up: Duration::from_secs(1),
        measure: Duration::from_secs(2),
        keep: false,
    }
}

fn run(subject: Kind, round: u32, cpu: f64) -> Run {
    let outcome = Outcome { cpu_us_per_answer: cpu, answers: 1, ..Outcome::default() };
    Run { subject, workload: Workload::Small8, log: false, round, outcome, failure: None }
}

#[test]
fn the_comparison_shows_medians_and_their_ratio() {
    let runs = [
        run(Kind::Narrows, 1, 11.0),
        run(Kind::Nginx, 1, 15.0),
        run(Kind::Narrows, 2, 90.0),
        run(Kind::Nginx, 2, 16.0),
        run(Kind::Narrows, 3, 12.0),
        run(Kind::Nginx, 3, 99.0),
    ];
    let text = markdown(&campaign(vec![Workload::Small8], vec![false]), &runs);
    assert!(text.contains("| off | us CPU | 12.00 | 16.00 | 0.75 |"), "{text}");
    assert!(text.contains("12.00 (11.00 to 90.00)"), "{text}");
}

#[test]
fn one_failed_round_takes_the_numbers_away() {
    let mut failed = run(Kind::Narrows, 2, 1.0);
    failed.failure = Some("status is not 200".to_owned());
    let runs = [run(Kind::Narrows, 1, 11.0), failed, run(Kind::Nginx, 1, 15.0)];
    let text = markdown(&campaign(vec![Workload::Small8], vec![false]), &runs);
    assert!(text.contains("| off | us CPU | failed | 15.00 | - |"), "{text}");
    assert!(text.contains("FAILED: narrows, w1-8, log off, round 2: status is not 200"), "{text}");
}

#[test]
fn a_log_that_is_on_repeats_only_workloads_that_write_lines() {
    let all = vec![Workload::Small8, Workload::TcpBulk, Workload::Idle];
    let cells = campaign(all.clone(), vec![false, true]).cells();
    let expected = [
        (Workload::Small8, false),
        (Workload::Small8, true),
        (Workload::TcpBulk, false),
        (Workload::Idle, false),
    ];
    assert_eq!(cells, expected);
    assert_eq!(campaign(all, vec![true]).cells().len(), 3);
}

#[test]
fn what_a_subject_cannot_do_is_said_and_not_called_a_failure() {
    let mut only = run(Kind::Narrows, 1, 11.0);
    only.workload = Workload::Http2ToHttp2;
    let text = markdown(&campaign(vec![Workload::Http2ToHttp2], vec![false]), &[only]);
    assert!(text.contains("| off | us CPU | 11.00 | cannot | - |"), "{text}");
    assert!(text.contains("CANNOT: w7-h2-h2-100: nginx 1.22"), "{text}");
    assert!(!text.contains("failed"), "{text}");
}
