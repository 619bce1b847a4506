//! What is counted, and where it is told.

use crate::{Bind, Origin};

/// What is counted, and where it is told beside the admin API.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// Whether anything is counted at all.
    pub is_on: bool,
    /// Addresses that tell the metrics and nothing else.
    pub binds: Vec<(Bind, Origin)>,
    /// Whether routes are told apart.
    pub routes: bool,
    /// Whether endpoints are told apart.
    pub endpoints: bool,
    /// How many routes, and how many endpoints, are told apart at most.
    pub series: usize,
}

impl Metrics {
    /// Where nothing else is written.
    pub const SERIES: usize = 10_000;
}

impl Default for Metrics {
    fn default() -> Self {
        Metrics { is_on: true, binds: Vec::new(), routes: true, endpoints: true, series: Metrics::SERIES }
    }
}
