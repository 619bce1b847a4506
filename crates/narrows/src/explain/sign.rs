//! `narrows explain --sign`: a header that lets one request be explained.

use super::Url;
use crate::fail;
use narrows_proxy::{ExplainKey, Grant};
use narrows_wire::target::{Normalized, PathRules, normalize, split_host_port, split_query};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nothing is valid for longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Prints the header.
pub(super) fn sign(secret: &Path, method: &str, url: &Url, valid: Duration) -> ExitCode {
    let key = match ExplainKey::read(secret) {
        Ok(key) => key,
        Err(bad) => return fail(&format!("{} cannot be a key: {bad}", secret.display())),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    match line(&key, method, url, now + valid.as_secs()) {
        Ok(line) => crate::print(&format!("{line}\n")),
        Err(message) => fail(&message),
    }
}

fn line(key: &ExplainKey, method: &str, url: &Url, expiry: u64) -> Result<String, String> {
    if !matches!(url.scheme.as_str(), "http" | "https") {
        return Err("only requests of HTTP can carry a header".to_owned());
    }
    let (host, _) = split_host_port(url.authority.as_bytes()).unwrap_or_default();
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    let (raw, _) = split_query(url.path_and_query.as_bytes());
    let mut memory = String::new();
    // As listeners match paths when nothing else is configured.
    let rules = PathRules { decode: true, merge_slashes: true };
    let path = match normalize(raw, rules, &mut memory) {
        Ok(Normalized::Unchanged) => String::from_utf8_lossy(raw).into_owned(),
        Ok(Normalized::Rewritten) => memory,
        Err(error) => return Err(format!("this path has no normal form: {error}")),
    };
    Ok(key.sign(Grant { method: method.as_bytes(), host: &host, path: &path }, expiry))
}

/// Reads `30s`, `5m` or `2h`.
pub(super) fn read_duration(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no time: write 30s, 5m or 2h");
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    let factor = match &text[digits.len()..] {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return Err(wrong()),
    };
    let seconds = number.checked_mul(factor).filter(|seconds| *seconds > 0).ok_or_else(wrong)?;
    let time = Duration::from_secs(seconds);
    if time > LONGEST { Err("a day is the longest".to_owned()) } else { Ok(time) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_with_their_units_and_within_their_bounds() {
        assert_eq!(read_duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(read_duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(read_duration("24h"), Ok(LONGEST));
        for text in ["", "5", "m", "0s", "25h", "5 m", "99999999999999999999h", "-5m", "5d"] {
            assert!(read_duration(text).is_err(), "{text}");
        }
    }
}
