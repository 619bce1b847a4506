//! Telemetry on its way to an OpenTelemetry collector.
//!
//! [`Exporter`] is given spans and log records by whoever has them, which never waits: a queue that is full costs what comes, and that is counted. A thread of its own
//! sends them in batches ([`deliver`](delivery)), by gRPC or by HTTP ([`collector`]), and again where the collector says that this may help ([`verdict`]).
//!
//! Invariant: no other room names OpenTelemetry.

mod collector;
mod delivery;
mod exporter;
mod log_destination;
mod messages;
mod requests;
mod transport;
mod verdict;

pub use exporter::{Exporter, ExporterCounts, Prepared, SignalCounts, StartError};
