use proptest::prelude::*;

use super::{ResponseHead, parse_response};
use crate::http1::{BodyFraming, HeadError, HeadLimits, Method, Progress, Version};

fn parse_for(method: Method, text: &str) -> Result<ResponseHead, HeadError> {
    let mut head = ResponseHead::default();
    match parse_response(text.as_bytes(), method, &HeadLimits::default(), &mut head)? {
        Progress::Complete => Ok(head),
        Progress::Partial => panic!("{text:?} is a partial head"),
    }
}

#[test]
fn a_response_is_read_into_spans() {
    let text = "HTTP/1.1 404 Not Found\r\nServer: x\r\nContent-Length: 3\r\n\r\nabc";
    let head = parse_for(Method::Get, text).unwrap();
    assert_eq!((head.status, head.version), (404, Version::Http11));
    assert_eq!(head.reason.of(text.as_bytes()), b"Not Found");
    assert_eq!((head.framing, head.keep_alive), (BodyFraming::Length(3), true));
    assert_eq!(&text[head.length..], "abc");
    assert_eq!(&text[head.fields_start as usize..][..7], "Server:");
}

#[test]
fn the_reason_may_be_empty_or_missing() {
    for (line, reason) in [
        ("HTTP/1.1 200 ", ""),
        ("HTTP/1.1 200", ""),
        ("HTTP/1.0 200 \u{e9}\tx", "\u{e9}\tx"),
        ("HTTP/1.1 999  ", " "),
    ] {
        let text = format!("{line}\r\n\r\n");
        let head = parse_for(Method::Get, &text).unwrap();
        assert_eq!(head.reason.of(text.as_bytes()), reason.as_bytes(), "{line:?}");
    }
}

#[test]
fn status_lines_that_are_malformed_are_rejected() {
    for (line, expected) in [
        ("HTTP/2.0 200 OK\r\n", HeadError::UnsupportedVersion),
        ("HTTP/1.2 200 OK\r\n", HeadError::UnsupportedVersion),
        ("ICY 200 OK\r\n", HeadError::InvalidVersion),
        ("\r\nHTTP/1.1 200 OK\r\n", HeadError::InvalidVersion),
        ("HTTP/1.1  200 OK\r\n", HeadError::InvalidStatusLine),
        ("HTTP/1.1\t200 OK\r\n", HeadError::InvalidStatusLine),
        ("HTTP/1.1 20 OK\r\n", HeadError::InvalidStatusLine),
        ("HTTP/1.1 2000 OK\r\n", HeadError::InvalidStatusLine),
        ("HTTP/1.1 099 OK\r\n", HeadError::InvalidStatusLine),
        ("HTTP/1.1 +20 OK\r\n", HeadError::InvalidStatusLine),
        ("HTTP/1.1 200OK\r\n", HeadError::InvalidStatusLine),
        ("HTTP/1.1 200 O\0K\r\n", HeadError::InvalidStatusLine),
        ("HTTP/1.1 200 OK\n", HeadError::BareLineFeed),
        ("HTTP/1.1 200\n", HeadError::BareLineFeed),
        ("HTTP/1.1 200 OK\rX", HeadError::BareCarriageReturn),
    ] {
        assert_eq!(parse_for(Method::Get, line).unwrap_err(), expected, "{line:?}");
    }
}

#[test]
fn the_body_is_framed_by_method_status_and_fields() {
    use BodyFraming::*;
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (method, status, fields, framing, keep_alive) in [
        (Method::Get, 200, length, Length(5), true),
        (Method::Get, 200, chunked, Chunked, true),
        (Method::Get, 200, "", UntilClose, false),
        (Method::Head, 200, length, None, true),
        (Method::Head, 200, chunked, None, true),
        (Method::Head, 200, "", None, true),
        (Method::Get, 304, length, None, true),
        (Method::Get, 304, "", None, true),
        (Method::Get, 204, "", None, true),
        (Method::Get, 204, "Content-Length: 0\r\n", None, true),
        (Method::Get, 204, length, None, false),
        (Method::Get, 204, chunked, None, false),
        (Method::Get, 100, "", None, true),
        (Method::Get, 103, "Link: x\r\n", None, true),
        (Method::Get, 103, length, None, false),
        (Method::Get, 205, "", UntilClose, false),
        (Method::Connect, 200, "", None, true),
        (Method::Connect, 200, length, None, false),
        (Method::Connect, 407, length, Length(5), true),
    ] {
        let text = format!("HTTP/1.1 {status} X\r\n{fields}\r\n");
        let head = parse_for(method, &text).unwrap();
        assert_eq!((head.framing, head.keep_alive), (framing, keep_alive), "{method:?} {status} {fields:?}");
    }
}

