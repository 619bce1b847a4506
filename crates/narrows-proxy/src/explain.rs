//! Explanations of live traffic: what happened to a request or flow, and why, while it happens.
//!
//! Somebody who asks is a [`Tap`](tap::Tap). Workers are given the list of them when it changes; with nobody on it, a request looks at one [`Cell`] and goes
//! on. One that a tap asks for carries a [`Trail`], which writes down what is decided on the way and goes to the tap at the end.

mod explanation;
mod heads;
mod hide;
mod signature;
mod tap;
mod trail;

pub use explanation::{
    AttemptSeen, CandidateSeen, ConditionSeen, Explanation, HeadLine, Mark, RouteSeen, RuleSeen, StageTimes,
};
pub use signature::{BadKey, ExplainKey, Grant};
pub use tap::{Ask, Heard, Listening, TooManyTaps};
pub(crate) use tap::{Tap, Taps};
pub(crate) use trail::{Attempted, EXPLAINED, Trail};

use crate::generation::Generation;
use crate::request::Request;
use narrows_plan::Facts;
use narrows_wire::http1::FieldName;
use std::cell::{Cell, RefCell};
use std::sync::Arc;

/// Who asks for explanations, as a worker knows it.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    is_asked: Cell<bool>,
    taps: RefCell<Arc<[Arc<Tap>]>>,
}

impl Asked {
    /// Follows the list of those who ask.
    pub(crate) fn hear(&self, taps: &Arc<[Arc<Tap>]>) {
        self.is_asked.set(!taps.is_empty());
        *self.taps.borrow_mut() = Arc::clone(taps);
    }

    /// Whether somebody asks for anything.
    #[inline]
    pub(crate) fn is_asked(&self) -> bool {
        self.is_asked.get()
    }

    /// Those who want to know of this one.
    fn wanting<F: Facts>(&self, facts: &F) -> Vec<Arc<Tap>> {
        let taps = self.taps.borrow();
        taps.iter().filter(|tap| tap.wants(facts)).cloned().collect()
    }

    /// The trail of a request that somebody wants explained, or that shows a valid header for it.
    pub(crate) fn of_request(&self, generation: &Generation, request: &Request<'_>) -> Option<Box<Trail>> {
        let is_signed = generation.explain.as_ref().is_some_and(|key| is_granted(key, request));
        let taps = if self.is_asked() { self.wanting(&request.facts(None)) } else { Vec::new() };
        (is_signed || !taps.is_empty()).then(|| Box::new(Trail::of_request(taps, is_signed, request)))
    }

    /// The trail of a flow or a session that somebody wants explained.
    pub(crate) fn of_flow(&self, protocol: &'static str, facts: &crate::FlowFacts<'_>) -> Option<Box<Trail>> {
        if !self.is_asked() {
            return None;
        }
        let taps = self.wanting(facts);
        (!taps.is_empty()).then(|| Box::new(Trail::of_flow(taps, protocol, facts)))
    }
}

/// Whether the request shows a header that grants it an explanation.
fn is_granted(key: &ExplainKey, request: &Request<'_>) -> bool {
    let Some(field) = request.head.field(FieldName::NarrowsExplain) else { return false };
    let method = request.head.method_span.of(request.bytes);
    let grant = Grant { method, host: request.host, path: request.path };
    key.admits(field.value.of(request.bytes), grant, request.connection.unix)
}
