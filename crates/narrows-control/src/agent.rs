//! What an agent beside a server says of it, in HAProxy's text protocol: one line of words.

use crate::state::{AgentState, LastAnswer};
use narrows_plan::AdminState;
use std::sync::Arc;

/// Everything that an agent has said of an endpoint. What it does not mention stays as it was, also while it cannot be reached.
#[derive(Debug, Clone, Default)]
pub(crate) struct Agent {
    /// That the endpoint shall drain or rest, and why.
    state: Option<(AdminState, Arc<str>)>,
    /// That the endpoint is down, and why.
    down: Option<Arc<str>>,
    /// Share of the configured weight, per cent.
    weight: Option<u32>,
    /// Most connections; 0 is no limit.
    connections: Option<u32>,
    answers: u64,
    failures: u64,
    /// The last answer, or why there was none.
    last: Option<Result<Box<str>, Box<str>>>,
}

/// One answer of an agent. What it does not mention is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Answer {
    state: Option<AdminState>,
    is_up: Option<bool>,
    weight: Option<u32>,
    connections: Option<u32>,
    /// The words and the description behind them, for people.
    reason: Box<str>,
}

impl Agent {
    /// Takes over an answer, or why there was none. Says whether anything is to be done because of it.
    pub(crate) fn hear(&mut self, answer: Result<&str, Box<str>>) -> bool {
        let line = match answer {
            Ok(line) => line,
            Err(why) => {
                self.failures += 1;
                self.last = Some(Err(why));
                return false;
            }
        };
        let Some(answer) = Answer::read(line) else {
            self.failures += 1;
            self.last = Some(Err("not an answer of an agent".into()));
            return false;
        };
        self.answers += 1;
        self.last = Some(Ok(answer.reason.clone()));
        let before = (self.state.clone(), self.down.clone(), self.weight, self.connections);
        let reason = || Arc::from(format!("agent: {}", answer.reason));
        match answer.state {
            Some(AdminState::Ready) => self.state = None,
            Some(state) if self.state.as_ref().is_none_or(|(before, _)| *before != state) => {
                self.state = Some((state, reason()));
            }
            Some(_) | None => {}
        }
        match answer.is_up {
            Some(true) => self.down = None,
            Some(false) if self.down.is_none() => self.down = Some(reason()),
            Some(false) | None => {}
        }
        self.weight = answer.weight.or(self.weight);
        self.connections = answer.connections.or(self.connections);
        before != (self.state.clone(), self.down.clone(), self.weight, self.connections)
    }

    /// That the endpoint shall drain or rest, and why.
    pub(crate) fn state(&self) -> Option<&(AdminState, Arc<str>)> {
        self.state.as_ref()
    }

    /// Why the endpoint is down; `None` when it is not.
    pub(crate) fn down(&self) -> Option<&Arc<str>> {
        self.down.as_ref()
    }

    /// The weight that remains of the configured one; something of something always does, unless the agent says 0 %.
    pub(crate) fn weigh(&self, configured: u32) -> u32 {
        match self.weight {
            None => configured,
            Some(share) => {
                let weight = (u64::from(configured) * u64::from(share)).div_ceil(100);
                u32::try_from(weight).unwrap_or(u32::MAX).min(MOST_WEIGHT)
            }
        }
    }

    /// Most connections, where the agent has said it; as many as there can be when it has said 0, which is no limit.
    pub(crate) fn connections(&self) -> Option<u32> {
        self.connections.map(|most| if most == 0 { u32::MAX } else { most })
    }

    /// For the status of the upstream.
    pub(crate) fn describe(&self) -> AgentState {
        let last = self.last.as_ref().map(|last| match last {
            Ok(answer) => LastAnswer::Answer(answer.to_string()),
            Err(why) => LastAnswer::Failure(why.to_string()),
        });
        AgentState {
            answers_total: self.answers,
            failures_total: self.failures,
            weight_per_cent: self.weight,
            connections: self.connections,
            last,
        }
    }
}

/// The largest weight.
const MOST_WEIGHT: u32 = 65_535;
/// Characters of an answer that are kept for people.
const REASON: usize = 200;

