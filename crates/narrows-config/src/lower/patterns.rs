//! Host patterns and path patterns.

use super::Lowering;
use crate::code::Code;
use crate::diagnostic::Finding;
use crate::model::PathTable;
use crate::shape::TextOr;
use crate::tree::Text;
use narrows_plan::{HostPattern, PathMatching, PathPattern, Pattern};
use narrows_wire::target::{PathRules, normalize};

impl Lowering<'_> {
    /// A host, or `*.` and a domain; `code` tells host from server name.
    pub(super) fn host_pattern(&mut self, text: &Text, code: Code) -> Option<HostPattern> {
        match read_host(&text.text) {
            Ok(pattern) => Some(pattern),
            Err(help) => {
                let what = if code == Code::BadServerName { "server name" } else { "host" };
                let message = format!("`{}` is not a {what} pattern", text.text);
                self.reporter.report(Finding::error(code, text.place, message).help(help));
                None
            }
        }
    }

    pub(super) fn path_pattern(
        &mut self,
        written: &TextOr<PathTable>,
        matching: PathMatching,
    ) -> Option<PathPattern> {
        let table = match written {
            TextOr::Short(text) => return self.short_path(text, matching),
            TextOr::Long(table) => table,
        };
        self.exactly_one(&table.keys, table.place, "a path pattern")?;
        if let Some(text) = &table.exact {
            self.check_path(text, &text.text, matching)?;
            return Some(PathPattern::Exact(text.text.as_str().into()));
        }
        if let Some(text) = &table.prefix {
            return self.prefix(text, &text.text, matching);
        }
        if let Some(text) = &table.glob {
            return self.glob(text, matching);
        }
        self.pattern(table.regex.as_ref()?).map(PathPattern::Regex)
    }

    fn short_path(&mut self, text: &Text, matching: PathMatching) -> Option<PathPattern> {
        let path = text.text.as_str();
        match path.strip_suffix("/*") {
            Some(prefix) if !prefix.contains(['*', '?']) => self.prefix(text, prefix, matching),
            _ if path.contains(['*', '?']) => self.glob(text, matching),
            _ => {
                self.check_path(text, path, matching)?;
                Some(PathPattern::Exact(path.into()))
            }
        }
    }

    fn prefix(&mut self, text: &Text, prefix: &str, matching: PathMatching) -> Option<PathPattern> {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() || !text.text.starts_with('/') {
            self.check_path(text, prefix, matching)?;
        }
        Some(PathPattern::Prefix(prefix.into()))
    }

    fn glob(&mut self, text: &Text, matching: PathMatching) -> Option<PathPattern> {
        // Whatever the wildcards stand for, the rest must be in normal form.
        let example = text.text.replace("**", "x").replace(['*', '?'], "x");
        self.check_path(text, &example, matching)?;
        let pattern = glob_pattern(&text.text);
        match Pattern::new(&pattern) {
            Ok(pattern) => Some(PathPattern::Glob(text.text.as_str().into(), pattern)),
            Err(message) => {
                let message = format!("this glob cannot be compiled: {message}");
                self.reporter.report(Finding::error(Code::BadPath, text.place, message));
                None
            }
        }
    }

    /// Refuses paths that are none; warns of those that no normalised path can equal.
    fn check_path(&mut self, text: &Text, path: &str, matching: PathMatching) -> Option<()> {
        if !path.starts_with('/') {
            let message = format!("the path pattern `{}` does not begin with `/`", text.text);
            let help = format!("write `/{}`", text.text.trim_start_matches('/'));
            self.reporter.report(Finding::error(Code::BadPath, text.place, message).help(help));
            return None;
        }
        let mut received = String::new();
        for byte in path.bytes() {
            if byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#') {
                received.push(char::from(byte));
            } else {
                received.push_str(&format!("%{byte:02X}"));
            }
        }
        let rules = PathRules { decode: matching.decode, merge_slashes: matching.merge_slashes };
        let mut buffer = String::new();
        let normal = match normalize(received.as_bytes(), rules, &mut buffer) {
            Ok(narrows_wire::target::Normalized::Unchanged) => Ok(received.as_str()),
            Ok(narrows_wire::target::Normalized::Rewritten) => Ok(buffer.as_str()),
            Err(error) => Err(error),
        };
        let help = match normal {
            Ok(normal) if normal == path => return Some(()),
            Ok(normal) if path != text.text => format!("in normal form it would hold `{normal}`"),
            Ok(normal) => format!("its normal form is `{normal}`"),
            Err(error) => format!("it has no normal form: {error}"),
        };
        let message = format!("the path pattern `{}` can never match", text.text);
        let finding = Finding::warning(Code::NeverMatches, text.place, message);
        self.reporter.report(finding.help(format!("paths are normalised before they are compared; {help}")));
        Some(())
    }
}

/// An anchored regular expression for a glob.
fn glob_pattern(glob: &str) -> String {
    let mut pattern = String::from("(?s)^");
    let mut rest = glob;
    while let Some(letter) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("**") {
            pattern.push_str(".*");
            rest = after;
            continue;
        }
        match letter {
            '*' => pattern.push_str("[^/]*"),
            '?' => pattern.push_str("[^/]"),
            other => pattern.push_str(&regex_syntax::escape(other.encode_utf8(&mut [0; 4]))),
        }
        rest = &rest[letter.len_utf8()..];
    }
    pattern.push('$');
    pattern
}

/// Reads a host pattern, or says what to do instead.
fn read_host(text: &str) -> Result<HostPattern, String> {
    if text.is_empty() || text == "*" {
        return Err("for any host, leave `host` out".into());
    }
    if text.contains("://") || text.contains('/') {
        return Err("write the host alone, without scheme and path".into());
    }
    if !text.is_ascii() {
        return Err("write international names in their ASCII form (punycode), `xn--...`".into());
    }
    let lower = text.to_ascii_lowercase();
    if lower.starts_with('[') {
        let address = lower.trim_matches(['[', ']']).parse::<std::net::Ipv6Addr>();
        return match address {
            Ok(_) if lower.ends_with(']') => Ok(HostPattern::Exact(lower.into())),
            _ => {
                Err("write an IPv6 address as `[::1]`, without a port: requests are compared without theirs"
                    .into())
            }
        };
    }
    if let Some((host, port)) = lower.rsplit_once(':')
        && port.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(format!("write `{host}`: requests are compared without their port"));
    }
    let (wildcard, domain) = match lower.strip_prefix("*.") {
        Some(domain) => (true, domain),
        None => (false, lower.as_str()),
    };
    if domain.contains('*') {
        return Err("`*` may only stand for the first labels, as in `*.example.com`".into());
    }
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    if domain.len() > 253 || !domain.split('.').all(is_label) {
        return Err("a host has labels of letters, digits, `-` and `_`, with dots between them".into());
    }
    Ok(if wildcard { HostPattern::Below(domain.into()) } else { HostPattern::Exact(domain.into()) })
}
