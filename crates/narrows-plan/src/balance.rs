//! How an upstream chooses among its endpoints.

use crate::Template;
use serde::Serialize;

/// How endpoints are chosen, and what holds when few of them are left.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Balancing {
    /// The method.
    pub method: Balance,
    /// What the hash methods hash; `None` is the client's address. A key that comes out empty leaves the choice to chance.
    pub key: Option<Template>,
    /// Bounded load, for hash methods: an endpoint with more than this many per cent of the average load passes what comes to the next one. At
    /// least 100.
    pub bound: Option<u32>,
    /// An endpoint counts for this many per cent of itself when it is asked whether a tier can carry everything; what it cannot goes to the
    /// next tier (140 is what Envoy does). `None`: a tier is left only when nothing in it is available.
    pub overflow: Option<u32>,
    /// When less than this many per cent of a tier are healthy, health is not believed and all of them are taken. 0 is never.
    pub panic: u32,
    /// Whether endpoints in the zone of this process (`Settings::zone`) go before others.
    pub prefers_zone: bool,
}

/// How an endpoint is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Balance {
    /// Each in turn, in proportion to the weights, spread smoothly.
    #[default]
    RoundRobin,
    /// The one with the fewest running requests in proportion to its weight: of all in a small set, of two that chance chose in a large one.
    LeastRequest,
    /// The one with the fewest open connections in proportion to its weight, idle ones included.
    LeastConnections,
    /// By chance, in proportion to the weights.
    Random,
    /// The shortest expected time: a moving average of answer times, times the running requests.
    PeakEwma,
    /// The one that the key points to, in proportion to the weights; most keys move when endpoints come or go.
    Hash,
    /// The same by rendezvous hashing: only the share of the endpoint that came or went moves.
    ConsistentHash,
    /// The same on a ring with the points of NGINX's `hash ... consistent`.
    Ketama,
    /// The same by a Maglev table: one look whatever the number of endpoints, a few more keys move.
    Maglev,
}

impl Balance {
    /// The name that operators write.
    pub fn name(self) -> &'static str {
        match self {
            Balance::RoundRobin => "round-robin",
            Balance::LeastRequest => "least-request",
            Balance::LeastConnections => "least-connections",
            Balance::Random => "random",
            Balance::PeakEwma => "peak-ewma",
            Balance::Hash => "hash",
            Balance::ConsistentHash => "consistent-hash",
            Balance::Ketama => "ketama",
            Balance::Maglev => "maglev",
        }
    }

    /// Whether the same key gets the same endpoint.
    pub fn is_hash(self) -> bool {
        matches!(self, Balance::Hash | Balance::ConsistentHash | Balance::Ketama | Balance::Maglev)
    }
}