impl Answer {
    /// Reads a line; `None` when no word of it is known. Words are parted by blanks or commas, in any case of letters; unknown ones are
    /// passed over. What stands behind `#` is a description.
    fn read(line: &str) -> Option<Answer> {
        let (words, description) = line.split_once('#').unwrap_or((line, ""));
        let mut answer = Answer::default();
        let mut is_known = false;
        for word in words.split([' ', '\t', ',', '\r', '\n']).filter(|word| !word.is_empty()) {
            is_known |= answer.take(&word.to_ascii_lowercase());
        }
        let description = description.trim();
        let reason = if description.is_empty() {
            words.trim().to_owned()
        } else {
            format!("{} ({description})", words.trim())
        };
        answer.reason = reason
            .chars()
            .map(|one| if one.is_control() { ' ' } else { one })
            .take(REASON)
            .collect::<String>()
            .into();
        is_known.then_some(answer)
    }

    /// Takes a word; says whether it is known.
    fn take(&mut self, word: &str) -> bool {
        match word {
            "up" => self.is_up = Some(true),
            "down" | "fail" | "failed" | "stopped" => self.is_up = Some(false),
            "ready" => self.state = Some(AdminState::Ready),
            "drain" => self.state = Some(AdminState::Drain),
            "maint" => self.state = Some(AdminState::Maintenance),
            _ => {
                let weight = word.strip_suffix('%').and_then(number);
                let connections = word.strip_prefix("maxconn:").and_then(number);
                if weight.is_none() && connections.is_none() {
                    return false;
                }
                self.weight = weight.or(self.weight);
                self.connections = connections.or(self.connections);
            }
        }
        true
    }
}

/// A plain decimal number.
fn number(text: &str) -> Option<u32> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(agent: &mut Agent, line: &str) -> String {
        agent.hear(Ok(line));
        let state = agent.state().map_or("-", |(state, _)| state.name());
        let down = agent.down().map_or("-", |reason| reason);
        format!("{state} {down} {} {:?}", agent.weigh(10), agent.connections())
    }

    #[test]
    fn words_are_understood_alone_and_together() {
        let mut agent = Agent::default();
        for (line, expected) in [
            ("up", "- - 10 None"),
            ("75%", "- - 8 None"),
            ("drain\r\n", "drain - 8 None"),
            ("up", "drain - 8 None"),
            ("READY, 100%", "- - 10 None"),
            ("down # disk full", "- agent: down (disk full) 10 None"),
            ("50%", "- agent: down (disk full) 5 None"),
            ("ready", "- agent: down (disk full) 5 None"),
            ("up\tmaxconn:30", "- - 5 Some(30)"),
            ("stopped", "- agent: stopped 5 Some(30)"),
            ("up maint 0%", "maintenance - 0 Some(30)"),
            ("1% ready", "- - 1 Some(30)"),
            ("400%", "- - 40 Some(30)"),
            ("4294967295%", "- - 65535 Some(30)"),
            ("fail", "- agent: fail 65535 Some(30)"),
        ] {
            assert_eq!(said(&mut agent, line), expected, "{line:?}");
        }
        assert_eq!((agent.answers, agent.failures), (15, 0));
    }

    #[test]
    fn nonsense_and_silence_change_nothing() {
        let mut agent = Agent::default();
        agent.hear(Ok("drain 50% maxconn:5"));
        for line in [
            "",
            "hello",
            "%",
            "-5%",
            "5.5%",
            "99999999999%",
            "maxconn:",
            "maxconn:x",
            "# up",
            "HTTP/1.1 200 OK",
        ] {
            assert!(!agent.hear(Ok(line)), "{line:?}");
            assert_eq!(agent.last, Some(Err("not an answer of an agent".into())), "{line:?}");
        }
        assert!(!agent.hear(Err("connection refused".into())));
        assert_eq!((agent.answers, agent.failures), (1, 11));
        assert_eq!(said(&mut agent, "nonsense"), "drain - 5 Some(5)");
    }

    #[test]
    fn the_same_answer_again_is_no_news() {
        let mut agent = Agent::default();
        assert!(agent.hear(Ok("down # first")));
        assert!(!agent.hear(Ok("down # second")));
        assert!(agent.hear(Ok("up")));
        assert!(agent.hear(Ok("up 100%")));
        assert!(!agent.hear(Ok("up 100% unknown-word")));
    }
}
