//! The hallway: the life of a connection, of a request, of a TCP flow, of UDP sessions.
//!
//! Read [`Server`] first (sockets become workers), then `run` (a worker's life), `gate` (whose connection it is), `connection` (an HTTP connection from its first
//! byte to its last), `exchange` (one request and its answer), `forward` (the attempts to have it answered) `tcp` (a flow
//! of layer 4) and `udp` (the sessions of a listener for datagrams). Each of them holds one function that shows its life in order.

mod answer;
mod client;
mod configuration;
mod connection;
mod counting;
mod downstream;
mod entrances;
mod exchange;
mod explain;
mod fault;
mod flow;
mod flow_facts;
mod forward;
mod gate;
mod generation;
mod http2;
mod metering;
mod mirror;
mod outgoing;
mod preface;
mod pulse;
mod queueing;
mod record;
mod request;
mod run;
mod say;
mod secure;
mod server;
mod sockets;
mod sticky;
mod tcp;
mod termination;
mod tracing;
mod tunnel;
mod udp;
mod wants;
mod worker;

pub use explain::{
    Ask, AttemptSeen, BadKey, CandidateSeen, ConditionSeen, ExplainKey, Explanation, Grant, HeadLine, Heard,
    Listening, Mark, RouteSeen, RuleSeen, StageTimes, TooManyTaps,
};
pub use fault::{Advice, Cause, Fault, Meaning, Side};
pub use flow_facts::FlowFacts;
pub use pulse::Pulse;
pub use request::{ConnectionFacts, Request, RequestFacts, RequestMemory, Response};
pub use server::{Bound, Running, Server, StartError, Telemetry};
pub use sticky::{BadSecret, check_secrets};
pub use wants::{Choice, ChoicePreview, StickyChoice};
