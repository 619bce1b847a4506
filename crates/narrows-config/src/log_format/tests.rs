use super::*;
use narrows_plan::{Expression, Fact};

#[test]
fn the_formats_that_have_a_name_compile() {
    for text in [COMBINED, COMMON] {
        assert!(nginx(text, LogEscape::Backslash).is_ok(), "{text}");
    }
    for text in [HAPROXY_HTTP, HAPROXY_HTTPS, HAPROXY_TCP] {
        assert!(haproxy(text).is_ok(), "{text}");
    }
}

#[test]
fn variables_of_nginx_become_fields_between_texts() {
    let format =
        nginx("a$remote_addr:${status}b $http_x_request_id$sent_http_etag", LogEscape::Json).unwrap();
    assert_eq!(format.escape, LogEscape::Json);
    let text = |text: &str| LogPart::Text(text.into());
    let expected = [
        text("a"),
        LogPart::Field(LogField::Client),
        text(":"),
        LogPart::Field(LogField::Status),
        text("b "),
        LogPart::Field(LogField::Header("x-request-id".into())),
        LogPart::Field(LogField::ResponseHeader("etag".into())),
    ];
    assert_eq!(*format.parts, expected);
}

#[test]
fn what_nginx_has_not_is_an_error_at_its_place_with_help() {
    let problems = nginx("$status $statsu $ ${uri", LogEscape::None).unwrap_err();
    let told: Vec<_> = problems.iter().map(|one| (one.range.clone(), one.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (8..15, "there is no `$statsu`"),
            (16..17, "a dollar sign begins a variable, `$status` for instance"),
            (18..23, "this `${` has no closing brace"),
        ]
    );
    assert_eq!(problems[0].help.as_deref(), Some("did you mean `$status`?"));
}

#[test]
fn aliases_flags_and_fetches_of_haproxy_become_fields() {
    let format = haproxy("%% %ci %{+Q}r %[req.hdr(Host)] %[ssl_fc_err,hex] %{+X}o%pid%{-X}o%Ta").unwrap();
    let text = |text: &str| LogPart::Text(text.into());
    let expected = [
        text("% "),
        LogPart::Field(LogField::Client),
        text(" "),
        LogPart::Quoted(LogField::RequestLineOrBad),
        text(" "),
        LogPart::Field(LogField::Header("host".into())),
        text(" "),
        LogPart::Hexadecimal(LogField::Zero),
        text(" "),
        LogPart::Hexadecimal(LogField::ProcessId),
        LogPart::Field(LogField::DurationMilliseconds),
    ];
    assert_eq!(*format.parts, expected);
}

#[test]
fn what_haproxy_has_not_is_an_error_at_its_place_with_help() {
    let problems = haproxy("%ST %SB %{+Z}r %[sr] % %[src,md5] %[").unwrap_err();
    let told: Vec<_> = problems.iter().map(|one| (one.range.clone(), one.message.as_str())).collect();
    assert_eq!(
        told,
        [
            (4..7, "there is no `%SB`"),
            (10..12, "there is no flag `+Z`"),
            (17..19, "there is no `%[sr]`"),
            (21..22, "a percent sign begins an alias, `%ST` for instance"),
            (25..32, "the converter `md5` is not there for logs"),
            (34..36, "this `%[` has no closing bracket"),
        ]
    );
    assert!(problems.iter().take(5).all(|problem| problem.help.is_some()));
}

#[test]
fn a_template_may_ask_for_the_response_and_the_record() {
    let format = template("${ response.status } ${ record.route }\n.").unwrap();
    let fact = |fact| LogPart::Field(LogField::Expression(Expression::Fact(fact)));
    let text = |text: &str| LogPart::Text(text.into());
    assert_eq!(*format.parts, [fact(Fact::ResponseStatus), text(" "), fact(Fact::RecordRoute), text(" .")]);
    assert!(template("${ record.nothing }").is_err());
}

#[test]
fn no_text_makes_a_format_panic() {
    let pieces = ["%", "$", "{", "}", "[", "]", ",", "+Q", "(", ")", "ST", "status", "\u{e9}", " ", "o"];
    let mut state = 1_u32;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..8 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            text.push_str(pieces[(state >> 16) as usize % pieces.len()]);
        }
        let _ = (haproxy(&text), nginx(&text, LogEscape::None), template(&text));
    }
}
