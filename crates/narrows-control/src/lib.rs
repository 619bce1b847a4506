//! The control plane of upstreams: who belongs to them and how everybody is.
//!
//! It runs once, on a thread of its own. Discovery says which endpoints there are, health checks and the reports of the workers say how they are, and the
//! operator what they are meant to do. All of it meets in a [`roster`]; from there each change goes to every worker as a new
//! [`Membership`](narrows_upstream::Membership). Workers never wait for this thread, and go on with what they know when it is busy.

mod agent;
mod charge;
mod check;
mod control;
mod discovery;
mod health;
mod keeper;
mod orders;
mod outliers;
mod roster;
mod schedule;
#[cfg(test)]
mod seeds;
mod state;
mod status;

pub use control::{Control, ControlError, Link, Loads, Memberships, Prepared};
pub use orders::{Obeyed, Operator, Order, OrderError};
pub use state::{AgentState, EndpointState, HealthState, LastAnswer, LastCheck, OrderedState, UpstreamState};
