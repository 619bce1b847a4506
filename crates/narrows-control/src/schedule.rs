//! When endpoints are checked: one task for each that has checks, and one for its agent.

use crate::charge::Charge;
use crate::check::{Failure, PROGRAMS, Subject, agent_line, check};
use crate::health::Verdict;
use crate::keeper::Keeper;
use narrows_plan::{AgentCheck, HealthCheck};
use narrows_upstream::{Chance, EndpointId};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::{sleep, sleep_until};

/// Between two first checks that are made at once: 10,000 of them take a second, and not all connections are open at one time.
const SPACING: Duration = Duration::from_micros(100);
/// How often it is looked whether the first checks have decided, while the start waits for it.
const LOOK: Duration = Duration::from_millis(10);
/// The operator is told at most this often that checks cannot be made.
const COMPLAIN_EVERY: Duration = Duration::from_secs(10);

/// When endpoints are checked.
pub(crate) struct Schedule {
    tasks: RefCell<HashMap<EndpointId, Vec<AbortHandle>>>,
    /// Turns of the programs that are run as checks.
    turns: Semaphore,
    /// When the next first check may be made.
    next_first: Cell<Instant>,
    complained: Cell<Option<Instant>>,
}

impl Schedule {
    pub(crate) fn new() -> Self {
        Schedule {
            tasks: RefCell::default(),
            turns: Semaphore::new(PROGRAMS),
            next_first: Cell::new(Instant::now()),
            complained: Cell::new(None),
        }
    }

    /// Begins to check an endpoint that is in its roster, as its upstream says.
    pub(crate) fn begin(&self, keeper: &Rc<Keeper>, charge: &Rc<Charge>, endpoint: EndpointId) {
        let plan = &charge.upstream();
        if plan.health.is_none() && plan.agent.is_none() {
            return;
        }
        let mut roster = charge.roster.borrow_mut();
        let Some(entry) = roster.entry(endpoint) else { return };
        let found = &entry.found;
        let mut tasks = Vec::new();
        let task = |subject| Task { keeper: Rc::clone(keeper), charge: Rc::clone(charge), endpoint, subject };
        if let (Some(check), Some(health)) = (&plan.health, &entry.health) {
            let connector = charge.probe();
            let subject =
                Subject::of_check(plan, check, &found.address, &found.server_name, connector.as_ref());
            let chance = Chance::unseeded();
            let wait = match health.first(check, &chance) {
                Duration::ZERO => self.turn(),
                wait => wait,
            };
            tasks.push(spawn_local(task(subject).check(wait, chance)).abort_handle());
        }
        if let Some(agent) = &plan.agent
            && let Some(subject) = Subject::of_agent(plan, agent, &found.address)
        {
            tasks.push(spawn_local(task(subject).ask_agent(self.turn())).abort_handle());
        }
        self.tasks.borrow_mut().insert(endpoint, tasks);
    }

    /// The endpoint has left.
    pub(crate) fn end(&self, endpoint: EndpointId) {
        let tasks = self.tasks.borrow_mut().remove(&endpoint);
        tasks.into_iter().flatten().for_each(|task| task.abort());
    }

    /// Returns once no first check is awaited that decides whether an endpoint is up. Cancel safe.
    pub(crate) async fn decided(&self, keeper: &Keeper) {
        let is_open = || {
            keeper.charges().iter().any(|charge| {
                let roster = charge.roster.borrow();
                roster.entries.iter().any(|entry| {
                    let health = entry.health.as_ref();
                    health.is_some_and(|health| health.verdict() == Verdict::Unknown) && !entry.is_resting()
                })
            })
        };
        while is_open() {
            sleep(LOOK).await;
        }
    }

    /// How long the next check that is made at once waits for those before it.
    fn turn(&self) -> Duration {
        let now = Instant::now();
        let at = self.next_first.get().max(now);
        self.next_first.set(at + SPACING);
        at - now
    }

