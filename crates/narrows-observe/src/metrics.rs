//! What is counted of the traffic, and how it is told.
//!
//! Every worker counts in cells of its own, which nobody else writes: an addition costs what it costs in a variable. Who asks adds the cells of all workers up. Cells belong to
//! names (of listeners, routes, upstreams), so that what is counted goes on over every change of the configuration.

mod cell;
mod exposition;
mod family;
mod histogram;
mod process;
mod protobuf;
mod registry;

pub use cell::{Counter, Gauge};
pub use exposition::{Exposition, render};
pub use family::{Family, Kind, Sample, Value};
pub use histogram::{Distribution, Histogram, Scale};
pub use process::process_families;
pub use registry::{Hits, ListenerCells, Metrics, OTHER, RouteCells, UpstreamCells, WorkerCells};
