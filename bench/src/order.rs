//! What the benchmark tells a process of load to do.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::meter::Outcome;
use crate::workload::{Driver, Workload};
use crate::{grpc, h2load, idle, load, udp};

/// What the load is to do.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) workload: Workload,
    pub(crate) port: u16,
    pub(crate) warm_up: Duration,
    pub(crate) measure: Duration,
    /// The proxy: the root of the process tree whose CPU time is read when measuring begins and ends.
    pub(crate) proxy: i32,
    /// The certificate that the proxy has to show (DER).
    pub(crate) certificate: PathBuf,
    /// Where files of this run may be written.
    pub(crate) directory: PathBuf,
}

impl Order {
    /// Makes the load that the workload asks for. A load that breaks off is a wrong answer, with its reason.
    pub(crate) fn carry_out(&self) -> Outcome {
        let outcome = match self.workload.driver() {
            Driver::Streams => load::run(self),
            Driver::Idle => idle::run(self),
            Driver::H2load => h2load::run(self),
            Driver::Grpc => grpc::run(self),
            Driver::Datagrams => udp::run(self),
        };
        outcome.unwrap_or_else(|error| Outcome {
            errors: 1,
            first_error: Some(format!("{error:#}")),
            ..Outcome::default()
        })
    }
}
