//! Endpoints, balancers and connection pools, per worker.
//!
//! A [`Cluster`] is one upstream as one worker sees it: its endpoints with their running requests and idle connections, and the balancer that
//! chooses among them. Nothing is shared between workers.

mod balancer;
mod cluster;
mod connect;
mod multiplexed;
mod pool;

pub use balancer::{Balancer, Tried};
pub use cluster::{Cluster, EndpointState, Running};
pub use connect::ConnectFailure;
pub use narrows_tls::Purpose;
pub use pool::{Connection, Pool};
