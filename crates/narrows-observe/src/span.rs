//! What is told of a request as a trace.

use std::fmt;
use std::time::Duration;

/// Which side of an exchange a span is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// It answers somebody.
    Server,
    /// It asks somebody.
    Client,
    /// It is neither.
    Internal,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpanValue {
    /// A text.
    Text(Box<str>),
    /// A number.
    Number(i64),
    /// A yes or no.
    Flag(bool),
}

/// A part of a trace that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// The trace.
    pub trace: [u8; 16],
    /// Its own name in the trace.
    pub id: [u8; 8],
    /// The span that it belongs to; `None` begins the trace.
    pub parent: Option<[u8; 8]>,
    /// What others said of the trace (`tracestate`), as they wrote it.
    pub state: Box<str>,
    /// Whether the trace is sampled, as those downstream were told.
    pub is_sampled: bool,
    /// Whether the parent is another process's.
    pub has_remote_parent: bool,
    /// Which side it is of.
    pub kind: SpanKind,
    /// What it is of, in few words of which there are few.
    pub name: Box<str>,
    /// Since 1970.
    pub began: Duration,
    /// Since 1970.
    pub ended: Duration,
    /// What is known of it.
    pub attributes: Vec<(&'static str, SpanValue)>,
    /// The typed cause of its failure; `None` when it came to its proper end.
    pub failure: Option<Box<str>>,
}

/// Takes spans. It never waits: what it has no room for is lost and counted.
pub trait SpanSink: Send + Sync + fmt::Debug {
    /// Takes spans that have ended.
    fn offer(&self, spans: Vec<Span>);
}
