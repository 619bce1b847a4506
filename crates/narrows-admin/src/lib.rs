//! The admin API: how operators and their programs see and steer a running process, over HTTP/1.1.
//!
//! It runs on a thread of its own, and knows the process only through [`Operations`]. No worker ever waits for it: a slow
//! or hostile reader slows nobody. [`request`] is the commands' side of it.

mod address;
mod api;
mod client;
mod explaining;
mod gate;
pub mod model;
mod moment;
mod openapi;
mod operations;
mod problem;
mod reply;
mod server;
mod socket;
mod threads;
mod token;
mod transport;

pub use address::{Place, Target, Usual, VARIABLE};
pub use client::{Credentials, Received, encoded, request};
pub use explaining::{pump, read_ask};
pub use operations::{
    Answer, InForce, Metrics, Operations, Phase, Process, Refusal, RefusalCause, ReloadOptions, ReloadReport,
};
pub use problem::{Cause, Problem};
pub use server::{AdminError, AdminServer, RunningAdmin};
pub use token::{BadToken, check_token};
