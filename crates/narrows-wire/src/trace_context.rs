//! The trace that a request belongs to, as headers carry it: W3C Trace Context and B3.
//!
//! Whatever is not exactly as its format has it is as good as absent: the request begins a trace of its own, and nothing of a stranger's invention is passed on.

mod b3;
mod hex;
mod w3c;

pub use b3::{B3Fields, parse_b3, parse_b3_fields, write_b3, write_b3_fields};
pub use w3c::{TRACESTATE_BYTES, is_tracestate, parse_traceparent, write_traceparent};

use hex::{from_hex, write_hex};
use std::fmt;

/// Names a trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Names a span of a trace; never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// An id of these bytes; `None` when all are zero.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(TraceId(bytes))
    }

    /// Its bytes, the most significant first.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// Its 32 digits.
    pub fn digits(self) -> [u8; 32] {
        let mut digits = [0; 32];
        write_hex(&self.0, &mut digits);
        digits
    }

    /// The last eight bytes, which those who make ids at random fill with chance (W3C Trace Context level 2).
    pub fn chance(self) -> u64 {
        let [.., a, b, c, d, e, f, g, h] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// 32 digits in lower case.
    fn of_digits(digits: &[u8]) -> Option<Self> {
        TraceId::new(from_hex(digits)?)
    }
}

impl SpanId {
    /// An id of these bytes; `None` when all are zero.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(SpanId(bytes))
    }

    /// Its bytes, the most significant first.
    pub fn bytes(self) -> [u8; 8] {
        self.0
    }

    /// Its 16 digits.
    pub fn digits(self) -> [u8; 16] {
        let mut digits = [0; 16];
        write_hex(&self.0, &mut digits);
        digits
    }

    /// 16 digits in lower case.
    fn of_digits(digits: &[u8]) -> Option<Self> {
        SpanId::new(from_hex(digits)?)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.digits()))
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&String::from_utf8_lossy(&self.digits()))
    }
}

/// Whether a trace is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Decision {
    /// Nobody has decided (B3 alone can say so).
    #[default]
    Deferred,
    /// It is not.
    Drop,
    /// It is.
    Keep,
    /// It is, whatever anybody says (B3's debug flag).
    Debug,
}

impl Decision {
    /// Whether it is kept.
    pub fn is_kept(self) -> bool {
        matches!(self, Decision::Keep | Decision::Debug)
    }
}

/// What a request says of the trace that it belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parent {
    /// The trace.
    pub trace: TraceId,
    /// The span of the sender.
    pub span: SpanId,
    /// Whether it is kept.
    pub decision: Decision,
    /// Whether the id of the trace is known to be made at random (W3C Trace Context level 2).
    pub is_random: bool,
}

#[cfg(test)]
mod tests;
