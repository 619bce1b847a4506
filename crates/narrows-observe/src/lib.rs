//! What the proxy tells about the traffic: the access record, and the time in the forms that records and headers need.
//!
//! Invariant: formatting happens on the worker into a buffer of its own; writing happens on a thread of its own, so that a
//! full disk or a slow terminal never stops traffic.

mod access_log;
mod access_record;
mod calendar;
mod digits;
pub mod metrics;
mod span;

pub use access_log::{AccessLog, LogSink};
pub use access_record::{AccessRecord, Datagrams, Ender, Ids, Stage, Termination, Timings, TlsRecord};
pub use calendar::Calendar;
pub use digits::{write_address, write_number};
pub use span::{Span, SpanKind, SpanSink, SpanValue};
