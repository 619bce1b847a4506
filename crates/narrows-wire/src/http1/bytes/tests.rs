use proptest::prelude::*;

use super::{is_forbidden_in_value, is_named, is_token, is_token_byte, run_end, trim_blanks, value_run_end};

#[test]
fn token_bytes_are_those_of_the_rfc() {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    for byte in 0..=255 {
        assert_eq!(is_token_byte(byte), allowed(byte), "{byte:#x}");
    }
    assert!(!is_token(b""));
}

#[test]
fn blanks_are_trimmed_at_both_ends_only() {
    assert_eq!(trim_blanks(b" \t a b\t "), b"a b");
    assert_eq!(trim_blanks(b" \t "), b"");
}

#[test]
fn a_name_matches_in_any_case_and_nothing_else_does() {
    for lower in ["te", "host", "x-real-ip", "http2-settings", "proxy-authentication-info"] {
        assert!(is_named(lower.as_bytes(), lower.as_bytes()));
        assert!(is_named(lower.to_uppercase().as_bytes(), lower.as_bytes()));
        for position in 0..lower.len() {
            for byte in 0..=255 {
                let mut name = lower.as_bytes().to_vec();
                name[position] = byte;
                let expected = name.eq_ignore_ascii_case(lower.as_bytes());
                assert_eq!(is_named(&name, lower.as_bytes()), expected, "{name:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn the_fast_searches_find_what_a_byte_by_byte_search_finds(
        bytes in prop::collection::vec(prop_oneof![20 => 0x20u8..0x7f, 1 => any::<u8>()], 0..80),
        from in 0usize..90,
    ) {
        let first = |kind: fn(u8) -> bool| {
            let rest = bytes.get(from..).unwrap_or_default();
            from + rest.iter().position(|&byte| kind(byte)).unwrap_or(rest.len())
        };
        prop_assert_eq!(value_run_end(&bytes, from), first(is_forbidden_in_value));
        prop_assert_eq!(run_end(&bytes, from, is_token_byte), first(|byte| !is_token_byte(byte)));
    }
}
