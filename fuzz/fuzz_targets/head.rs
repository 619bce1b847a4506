//! Request and response heads: no panic, spans inside of the head, the same outcome however the bytes are cut, and
//! the helpers that work on what a head holds. The first three bytes choose limits and cuts, the rest is the wire.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narrows_wire::{
    http1::{
        BodyFraming, Field, HeadError, HeadLimits, Method, Progress, RequestHead, ResponseHead, Span, cookie,
        list_members, parse_request, parse_response, prefers,
    },
    target::{PathRules, encode_path, normalize, query_parameter, split_host_port, split_query},
};

fuzz_target!(|bytes: &[u8]| {
    let [small, cut, step, wire @ ..] = bytes else { return };
    let limits = match small % 2 {
        0 => HeadLimits::default(),
        _ => HeadLimits { head_bytes: 64, fields: 3, target_bytes: 16 },
    };
    let method = [Method::Get, Method::Head, Method::Connect][usize::from(*small) % 3];

    let (whole, head) = request(wire, [wire.len()], &limits);
    let (cut_outcome, cut_head) = request(wire, cuts(wire, *cut, *step), &limits);
    assert_eq!(whole, cut_outcome);
    if whole == Ok(Progress::Complete) {
        check_request(wire, &head, &limits);
        assert_eq!(head.fields, cut_head.fields);
        assert_eq!(
            (head.target, head.host, head.framing, head.keep_alive, head.upgrade, head.length),
            (
                cut_head.target,
                cut_head.host,
                cut_head.framing,
                cut_head.keep_alive,
                cut_head.upgrade,
                cut_head.length
            )
        );
    }

    let (whole, head) = response(wire, [wire.len()], method, &limits);
    let (cut_outcome, cut_head) = response(wire, cuts(wire, *cut, *step), method, &limits);
    assert_eq!(whole, cut_outcome);
    if whole == Ok(Progress::Complete) {
        check_fields(wire, &head.fields, head.length, &limits);
        assert!((100..1000).contains(&head.status));
        assert!(!head.keep_alive || head.framing != BodyFraming::UntilClose);
        assert_eq!(
            (head.fields, head.framing, head.length),
            (cut_head.fields, cut_head.framing, cut_head.length)
        );
    }
});

/// Growing prefixes: the first `cut` bytes, then `step` more each.
fn cuts(wire: &[u8], cut: u8, step: u8) -> impl Iterator<Item = usize> {
    let end = wire.len();
    (usize::from(cut)..end).step_by(usize::from(step) + 1).chain([end])
}

fn request(
    wire: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    limits: &HeadLimits,
) -> (Result<Progress, HeadError>, RequestHead) {
    let mut head = RequestHead::default();
    for cut in cuts {
        let outcome = parse_request(&wire[..cut], limits, &mut head);
        if outcome != Ok(Progress::Partial) {
            return (outcome, head);
        }
    }
    (Ok(Progress::Partial), head)
}

fn response(
    wire: &[u8],
    cuts: impl IntoIterator<Item = usize>,
    method: Method,
    limits: &HeadLimits,
) -> (Result<Progress, HeadError>, ResponseHead) {
    let mut head = ResponseHead::default();
    for cut in cuts {
        let outcome = parse_response(&wire[..cut], method, limits, &mut head);
        if outcome != Ok(Progress::Partial) {
            return (outcome, head);
        }
    }
    (Ok(Progress::Partial), head)
}

fn check_fields(wire: &[u8], fields: &[Field], length: usize, limits: &HeadLimits) {
    assert!(length <= wire.len() && length <= limits.head_bytes && fields.len() <= limits.fields);
    assert!(wire[..length].ends_with(b"\r\n\r\n") || fields.is_empty());
    let inside = |span: Span| span.range().end <= length && span.range().start <= span.range().end;
    for field in fields {
        assert!(inside(field.name) && inside(field.value) && !field.name.is_empty());
        assert!(wire[..field.line_end as usize].ends_with(b"\r\n"));
        let value = field.value.of(wire);
        assert!(!value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0)));
        prefers(value);
        cookie(value, "a");
        assert!(list_members(value).all(|member| !member.is_empty()));
    }
}

fn check_request(wire: &[u8], head: &RequestHead, limits: &HeadLimits) {
    check_fields(wire, &head.fields, head.length, limits);
    assert!(head.framing != BodyFraming::UntilClose);
    assert!(head.host.is_empty() || split_host_port(head.host.of(wire)).is_some());
    let (path, query) = split_query(head.path_and_query.of(wire));
    query_parameter(query.unwrap_or_default(), "a");
    let rules = PathRules { decode: true, merge_slashes: true };
    let mut normal = String::new();
    if normalize(path, rules, &mut normal).is_ok() && !normal.is_empty() {
        assert!(normal.starts_with('/') && !normal.contains("//"));
        assert!(!normal.split('/').any(|segment| segment == "." || segment == ".."));
        let (mut forwarded, mut again) = (Vec::new(), String::new());
        encode_path(&normal, &mut forwarded);
        normalize(&forwarded, rules, &mut again).unwrap();
        assert!(again.is_empty() && forwarded == normal.as_bytes() || again == normal);
    }
}
