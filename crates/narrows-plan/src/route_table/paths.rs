//! The paths of one host: exact, prefixes and patterns.

use super::PathPattern;
use crate::Pattern;
use regex_automata::{Input, PatternSet, meta};
use std::collections::HashMap;

/// Rules by path. Each list is sorted by rank because rules are inserted in that order.
#[derive(Debug, Default)]
pub(super) struct PathIndex {
    any: Vec<u32>,
    exact: HashMap<Box<str>, Vec<u32>>,
    prefixes: Segment,
    has_prefixes: bool,
    patterns: Vec<(Box<str>, u32)>,
    automaton: Option<meta::Regex>,
}

/// A node of the trie of path segments.
#[derive(Debug, Default)]
struct Segment {
    below: HashMap<Box<str>, Segment>,
    rules: Vec<u32>,
}

impl PathIndex {
    pub(super) fn insert(&mut self, rule: u32, paths: &[PathPattern]) {
        if paths.is_empty() {
            self.any.push(rule);
        }
        for path in paths {
            match path {
                PathPattern::Exact(path) => push_once(self.exact.entry(path.clone()).or_default(), rule),
                PathPattern::Prefix(prefix) => {
                    let mut node = &mut self.prefixes;
                    for segment in segments(prefix) {
                        node = node.below.entry(segment.into()).or_default();
                    }
                    push_once(&mut node.rules, rule);
                    self.has_prefixes = true;
                }
                PathPattern::Glob(_, pattern) | PathPattern::Regex(pattern) => {
                    self.patterns.push((pattern.text().into(), rule));
                }
            }
        }
    }

    /// Builds the automaton once all rules are in.
    pub(super) fn finish(&mut self) -> Result<(), String> {
        if !self.patterns.is_empty() {
            let texts: Vec<&str> = self.patterns.iter().map(|(text, _)| &**text).collect();
            self.automaton = Some(Pattern::set(&texts)?);
        }
        Ok(())
    }

    /// Calls `consider` with lists of rules whose path matches, each list sorted by rank.
    pub(super) fn candidates(&self, path: &str, consider: &mut impl FnMut(&[u32])) {
        if !self.exact.is_empty()
            && let Some(rules) = self.exact.get(path)
        {
            consider(rules);
        }
        if self.has_prefixes {
            let mut node = &self.prefixes;
            consider(&node.rules);
            for segment in segments(path) {
                let Some(next) = node.below.get(segment) else { break };
                node = next;
                consider(&node.rules);
            }
        }
        if let Some(automaton) = &self.automaton {
            let mut matched = PatternSet::new(self.patterns.len());
            automaton.which_overlapping_matches(&Input::new(path), &mut matched);
            for pattern in matched.iter() {
                consider(&[self.patterns[pattern.as_usize()].1]);
            }
        }
        consider(&self.any);
    }
}

/// `/a/b/` has the segments `a`, `b` and an empty one, so that the prefix `/a/b` covers `/a/b/` but `/a/b/c/` is not needed for it.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let path = path.strip_prefix('/').unwrap_or(path);
    let whole = !path.is_empty();
    path.split('/').filter(move |_| whole)
}

fn push_once(rules: &mut Vec<u32>, rule: u32) {
    if rules.last() != Some(&rule) {
        rules.push(rule);
    }
}
