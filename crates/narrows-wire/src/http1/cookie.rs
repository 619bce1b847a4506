//! Cookie and Set-Cookie fields (RFC 6265). Both come from strangers: nothing here fails, what is no cookie stays as it is.

use super::bytes::trim_blanks;

/// The values of all cookies of this name in a Cookie field, in their order (RFC 6265 section 4.2.1); quotes stay.
pub fn cookies<'a>(value: &'a [u8], name: &str) -> impl Iterator<Item = &'a [u8]> {
    value.split(|&byte| byte == b';').filter_map(move |pair| named(pair, name.as_bytes()))
}

/// Appends a Cookie field's value in which each cookie of this name has the value that `edit` gives, or is left out where that is `None`. All other
/// bytes stay as they are. Says whether anything but blanks was appended.
pub fn edit_cookies<'a>(
    value: &'a [u8],
    name: &str,
    out: &mut Vec<u8>,
    mut edit: impl FnMut(&'a [u8]) -> Option<&'a [u8]>,
) -> bool {
    let mut is_written = false;
    for pair in value.split(|&byte| byte == b';') {
        let cookie = named(pair, name.as_bytes());
        let edited = cookie.map(&mut edit);
        if edited == Some(None) {
            continue;
        }
        if is_written {
            out.push(b';');
        }
        let pair = if is_written { pair } else { trim_blanks(pair) };
        match edited.flatten() {
            Some(value) => {
                if is_written {
                    out.push(b' ');
                }
                out.extend_from_slice(name.as_bytes());
                out.push(b'=');
                out.extend_from_slice(value);
                is_written = true;
            }
            None => {
                out.extend_from_slice(pair);
                is_written |= !pair.is_empty();
            }
        }
    }
    is_written
}

/// What a Set-Cookie field sets (RFC 6265 section 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SetCookie<'a> {
    /// Name of the cookie.
    pub name: &'a [u8],
    /// Its value; quotes stay.
    pub value: &'a [u8],
    /// What follows the value: empty, or beginning with its semicolon.
    pub attributes: &'a [u8],
}

/// Reads the value of a Set-Cookie field; `None` when it sets no cookie that has a name.
pub fn set_cookie(value: &[u8]) -> Option<SetCookie<'_>> {
    let end = memchr::memchr(b';', value).unwrap_or(value.len());
    let (pair, attributes) = value.split_at(end);
    let equals = memchr::memchr(b'=', pair)?;
    let name = trim_blanks(&pair[..equals]);
    (!name.is_empty()).then(|| SetCookie { name, value: trim_blanks(&pair[equals + 1..]), attributes })
}

/// The value of a pair with that name.
fn named<'a>(pair: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let equals = memchr::memchr(b'=', pair)?;
    (trim_blanks(&pair[..equals]) == name).then(|| trim_blanks(&pair[equals + 1..]))
}

#[cfg(test)]
mod tests;
