//! Endpoints, balancers and connection pools, per worker.
//!
//! A [`Cluster`] is one upstream as one worker sees it: its endpoints with their running requests and idle connections, and the balancer that
//! chooses among them. Who its endpoints are and how they are, the control plane says, with a new [`Membership`] for each change; what a worker
//! notices of them, it tells with a [`Report`].

mod answer_time;
mod balancer;
mod bits;
mod candidate;
mod chance;
mod clock;
mod cluster;
mod connect;
mod endpoint;
mod members;
mod membership;
mod multiplexed;
mod pool;
mod report;
mod shares;
mod stick_table;
mod sticky;
mod subsets;
mod table;
#[cfg(test)]
mod tests;
mod tiers;
mod wanted;

pub use candidate::{Candidate, Score};
pub use cluster::Cluster;
pub use connect::ConnectFailure;
pub use endpoint::{EndpointState, Open, Running};
pub use membership::{Condition, EndpointId, Member, Membership};
pub use narrows_tls::Purpose;
pub use pool::{Connection, Pool};
pub use report::{AttemptFailure, Report, Reporter, Seen};
pub use stick_table::{StickKey, StickPlace, StickTable, Stuck};
pub use sticky::StickyEndpoint;
pub use wanted::{Tried, Unavailable, Wanted};
