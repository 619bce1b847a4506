//! Values that nobody sees who was not allowed to.

use super::explanation::Explanation;

/// Fields whose values are credentials.
const SECRET: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "narrows-explain",
    "x-forwarded-client-cert",
];
/// What stands in their place.
const HIDDEN: &str = "(hidden)";

/// Hides the values of credentials wherever they are told.
pub(super) fn hide(explanation: &mut Explanation) {
    for line in explanation.request.iter_mut().chain(&mut explanation.response) {
        if let Some((name, _)) = line.line.split_once(':')
            && is_secret(name.trim())
        {
            line.line = format!("{name}: {HIDDEN}");
        }
    }
    // What is hashed may be made of a cookie.
    for attempt in explanation.attempts.iter_mut().filter(|attempt| !attempt.key.is_empty()) {
        HIDDEN.clone_into(&mut attempt.key);
    }
    for condition in explanation.rules.iter_mut().flat_map(|rule| &mut rule.conditions) {
        for (name, value) in &mut condition.values {
            if asks_for_secret(name) {
                HIDDEN.clone_into(value);
            }
        }
    }
}

fn is_secret(name: &str) -> bool {
    SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret))
}

/// Whether a fact is a credential: a field of those above, or any cookie.
fn asks_for_secret(fact: &str) -> bool {
    if fact.contains("cookies") {
        return true;
    }
    let mut quoted = fact.split('"').skip(1).step_by(2);
    quoted.any(is_secret)
}

#[cfg(test)]
mod tests {
    use super::super::explanation::{ConditionSeen, HeadLine, Mark, RuleSeen};
    use super::*;

    #[test]
    fn credentials_are_hidden_in_heads_and_in_conditions_and_nothing_else_is() {
        let line = |line: &str| HeadLine { mark: Mark::Same, line: line.into() };
        let value = |name: &str| (name.to_owned(), "seen".to_owned());
        let mut explanation = Explanation {
            request: vec![line("GET / HTTP/1.1"), line("Authorization: Bearer x"), line("Accept: y")],
            response: vec![line("set-cookie: a=b"), line("X-API-Key: z")],
            rules: vec![RuleSeen {
                conditions: vec![ConditionSeen {
                    values: vec![
                        value("request.headers[\"Cookie\"]"),
                        value("request.cookies[\"session\"]"),
                        value("request.headers[\"accept\"]"),
                        value("request.path"),
                    ],
                    ..ConditionSeen::default()
                }],
                ..RuleSeen::default()
            }],
            ..Explanation::default()
        };
        hide(&mut explanation);
        let lines: Vec<_> =
            explanation.request.iter().chain(&explanation.response).map(|line| line.line.as_str()).collect();
        let expected = [
            "GET / HTTP/1.1",
            "Authorization: (hidden)",
            "Accept: y",
            "set-cookie: (hidden)",
            "X-API-Key: (hidden)",
        ];
        assert_eq!(lines, expected);
        let values: Vec<_> =
            explanation.rules[0].conditions[0].values.iter().map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, ["(hidden)", "(hidden)", "seen", "seen"]);
    }
}
