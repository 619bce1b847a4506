//! The metrics of the whole process, as they are told.

mod upstreams;

use crate::configuration::Configuration;
use narrows_control::Memberships;
use narrows_observe::metrics::{Exposition, Family, Kind, Metrics, process_families, render};
use narrows_plan::Plan;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, UNIX_EPOCH};

/// How long something that left the configuration is still told, so that what was counted last is read.
const KEPT: Duration = Duration::from_secs(300);

/// What is counted for a plan; what was counted before goes on.
pub(crate) fn metrics(plan: &Plan, workers: usize, before: Option<&Arc<Metrics>>) -> Option<Arc<Metrics>> {
    let wanted = &plan.metrics;
    wanted.is_on.then(|| match before {
        Some(metrics) => {
            metrics.allow(wanted.series);
            Arc::clone(metrics)
        }
        None => Metrics::new(workers, wanted.series),
    })
}

/// How reloads went.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    refused: AtomicU64,
}

impl Reloads {
    /// A configuration was not taken.
    pub(crate) fn refused(&self) {
        self.refused.fetch_add(1, Ordering::Relaxed);
    }
}

/// All metrics, in the format that a scraper asks for with `Accept`: content type and body. `None` where nothing is counted.
pub(crate) fn scrape(
    configuration: &Configuration,
    memberships: &Memberships,
    reloads: &Reloads,
    accept: Option<&str>,
) -> Option<(&'static str, Vec<u8>)> {
    let metrics = configuration.metrics.as_ref()?;
    let mut families = metrics.families();
    families.extend(upstreams::families(configuration, memberships));
    families.extend(of_configuration(configuration, reloads));
    families.extend(of_logs(configuration));
    families.extend(process_families());
    metrics.sweep(Instant::now(), KEPT);
    let format = Exposition::of_accept(accept);
    Some((format.content_type(), render(&families, format)))
}

/// What the access logs have written and lost.
fn of_logs(configuration: &Configuration) -> Vec<Family> {
    let mut written = Family::new(
        "narrows_access_log_records_written",
        Kind::Counter,
        "Records that got to their destination, since it was opened.",
    );
    let mut lost = Family::new(
        "narrows_access_log_records_lost",
        Kind::Counter,
        "Records that did not: a full disk, a dead server, or a destination that was too slow.",
    );
    let mut failing = Family::new(
        "narrows_access_log_failing",
        Kind::Gauge,
        "1 when the last records did not get to their destination.",
    );
    for log in configuration.logs.losses() {
        let labels = [("destination", log.target.as_str())];
        written.add(&labels, log.written as f64);
        lost.add(&labels, log.lost as f64);
        failing.add(&labels, f64::from(u8::from(log.is_failing)));
    }
    vec![written, lost, failing]
}

fn of_configuration(configuration: &Configuration, reloads: &Reloads) -> Vec<Family> {
    let mut build = Family::new("narrows_build_info", Kind::Gauge, "Always 1; version and commit.");
    let commit = option_env!("NARROWS_COMMIT").unwrap_or_default();
    build.add(&[("version", env!("CARGO_PKG_VERSION")), ("commit", commit)], 1.0);
    let since = configuration.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    let refused = reloads.refused.load(Ordering::Relaxed) as f64;
    vec![
        build,
        Family::single(
            "narrows_config_generation",
            Kind::Gauge,
            "Counts the configurations that were served, from 1.",
            configuration.number as f64,
        ),
        Family::single(
            "narrows_config_last_reload_success_timestamp_seconds",
            Kind::Gauge,
            "Since when the configuration is served, in seconds since 1970.",
            since,
        ),
        Family::single(
            "narrows_config_reloads_refused",
            Kind::Counter,
            "Reloads that found something wrong; what was served stayed.",
            refused,
        ),
    ]
}
