//! What the proxy tells about the traffic: the access record, its formats, the access logs, the metrics, and the time in the forms that records and headers need.
//!
//! Invariant: formatting happens on the worker into a buffer of its own; writing happens on a thread of its own for each destination, so that a
//! full disk, a closed output or a dead syslog server never stops traffic. What is lost is counted.

mod access_record;
mod batch;
mod calendar;
mod dates;
mod destination;
mod digits;
mod escape;
mod formats;
mod host;
mod log_sinks;
pub mod metrics;
mod record_facts;
mod say;
mod span;

pub use access_record::{AccessRecord, Datagrams, Ender, Ids, Stage, Termination, Timings, TlsRecord};
pub use batch::Batch;
pub use calendar::Calendar;
pub use destination::{Delivered, Destination};
pub use digits::{write_address, write_number};
pub use log_sinks::{CannotOpen, LogLoss, LogSinks, OtlpLogs, WorkerLogs};
pub use say::say;
pub use span::{Span, SpanKind, SpanSink, SpanValue};
