//! What is written down on the way of one request or flow.

use super::explanation::{
    AttemptSeen, CandidateSeen, ConditionSeen, Explanation, RouteSeen, RuleSeen, StageTimes,
};
use super::heads::compare;
use super::tap::Tap;
use crate::outgoing::write_field;
use crate::request::Request;
use crate::wants::Wants;
use crate::{Fault, FlowFacts};
use narrows_observe::Timings;
use narrows_plan::{Facts, Origin, Plan, Recorder, RouteTable, Subject};
use narrows_upstream::{Candidate, Cluster, Tried};
use std::cell::RefCell;
use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Rules, attempts and candidates of one attempt that are told; the rest is left out.
const MANY: usize = 64;
/// Bytes of the short explanation in a response.
const SHORT_BYTES: usize = 1024;

/// The field of a response with the short explanation.
pub(crate) const EXPLAINED: &str = "Narrows-Explained";

/// What is written down of one request or flow, and who is told.
#[derive(Debug)]
pub(crate) struct Trail {
    taps: Vec<Arc<Tap>>,
    /// Whether the client is told in its response.
    is_signed: bool,
    written: RefCell<Explanation>,
    /// The choice that the next attempt comes from.
    chosen: RefCell<AttemptSeen>,
}

/// How an attempt ended.
pub(crate) struct Attempted<'a> {
    pub(crate) endpoint: &'a str,
    /// How long the connection took; `None` when it was there.
    pub(crate) connect: Option<Duration>,
    pub(crate) took: Duration,
    /// Status of the answer; 0 without one.
    pub(crate) status: u16,
    pub(crate) fault: Option<Fault>,
}

impl Trail {
    pub(super) fn of_request(taps: Vec<Arc<Tap>>, is_signed: bool, request: &Request<'_>) -> Self {
        let method = String::from_utf8_lossy(request.head.method_span.of(request.bytes));
        let target = String::from_utf8_lossy(request.head.path_and_query.of(request.bytes));
        let (scheme, host) = (request.connection.scheme, request.host);
        Trail::new(
            taps,
            is_signed,
            Explanation {
                protocol: "http".into(),
                listener: request.connection.listener.into(),
                client: format!("{}:{}", request.client, request.connection.peer_port),
                subject: format!("{method} {scheme}://{host}{target} {}", request.version()),
                ..Explanation::default()
            },
        )
    }

    pub(super) fn of_flow(taps: Vec<Arc<Tap>>, protocol: &'static str, facts: &FlowFacts<'_>) -> Self {
        let subject = match facts.server_name {
            "" => format!("{protocol} port {}", facts.local_port),
            name => format!("{protocol} port {} for {name}", facts.local_port),
        };
        Trail::new(
            taps,
            false,
            Explanation {
                protocol: protocol.into(),
                listener: facts.listener.into(),
                client: std::net::SocketAddr::new(facts.source, facts.source_port).to_string(),
                subject,
                ..Explanation::default()
            },
        )
    }

