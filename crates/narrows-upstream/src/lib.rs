//! Endpoints, balancers and connection pools, per worker.
//!
//! A [`Cluster`] is one upstream as one worker sees it: its endpoints with their running requests and idle connections, and the balancer that
//! chooses among them. Who its endpoints are and how they are, the control plane says, with a new [`Membership`] for each change; what a worker
//! notices of them, it tells with a [`Report`].

mod admission;
mod answer_time;
mod balancer;
mod bits;
mod breaker;
mod budget;
mod candidate;
mod chance;
mod clock;
mod cluster;
mod concurrency;
mod connect;
mod counts;
mod endpoint;
mod entrance;
mod load;
mod members;
mod membership;
mod mirroring;
mod multiplexed;
mod places;
mod pool;
mod queue;
mod report;
#[cfg(test)]
mod seeds;
mod shares;
mod stick_table;
mod sticky;
mod subsets;
mod table;
#[cfg(test)]
mod tests;
mod tiers;
mod upstream_load;
mod wanted;

pub use breaker::{Breaker, BreakerChange, BreakerState};
pub use budget::{Again, Budget, RetryCounts, Retrying, RunningRequest};
pub use candidate::{Candidate, Score};
pub use chance::Chance;
pub use cluster::Cluster;
pub use connect::ConnectFailure;
pub use counts::{Tally, Totals};
pub use endpoint::{EndpointState, Open, Running};
pub use entrance::{Entered, Shed, ShedCause};
pub use load::Load;
pub use membership::{Condition, EndpointId, Member, Membership, UpstreamKey};
pub use mirroring::{MirrorCounts, Mirroring, RunningCopy};
pub use narrows_tls::Purpose;
pub use places::Need;
pub use pool::{Connection, Pool};
pub use queue::{Queue, QueueIsFull, Ticket};
pub use report::{AttemptFailure, Report, Reporter, Seen};
pub use stick_table::{StickKey, StickPlace, StickTable, Stuck};
pub use sticky::StickyEndpoint;
pub use upstream_load::{RetryPlace, UpstreamLoad, UpstreamTotals};
pub use wanted::{Tried, Unavailable, Wanted};
