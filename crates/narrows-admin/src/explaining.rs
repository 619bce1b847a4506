//! Explanations of live traffic, a JSON object a line: what is asked for, and what is sent.

use bytes::Bytes;
use narrows_config::read_condition;
use narrows_proxy::{Ask, Heard, Listening};
use serde_json::json;
use std::time::Duration;
use tokio::sync::mpsc;

/// The longest that somebody listens.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);
/// How long somebody listens who does not say it.
const USUAL: Duration = Duration::from_secs(10 * 60);
/// Longest expression, bytes.
const EXPRESSION: usize = 4096;

/// Reads the parameters of a query: `when` (an expression over requests and flows), `limit`, `for` (seconds), `every` (one in so many), `secrets`.
///
/// # Errors
/// A sentence that says what is wrong; for an expression with the column, and what would help.
pub fn read_ask(query: &str) -> Result<Ask, String> {
    let mut ask = Ask { when: None, limit: 0, period: USUAL, every: 1, shows_secrets: false };
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let value = decoded(value).ok_or_else(|| format!("`{name}` is not percent-encoded text"))?;
        let number = || value.parse::<u64>().map_err(|_| format!("`{name}` is a number, not `{value}`"));
        match name {
            "when" if value.len() > EXPRESSION => {
                return Err(format!("`when` has {EXPRESSION} bytes at most"));
            }
            "when" => ask.when = Some(read_condition(&value).map_err(|problems| problems.join("\n"))?),
            "limit" => ask.limit = number()?,
            "every" => ask.every = number()?.max(1),
            "for" => {
                ask.period = Duration::from_secs(number()?);
                if ask.period.is_zero() || ask.period > LONGEST {
                    return Err("`for` is between 1 second and a day".into());
                }
            }
            "secrets" => {
                ask.shows_secrets = match value.as_str() {
                    "true" => true,
                    "false" => false,
                    other => return Err(format!("`secrets` is true or false, not `{other}`")),
                };
            }
            other => return Err(format!("there is no parameter `{other}`")),
        }
    }
    Ok(ask)
}

/// Percent-decodes a value of a query, where `+` is a space.
fn decoded(value: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

/// Sends what is heard until it is over or the reader is gone: `{"explained": ...}`, and `{"lost": N}` where the reader was too slow. Nobody is asked any
/// more from the moment that the reader goes.
pub async fn pump(mut listening: Listening, to: mpsc::Sender<Bytes>) {
    loop {
        let heard = tokio::select! {
            heard = listening.next() => heard,
            () = to.closed() => return,
        };
        let line = match heard {
            Some(Heard::Explained(explanation)) => json!({ "explained": explanation }),
            Some(Heard::Lost(count)) => json!({ "lost": count }),
            None => return,
        };
        if to.send(format!("{line}\n").into()).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_read() {
        let ask = read_ask("when=request.path.startsWith(%22%2Fv1%22)&limit=3&for=60&every=10&secrets=true");
        let ask = ask.expect("an ask");
        assert!(ask.when.is_some());
        assert_eq!((ask.limit, ask.every, ask.shows_secrets), (3, 10, true));
        assert_eq!(ask.period, Duration::from_secs(60));
        let plain = read_ask("").expect("an ask");
        assert!(plain.when.is_none() && !plain.shows_secrets);
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_place() {
        let wrong = read_ask("when=request.pat%20==%20%22x%22").expect_err("no such fact");
        assert!(wrong.contains("column 1") && wrong.contains("request.path"), "{wrong}");
        for query in [
            "when=",
            "when=1",
            "limit=x",
            "for=0",
            "for=86401",
            "secrets=yes",
            "other=1",
            "when=%g",
            "when=%",
        ] {
            assert!(read_ask(query).is_err(), "{query}");
        }
    }
}
