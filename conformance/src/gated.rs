//! A backend whose answers wait until the test lets them go.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use crate::backend::{Backend, ok};
use crate::deadline::{DEADLINE, until};

/// Answers each request with 200 once it is let go, and counts what runs at one time.
pub struct Gated {
    backend: Backend,
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Targets in the order in which they came.
    targets: Vec<String>,
    running: usize,
    most: usize,
    /// Answers that may go.
    let_go: usize,
    is_open: bool,
}

impl Gated {
    /// Everything waits.
    pub fn new() -> Gated {
        let gate = Arc::<Gate>::default();
        let backend = Backend::respond({
            let gate = Arc::clone(&gate);
            move |request| {
                gate.pass(request.target());
                ok(request.target())
            }
        });
        Gated { backend, gate }
    }

    /// Lets `count` answers go, the longest waiting or the next ones.
    pub fn let_go(&self, count: usize) {
        self.gate.lock().let_go += count;
        self.gate.changed.notify_all();
    }

    /// Nothing waits any more.
    pub fn open(&self) {
        self.gate.lock().is_open = true;
        self.gate.changed.notify_all();
    }

    /// What was asked for, in order.
    pub fn targets(&self) -> Vec<String> {
        self.gate.lock().targets.clone()
    }

    /// How many requests are here.
    pub fn running(&self) -> usize {
        self.gate.lock().running
    }

    /// The most that were here at one time.
    pub fn most(&self) -> usize {
        self.gate.lock().most
    }

    /// Waits until `count` requests are here.
    #[track_caller]
    pub fn wait_for(&self, count: usize) {
        until("requests arrive at the backend", || self.running() == count);
    }
}

impl Gate {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no poison")
    }

    fn pass(&self, target: &str) {
        let mut state = self.lock();
        state.targets.push(target.to_owned());
        state.running += 1;
        state.most = state.most.max(state.running);
        let waits = |state: &mut State| !state.is_open && state.let_go == 0;
        let (mut state, timing) =
            self.changed.wait_timeout_while(state, DEADLINE * 3, waits).expect("no poison");
        assert!(!timing.timed_out(), "nobody let the answer go");
        state.let_go = state.let_go.saturating_sub(1);
        state.running -= 1;
    }
}

impl Default for Gated {
    fn default() -> Self {
        Gated::new()
    }
}

impl fmt::Display for Gated {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.backend.fmt(formatter)
    }
}

impl Drop for Gated {
    fn drop(&mut self) {
        self.open();
    }
}
