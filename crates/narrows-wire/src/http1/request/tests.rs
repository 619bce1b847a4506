use proptest::prelude::*;

use super::{RequestHead, TargetForm, parse_request};
use crate::http1::{BodyFraming, FieldName, HeadError, HeadLimits, Method, Progress, Version};

mod smuggling;

fn parse(text: &str) -> Result<RequestHead, HeadError> {
    let mut head = RequestHead::default();
    match parse_request(text.as_bytes(), &HeadLimits::default(), &mut head)? {
        Progress::Complete => Ok(head),
        Progress::Partial => panic!("{text:?} is a partial head"),
    }
}

fn with_fields(fields: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn a_browser_request_is_read_into_spans() {
    let text = "GET /a?b=c HTTP/1.1\r\nHost: Example.com:8080\r\nX-Empty:\r\nAccept: \t*/* \t\r\n\r\nrest";
    let head = parse(text).unwrap();
    let of = |span: crate::http1::Span| std::str::from_utf8(span.of(text.as_bytes())).unwrap();
    assert_eq!((head.method, of(head.method_span)), (Method::Get, "GET"));
    assert_eq!((of(head.target), of(head.path_and_query)), ("/a?b=c", "/a?b=c"));
    assert_eq!((head.target_form, head.version), (TargetForm::Origin, Version::Http11));
    assert_eq!(of(head.host), "Example.com:8080");
    assert_eq!(&text[head.length..], "rest");
    assert_eq!(&text[head.fields_start as usize..][..5], "Host:");
    let fields: Vec<_> =
        head.fields.iter().map(|field| (of(field.name), of(field.value), field.known)).collect();
    assert_eq!(
        fields,
        [
            ("Host", "Example.com:8080", FieldName::Host),
            ("X-Empty", "", FieldName::Other),
            ("Accept", "*/*", FieldName::Accept)
        ]
    );
    let line = head.fields[2];
    assert_eq!(&text[line.name.start as usize..line.line_end as usize], "Accept: \t*/* \t\r\n");
    assert_eq!((head.framing, head.keep_alive, head.upgrade), (BodyFraming::None, true, false));
    assert!(std::ptr::eq(head.field(FieldName::Accept).unwrap(), &head.fields[2]));
}

#[test]
fn start_lines_that_are_malformed_are_rejected() {
    for (line, expected) in [
        ("GET / HTTP/1.1\n", HeadError::BareLineFeed),
        ("GET / HTTP/1.1\rX", HeadError::BareCarriageReturn),
        ("GET / HTTP/1.1 \r\n", HeadError::InvalidVersion),
        ("GET  / HTTP/1.1\r\n", HeadError::InvalidTarget),
        ("GET /  HTTP/1.1\r\n", HeadError::InvalidVersion),
        ("GET\t/ HTTP/1.1\r\n", HeadError::InvalidMethod),
        (" GET / HTTP/1.1\r\n", HeadError::InvalidMethod),
        ("GET /\r\n", HeadError::InvalidRequestLine),
        ("GET\r\n", HeadError::InvalidRequestLine),
        ("GE(T / HTTP/1.1\r\n", HeadError::InvalidMethod),
        ("\u{16}\u{3}\u{1}", HeadError::InvalidMethod),
        ("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n", HeadError::MethodTooLong),
        ("GET /\t HTTP/1.1\r\n", HeadError::InvalidTarget),
        ("GET /\u{e9} HTTP/1.1\r\n", HeadError::InvalidTarget),
        ("GET /a#b HTTP/1.1\r\n", HeadError::InvalidTarget),
        ("GET /\0 HTTP/1.1\r\n", HeadError::InvalidTarget),
        ("GET / HTTP/1.2\r\n", HeadError::UnsupportedVersion),
        ("GET / HTTP/0.9\r\n", HeadError::UnsupportedVersion),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", HeadError::UnsupportedVersion),
        ("GET / HTTP/1.10\r\n", HeadError::InvalidVersion),
        ("GET / HTTP/11\r\n", HeadError::InvalidVersion),
        ("GET / http/1.1\r\n", HeadError::InvalidVersion),
        ("GET / HTTPS/1.1\r\n", HeadError::InvalidVersion),
        ("\n", HeadError::BareLineFeed),
        ("\rG", HeadError::BareCarriageReturn),
        ("\r\n\r\n\r\nGET / HTTP/1.1\r\n", HeadError::InvalidRequestLine),
    ] {
        assert_eq!(parse(line).unwrap_err(), expected, "{line:?}");
    }
}

#[test]
fn two_empty_lines_before_the_request_line_are_counted() {
    let text = "\r\n\r\nGET / HTTP/1.0\r\n\r\n";
    let head = parse(text).unwrap();
    assert_eq!((head.length, head.start), (text.len(), 4));
    assert_eq!(head.target.of(text.as_bytes()), b"/");
}

#[test]
fn the_form_of_the_target_fits_the_method() {
    for (line, form, host, path) in [
        ("GET /x?y", TargetForm::Origin, "h", "/x?y"),
        ("GET //x", TargetForm::Origin, "h", "//x"),
        ("OPTIONS *", TargetForm::Asterisk, "h", "*"),
        ("OPTIONS /x", TargetForm::Origin, "h", "/x"),
        ("CONNECT a.example:443", TargetForm::Authority, "a.example:443", ""),
        ("CONNECT [::1]:443", TargetForm::Authority, "[::1]:443", ""),
        ("GET http://a.example/x?y", TargetForm::Absolute, "a.example", "/x?y"),
        ("GET HTTPS://a.example:8443", TargetForm::Absolute, "a.example:8443", ""),
        ("GET http://a.example?y", TargetForm::Absolute, "a.example", "?y"),
        ("OPTIONS http://a.example", TargetForm::Absolute, "a.example", ""),
    ] {
        let text = format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n");
        let head = parse(&text).unwrap();
        assert_eq!(head.target_form, form, "{line}");
        assert_eq!(head.host.of(text.as_bytes()), host.as_bytes(), "{line}");
        assert_eq!(head.path_and_query.of(text.as_bytes()), path.as_bytes(), "{line}");
    }
    for (line, expected) in [
        ("GET *", HeadError::TargetDoesNotFitMethod),
        ("GET a.example:80", HeadError::TargetDoesNotFitMethod),
        ("CONNECT /", HeadError::TargetDoesNotFitMethod),
        ("CONNECT a.example", HeadError::TargetDoesNotFitMethod),
        ("CONNECT a.example:", HeadError::TargetDoesNotFitMethod),
        ("CONNECT u@a.example:443", HeadError::TargetDoesNotFitMethod),
        ("CONNECT http://a.example/", HeadError::TargetDoesNotFitMethod),
        ("OPTIONS *x", HeadError::InvalidTarget),
        ("GET x", HeadError::InvalidTarget),
        ("GET ?x", HeadError::InvalidTarget),
        ("GET ftp://a.example/", HeadError::InvalidTarget),
        ("GET http:/a.example/", HeadError::InvalidTarget),
        ("GET http:///x", HeadError::InvalidHost),
        ("GET http://a\\b/", HeadError::InvalidHost),
        ("GET http://user:secret@a.example/", HeadError::UserInformation),
        ("GET http://@a.example/", HeadError::UserInformation),
    ] {
        assert_eq!(parse(&format!("{line} HTTP/1.1\r\nHost: h\r\n\r\n")).unwrap_err(), expected, "{line}");
    }
}

#[test]
fn the_authority_of_the_target_wins_over_host() {
    let text = "GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n";
    assert_eq!(parse(text).unwrap().host.of(text.as_bytes()), b"a.example");
    assert_eq!(parse("GET http://a.example/ HTTP/1.1\r\n\r\n").unwrap_err(), HeadError::MissingHost);
}

#[test]
fn host_is_needed_once_and_valid() {
    for (fields, expected) in [
        ("", Err(HeadError::MissingHost)),
        ("Host: a\r\nHost: a\r\n", Err(HeadError::RepeatedHost)),
        ("Host: a\r\nhOST: b\r\n", Err(HeadError::RepeatedHost)),
        ("Host:\r\n", Err(HeadError::InvalidHost)),
        ("Host: a,b\r\n", Err(HeadError::InvalidHost)),
        ("Host: a b\r\n", Err(HeadError::InvalidHost)),
        ("Host: a/b\r\n", Err(HeadError::InvalidHost)),
        ("Host: a@b\r\n", Err(HeadError::InvalidHost)),
        ("Host: a%6D\r\n", Err(HeadError::InvalidHost)),
        ("Host: \u{e9}\r\n", Err(HeadError::InvalidHost)),
        ("Host: a:b\r\n", Err(HeadError::InvalidHost)),
        ("Host: a:65536\r\n", Err(HeadError::InvalidHost)),
        ("Host: a:1:2\r\n", Err(HeadError::InvalidHost)),
        ("Host: a:+1\r\n", Err(HeadError::InvalidHost)),
        ("Host: :80\r\n", Err(HeadError::InvalidHost)),
        ("Host: [::1\r\n", Err(HeadError::InvalidHost)),
        ("Host: [::1]x\r\n", Err(HeadError::InvalidHost)),
        ("Host: [v1.a]\r\n", Err(HeadError::InvalidHost)),
        ("Host: http://a\r\n", Err(HeadError::InvalidHost)),
        ("Host: a:80\r\n", Ok("a:80")),
        ("Host: a:\r\n", Ok("a:")),
        ("Host: [::ffff:192.0.2.1]:80\r\n", Ok("[::ffff:192.0.2.1]:80")),
        ("Host: my_host.example.\r\n", Ok("my_host.example.")),
    ] {
        let text = format!("GET / HTTP/1.1\r\n{fields}\r\n");
        let host = parse(&text).map(|head| head.host.of(text.as_bytes()).to_vec());
        assert_eq!(host, expected.map(|host: &str| host.as_bytes().to_vec()), "{fields:?}");
    }
    assert!(parse("GET / HTTP/1.0\r\n\r\n").unwrap().host.is_empty());
}

#[test]
fn field_lines_that_are_malformed_are_rejected() {
    for (fields, expected) in [
        ("A: b\n", HeadError::BareLineFeed),
        ("A: b\rc\r\n", HeadError::BareCarriageReturn),
        ("A: b\r\r\n", HeadError::BareCarriageReturn),
        ("A\r\n", HeadError::InvalidFieldName),
        ("A: b\r\n c\r\n", HeadError::ObsoleteFolding),
        ("A: b\r\n\tc: d\r\n", HeadError::ObsoleteFolding),
        ("A: b\r\n \r\n", HeadError::ObsoleteFolding),
        ("A : b\r\n", HeadError::WhitespaceBeforeColon),
        ("A\t: b\r\n", HeadError::WhitespaceBeforeColon),
        (": b\r\n", HeadError::EmptyFieldName),
        ("A(b): c\r\n", HeadError::InvalidFieldName),
        ("A\0: c\r\n", HeadError::InvalidFieldName),
        ("\u{e9}: c\r\n", HeadError::InvalidFieldName),
        ("A: \0\r\n", HeadError::InvalidFieldValue),
        ("A: \u{b}b\r\n", HeadError::InvalidFieldValue),
        ("A: b\u{7f}\r\n", HeadError::InvalidFieldValue),
        ("A: b\u{1b}[0m\r\n", HeadError::InvalidFieldValue),
    ] {
        assert_eq!(parse(&with_fields(fields)).unwrap_err(), expected, "{fields:?}");
    }
    assert_eq!(parse("GET / HTTP/1.1\r\n Host: a\r\n\r\n").unwrap_err(), HeadError::ObsoleteFolding);
    assert_eq!(parse("GET / HTTP/1.1\r\nHost: a\r\n\n").unwrap_err(), HeadError::BareLineFeed);
}

#[test]
fn tabs_and_bytes_above_ascii_are_allowed_in_values() {
    let text = b"GET / HTTP/1.1\r\nHost: a\r\nX: a\tb\xff\x80\r\n\r\n";
    let mut head = RequestHead::default();
    assert_eq!(parse_request(text, &HeadLimits::default(), &mut head), Ok(Progress::Complete));
    assert_eq!(head.fields[1].value.of(text), b"a\tb\xff\x80");
}

#[test]
fn connection_decides_about_persistence_and_upgrade() {
    for (version, fields, keep_alive, upgrade) in [
        ("1.1", "", true, false),
        ("1.1", "Connection: close\r\n", false, false),
        ("1.1", "Connection: foo, CLOSE\r\n", false, false),
        ("1.1", "Connection: keep-alive\r\nConnection: close\r\n", false, false),
        ("1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n", true, true),
        ("1.1", "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n", true, true),
        ("1.1", "Upgrade: websocket\r\n", true, false),
        ("1.1", "Connection: upgrade\r\n", true, false),
        ("1.0", "Connection: upgrade, keep-alive\r\nUpgrade: websocket\r\n", true, false),
        ("1.0", "", false, false),
        ("1.0", "Connection: Keep-Alive\r\n", true, false),
        ("1.0", "Connection: keep-alive, close\r\n", false, false),
        ("1.0", "Proxy-Connection: keep-alive\r\n", false, false),
    ] {
        let head = parse(&format!("GET / HTTP/{version}\r\nHost: a\r\n{fields}\r\n")).unwrap();
        assert_eq!((head.keep_alive, head.upgrade), (keep_alive, upgrade), "{version} {fields:?}");
    }
}

#[test]
fn fields_that_connection_names_are_listed() {
    let text = with_fields("X-A: 1\r\nConnection: x-a, TE\r\nTE: trailers\r\nX-B: 2\r\nx-A: 3\r\n");
    let head = parse(&text).unwrap();
    let listed: Vec<_> = head.fields.iter().map(|field| field.listed).collect();
    assert_eq!(listed, [false, true, false, true, false, true]);
    let ours: Vec<_> = head.fields.iter().map(|field| field.is_hop_by_hop()).collect();
    assert_eq!(ours, [false, true, true, true, false, true]);
}

#[test]
fn connection_cannot_name_what_frames_or_routes_the_message() {
    let many = format!("Connection: {}\r\n", "x,".repeat(33));
    for fields in [
        "Connection: Host\r\n",
        "Connection: close, content-length\r\n",
        "Connection: \"x\"\r\n",
        "Connection: a b\r\n",
        &many,
    ] {
        assert_eq!(parse(&with_fields(fields)).unwrap_err(), HeadError::InvalidConnection, "{fields:?}");
    }
}

#[test]
fn only_http11_waits_for_100_continue() {
    for (version, value, expected) in [
        ("1.1", "100-continue", true),
        ("1.1", "100-Continue", true),
        ("1.0", "100-continue", false),
        ("1.1", "x", false),
    ] {
        let text = format!("PUT / HTTP/{version}\r\nHost: a\r\nExpect: {value}\r\n\r\n");
        assert_eq!(parse(&text).unwrap().expects_continue, expected, "{version} {value}");
    }
}

#[test]
fn limits_are_noticed_on_partial_input() {
    let limits = HeadLimits { head_bytes: 100, fields: 2, target_bytes: 10 };
    let mut head = RequestHead::default();
    for (text, expected) in [
        ("GET /123456789".to_owned(), Ok(Progress::Partial)),
        ("GET /1234567890".to_owned(), Err(HeadError::TargetTooLong)),
        (format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(80)), Ok(Progress::Partial)),
        (format!("GET / HTTP/1.1\r\nA: {}", "b".repeat(81)), Err(HeadError::HeadTooLarge)),
        (format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "b".repeat(74)), Ok(Progress::Complete)),
        (format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "b".repeat(75)), Err(HeadError::HeadTooLarge)),
        ("GET / HTTP/1.1\r\nHost: a\r\nB: b\r\n\r\n".to_owned(), Ok(Progress::Complete)),
        ("GET / HTTP/1.1\r\nHost: a\r\nB: b\r\nC:\r\n".to_owned(), Err(HeadError::TooManyFields)),
    ] {
        head.clear();
        assert_eq!(parse_request(text.as_bytes(), &limits, &mut head), expected, "{text:?}");
    }
    assert_eq!(HeadError::TargetTooLong.status(), 414);
    assert_eq!(HeadError::HeadTooLarge.status(), 431);
    assert_eq!(HeadError::TooManyFields.status(), 431);
    assert_eq!(HeadError::UnsupportedVersion.status(), 505);
    assert_eq!(HeadError::UnsupportedTransferCoding.status(), 501);
    assert_eq!(HeadError::InvalidHost.status(), 400);
}

