//! A compiled regular expression together with its text.

use regex_automata::meta;
use regex_automata::util::syntax;
use std::fmt;

/// A regular expression, in linear time on any input. Its size is bounded when it is compiled.
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    regex: meta::Regex,
}

/// Largest compiled automaton of one pattern (or of one set), bytes.
const AUTOMATON_BYTES: usize = 8 << 20;

impl Pattern {
    /// Compiles `text`.
    ///
    /// # Errors
    /// A sentence that says what is wrong with the text, or that its automaton would be too large.
    pub fn new(text: &str) -> Result<Self, String> {
        let regex = builder().build(text).map_err(|error| explain(&error))?;
        Ok(Pattern { text: text.into(), regex })
    }

    /// Compiles several patterns into one automaton that is walked once.
    pub(crate) fn set<T: AsRef<str>>(texts: &[T]) -> Result<meta::Regex, String> {
        builder().build_many(texts).map_err(|error| explain(&error))
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the pattern occurs anywhere in `subject`.
    pub fn matches(&self, subject: &str) -> bool {
        self.regex.is_match(subject)
    }

    /// Byte ranges of the capture groups in `subject`; group 0 is the whole match. Empty when nothing matches.
    pub fn captures(&self, subject: &str) -> Vec<Option<std::ops::Range<usize>>> {
        let mut captures = self.regex.create_captures();
        self.regex.captures(subject, &mut captures);
        if !captures.is_match() {
            return Vec::new();
        }
        captures.iter().map(|span| span.map(|span| span.range())).collect()
    }

    /// The number of the group called `name`.
    pub fn group(&self, name: &str) -> Option<usize> {
        self.regex.group_info().to_index(regex_automata::PatternID::ZERO, name)
    }

    /// How many groups there are, group 0 included.
    pub fn group_count(&self) -> usize {
        self.regex.group_info().group_len(regex_automata::PatternID::ZERO)
    }
}

fn builder() -> meta::Builder {
    let mut builder = meta::Regex::builder();
    builder
        .syntax(syntax::Config::new().nest_limit(64))
        .configure(meta::Config::new().nfa_size_limit(Some(AUTOMATON_BYTES)).hybrid_cache_capacity(2 << 20));
    builder
}

fn explain(error: &meta::BuildError) -> String {
    match error.syntax_error() {
        Some(syntax) => syntax.to_string(),
        None => format!("{error}: the pattern is too large"),
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "/{}/", self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
