//! An explanation for people.

use super::super::report::{Compared, Seen};
use narrows_observe::Calendar;
use narrows_proxy::{AttemptSeen, CandidateSeen, Explanation, HeadLine, Mark, RuleSeen};
use std::fmt::Write;

/// The explanation as a paragraph of lines.
pub(super) fn text(explanation: &Explanation) -> String {
    let mut text = String::new();
    let Explanation { began, listener, client, subject, .. } = explanation;
    let time = Calendar::from_unix(began / 1000);
    let _ = writeln!(
        text,
        "{subject}\n  {:02}:{:02}:{:02}.{:03} from {client}, listener {listener}",
        time.hour,
        time.minute,
        time.second,
        began % 1000
    );
    text.push_str("rules compared, best rank first:\n");
    if explanation.rules.is_empty() {
        text.push_str("  none: no route fits\n");
    }
    explanation.rules.iter().map(compared).for_each(|rule| rule.write(&mut text));
    head("request", &explanation.request, &mut text);
    if !explanation.upstream.is_empty() {
        let _ = writeln!(text, "upstream {}", explanation.upstream);
    }
    for (number, one) in (1..).zip(&explanation.attempts) {
        attempt(number, one, &mut text);
    }
    head("response", &explanation.response, &mut text);
    end(explanation, &mut text);
    text
}

/// The rule, as it is printed for hypothetical requests as well.
fn compared(rule: &RuleSeen) -> Compared {
    let seen = |condition: &narrows_proxy::ConditionSeen| Seen {
        written: condition.written.clone(),
        held: condition.held,
        values: condition.values.clone(),
        place: condition.place.clone(),
    };
    Compared {
        route: rule.route.clone(),
        place: rule.place.clone(),
        patterns: String::new(),
        is_taken: rule.taken,
        conditions: rule.conditions.iter().map(seen).collect(),
        unasked: 0,
    }
}

fn head(what: &str, lines: &[HeadLine], text: &mut String) {
    if lines.is_empty() {
        return;
    }
    let _ = writeln!(text, "{what}, as received (-) and as sent (+):");
    for HeadLine { mark, line } in lines {
        let mark = match mark {
            Mark::Same => ' ',
            Mark::Removed => '-',
            Mark::Added => '+',
        };
        let _ = writeln!(text, "  {mark} {line}");
    }
}

fn attempt(number: usize, attempt: &AttemptSeen, text: &mut String) {
    let AttemptSeen { endpoint, reused, connect, took, status, fault, again, why, key, .. } = attempt;
    let connected = match (reused, connect) {
        (false, Some(connect)) => format!("connected in {}", time(*connect)),
        _ => "a connection was there".to_owned(),
    };
    let ended = match (fault.as_str(), status) {
        ("", 0) => "connected".to_owned(),
        ("", status) => format!("answered {status}"),
        (fault, _) => fault.to_owned(),
    };
    let _ = writeln!(text, "  attempt {number}: {endpoint}, {connected}, {ended} after {}", time(*took));
    if !why.is_empty() {
        let key = if key.is_empty() { String::new() } else { format!(", key {key:?}") };
        let _ = writeln!(text, "    chosen by {why}{key}");
    }
    for candidate in &attempt.candidates {
        let CandidateSeen { endpoint: name, condition, weight, running, score, tried, full, tier } =
            candidate;
        let mark = if name == endpoint { '>' } else { ' ' };
        let _ = write!(text, "    {mark} {name}  {condition}, weight {weight}, running {running}");
        if let Some(tier) = tier {
            let _ = write!(text, ", tier {tier}");
        }
        for (holds, word) in [(!score.is_empty(), score.as_str()), (*tried, "tried before"), (*full, "full")]
        {
            if holds {
                let _ = write!(text, ", {word}");
            }
        }
        text.push('\n');
    }
    if !again.is_empty() {
        let _ = writeln!(text, "    tried again: {again}");
    }
}

fn end(explanation: &Explanation, text: &mut String) {
    let Explanation { status, fault, meaning, received, sent, times, .. } = explanation;
    if *status > 0 {
        let _ = write!(text, "answered {status}, ");
    }
    let _ = writeln!(text, "{received} bytes from the client, {sent} to it");
    if !fault.is_empty() {
        let _ = writeln!(text, "  {fault}: {meaning}");
    }
    let parts = [
        ("head", times.head),
        ("queue", times.queue),
        ("connect", times.connect),
        ("answer", times.answer),
        ("all", Some(times.total)),
    ];
    let parts: Vec<_> =
        parts.iter().filter_map(|(name, part)| Some(format!("{name} {}", time((*part)?)))).collect();
    let _ = writeln!(text, "  time: {}\n", parts.join(", "));
}

fn time(microseconds: u64) -> String {
    format!("{}.{:03} ms", microseconds / 1000, microseconds % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_explanation_reads_from_the_request_to_its_end() {
        let explanation: Explanation = serde_json::from_str(
            r#"{"protocol":"http","began":1000,"listener":"web","client":"10.0.0.1:5","subject":"GET http://a/v1 HTTP/1.1",
            "rules":[{"route":"beta","place":"n.yaml:3:1","taken":false,"conditions":[{"written":"request.path == \"x\"",
            "place":"n.yaml:3:9","held":false,"values":[["request.path","/v1"]]}]},
            {"route":"api","place":"n.yaml:4:1","taken":true,"conditions":[]}],
            "request":[{"mark":"removed","line":"Connection: close"},{"mark":"added","line":"Via: 1.1 n"}],
            "upstream":"app","attempts":[
            {"endpoint":"10.1.0.1:80","why":"round-robin; turn 1","connect":1500,"took":1600,"fault":"connect-refused",
            "again":"no connection could be made","candidates":[{"endpoint":"10.1.0.1:80","condition":"up","weight":1}]},
            {"endpoint":"10.1.0.2:80","reused":true,"took":2000,"status":200}],
            "status":200,"times":{"answer":2000,"total":4200},"received":0,"sent":5}"#,
        )
        .expect("an explanation");
        let text = text(&explanation);
        let parts = [
            "GET http://a/v1 HTTP/1.1\n  00:00:01.000 from 10.0.0.1:5, listener web",
            "beta  n.yaml:3:1  a condition does not hold",
            "false: request.path = /v1",
            "api  n.yaml:4:1  TAKEN",
            "  - Connection: close\n  + Via: 1.1 n",
            "attempt 1: 10.1.0.1:80, connected in 1.500 ms, connect-refused after 1.600 ms",
            "    > 10.1.0.1:80  up, weight 1, running 0",
            "tried again: no connection could be made",
            "attempt 2: 10.1.0.2:80, a connection was there, answered 200 after 2.000 ms",
            "answered 200, 0 bytes from the client, 5 to it",
            "time: answer 2.000 ms, all 4.200 ms",
        ];
        let mut rest = text.as_str();
        for part in parts {
            let at = rest.find(part).unwrap_or_else(|| panic!("`{part}` is not in its place:\n{text}"));
            rest = &rest[at + part.len()..];
        }
    }
}