#[test]
fn a_head_is_reused_without_clearing_after_completion_and_error() {
    let mut head = RequestHead::default();
    let limits = HeadLimits::default();
    let first = b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nConnection: close\r\n\r\n";
    assert_eq!(parse_request(first, &limits, &mut head), Ok(Progress::Complete));
    assert_eq!(parse_request(b"GET / HTTP/1.1\r\nA b", &limits, &mut head), Ok(Progress::Partial));
    assert!(parse_request(b"GET / HTTP/1.1\r\nA b\r\n", &limits, &mut head).is_err());
    let second = b"GET /b HTTP/1.1\r\nHost: b\r\n\r\n";
    assert_eq!(parse_request(second, &limits, &mut head), Ok(Progress::Complete));
    assert_eq!((head.framing, head.keep_alive, head.fields.len()), (BodyFraming::None, true, 1));
}

/// What a parse says, comparable.
fn outcome(bytes: &[u8], limits: &HeadLimits, head: &mut RequestHead) -> Result<Option<String>, HeadError> {
    Ok(match parse_request(bytes, limits, head)? {
        Progress::Partial => None,
        Progress::Complete => Some(format!(
            "{:?}",
            (
                (&head.method_span, &head.target, head.target_form, head.path_and_query, head.host),
                (head.version, &head.fields, head.framing, head.keep_alive, head.upgrade),
                (head.expects_continue, head.length, head.start, head.fields_start),
            )
        )),
    })
}

