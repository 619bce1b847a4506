//! Queries, as HTML forms write them.

use std::borrow::Cow;

use super::path::decode_one;

/// Path and query, cut at the first `?`.
pub fn split_query(path_and_query: &[u8]) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(b'?', path_and_query) {
        Some(mark) => (&path_and_query[..mark], Some(&path_and_query[mark + 1..])),
        None => (path_and_query, None),
    }
}

/// The value of the first parameter of this name in `a=1&b=2`, as an HTML form encodes it: `+` is a space, `%XX` a
/// byte. An invalid encoding stays as it is; bytes that are not UTF-8 become U+FFFD. A name without `=` has the
/// empty value.
pub fn query_parameter<'a>(query: &'a [u8], name: &str) -> Option<Cow<'a, str>> {
    query.split(|&byte| byte == b'&').find_map(|pair| {
        let equals = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        let value = pair.get(equals + 1..).unwrap_or_default();
        (!pair.is_empty() && decode_form(&pair[..equals]) == name).then(|| decode_form(value))
    })
}

fn decode_form(encoded: &[u8]) -> Cow<'_, str> {
    if memchr::memchr2(b'+', b'%', encoded).is_none() {
        return String::from_utf8_lossy(encoded);
    }
    let mut decoded = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let [byte, after @ ..] = rest {
        rest = after;
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => match decode_one(&encoded[encoded.len() - after.len() - 1..]) {
                Some(byte) => {
                    rest = &after[2..];
                    byte
                }
                None => b'%',
            },
            _ => *byte,
        });
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}
