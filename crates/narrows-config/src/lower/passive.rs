//! Judging endpoints by their traffic.

use super::Lowering;
use super::check_kinds::statuses;
use super::upstream::short;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model;
use crate::shape::{OrOff, Percent, Switch};
use narrows_plan::{LatencyOutlier, PassiveCheck, SuccessRate};
use std::time::Duration;

/// What `success_rate: on` means.
const SUCCESS_RATE: SuccessRate = SuccessRate { deviation: 190, requests: 100, endpoints: 3 };
/// What `latency: on` means.
const LATENCY: LatencyOutlier =
    LatencyOutlier { factor: 300, minimum: Duration::from_millis(50), requests: 100 };

impl Lowering<'_> {
    pub(super) fn passive(&mut self, written: Option<&Switch<model::PassiveCheck>>) -> Option<PassiveCheck> {
        let mut passive = PassiveCheck::default();
        let table = match written {
            None | Some(Switch::On) => return Some(passive),
            Some(Switch::Off) => return None,
            Some(Switch::Set(table)) => table,
        };
        if let Some(failures) = table.failures {
            passive.failures = failures.on().map(short);
        }
        match &table.statuses {
            None => {}
            Some(OrOff::Off) => passive.statuses = Box::default(),
            Some(OrOff::On(list)) => passive.statuses = statuses(list),
        }
        passive.interval = self.some_time(table.interval, table.key("interval"), passive.interval);
        passive.ejection = self.some_time(table.ejection, table.key("ejection"), passive.ejection);
        passive.maximum_ejection =
            self.some_time(table.maximum_ejection, table.key("maximum_ejection"), passive.maximum_ejection);
        if passive.maximum_ejection < passive.ejection {
            let key = if table.has("maximum_ejection") { "maximum_ejection" } else { "ejection" };
            let message = format!(
                "the longest ejection ({}) is shorter than the first ({})",
                model::time(passive.maximum_ejection),
                model::time(passive.ejection)
            );
            let help = "write a `maximum_ejection` that is at least as long as `ejection`";
            self.reporter.report(Finding::error(Code::NumberOutOfRange, table.key(key), message).help(help));
        }
        passive.share = table.share.map_or(passive.share, |Percent(percent)| percent);
        passive.success_rate = table.success_rate.as_ref().and_then(success_rate);
        passive.latency = match &table.latency {
            None | Some(Switch::Off) => None,
            Some(Switch::On) => Some(LATENCY),
            Some(Switch::Set(latency)) => Some(LatencyOutlier {
                factor: latency.factor.map_or(LATENCY.factor, |Percent(percent)| percent),
                minimum: latency.minimum.map_or(LATENCY.minimum, |duration| duration.0),
                requests: latency.requests.map_or(LATENCY.requests, short),
            }),
        };
        self.check_judged(table, &passive);
        Some(passive)
    }

    /// Reports keys that nothing asks for.
    fn check_judged(&mut self, table: &model::PassiveCheck, passive: &PassiveCheck) {
        let judges_rates = passive.success_rate.is_some() || passive.latency.is_some();
        if table.interval.is_some() && !judges_rates {
            let message = "`interval` has no effect: failures in a row are counted as they come";
            let help = "it is for `success_rate` and `latency`; remove it, or add one of them";
            self.refuse_useless(table.key("interval"), message, help);
        }
        if passive.failures.is_none() && !judges_rates {
            let message =
                "nothing is judged: `failures` is off, and there is no `success_rate` and no `latency`";
            let finding = Finding::error(Code::NoEffect, table.key("failures"), message);
            self.reporter.report(finding.help("to switch passive checks off, write `passive: off`"));
        } else if passive.failures.is_none() && passive.success_rate.is_none() && table.statuses.is_some() {
            let message = "`statuses` has no effect: nobody counts failures";
            self.refuse_useless(table.key("statuses"), message, "remove it, or let `failures` count them");
        }
    }
}

fn success_rate(written: &Switch<model::SuccessRate>) -> Option<SuccessRate> {
    match written {
        Switch::Off => None,
        Switch::On => Some(SUCCESS_RATE),
        Switch::Set(rate) => Some(SuccessRate {
            deviation: rate.deviation.map_or(SUCCESS_RATE.deviation, |Percent(percent)| percent),
            requests: rate.requests.map_or(SUCCESS_RATE.requests, short),
            endpoints: rate.endpoints.map_or(SUCCESS_RATE.endpoints, short),
        }),
    }
}
