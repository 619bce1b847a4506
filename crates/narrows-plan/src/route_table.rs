//! Which rule takes a request: rank, then index.
//!
//! Lowering gives each rule a rank; among all rules that match, the lowest rank wins. The table finds that rule without
//! looking at the others: hosts in a hash map (a wildcard costs one lookup per label), paths of a host in a hash map
//! (exact), a trie of segments (prefixes) and one automaton (globs and regular expressions). What remains of a rule, its
//! conditions, is evaluated for the few candidates only, in the order of their ranks.

mod paths;

use crate::{Expression, Facts, Origin, Pattern};
use paths::PathIndex;
use std::collections::HashMap;

/// When a rule matches: one of the hosts, one of the paths and all conditions.
#[derive(Debug, Clone, PartialEq)]
pub struct Rule {
    /// Where it was written.
    pub origin: Origin,
    /// Lower wins. Ranks of a table differ from each other.
    pub rank: u32,
    /// Hosts (layer 7) or TLS server names (layer 4); empty matches any, also none.
    pub hosts: Vec<HostPattern>,
    /// Paths; empty matches any.
    pub paths: Vec<PathPattern>,
    /// What else must hold.
    pub conditions: Vec<Condition>,
}

/// A host or a group of hosts, lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum HostPattern {
    /// This host.
    Exact(Box<str>),
    /// Every host below this domain, at any depth, but not the domain itself; written `*.domain`.
    Below(Box<str>),
}

/// A path or a group of paths, compared with the normalised path.
#[derive(Debug, Clone, PartialEq)]
pub enum PathPattern {
    /// This path.
    Exact(Box<str>),
    /// This path and everything below it; matches at segment borders only. Without a slash at the end.
    Prefix(Box<str>),
    /// A glob, as written and as an anchored pattern.
    Glob(Box<str>, Pattern),
    /// A regular expression, found anywhere unless it is anchored.
    Regex(Pattern),
}

impl HostPattern {
    /// Whether `host` is meant. The table does not ask one by one; `explain` does.
    pub fn covers(&self, host: &str) -> bool {
        match self {
            HostPattern::Exact(exact) => **exact == *host,
            HostPattern::Below(domain) => {
                host.strip_suffix(&**domain).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }
}

impl std::fmt::Display for HostPattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            HostPattern::Exact(host) => formatter.write_str(host),
            HostPattern::Below(domain) => write!(formatter, "*.{domain}"),
        }
    }
}

impl PathPattern {
    /// Whether `path` is meant. The table does not ask one by one; `explain` does.
    pub fn covers(&self, path: &str) -> bool {
        match self {
            PathPattern::Exact(exact) => **exact == *path,
            PathPattern::Prefix(prefix) => {
                path.strip_prefix(&**prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
            }
            PathPattern::Glob(_, pattern) | PathPattern::Regex(pattern) => pattern.matches(path),
        }
    }
}

impl std::fmt::Display for PathPattern {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            PathPattern::Exact(path) | PathPattern::Glob(path, _) => formatter.write_str(path),
            PathPattern::Prefix(prefix) => write!(formatter, "{prefix}/*"),
            PathPattern::Regex(pattern) => write!(formatter, "regex {}", pattern.text()),
        }
    }
}

/// A condition with its text.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// What must be true.
    pub expression: Expression,
    /// As the operator wrote it.
    pub written: Box<str>,
    /// Where.
    pub origin: Origin,
}

/// What the index looks at.
#[derive(Debug, Clone, Copy)]
pub struct Subject<'a> {
    /// Host in lower case without port, or server name; empty when there is none.
    pub host: &'a str,
    /// Normalised path; empty at layer 4.
    pub path: &'a str,
}

/// Is told what the table compared. `()` records nothing and costs nothing.
pub trait Recorder {
    /// Host and path of `rule` match; its conditions come next.
    fn candidate(&mut self, _rule: usize) {}
    /// A condition of `rule` was evaluated; `None` means that it had no value, which counts as false.
    fn condition(&mut self, _rule: usize, _condition: usize, _held: Option<bool>) {}
}

impl Recorder for () {}

/// The rules of a listener, indexed.
#[derive(Debug, Default)]
pub struct RouteTable {
    rules: Vec<Rule>,
    exact: HashMap<Box<str>, PathIndex>,
    below: HashMap<Box<str>, PathIndex>,
    any: PathIndex,
}

/// Tables are equal when their rules are: the indices are made of these.
impl PartialEq for RouteTable {
    fn eq(&self, other: &Self) -> bool {
        self.rules == other.rules
    }
}

impl RouteTable {
    /// Indexes `rules`.
    ///
    /// # Errors
    /// A sentence, when the patterns of one host together are too large for one automaton.
    pub fn new(rules: Vec<Rule>) -> Result<Self, String> {
        let mut by_rank: Vec<usize> = (0..rules.len()).collect();
        by_rank.sort_by_key(|&rule| rules[rule].rank);
        let mut table = RouteTable::default();
        for index in by_rank {
            let rule = &rules[index];
            let number = u32::try_from(index).map_err(|_| "too many rules".to_owned())?;
            if rule.hosts.is_empty() {
                table.any.insert(number, &rule.paths);
            }
            for host in &rule.hosts {
                let entry = match host {
                    HostPattern::Exact(host) => table.exact.entry(host.clone()).or_default(),
                    HostPattern::Below(domain) => table.below.entry(domain.clone()).or_default(),
                };
                entry.insert(number, &rule.paths);
            }
        }
        for paths in table.exact.values_mut().chain(table.below.values_mut()).chain([&mut table.any]) {
            paths.finish()?;
        }
        table.rules = rules;
        Ok(table)
    }

    /// The rules in the order in which they were given.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of lowest rank that matches. Allocates only where a host has regular expressions.
    pub fn select<F: Facts, R: Recorder>(
        &self,
        subject: Subject<'_>,
        facts: &F,
        recorder: &mut R,
    ) -> Option<usize> {
        let mut best: Option<usize> = None;
        let mut consider = |rules: &[u32]| {
            for &rule in rules {
                let rule = rule as usize;
                if best.is_some_and(|best| self.rules[best].rank <= self.rules[rule].rank) {
                    return;
                }
                recorder.candidate(rule);
                if self.holds(rule, facts, recorder) {
                    best = Some(rule);
                    return;
                }
            }
        };
        if !self.exact.is_empty()
            && let Some(paths) = self.exact.get(subject.host)
        {
            paths.candidates(subject.path, &mut consider);
        }
        if !self.below.is_empty() {
            let mut rest = subject.host;
            while let Some(dot) = memchr::memchr(b'.', rest.as_bytes()) {
                rest = &rest[dot + 1..];
                if let Some(paths) = self.below.get(rest) {
                    paths.candidates(subject.path, &mut consider);
                }
            }
        }
        self.any.candidates(subject.path, &mut consider);
        best
    }

    fn holds<F: Facts, R: Recorder>(&self, rule: usize, facts: &F, recorder: &mut R) -> bool {
        self.rules[rule].conditions.iter().enumerate().all(|(number, condition)| {
            let held = condition.expression.truth(facts);
            recorder.condition(rule, number, held);
            held == Some(true)
        })
    }
}

impl Rule {
    /// The longest prefix among the rule's paths that `path` lies under.
    pub fn matched_prefix(&self, path: &str) -> Option<&str> {
        self.paths
            .iter()
            .filter_map(|pattern| match pattern {
                PathPattern::Prefix(prefix) if pattern.covers(path) => Some(&**prefix),
                _ => None,
            })
            .max_by_key(|prefix| prefix.len())
    }
}

#[cfg(test)]
mod tests;