fn pieces() -> impl Strategy<Value = String> {
    let line = prop_oneof![
        Just("Host: a\r\n".to_owned()),
        Just("Content-Length: 5\r\n".to_owned()),
        Just("Transfer-Encoding: chunked\r\n".to_owned()),
        Just("Connection: x, close\r\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("\n".to_owned()),
        Just("\r".to_owned()),
        Just(" x: y\r\n".to_owned()),
        "[A-Za-z-]{1,8}:[ -~]{0,30}\r\n",
        "[ -~\r\n\t\u{0}]{0,6}",
    ];
    let start = prop_oneof![
        8 => Just("GET /path?q HTTP/1.1\r\n".to_owned()),
        1 => Just("\r\nPOST http://a:1/x HTTP/1.0\r\n".to_owned()),
        1 => Just("CONNECT a:1 HTTP/1.1\r\n".to_owned()),
        1 => "[A-Z]{1,40} /[a-z]{0,60} HTTP/[0-9].[0-9]\r\n",
        1 => "[ -~\r\n]{0,20}",
    ];
    (start, prop::collection::vec(line, 0..8), prop::bool::weighted(0.8))
        .prop_map(|(start, lines, ended)| start + &lines.concat() + if ended { "\r\n" } else { "" })
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_does_not_matter(
        text in pieces(),
        cuts in prop::collection::vec(0usize..200, 0..6),
        limits in prop_oneof![
            Just(HeadLimits::default()),
            Just(HeadLimits { head_bytes: 60, fields: 3, target_bytes: 20 }),
        ],
    ) {
        let bytes = text.as_bytes();
        let whole = outcome(bytes, &limits, &mut RequestHead::default());
        let mut cuts: Vec<_> = cuts.into_iter().filter(|&cut| cut < bytes.len()).collect();
        cuts.sort_unstable();
        for cuts in [cuts, (0..bytes.len()).collect()] {
            let mut head = RequestHead::default();
            let mut cut_outcome = Ok(None);
            for cut in cuts.into_iter().chain([bytes.len()]) {
                cut_outcome = outcome(&bytes[..cut], &limits, &mut head);
                if cut_outcome != Ok(None) {
                    break;
                }
            }
            prop_assert_eq!(&cut_outcome, &whole);
        }
    }

    #[test]
    fn a_valid_head_is_read_as_it_was_written(
        fields in prop::collection::vec(("X-[A-Za-z0-9_.-]{1,12}", "([!-~]([ -~\t]{0,40}[!-~])?)?"), 0..20),
        path in "/[!-\"$-~]{0,50}",
        length in any::<u64>(),
    ) {
        let mut text = format!("POST {path} HTTP/1.1\r\nHost: a.example\r\ncontent-length: {length}\r\n");
        for (name, value) in &fields {
            text += &format!("{name}: {value}\r\n");
        }
        text += "\r\n";
        let head = parse(&text).unwrap();
        prop_assert_eq!(head.length, text.len());
        prop_assert_eq!(head.framing, BodyFraming::Length(length));
        prop_assert_eq!(head.target.of(text.as_bytes()), path.as_bytes());
        prop_assert_eq!(head.fields.len(), fields.len() + 2);
        for (field, (name, value)) in head.fields[2..].iter().zip(&fields) {
            prop_assert_eq!(field.name.of(text.as_bytes()), name.as_bytes());
            prop_assert_eq!(field.value.of(text.as_bytes()), value.as_bytes());
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse_request(&bytes, &HeadLimits::default(), &mut RequestHead::default());
    }
}