#[test]
fn framing_fields_of_a_response_without_body_are_marked_for_removal() {
    let head = parse_for(Method::Get, "HTTP/1.1 204 X\r\nA: b\r\nContent-Length: 0\r\n\r\n").unwrap();
    assert_eq!((head.fields[0].listed, head.fields[1].listed), (false, true));
    let head = parse_for(Method::Head, "HTTP/1.1 200 X\r\nContent-Length: 7\r\n\r\n").unwrap();
    assert!(!head.fields[0].listed);
}

#[test]
fn a_response_with_two_readings_of_its_length_is_rejected() {
    for (version, fields, expected) in [
        ("1.1", "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", HeadError::LengthAndTransferEncoding),
        ("1.1", "Content-Length: 5, 5\r\n", HeadError::InvalidContentLength),
        ("1.1", "Content-Length: 5\r\nContent-Length: 5\r\n", HeadError::RepeatedContentLength),
        ("1.1", "Transfer-Encoding: gzip\r\n", HeadError::UnsupportedTransferCoding),
        ("1.1", "A : b\r\n", HeadError::WhitespaceBeforeColon),
        ("1.0", "Transfer-Encoding: chunked\r\n", HeadError::TransferEncodingInHttp10),
    ] {
        for status in [200, 304] {
            let text = format!("HTTP/{version} {status} X\r\n{fields}\r\n");
            assert_eq!(parse_for(Method::Get, &text).unwrap_err(), expected, "{text:?}");
        }
    }
}

#[test]
fn persistence_and_upgrade_follow_version_and_connection() {
    for (line, fields, keep_alive, upgrade) in [
        ("HTTP/1.1 101 X", "Upgrade: websocket\r\nConnection: upgrade\r\n", true, true),
        ("HTTP/1.0 101 X", "", false, false),
        ("HTTP/1.0 200 X", "Content-Length: 5\r\n", false, false),
        ("HTTP/1.0 200 X", "Content-Length: 5\r\nConnection: keep-alive\r\n", true, false),
        ("HTTP/1.1 200 X", "Content-Length: 5\r\nConnection: close\r\n", false, false),
        ("HTTP/1.0 200 X", "Connection: keep-alive\r\n", false, false),
    ] {
        let head = parse_for(Method::Get, &format!("{line}\r\n{fields}\r\n")).unwrap();
        assert_eq!((head.keep_alive, head.upgrade), (keep_alive, upgrade), "{line} {fields:?}");
    }
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_does_not_matter(
        start in prop_oneof![
            4 => Just("HTTP/1.1 200 OK\r\n".to_owned()),
            1 => "HTTP/1.[01] [0-9]{2,4}[ -~\r\n]{0,8}\r\n",
            1 => "[ -~\r\n]{0,20}",
        ],
        lines in prop::collection::vec(prop_oneof![
            Just("Content-Length: 5\r\n".to_owned()),
            Just("Transfer-Encoding: chunked\r\n".to_owned()),
            "[A-Za-z-]{1,8}:[ -~]{0,30}\r\n",
            "[ -~\r\n\t\u{0}]{0,4}",
        ], 0..6),
        head_bytes in prop_oneof![Just(40usize), Just(1000)],
    ) {
        let text = start + &lines.concat() + "\r\n";
        let limits = HeadLimits { head_bytes, fields: 4, target_bytes: 0 };
        let outcome = |bytes: &[u8], head: &mut ResponseHead| {
            parse_response(bytes, Method::Get, &limits, head).map(|progress| match progress {
                Progress::Partial => None,
                Progress::Complete =>
                    Some((head.status, head.reason, head.fields.clone(), head.framing, head.keep_alive, head.length)),
            })
        };
        let whole = outcome(text.as_bytes(), &mut ResponseHead::default());
        let mut head = ResponseHead::default();
        let cut = (0..=text.len())
            .map(|cut| outcome(&text.as_bytes()[..cut], &mut head))
            .find(|outcome| *outcome != Ok(None))
            .unwrap_or(Ok(None));
        prop_assert_eq!(cut, whole);
    }
}
