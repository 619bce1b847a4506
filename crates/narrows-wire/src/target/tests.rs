use proptest::prelude::*;

use super::{
    Normalized, PathRules, TargetError, encode_path, normalize, query_parameter, split_host_port, split_query,
};

fn normal(path: &str, rules: PathRules) -> Result<String, TargetError> {
    let mut out = String::from("left over");
    Ok(match normalize(path.as_bytes(), rules, &mut out)? {
        Normalized::Unchanged => path.to_owned(),
        Normalized::Rewritten => out,
    })
}

#[test]
fn a_plain_path_is_not_copied() {
    let mut out = String::new();
    for path in ["/", "/a/b", "/a/b/", "/a.b/c..d", "/a;b=c/@:!$&'()*+,", "/a\\b|c"] {
        assert_eq!(normalize(path.as_bytes(), PathRules::default(), &mut out), Ok(Normalized::Unchanged));
    }
}

#[test]
fn paths_are_normalised_by_the_rule() {
    use TargetError::*;
    for (path, expected) in [
        ("", Ok("/")),
        ("//", Ok("/")),
        ("//a///b//", Ok("/a/b/")),
        ("/.", Ok("/")),
        ("/./", Ok("/")),
        ("/a/.", Ok("/a/")),
        ("/a/./b", Ok("/a/b")),
        ("/a/..", Ok("/")),
        ("/a/../", Ok("/")),
        ("/a/b/../c", Ok("/a/c")),
        ("/a/b/..", Ok("/a/")),
        ("/a//../b", Ok("/b")),
        ("/a/...", Ok("/a/...")),
        ("/.a/..b", Ok("/.a/..b")),
        ("/%2e/a/%2E%2e/b/.%2e/c", Ok("/c")),
        ("/a/..;/b", Ok("/a/..;/b")),
        ("/..", Err(AboveRoot)),
        ("/a/../..", Err(AboveRoot)),
        ("/%2e%2e/etc/passwd", Err(AboveRoot)),
        ("/a/..//..", Err(AboveRoot)),
        ("/%61%62%7E%41", Ok("/ab~A")),
        ("/a%20b", Ok("/a b")),
        ("/a%2fb%2F..", Ok("/a%2Fb%2F..")),
        ("/%5c%3f%23%25%3b", Ok("/%5C%3F%23%25%3B")),
        ("/%2541", Ok("/%2541")),
        ("/%252e%252e/", Ok("/%252e%252e/")),
        ("/%0d%0A%1f%7f", Ok("/%0D%0A%1F%7F")),
        ("/caf%c3%a9/%F0%9F%98%80", Ok("/caf\u{e9}/\u{1f600}")),
        ("/%ff%c3(%e9", Ok("/%FF%C3(%E9")),
        ("/%c0%af", Ok("/%C0%AF")),
        ("/%ed%a0%80", Ok("/%ED%A0%80")),
        ("/%c3%a9%c3", Ok("/\u{e9}%C3")),
        ("/%", Err(InvalidEncoding)),
        ("/%4", Err(InvalidEncoding)),
        ("/%4g", Err(InvalidEncoding)),
        ("/%+1", Err(InvalidEncoding)),
        ("/%u0041", Err(InvalidEncoding)),
        ("/%00", Err(Nul)),
        ("/a%00.png", Err(Nul)),
        ("a", Err(Malformed)),
        ("*", Err(Malformed)),
        ("/a b", Err(Malformed)),
        ("/\u{e9}", Err(Malformed)),
    ] {
        assert_eq!(normal(path, PathRules::default()), expected.map(str::to_owned), "{path}");
    }
}

#[test]
fn each_rule_can_be_switched_off() {
    let raw = PathRules { decode: false, merge_slashes: false };
    for (path, expected) in [
        ("/%61%2f%c3%a9", Ok("/%61%2f%c3%a9")),
        ("//a//b/", Ok("//a//b/")),
        ("//", Ok("//")),
        ("/a//..", Ok("/a/")),
        ("/a/%2e%2e/b", Ok("/b")),
        ("/%zz", Err(TargetError::InvalidEncoding)),
        ("/%00", Err(TargetError::Nul)),
    ] {
        assert_eq!(normal(path, raw), expected.map(str::to_owned), "{path}");
    }
}

#[test]
fn a_normal_path_can_be_put_into_a_target() {
    for (path, expected) in [
        ("/a b", "/a%20b"),
        ("/\u{e9}%2F", "/%C3%A9%2F"),
        ("/a\"<>^`{|}:@!;\\", "/a%22%3C%3E%5E%60%7B%7C%7D:@!;\\"),
    ] {
        let mut out = Vec::new();
        encode_path(path, &mut out);
        assert_eq!(std::str::from_utf8(&out).unwrap(), expected);
    }
}

#[test]
fn a_query_is_split_and_searched() {
    assert_eq!(split_query(b"/a?b?c"), (&b"/a"[..], Some(&b"b?c"[..])));
    assert_eq!(split_query(b"/a?"), (&b"/a"[..], Some(&b""[..])));
    assert_eq!(split_query(b"/a"), (&b"/a"[..], None));
    let query = b"a=1&&b=x+y%21&c&d=%zz%&a=2&%65=%C3%A9&f=%ff&g==&=h";
    for (name, expected) in [
        ("a", Some("1")),
        ("b", Some("x y!")),
        ("c", Some("")),
        ("d", Some("%zz%")),
        ("e", Some("\u{e9}")),
        ("f", Some("\u{fffd}")),
        ("g", Some("=")),
        ("", Some("h")),
        ("z", None),
    ] {
        assert_eq!(query_parameter(query, name).as_deref(), expected, "{name:?}");
    }
}

#[test]
fn an_authority_is_split_into_host_and_port() {
    for (authority, expected) in [
        ("a", Some(("a", None))),
        ("a:80", Some(("a", Some(80)))),
        ("a:", Some(("a", None))),
        ("a:00080", Some(("a", Some(80)))),
        ("a:000080", None),
        ("[::1]", Some(("[::1]", None))),
        ("[::1]:65535", Some(("[::1]", Some(65535)))),
        ("[::1]:65536", None),
        ("[fe80::1%25eth0]", None),
        ("::1", None),
        ("", None),
        (":80", None),
        ("[]", None),
        ("[", None),
    ] {
        assert_eq!(split_host_port(authority.as_bytes()), expected, "{authority}");
    }
}

proptest! {
    #[test]
    fn normalising_twice_changes_nothing(
        path in "/(%2[0-9a-fA-F]|%[2-7][0-9]|%[cC]3%[aA]9|\\.|/|[a-c]){0,20}",
        decode in any::<bool>(),
        merge_slashes in any::<bool>(),
    ) {
        let rules = PathRules { decode, merge_slashes };
        if let Ok(once) = normal(&path, rules) {
            prop_assert!(once.starts_with('/'));
            prop_assert!(!once.split('/').any(|segment| segment == "." || segment == ".."), "{}", once);
            let mut forwarded = Vec::new();
            encode_path(&once, &mut forwarded);
            let forwarded = String::from_utf8(forwarded).unwrap();
            prop_assert_eq!(normal(&forwarded, rules), if decode { Ok(once) } else { Ok(forwarded) });
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let mut out = String::new();
        let _ = normalize(&bytes, PathRules::default(), &mut out);
        let _ = split_host_port(&bytes);
        let _ = query_parameter(&bytes, "a");
    }
}
