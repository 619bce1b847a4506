use super::*;
use proptest::prelude::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn parent(decision: Decision) -> Parent {
    Parent {
        trace: TraceId::of_digits(TRACE.as_bytes()).unwrap(),
        span: SpanId::of_digits(SPAN.as_bytes()).unwrap(),
        decision,
        is_random: false,
    }
}

fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_traceparent_says_trace_span_and_flags() {
    let read = |flags: &str| parse_traceparent(format!("00-{TRACE}-{SPAN}-{flags}").as_bytes());
    assert_eq!(read("00"), Some(parent(Decision::Drop)));
    assert_eq!(read("01"), Some(parent(Decision::Keep)));
    assert_eq!(read("03"), Some(Parent { is_random: true, ..parent(Decision::Keep) }));
    // Bits that nobody has given a meaning are ignored.
    assert_eq!(read("f9"), Some(parent(Decision::Keep)));
}

#[test]
fn a_traceparent_that_is_not_exact_is_none() {
    for value in [
        String::new(),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-1"),
        format!("00-{TRACE}-{SPAN}-01-"),
        format!("00-{TRACE}-{SPAN}-01-more"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("0g-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{}-01", SPAN.to_uppercase()),
        format!("00-{TRACE}_{SPAN}-01"),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!(" 00-{TRACE}-{SPAN}-01"),
    ] {
        assert_eq!(parse_traceparent(value.as_bytes()), None, "{value}");
    }
}

#[test]
fn a_version_of_the_future_is_read_as_far_as_it_is_known() {
    assert!(parse_traceparent(format!("cc-{TRACE}-{SPAN}-01").as_bytes()).is_some());
    assert!(parse_traceparent(format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings").as_bytes()).is_some());
    assert!(parse_traceparent(format!("cc-{TRACE}-{SPAN}-01.no").as_bytes()).is_none());
    assert!(parse_traceparent(format!("cc-{TRACE}-{SPAN}-0").as_bytes()).is_none());
}

#[test]
fn a_tracestate_is_a_list_of_keys_and_values() {
    for value in [
        "",
        "rojo=00f067aa0ba902b7",
        "a=1,b=2",
        " a=1 ,\t b=2,,",
        "fw529a3039@dt=FfAA",
        "0key=level two",
        "a*b/c_d-e=x",
    ] {
        assert!(is_tracestate(value.as_bytes()), "{value}");
    }
    let many = vec!["a=1"; 33].join(",");
    let long = format!("a={}", "v".repeat(257));
    let huge = format!("a=1{}", " ".repeat(TRACESTATE_BYTES));
    for value in
        ["a", "=1", "A=1", "a=", "a=1=2", "a=\x01", "@dt=1", "a@=1", "ü=1", "_a=1", &many, &long, &huge]
    {
        assert!(!is_tracestate(value.as_bytes()), "{value}");
    }
}

#[test]
fn b3_in_one_header_has_two_to_four_parts() {
    let read = |rest: &str| parse_b3(format!("{TRACE}-{SPAN}{rest}").as_bytes());
    assert_eq!(read(""), Ok(parent(Decision::Deferred)));
    assert_eq!(read("-0"), Ok(parent(Decision::Drop)));
    assert_eq!(read("-1"), Ok(parent(Decision::Keep)));
    assert_eq!(read("-d-05e3ac9a4f6e3b90"), Ok(parent(Decision::Debug)));
    for bad in ["-2", "-", "-1-", "-1-05e3", "-1-05e3ac9a4f6e3b90-1"] {
        assert_eq!(read(bad), Err(None), "{bad}");
    }
}

#[test]
fn b3_may_say_no_more_than_its_decision() {
    assert_eq!(parse_b3(b"0"), Err(Some(Decision::Drop)));
    assert_eq!(parse_b3(b"1"), Err(Some(Decision::Keep)));
    assert_eq!(parse_b3(b"d"), Err(Some(Decision::Debug)));
    assert_eq!(parse_b3(b"x"), Err(None));
    assert_eq!(parse_b3(b""), Err(None));
    let sampled = B3Fields { sampled: b"1", ..B3Fields::default() };
    assert_eq!(parse_b3_fields(&sampled), Err(Some(Decision::Keep)));
    assert_eq!(parse_b3_fields(&B3Fields::default()), Err(None));
}

#[test]
fn a_trace_of_64_bits_gets_zeros_in_front() {
    let read = parse_b3(format!("a3ce929d0e0e4736-{SPAN}-1").as_bytes()).unwrap();
    assert_eq!(format!("{:?}", read.trace), "0000000000000000a3ce929d0e0e4736");
}

#[test]
fn b3_in_many_headers_takes_old_words_too() {
    let read = |sampled: &str, flags: &str| {
        let (trace, span) = (TRACE.as_bytes(), SPAN.as_bytes());
        let fields = B3Fields { trace, span, sampled: sampled.as_bytes(), flags: flags.as_bytes() };
        parse_b3_fields(&fields)
    };
    assert_eq!(read("", ""), Ok(parent(Decision::Deferred)));
    assert_eq!(read("1", "0"), Ok(parent(Decision::Keep)));
    assert_eq!(read("true", ""), Ok(parent(Decision::Keep)));
    assert_eq!(read("false", ""), Ok(parent(Decision::Drop)));
    assert_eq!(read("0", "1"), Ok(parent(Decision::Debug)));
    assert_eq!(read("yes", ""), Err(None));
    assert_eq!(read("d", ""), Err(None));
    let half = B3Fields { trace: TRACE.as_bytes(), ..B3Fields::default() };
    assert_eq!(parse_b3_fields(&half), Err(None));
}

#[test]
fn what_is_written_says_the_same() {
    for decision in [Decision::Drop, Decision::Keep] {
        let parent = Parent { is_random: true, ..parent(decision) };
        let text = written(|out| write_traceparent(&parent, out));
        assert_eq!(parse_traceparent(text.as_bytes()), Some(parent));
    }
    for decision in [Decision::Deferred, Decision::Drop, Decision::Keep, Decision::Debug] {
        let text = written(|out| write_b3(&parent(decision), out));
        assert_eq!(parse_b3(text.as_bytes()), Ok(parent(decision)));
    }
    let lines = written(|out| write_b3_fields(&parent(Decision::Debug), out));
    assert_eq!(lines, format!("X-B3-TraceId: {TRACE}\r\nX-B3-SpanId: {SPAN}\r\nX-B3-Flags: 1\r\n"));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse_traceparent(&bytes);
        let _ = is_tracestate(&bytes);
        let _ = parse_b3(&bytes);
        let fields = B3Fields { trace: &bytes, span: &bytes, sampled: &bytes, flags: &bytes };
        let _ = parse_b3_fields(&fields);
    }

    #[test]
    fn nearly_right_bytes_are_right_or_refused(place in 0_usize..55, byte in any::<u8>()) {
        let mut text = format!("00-{TRACE}-{SPAN}-01").into_bytes();
        text[place] = byte;
        if let Some(parent) = parse_traceparent(&text) {
            let again = written(|out| write_traceparent(&parent, out));
            prop_assert!(parse_traceparent(again.as_bytes()) == Some(parent));
        }
    }
}
