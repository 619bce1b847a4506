use super::{SetCookie, cookies, edit_cookies, set_cookie};
use proptest::prelude::*;

fn edited(value: &str, name: &str, edit: impl Fn(&[u8]) -> Option<&[u8]>) -> (String, bool) {
    let mut out = Vec::new();
    let is_written = edit_cookies(value.as_bytes(), name, &mut out, edit);
    (String::from_utf8(out).unwrap(), is_written)
}

#[test]
fn every_cookie_of_a_name_is_found() {
    let found: Vec<_> = cookies(b"a=1; b=2;a = 3 ;a; aa=4; a=", "a").collect();
    assert_eq!(found, [&b"1"[..], b"3", b""]);
}

#[test]
fn a_cookie_is_taken_out_and_the_others_stay_as_they_are() {
    for (value, left) in [
        ("n=1", ""),
        ("n=1; a=2", "a=2"),
        ("a=2; n=1", "a=2"),
        ("a=2; n=1; b=\"x y\"", "a=2; b=\"x y\""),
        ("n=1;n=2; n = 3", ""),
        ("a=2;n=1;b", "a=2;b"),
        ("n; a=2", "n; a=2"),
        ("; n=1", ""),
        ("", ""),
        ("nn=1; N=2", "nn=1; N=2"),
    ] {
        assert_eq!(edited(value, "n", |_| None), (left.to_owned(), !left.is_empty()), "{value}");
    }
}

#[test]
fn a_value_is_replaced_where_it_stands() {
    let mut out = Vec::new();
    assert!(edit_cookies(b"a=1; n=x~y; b=2", "n", &mut out, |value| Some(&value[2..])));
    assert_eq!(out, b"a=1; n=y; b=2");
}

#[test]
fn a_set_cookie_is_split_into_name_value_and_attributes() {
    let read = |value: &'static str| set_cookie(value.as_bytes());
    let cookie = |name: &'static str, value: &'static str, attributes: &'static str| {
        Some(SetCookie { name: name.as_bytes(), value: value.as_bytes(), attributes: attributes.as_bytes() })
    };
    assert_eq!(read("sid=31d4; Path=/; Secure"), cookie("sid", "31d4", "; Path=/; Secure"));
    assert_eq!(read(" sid = a=b "), cookie("sid", "a=b", ""));
    assert_eq!(read("sid=;Max-Age=0"), cookie("sid", "", ";Max-Age=0"));
    assert_eq!(read("=x"), None);
    assert_eq!(read("sid; a=b"), None);
    assert_eq!(read(""), None);
}

proptest! {
    #[test]
    fn nothing_of_a_name_is_left_and_nothing_else_is_lost(value in "[na =;\"~,]{0,40}") {
        let mut out = Vec::new();
        edit_cookies(value.as_bytes(), "n", &mut out, |_| None);
        prop_assert_eq!(cookies(&out, "n").count(), 0);
        for name in ["a", "na", "nn", "an"] {
            let (before, after) = (cookies(value.as_bytes(), name), cookies(&out, name));
            prop_assert!(before.eq(after), "{} of {:?}", name, value);
        }
    }

    #[test]
    fn a_value_that_is_kept_changes_nothing_that_is_read(value in "[na =;\"~,]{0,40}") {
        let mut out = Vec::new();
        edit_cookies(value.as_bytes(), "n", &mut out, Some);
        for name in ["n", "a", "na", "nn"] {
            let (before, after) = (cookies(value.as_bytes(), name), cookies(&out, name));
            prop_assert!(before.eq(after), "{} of {:?}", name, value);
        }
    }
}
