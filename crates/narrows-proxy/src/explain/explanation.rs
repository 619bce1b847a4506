//! What is told of one request or flow.

use serde::{Deserialize, Serialize};

/// What happened to a request, a flow or a session, and why.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Explanation {
    /// `http`, `tcp` or `udp`.
    pub protocol: String,
    /// When it began, milliseconds since 1970.
    pub began: u64,
    /// Name of the listener.
    pub listener: String,
    /// The client, after trusted proxies were believed, and the port of its connection.
    pub client: String,
    /// What it asked for: method, URL and version, or the server name of a flow.
    pub subject: String,
    /// The rules that were compared, best rank first.
    pub rules: Vec<RuleSeen>,
    /// The route that took it; `None` when none did.
    pub route: Option<RouteSeen>,
    /// Name of the upstream that it went to; empty when it went to none.
    pub upstream: String,
    /// The head of the request: as it came against as it was sent to the last endpoint.
    pub request: Vec<HeadLine>,
    /// The attempts, in their order.
    pub attempts: Vec<AttemptSeen>,
    /// The head of the response: as the endpoint sent it against as the client got it.
    pub response: Vec<HeadLine>,
    /// How long its parts took.
    pub times: StageTimes,
    /// Status of the answer; 0 for flows.
    pub status: u16,
    /// The code of the fault that ended it; empty when nothing went wrong.
    pub fault: String,
    /// What the fault means, in a sentence.
    pub meaning: String,
    /// Bytes of bodies or flows: from the client.
    pub received: u64,
    /// To the client.
    pub sent: u64,
}

/// A route.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RouteSeen {
    /// Its name.
    pub name: String,
    /// `file:line:column`.
    pub place: String,
}

/// A rule that was compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RuleSeen {
    /// Name of its route.
    pub route: String,
    /// `file:line:column`.
    pub place: String,
    /// Whether it took the request.
    pub taken: bool,
    /// Its conditions, as far as they were asked.
    pub conditions: Vec<ConditionSeen>,
}

/// A condition of a rule, with what it saw.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ConditionSeen {
    /// As the operator wrote it.
    pub written: String,
    /// `file:line:column`.
    pub place: String,
    /// Whether it held; `None` when it had no value, which counts as false.
    pub held: Option<bool>,
    /// What it looked at: name and value.
    pub values: Vec<(String, String)>,
}

/// What became of a line of a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    /// It was passed on as it came.
    Same,
    /// It came and was not passed on.
    Removed,
    /// It was added.
    Added,
}

/// A line of a head.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeadLine {
    /// What became of it.
    pub mark: Mark,
    /// The line.
    pub line: String,
}

/// One attempt at an endpoint.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptSeen {
    /// The endpoints that could have been chosen, as they were then. Empty when the endpoint was not chosen anew.
    pub candidates: Vec<CandidateSeen>,
    /// Why the endpoint was taken.
    pub why: String,
    /// What a hash method hashed; empty for other methods.
    pub key: String,
    /// The endpoint.
    pub endpoint: String,
    /// Whether a connection was there already.
    pub reused: bool,
    /// Microseconds until the connection was there; `None` when it was reused.
    pub connect: Option<u64>,
    /// Microseconds of the whole attempt, to the head of its answer or its failure.
    pub took: u64,
    /// Status of its answer; 0 without one.
    pub status: u16,
    /// The code of its fault; empty when it was answered.
    pub fault: String,
    /// Why another attempt followed; empty when none did.
    pub again: String,
}

/// An endpoint as a choice saw it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CandidateSeen {
    /// Its address.
    pub endpoint: String,
    /// Its condition and the reason for it.
    pub condition: String,
    /// Share of the traffic.
    pub weight: u32,
    /// What this worker has running there.
    pub running: u32,
    /// Its place in the order of the tiers.
    pub tier: Option<usize>,
    /// What the balancer went by; empty when it did not come into question.
    pub score: String,
    /// Whether it was tried before.
    pub tried: bool,
    /// Whether it had no room.
    pub full: bool,
}

/// How long the parts took, microseconds; `None` where there was no such part.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct StageTimes {
    /// Until the head of the request was complete, when it came in pieces.
    pub head: Option<u64>,
    /// In the upstream's queue.
    pub queue: Option<u64>,
    /// Until the connection of the last attempt was there.
    pub connect: Option<u64>,
    /// From then on to the head of the answer.
    pub answer: Option<u64>,
    /// All of it.
    pub total: u64,
}