    /// Tells the operator that a check could not be made, unless that is known.
    fn complain(&self, keeper: &Keeper, subject: &Subject, failure: &Failure) {
        let now = Instant::now();
        if self.complained.get().is_none_or(|before| now - before >= COMPLAIN_EVERY) {
            self.complained.set(Some(now));
            keeper.say(&format!(
                "upstream {}: cannot check endpoint {}: {failure}",
                subject.upstream, subject.label
            ));
        }
    }
}

/// What checks one endpoint, or asks its agent, as long as the endpoint is there.
struct Task {
    keeper: Rc<Keeper>,
    charge: Rc<Charge>,
    endpoint: EndpointId,
    subject: Subject,
}

impl Task {
    async fn check(self, first: Duration, chance: Chance) {
        let plan = self.charge.upstream();
        let Some(asked) = plan.health.as_deref() else { return };
        let watch = self.keeper.deadlines.watch();
        sleep(first).await;
        loop {
            let began = Instant::now();
            if !self.rests() {
                // Boxed apart: between checks a task is small.
                let turns = &self.keeper.schedule().turns;
                let result = Box::pin(check(&self.subject, asked, &watch, turns)).await;
                watch.set(None);
                self.take(asked, result, began.elapsed());
            }
            let Some(wait) = self.next(asked, &chance) else { return };
            sleep_until((began + wait).into()).await;
        }
    }

    /// Whether the endpoint is taken out of service; a row of results that had begun is broken then.
    fn rests(&self) -> bool {
        let mut roster = self.charge.roster.borrow_mut();
        let Some(entry) = roster.entry(self.endpoint) else { return false };
        let rests = entry.is_resting();
        if let Some(health) = entry.health.as_mut().filter(|_| rests) {
            health.rest();
        }
        rests
    }

    fn take(&self, asked: &HealthCheck, result: Result<(), Failure>, took: Duration) {
        // Whether the endpoint is well is not known then; what was known holds.
        if let Err(failure @ Failure::Exhausted) = &result {
            self.keeper.schedule().complain(&self.keeper, &self.subject, failure);
            return;
        }
        let mut roster = self.charge.roster.borrow_mut();
        let health = roster.entry(self.endpoint).and_then(|entry| entry.health.as_mut());
        let result = result.map_err(|failure| failure.to_string().into());
        if health.is_some_and(|health| health.record(asked, result, took)) {
            roster.refresh_one(self.endpoint, Instant::now());
            self.keeper.touch();
        }
    }

    fn next(&self, asked: &HealthCheck, chance: &Chance) -> Option<Duration> {
        let mut roster = self.charge.roster.borrow_mut();
        Some(roster.entry(self.endpoint)?.health.as_ref()?.next(asked, chance))
    }

    async fn ask_agent(self, first: Duration) {
        let plan = self.charge.upstream();
        let Some(agent) = plan.agent.as_deref() else { return };
        let watch = self.keeper.deadlines.watch();
        sleep(first).await;
        loop {
            let began = Instant::now();
            let answer = Box::pin(agent_line(&self.subject, agent, &watch)).await;
            watch.set(None);
            self.hear(answer);
            sleep_until((began + pause(agent)).into()).await;
        }
    }

    fn hear(&self, answer: Result<String, Failure>) {
        let mut roster = self.charge.roster.borrow_mut();
        let agent = roster.entry(self.endpoint).and_then(|entry| entry.agent.as_mut());
        let answer = answer.as_deref().map_err(|failure| failure.to_string().into());
        if agent.is_some_and(|agent| agent.hear(answer)) {
            roster.refresh_one(self.endpoint, Instant::now());
            self.keeper.touch();
        }
    }
}

/// Between two questions to an agent; never so short that the task would do nothing else.
fn pause(agent: &AgentCheck) -> Duration {
    agent.interval.max(Duration::from_millis(10))
}
