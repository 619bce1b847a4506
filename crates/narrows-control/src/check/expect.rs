//! Looking for what is expected in an answer.

use narrows_plan::Expect;

/// Whether `answer` has what is expected. What is no UTF-8 matches as the replacement character.
pub(super) fn is_met(expect: &Expect, answer: &[u8]) -> bool {
    match expect {
        Expect::Contains(wanted) => {
            wanted.is_empty() || answer.windows(wanted.len()).any(|part| part == &**wanted)
        }
        Expect::Matches(pattern) => pattern.matches(&String::from_utf8_lossy(answer)),
    }
}
