//! The configuration as it is written to the plan: names resolved, defaults and inherited values filled in.

mod access_logs;
mod addresses;
mod admin;
mod answers;
mod balancing;
mod check_kinds;
mod conditions;
mod cookie;
mod endpoints;
mod explain;
mod headers;
mod health;
mod limits;
mod listener;
mod loops;
mod metrics;
mod mirrors;
mod pages;
mod passive;
mod patterns;
mod retries;
mod route;
mod stickiness;
mod tcp;
mod texts;
mod tls;
mod tracing;
mod udp;
mod upstream;
mod usage;

use crate::code::Code;
use crate::diagnostic::{Finding, Reporter};
use crate::model::{self, Configuration};
use crate::nearest::nearest;
use crate::shape::TextOr;
use crate::source::Place;
use crate::tree::Text;
use narrows_plan::{Account, Endpoint, File, Plan, Settings, UpstreamId};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Lowers what all files hold; each comes with the folder that its relative paths start from.
pub(crate) fn lower(files: Vec<(Configuration, PathBuf)>, reporter: &mut Reporter) -> Option<Plan> {
    let is_readable = !reporter.has_errors();
    let mut lowering = Lowering::new(reporter);
    let mut plan = Plan { settings: lowering.settings(&files), ..Plan::default() };
    for (file, folder) in &files {
        lowering.folder.clone_from(folder);
        for (name, upstream) in file.upstreams.iter().flat_map(|upstreams| &upstreams.entries) {
            if let Some((_, first)) = lowering.names.get(&name.text) {
                let finding = twice("upstream", name, *first);
                lowering.reporter.report(finding);
                continue;
            }
            let id = UpstreamId(u32::try_from(plan.upstreams.len()).unwrap_or(u32::MAX));
            lowering.names.insert(name.text.clone(), (id, name.place));
            plan.upstreams.push(Arc::new(lowering.upstream(name, upstream)));
        }
    }
    lowering.used = vec![false; plan.upstreams.len()];
    let mut listeners: HashMap<&str, Place> = HashMap::new();
    let mut bound = HashMap::new();
    for (file, folder) in &files {
        lowering.folder.clone_from(folder);
        for (name, listener) in file.listeners.iter().flat_map(|listeners| &listeners.entries) {
            if let Some(first) = listeners.insert(&name.text, name.place) {
                let finding = twice("listener", name, first);
                lowering.reporter.report(finding);
                continue;
            }
            plan.listeners.extend(lowering.listener(name, listener, &mut bound));
        }
    }
    plan.admin = lowering.admin(&files, &mut bound);
    plan.metrics = lowering.metrics(&files, &mut bound);
    plan.otlp = lowering.otlp(&files);
    plan.tracing = lowering.tracing(&files);
    plan.request_ids = lowering.request_ids(&files);
    plan.explain = lowering.explain(&files);
    if is_readable {
        if plan.listeners.is_empty() && listeners.is_empty() {
            let message = "nothing is listened on";
            let help = "write `listeners:` with a name, `bind` and what to do with the traffic";
            lowering
                .reporter
                .report(Finding::error(Code::NoListeners, Place::beginning(0), message).help(help));
        }
        lowering.report_unused(&plan);
    }
    lowering.refuse_unix_endpoints(&plan);
    lowering.refuse_stream_upstreams(&files);
    lowering.check_usage(&files, &plan);
    lowering.warn_loops(&files, &plan);
    plan.files = lowering.reporter.sources.names();
    Some(plan)
}

/// Lowers endpoints that stand in a file of their own.
pub(crate) fn lower_endpoints(written: &[TextOr<model::Endpoint>], reporter: &mut Reporter) -> Vec<Endpoint> {
    Lowering::new(reporter).endpoints(written)
}

/// What lowering knows while it goes through the listeners.
struct Lowering<'r> {
    reporter: &'r mut Reporter,
    names: HashMap<String, (UpstreamId, Place)>,
    used: Vec<bool>,
    folder: PathBuf,
    /// Facts that the listener at hand never has.
    absent_facts: Option<AbsentFacts>,
}

