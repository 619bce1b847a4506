//! B3, as Zipkin has it: one header, or one for each part.

use super::{Decision, Parent, SpanId, TraceId};

/// The headers of B3 in its older form; empty where there is none.
#[derive(Debug, Clone, Copy, Default)]
pub struct B3Fields<'a> {
    /// `X-B3-TraceId`.
    pub trace: &'a [u8],
    /// `X-B3-SpanId`.
    pub span: &'a [u8],
    /// `X-B3-Sampled`.
    pub sampled: &'a [u8],
    /// `X-B3-Flags`.
    pub flags: &'a [u8],
}

/// Reads the one header `b3`: trace, span, decision and the sender's parent, or the decision alone. The sender's parent is nobody's business here, but must be
/// an id.
///
/// # Errors
/// A decision without a trace: `Ok(None)` never has one.
pub fn parse_b3(value: &[u8]) -> Result<Parent, Option<Decision>> {
    let mut parts = value.split(|byte| *byte == b'-');
    let (Some(trace), Some(span)) = (parts.next(), parts.next()) else {
        return Err(decision(value));
    };
    let (state, parent, rest) = (parts.next(), parts.next(), parts.next());
    let decision = match state {
        None => Some(Decision::Deferred),
        Some(state) => decision(state),
    };
    let is_whole = rest.is_none() && parent.is_none_or(|parent| SpanId::of_digits(parent).is_some());
    match (trace_of(trace), SpanId::of_digits(span), decision) {
        (Some(trace), Some(span), Some(decision)) if is_whole => {
            Ok(Parent { trace, span, decision, is_random: false })
        }
        _ => Err(None),
    }
}

/// Reads the headers of the older form.
///
/// # Errors
/// A decision without a trace, where the headers have no more.
pub fn parse_b3_fields(fields: &B3Fields<'_>) -> Result<Parent, Option<Decision>> {
    let decision = match (fields.flags, fields.sampled) {
        (b"1", _) => Some(Decision::Debug),
        (_, []) => Some(Decision::Deferred),
        (_, b"true") => Some(Decision::Keep),
        (_, b"false") => Some(Decision::Drop),
        (_, sampled) => decision(sampled).filter(|decision| *decision != Decision::Debug),
    };
    let Some(decision) = decision else { return Err(None) };
    if fields.trace.is_empty() && fields.span.is_empty() {
        return Err((decision != Decision::Deferred).then_some(decision));
    }
    match (trace_of(fields.trace), SpanId::of_digits(fields.span)) {
        (Some(trace), Some(span)) => Ok(Parent { trace, span, decision, is_random: false }),
        _ => Err(None),
    }
}

/// A trace of 64 bits is one of 128 with zeros in front.
fn trace_of(digits: &[u8]) -> Option<TraceId> {
    if digits.len() != 16 {
        return TraceId::of_digits(digits);
    }
    let mut whole = [b'0'; 32];
    whole[16..].copy_from_slice(digits);
    TraceId::of_digits(&whole)
}

fn decision(state: &[u8]) -> Option<Decision> {
    match state {
        b"0" => Some(Decision::Drop),
        b"1" => Some(Decision::Keep),
        b"d" => Some(Decision::Debug),
        _ => None,
    }
}

/// Appends the value of `b3`.
pub fn write_b3(parent: &Parent, out: &mut Vec<u8>) {
    out.extend_from_slice(&parent.trace.digits());
    out.push(b'-');
    out.extend_from_slice(&parent.span.digits());
    out.extend_from_slice(match parent.decision {
        Decision::Deferred => b"",
        Decision::Drop => b"-0",
        Decision::Keep => b"-1",
        Decision::Debug => b"-d",
    });
}

/// Appends the lines of the older form.
pub fn write_b3_fields(parent: &Parent, out: &mut Vec<u8>) {
    out.extend_from_slice(b"X-B3-TraceId: ");
    out.extend_from_slice(&parent.trace.digits());
    out.extend_from_slice(b"\r\nX-B3-SpanId: ");
    out.extend_from_slice(&parent.span.digits());
    out.extend_from_slice(match parent.decision {
        Decision::Deferred => b"\r\n".as_slice(),
        Decision::Drop => b"\r\nX-B3-Sampled: 0\r\n",
        Decision::Keep => b"\r\nX-B3-Sampled: 1\r\n",
        // The flag implies the decision.
        Decision::Debug => b"\r\nX-B3-Flags: 1\r\n",
    });
}
