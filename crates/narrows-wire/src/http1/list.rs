//! Field values that hold several things: comma lists, cookies, Accept.

use super::bytes::trim_blanks;

/// The members of a comma list (RFC 9110 section 5.6.1), without the whitespace around them and without the empty
/// ones.
///
/// Every comma separates, also one in quotes: a stranger's unbalanced quote must not swallow what the next hop
/// appended (X-Forwarded-For).
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    list_members_or_empty(value).filter(|member| !member.is_empty())
}

/// As [`list_members`], with the empty ones.
pub(super) fn list_members_or_empty(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_blanks)
}

/// The value of the first cookie of this name in a Cookie field (RFC 6265 section 4.2.1); quotes stay.
pub fn cookie<'a>(value: &'a [u8], name: &str) -> Option<&'a [u8]> {
    value.split(|&byte| byte == b';').find_map(|pair| {
        let pair = trim_blanks(pair);
        let equals = memchr::memchr(b'=', pair)?;
        (trim_blanks(&pair[..equals]) == name.as_bytes()).then(|| trim_blanks(&pair[equals + 1..]))
    })
}

/// The kinds of body that the proxy can write itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum BodyKind {
    /// `text/plain`
    #[default]
    Text,
    /// `application/json`
    Json,
    /// `text/html`
    Html,
}

/// The kind that an Accept field prefers (RFC 9110 section 12.5.1).
///
/// The highest quality wins; of equals the one that is named rather than covered by a range, then the one that is
/// named first, then text. Where none is acceptable, text.
pub fn prefers(accept: &[u8]) -> BodyKind {
    let mut best = (BodyKind::Text, Preference::default());
    for (kind, subtype) in [
        (BodyKind::Text, (&b"text"[..], &b"plain"[..])),
        (BodyKind::Json, (b"application", b"json")),
        (BodyKind::Html, (b"text", b"html")),
    ] {
        let preference = preference(accept, subtype.0, subtype.1);
        if preference.quality > 0 && preference.beats(best.1) {
            best = (kind, preference);
        }
    }
    best.0
}

#[derive(Debug, Clone, Copy, Default)]
struct Preference {
    /// In thousandths.
    quality: u16,
    /// 1 for `*/*`, 2 for `type/*`, 3 for the type itself.
    precision: u8,
    position: usize,
}

impl Preference {
    fn beats(self, other: Preference) -> bool {
        (self.quality, self.precision, std::cmp::Reverse(self.position))
            > (other.quality, other.precision, std::cmp::Reverse(other.position))
    }
}

/// What the most precise range that covers the type says about it.
fn preference(accept: &[u8], kind: &[u8], subtype: &[u8]) -> Preference {
    let mut found = Preference::default();
    for (position, member) in list_members(accept).enumerate() {
        let mut parameters = member.split(|&byte| byte == b';').map(trim_blanks);
        let range = parameters.next().unwrap_or_default();
        let Some(slash) = memchr::memchr(b'/', range) else { continue };
        let (range_kind, range_subtype) = (&range[..slash], &range[slash + 1..]);
        let precision = match (range_kind, range_subtype) {
            (b"*", b"*") => 1,
            (_, b"*") if range_kind.eq_ignore_ascii_case(kind) => 2,
            _ if range_kind.eq_ignore_ascii_case(kind) && range_subtype.eq_ignore_ascii_case(subtype) => 3,
            _ => continue,
        };
        if precision > found.precision {
            let quality = parameters.find_map(quality).unwrap_or(1000);
            found = Preference { quality, precision, position };
        }
    }
    found
}

/// `q=0.5` as 500; a quality that is malformed counts as 0.
fn quality(parameter: &[u8]) -> Option<u16> {
    let [b'q' | b'Q', b'=', digits @ ..] = parameter else { return None };
    let (whole, fraction) = match digits {
        [whole] => (*whole, &[][..]),
        [whole, b'.', fraction @ ..] if fraction.len() <= 3 => (*whole, fraction),
        _ => return Some(0),
    };
    let mut thousandths = match whole {
        b'0' => 0,
        b'1' => 1000,
        _ => return Some(0),
    };
    for (digit, weight) in fraction.iter().zip([100, 10, 1]) {
        if !digit.is_ascii_digit() {
            return Some(0);
        }
        thousandths += u16::from(digit - b'0') * weight;
    }
    Some(thousandths.min(1000))
}

#[cfg(test)]
mod tests;
