//! Endpoints, balancers and connection pools, per worker.
//!
//! A [`Cluster`] is one upstream as one worker sees it: its endpoints with their running requests and idle connections, and the balancer that
//! chooses among them. Who its endpoints are and how they are, the control plane says, with a new [`Membership`] for each change; what a worker
//! notices of them, it tells with a [`Report`].

mod balancer;
mod budget;
mod cluster;
mod connect;
mod endpoint;
mod membership;
mod mirroring;
mod multiplexed;
mod pool;
mod report;
mod tiers;

pub use budget::{Again, Budget, RetryCounts, Retrying, RunningRequest};
pub use cluster::{Cluster, Tried, Unavailable, Wanted};
pub use connect::ConnectFailure;
pub use endpoint::{EndpointState, Open, Running};
pub use membership::{Condition, EndpointId, Member, Membership};
pub use mirroring::{MirrorCounts, Mirroring, RunningCopy};
pub use narrows_tls::Purpose;
pub use pool::{Connection, Pool};
pub use report::{AttemptFailure, Report, Reporter, Seen};