/// Facts that a listener never has.
#[derive(Debug, Clone, Copy)]
struct AbsentFacts {
    /// What their names begin with.
    prefix: &'static str,
    /// Why it has none.
    why: &'static str,
}

impl<'r> Lowering<'r> {
    fn new(reporter: &'r mut Reporter) -> Self {
        Lowering {
            reporter,
            names: HashMap::new(),
            used: Vec::new(),
            folder: PathBuf::new(),
            absent_facts: None,
        }
    }
}

impl Lowering<'_> {
    fn settings(&mut self, files: &[(Configuration, PathBuf)]) -> Settings {
        let mut settings = Settings::default();
        let mut seen: HashMap<&str, Place> = HashMap::new();
        let (mut access_log, mut log_format) = (None, None);
        for (file, folder) in files {
            let Some(written) = &file.settings else { continue };
            for (key, place) in &written.keys {
                if let Some(first) = seen.insert(key, *place) {
                    let message = format!("the setting `{key}` is written in two files");
                    self.reporter.report(
                        Finding::error(Code::DuplicateName, *place, message).label(first, "first here"),
                    );
                }
            }
            if let Some(workers) = written.workers {
                settings.workers = usize::try_from(workers.number).ok();
            }
            if let Some(drain) = written.drain {
                settings.drain = drain.0;
            }
            access_log = access_log.or(written.access_log.as_ref());
            log_format = log_format.or(written.log_format.as_ref());
            if let Some(zone) = &written.zone {
                settings.zone = Some(zone.text.as_str().into());
            }
            if let Some(user) = &written.user {
                settings.user = Some(self.account(user));
            }
            if let Some(group) = &written.group {
                settings.group = Some(self.account(group));
            }
            if let Some(timeout) = written.upgrade_timeout {
                settings.upgrade_timeout = timeout.0;
            }
            if let Some(file) = &written.pid_file {
                let origin = self.reporter.sources.origin(file.place);
                settings.pid_file = Some(File { path: folder.join(&file.text), origin });
            }
        }
        if let Some(written) = access_log {
            settings.access_logs = self.access_logs(written, log_format);
        }
        settings
    }

    fn account(&self, name: &Text) -> Account {
        Account { name: name.text.as_str().into(), origin: self.reporter.sources.origin(name.place) }
    }

    /// The upstream that a text names.
    fn upstream_named(&mut self, name: &Text) -> Option<UpstreamId> {
        if let Some((id, _)) = self.names.get(&name.text) {
            if let Some(used) = self.used.get_mut(id.0 as usize) {
                *used = true;
            }
            return Some(*id);
        }
        if self.reporter.is_full() {
            return None;
        }
        let mut known: Vec<&str> = self.names.keys().map(String::as_str).collect();
        known.sort_unstable();
        let mut finding = Finding::error(
            Code::UnknownUpstream,
            name.place,
            format!("there is no upstream `{}`", name.text),
        );
        if let Some(near) = nearest(&name.text, &known) {
            let place = self.names[near].1;
            finding = finding.help(format!("did you mean `{near}`?")).label(place, "an upstream is here");
        } else if known.is_empty() {
            finding = finding.help(format!(
                "declare it: `upstreams: {{ {}: {{ endpoints: [\"127.0.0.1:8080\"] }} }}`",
                name.text
            ));
        } else {
            known.truncate(12);
            finding = finding.help(format!("upstreams are: {}", known.join(", ")));
        }
        self.reporter.report(finding);
        None
    }

    fn report_unused(&mut self, plan: &Plan) {
        for (upstream, used) in plan.upstreams.iter().zip(&self.used) {
            if *used {
                continue;
            }
            let Some((_, place)) = self.names.get(&*upstream.name) else { continue };
            let message = format!("no listener uses the upstream `{}`", upstream.name);
            self.reporter.defer(Finding::warning(Code::UnusedUpstream, *place, message));
        }
    }
}

fn twice(what: &str, name: &Text, first: Place) -> Finding {
    let message = format!("the {what} `{}` is written twice", name.text);
    Finding::error(Code::DuplicateName, name.place, message).label(first, "first here")
}
