//! W3C Trace Context, level 1 and what level 2 adds.

use super::hex::from_hex;
use super::{Decision, Parent, SpanId, TraceId};

/// `00-` trace `-` span `-` flags.
const LENGTH: usize = 55;
/// The trace is kept.
const SAMPLED: u8 = 1;
/// The id of the trace was made at random (level 2).
const RANDOM: u8 = 2;
/// A `tracestate` up to this size is passed on (section 3.3.1.5 asks for 512 at least).
pub const TRACESTATE_BYTES: usize = 4096;
/// Most members of a `tracestate` (section 3.3.1.1).
const MEMBERS: usize = 32;

/// Reads a `traceparent` (section 3.2). A version that is not known yet is read as far as version 00 goes (section 4.3).
pub fn parse_traceparent(value: &[u8]) -> Option<Parent> {
    let known = value.get(..LENGTH)?;
    let [version] = from_hex(&known[..2])?;
    let is_complete = match version {
        0 => value.len() == LENGTH,
        0xff => false,
        _ => value.len() == LENGTH || value[LENGTH] == b'-',
    };
    if !is_complete || [known[2], known[35], known[52]] != [b'-'; 3] {
        return None;
    }
    let [flags] = from_hex(&known[53..])?;
    Some(Parent {
        trace: TraceId::of_digits(&known[3..35])?,
        span: SpanId::of_digits(&known[36..52])?,
        decision: if flags & SAMPLED != 0 { Decision::Keep } else { Decision::Drop },
        is_random: flags & RANDOM != 0,
    })
}

/// Appends a `traceparent` of version 00. Nobody's decision yet is written as not kept.
pub fn write_traceparent(parent: &Parent, out: &mut Vec<u8>) {
    let kept = if parent.decision.is_kept() { SAMPLED } else { 0 };
    let random = if parent.is_random { RANDOM } else { 0 };
    out.extend_from_slice(b"00-");
    out.extend_from_slice(&parent.trace.digits());
    out.push(b'-');
    out.extend_from_slice(&parent.span.digits());
    out.extend_from_slice(&[b'-', b'0', b'0' + (kept | random)]);
}

/// Whether the value of one `tracestate` field may be passed on: a list of `key=value`, members may be empty (section 3.3). Of several fields, each is
/// looked at alone.
pub fn is_tracestate(value: &[u8]) -> bool {
    let mut members = 0;
    value.len() <= TRACESTATE_BYTES
        && value.split(|byte| *byte == b',').all(|member| {
            let member = member.trim_ascii();
            members += usize::from(!member.is_empty());
            members <= MEMBERS && (member.is_empty() || is_member(member))
        })
}

fn is_member(member: &[u8]) -> bool {
    let Some(end) = member.iter().position(|byte| *byte == b'=') else { return false };
    let (key, value) = (&member[..end], &member[end + 1..]);
    let is_key = match key.iter().position(|byte| *byte == b'@') {
        None => is_name(key, 256),
        Some(at) => is_name(&key[..at], 241) && is_name(&key[at + 1..], 14),
    };
    is_key
        && (1..=256).contains(&value.len())
        && value.iter().all(|byte| matches!(byte, 0x20..=0x7e) && *byte != b'=')
}

/// Level 2 lets a key begin with a digit as well.
fn is_name(name: &[u8], most: usize) -> bool {
    let allowed = |byte: &u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/');
    name.len() <= most
        && name.first().is_some_and(|first| first.is_ascii_lowercase() || first.is_ascii_digit())
        && name.iter().all(allowed)
}
