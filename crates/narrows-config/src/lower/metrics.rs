//! What is counted, and where it is told.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::Configuration;
use crate::shape::Switch;
use crate::source::Place;
use narrows_plan::{Bind, Metrics};
use std::collections::HashMap;
use std::path::PathBuf;

impl Lowering<'_> {
    /// The metrics of all files together: one of them may say what they are.
    pub(super) fn metrics(
        &mut self,
        files: &[(Configuration, PathBuf)],
        bound: &mut HashMap<(Bind, bool), Place>,
    ) -> Metrics {
        let mut first: Option<Place> = None;
        let mut metrics = Metrics::default();
        for (file, _) in files {
            let Some(written) = &file.metrics else { continue };
            let place = file.key("metrics");
            if let Some(first) = first {
                let finding = Finding::error(Code::DuplicateName, place, "`metrics` is written in two files");
                self.reporter.report(finding.label(first, "first here"));
                continue;
            }
            first = Some(place);
            match written {
                Switch::On => {}
                Switch::Off => metrics.is_on = false,
                Switch::Set(table) => {
                    let binds = table.bind.as_ref().map_or(&[][..], |binds| &binds.0);
                    metrics.binds = self.single_binds(binds, bound);
                    metrics.routes = table.routes.is_none_or(|flag| flag.0);
                    metrics.endpoints = table.endpoints.is_none_or(|flag| flag.0);
                    let series = table.series.and_then(|series| usize::try_from(series.number).ok());
                    metrics.series = series.unwrap_or(Metrics::SERIES);
                }
            }
        }
        metrics
    }
}
