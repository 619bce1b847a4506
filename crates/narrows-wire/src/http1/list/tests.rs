use super::{BodyKind, cookie, list_members, prefers};

#[test]
fn list_members_come_without_blanks_and_without_empty_ones() {
    let members: Vec<_> = list_members(b" a ,, b\t,\"c, d\",").collect();
    assert_eq!(members, [&b"a"[..], b"b", b"\"c", b"d\""]);
    assert_eq!(list_members(b"").count(), 0);
}

#[test]
fn an_unbalanced_quote_does_not_swallow_the_next_member() {
    let members: Vec<_> = list_members(b"\"evil, 192.0.2.1").collect();
    assert_eq!(members, [&b"\"evil"[..], b"192.0.2.1"]);
}

#[test]
fn a_cookie_is_found_by_its_exact_name() {
    let value = b"a=1; session=x=y; b = 2 ;c; a=3;session2=z";
    for (name, expected) in [
        ("a", Some(&b"1"[..])),
        ("session", Some(b"x=y")),
        ("b", Some(b"2")),
        ("session2", Some(b"z")),
        ("c", None),
        ("sess", None),
        ("A", None),
    ] {
        assert_eq!(cookie(value, name), expected, "{name}");
    }
}

#[test]
fn accept_chooses_the_kind_of_body() {
    for (accept, expected) in [
        ("", BodyKind::Text),
        ("*/*", BodyKind::Text),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", BodyKind::Html),
        ("application/json, text/plain, */*", BodyKind::Json),
        ("application/json", BodyKind::Json),
        ("APPLICATION/JSON;Q=0.3", BodyKind::Json),
        ("application/*", BodyKind::Json),
        ("text/html;q=0, */*", BodyKind::Text),
        ("text/plain;q=0, */*;q=0.1", BodyKind::Json),
        ("text/plain;q=0, application/json;q=0, */*;q=0.1", BodyKind::Html),
        ("text/plain;q=0.5, application/json;q=0.501", BodyKind::Json),
        ("text/*;q=0.4, text/html;level=1;q=0.7", BodyKind::Html),
        ("image/png", BodyKind::Text),
        ("application/json;q=0", BodyKind::Text),
        ("application/json;q=2", BodyKind::Text),
        ("application/json;q=0.1234", BodyKind::Text),
        ("application/json;q=", BodyKind::Text),
        ("text/html;q=1.000, application/json;q=0.999", BodyKind::Html),
        ("garbage,;;;,/", BodyKind::Text),
    ] {
        assert_eq!(prefers(accept.as_bytes()), expected, "{accept}");
    }
}
