//! The process, as the admin API sees it.

use crate::orders::{Asker, Commander, Order};
use crate::reload::Reloader;
use narrows_admin::{
    Answer, InForce, Metrics, Operations, Phase, Process, Refusal, RefusalCause, ReloadOptions, ReloadReport,
};
use narrows_control::Operator;
use narrows_proxy::{Ask, Bound, Listening, Running, TooManyTaps};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

/// The process, as the admin API sees it.
pub(crate) struct Operated {
    pub(crate) running: Arc<Running>,
    pub(crate) commander: Commander,
    pub(crate) reloader: Reloader,
    pub(crate) started: SystemTime,
    pub(crate) is_draining: Arc<AtomicBool>,
}

impl Operated {
    /// Gives an order to the one place that handles them.
    fn ordered(&self, make: impl FnOnce(Asker) -> Order + Send + 'static) -> Answer<String> {
        let commander = self.commander.clone();
        Box::pin(async move {
            commander.ordered(make).await.map_err(|why| Refusal::new(RefusalCause::Failed, why))
        })
    }
}

/// An answer without its text.
fn quietly(answer: Answer<String>) -> Answer<()> {
    Box::pin(async move { answer.await.map(drop) })
}

impl Operations for Operated {
    fn process(&self) -> Process {
        let is_draining = self.is_draining.load(Ordering::Relaxed);
        Process {
            version: env!("CARGO_PKG_VERSION"),
            commit: option_env!("NARROWS_COMMIT"),
            phase: if is_draining { Phase::Draining } else { Phase::Running },
            started: self.started,
            workers: self.running.workers(),
            trial: self.reloader.trial(),
        }
    }

    fn in_force(&self) -> InForce {
        InForce { generation: self.running.number(), plan: self.running.plan(), tls: self.running.tls() }
    }

    fn bound(&self) -> Vec<Bound> {
        self.running.bound()
    }

    fn operator(&self) -> Operator {
        self.running.operator()
    }

    fn metrics(&self, accept: &str) -> Option<Metrics> {
        let (content_type, bytes) = self.running.scrape(Some(accept))?;
        Some(Metrics { content_type, bytes })
    }

    fn hits(&self) -> Option<HashMap<(String, String), u64>> {
        self.running.hits()
    }

    fn reload(&self, options: ReloadOptions) -> Answer<ReloadReport> {
        let (commander, reloader) = (self.commander.clone(), self.reloader.clone());
        Box::pin(async move {
            let outcome = commander.ordered(|asker| Order::Reload(asker, options.confirm_within)).await;
            let last = reloader.last();
            match outcome {
                Ok(_) => Ok(last.report),
                Err(why) => Err(Refusal {
                    cause: last.refused.unwrap_or(RefusalCause::WrongMoment),
                    detail: why,
                    diagnostics: last.report.warnings,
                }),
            }
        })
    }

    fn confirm(&self) -> Answer<()> {
        let is_confirmed = self.reloader.confirm();
        Box::pin(async move {
            match is_confirmed {
                true => Ok(()),
                false => Err(Refusal::new(RefusalCause::WrongMoment, "no configuration is on trial")),
            }
        })
    }

    fn drain(&self) -> Answer<()> {
        quietly(self.ordered(Order::Drain))
    }

    fn upgrade(&self) -> Answer<String> {
        self.ordered(Order::Upgrade)
    }

    fn reopen_logs(&self) -> Answer<()> {
        quietly(self.ordered(Order::Reopen))
    }

    fn explain(&self, ask: Ask) -> Result<Listening, TooManyTaps> {
        self.running.explain(ask)
    }
}