    fn new(taps: Vec<Arc<Tap>>, is_signed: bool, explanation: Explanation) -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let began = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        let written = RefCell::new(Explanation { began, ..explanation });
        Trail { taps, is_signed, written, chosen: RefCell::default() }
    }

    /// Chooses a rule by the table, and writes down what it compared.
    pub(crate) fn select<'p, F: Facts>(
        &self,
        plan: &Plan,
        table: &RouteTable,
        subject: Subject<'_>,
        facts: &F,
        route: impl Fn(usize) -> (&'p str, Origin),
    ) -> Option<usize> {
        let mut heard = Heard::default();
        let chosen = table.select(subject, facts, &mut heard);
        let rules = table.rules();
        heard.candidates.sort_by_key(|&rule| rules[rule].rank);
        heard.candidates.dedup();
        let mut written = self.written.borrow_mut();
        for &rule in heard.candidates.iter().take(MANY) {
            let of_rule = heard.conditions.iter().filter(|(wanted, ..)| *wanted == rule);
            let conditions = of_rule.map(|&(_, number, held)| {
                let condition = &rules[rule].conditions[number];
                ConditionSeen {
                    written: condition.written.to_string(),
                    place: plan.locate(condition.origin),
                    held,
                    values: condition.expression.observed(facts),
                }
            });
            written.rules.push(RuleSeen {
                route: route(rule).0.to_owned(),
                place: plan.locate(rules[rule].origin),
                taken: chosen == Some(rule),
                conditions: conditions.collect(),
            });
        }
        written.route = chosen.map(|rule| {
            let (name, origin) = route(rule);
            RouteSeen { name: name.to_owned(), place: plan.locate(origin) }
        });
        chosen
    }

    /// An endpoint is about to be chosen: what the choice is made among, and by what.
    pub(crate) fn choosing(&self, cluster: &Cluster, wants: &Wants<'_>, tried: &Tried) {
        let candidates = cluster.candidates(&wants.wanted(tried));
        let mut why = match wants.sticky_endpoint() {
            Some(id) if candidates.iter().any(|one| one.is_chosen && one.id == id) => "sticky".to_owned(),
            Some(_) => "not its sticky endpoint, which is not available".to_owned(),
            None => String::new(),
        };
        let mut add = |text: String| {
            why.push_str(if why.is_empty() { "" } else { "; " });
            why.push_str(&text);
        };
        add(cluster.upstream.balancing.method.name().to_owned());
        if let Some(one) = candidates.iter().find(|one| one.is_chosen) {
            if let Some(score) = one.score {
                add(score.to_string());
            }
            if let Some(tier) = one.tier.filter(|_| candidates.iter().any(|other| other.tier != one.tier)) {
                add(format!("tier {tier}"));
            }
            if one.panics {
                add("its tier takes any, too few are well".to_owned());
            }
        }
        let candidates = candidates.iter().take(MANY).map(seen).collect();
        let key = wants.key().unwrap_or_default().to_owned();
        *self.chosen.borrow_mut() = AttemptSeen { candidates, why, key, ..AttemptSeen::default() };
    }

    /// The head that goes to an endpoint.
    pub(crate) fn sends(&self, request: &Request<'_>, head: &[u8]) {
        self.written.borrow_mut().request = compare(request.bytes, head);
    }

    /// An attempt is over.
    pub(crate) fn attempted(&self, attempted: &Attempted<'_>) {
        let Attempted { endpoint, connect, took, status, fault } = *attempted;
        let chosen = std::mem::take(&mut *self.chosen.borrow_mut());
        let mut written = self.written.borrow_mut();
        if written.attempts.len() < MANY {
            written.attempts.push(AttemptSeen {
                endpoint: endpoint.to_owned(),
                reused: connect.is_none(),
                connect: connect.map(microseconds),
                took: microseconds(took),
                status,
                fault: fault.map_or("", |fault| fault.meaning().code).to_owned(),
                ..chosen
            });
        }
    }

    /// Another attempt follows the last one.
    pub(crate) fn again(&self, why: &str) {
        if let Some(last) = self.written.borrow_mut().attempts.last_mut() {
            why.clone_into(&mut last.again);
        }
    }

    /// The head of an answer goes to the client: `received` is what the endpoint sent, empty for an answer of our own. Adds the short
    /// explanation where the client asked for it; `sent` ends with the empty line.
    pub(crate) fn answers(&self, received: &[u8], sent: &mut Vec<u8>, from: usize) {
        if self.is_signed && sent.ends_with(b"\r\n\r\n") {
            sent.truncate(sent.len() - 2);
            write_field(EXPLAINED, self.short().as_bytes(), sent);
            sent.extend_from_slice(b"\r\n");
        }
        self.written.borrow_mut().response = compare(received, &sent[from..]);
    }

    /// An answer of our own goes to the client: a head, and perhaps a body behind it.
    pub(crate) fn answers_own(&self, sent: &[u8]) {
        let end = sent.windows(4).position(|four| four == b"\r\n\r\n").map_or(sent.len(), |end| end + 2);
        self.written.borrow_mut().response = compare(b"", &sent[..end]);
    }

    /// What the client is told in a header: the rule, the upstream, the attempts.
    pub(crate) fn short(&self) -> String {
        let written = self.written.borrow();
        let mut text = match &written.route {
            Some(RouteSeen { name, place }) => format!("route={name:?} ({place})"),
            None => "route=none".to_owned(),
        };
        let _ = write!(text, "; listener={:?}; rules={}", written.listener, written.rules.len());
        if !written.upstream.is_empty() {
            let _ = write!(text, "; upstream={:?}", written.upstream);
        }
        for attempt in &written.attempts {
            let AttemptSeen { endpoint, status, fault, took, why, again, .. } = attempt;
            let end = if fault.is_empty() { status.to_string() } else { fault.clone() };
            let _ = write!(text, "; attempt={endpoint} {end} {took}us");
            for part in [why, again].into_iter().filter(|part| !part.is_empty()) {
                let _ = write!(text, ", {part}");
            }
        }
        let shown = text.chars().take(SHORT_BYTES);
        shown.map(|letter| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' }).collect()
    }

    /// Whether the client is told in its response.
    pub(crate) fn is_signed(&self) -> bool {
        self.is_signed
    }

    /// The upstream that it goes to.
    pub(crate) fn goes_to(&self, upstream: &str) {
        upstream.clone_into(&mut self.written.borrow_mut().upstream);
    }

    /// It is over: everybody who asked is told.
    pub(crate) fn end(
        self,
        timings: Timings,
        total: Duration,
        status: u16,
        fault: Option<Fault>,
        (received, sent): (u64, u64),
    ) {
        let part = |part: Option<Duration>| part.map(microseconds);
        let meaning = fault.map(Fault::meaning);
        let explanation = Explanation {
            times: StageTimes {
                head: part(timings.head),
                queue: part(timings.queue),
                connect: part(timings.connect),
                answer: part(timings.answer),
                total: microseconds(total),
            },
            status,
            fault: meaning.as_ref().map_or("", |meaning| meaning.code).to_owned(),
            meaning: meaning.as_ref().map_or("", |meaning| meaning.sentence).to_owned(),
            received,
            sent,
            ..self.written.into_inner()
        };
        self.taps.iter().for_each(|tap| tap.tell(&explanation));
    }
}

fn seen(candidate: &Candidate) -> CandidateSeen {
    let Candidate { condition, reason, .. } = candidate;
    CandidateSeen {
        endpoint: candidate.label.to_string(),
        condition: match reason.is_empty() {
            true => condition.to_string(),
            false => format!("{condition} ({reason})"),
        },
        weight: candidate.weight,
        running: candidate.running,
        tier: candidate.tier,
        score: candidate.score.map_or_else(String::new, |score| score.to_string()),
        tried: candidate.was_tried,
        full: candidate.is_full,
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Hears what the route table compares.
#[derive(Default)]
struct Heard {
    candidates: Vec<usize>,
    conditions: Vec<(usize, usize, Option<bool>)>,
}

impl Recorder for Heard {
    fn candidate(&mut self, rule: usize) {
        self.candidates.push(rule);
    }

    fn condition(&mut self, rule: usize, condition: usize, held: Option<bool>) {
        self.conditions.push((rule, condition, held));
    }
}
