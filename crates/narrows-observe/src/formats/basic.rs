//! The user of basic authentication (RFC 7617), as it was said and unverified.

/// Appends the user name that an `Authorization` value tells; nothing where it tells none.
pub(super) fn write_user(authorization: &str, mut byte: impl FnMut(u8)) {
    let Some((scheme, credentials)) = authorization.split_once(' ') else { return };
    if !scheme.eq_ignore_ascii_case("basic") {
        return;
    }
    let (mut bits, mut count) = (0_u32, 0);
    for letter in credentials.trim().bytes() {
        let Some(value) = value(letter) else { return };
        bits = (bits << 6) | value;
        count += 6;
        if count >= 8 {
            count -= 8;
            let decoded = (bits >> count) as u8;
            if decoded == b':' {
                return;
            }
            byte(decoded);
        }
    }
}

/// The six bits of a letter of base64 (RFC 4648 section 4); `None` for padding and everything else.
fn value(letter: u8) -> Option<u32> {
    Some(u32::from(match letter {
        b'A'..=b'Z' => letter - b'A',
        b'a'..=b'z' => letter - b'a' + 26,
        b'0'..=b'9' => letter - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    }))
}
