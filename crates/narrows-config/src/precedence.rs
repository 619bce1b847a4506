//! Which route of a listener wins when several match.
//!
//! The most specific one does. Routes are compared by, in this order:
//!
//! 1. **Host** (at layer 4 the server name): an exact name before a wildcard, a wildcard with more labels before one with
//!    fewer (`*.eu.example.com` before `*.example.com`), any wildcard before a route without `host`.
//! 2. **Path**: exact before prefix, a longer prefix before a shorter one, prefixes before globs, a glob with a longer
//!    literal beginning before one with a shorter one, globs before regular expressions, these before a route without
//!    `path`.
//! 3. **Other conditions**: a route with more of them first. `method`, `source`, `when`, `alpn` and each entry of
//!    `headers`, `cookies` and `query` count as one.
//! 4. **Order in the text**: the earlier one first.
//!
//! A route with several hosts or paths counts as one route for each of them, so each pair of a host and a path has its
//! own place in this order.

use narrows_plan::{HostPattern, PathPattern};
use std::cmp::Reverse;

/// Sorts before the keys of less specific rules.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Precedence {
    host: (u8, Reverse<usize>),
    path: (u8, Reverse<usize>),
    conditions: Reverse<usize>,
    order: usize,
}

/// The place of a rule with this host, this path and so many other conditions, `order`-th in the text.
pub(crate) fn precedence(
    host: Option<&HostPattern>,
    path: Option<&PathPattern>,
    conditions: usize,
    order: usize,
) -> Precedence {
    let host = match host {
        Some(HostPattern::Exact(_)) => (0, Reverse(0)),
        Some(HostPattern::Below(domain)) => (1, Reverse(domain.split('.').count())),
        None => (2, Reverse(0)),
    };
    let path = match path {
        Some(PathPattern::Exact(_)) => (0, Reverse(0)),
        Some(PathPattern::Prefix(prefix)) => (1, Reverse(prefix.len())),
        Some(PathPattern::Glob(glob, _)) => (2, Reverse(glob.find(['*', '?']).unwrap_or(glob.len()))),
        Some(PathPattern::Regex(_)) => (3, Reverse(0)),
        None => (4, Reverse(0)),
    };
    Precedence { host, path, conditions: Reverse(conditions), order }
}
