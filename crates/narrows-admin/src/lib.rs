//! The admin API: how operators and their programs see and steer a running process, over HTTP/1.1.
//!
//! It runs on a thread of its own, and knows the process only through [`Operations`]. No worker ever waits for it: a slow
//! or hostile reader slows nobody.

mod address;
mod explaining;
mod operations;

pub use address::{Place, Target, Usual, VARIABLE};
pub use explaining::{pump, read_ask};
pub use operations::{
    Answer, InForce, Operations, Phase, Process, Refusal, RefusalCause, ReloadOptions, ReloadReport,
};
