//! `narrows explain --live`: what happens to requests of a running process, while it happens.

mod client;
mod show;

use super::sign::read_duration;
use crate::{fail, say};
use client::Lines;
use narrows_proxy::Explanation;
use serde::Deserialize;
use std::fmt::Write;
use std::process::ExitCode;
use std::time::Duration;

/// What is listened to.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Listening {
    /// Explain what happens in a running process, where EXPRESSION holds; `true` is everything
    #[arg(long, value_name = "EXPRESSION", conflicts_with_all = ["words", "sign"])]
    pub(super) live: Option<String>,
    /// With --live: stop after so many
    #[arg(long, value_name = "N", requires = "live")]
    limit: Option<u64>,
    /// With --live: stop after this time: 30s, 5m, 2h
    #[arg(long = "for", value_name = "TIME", requires = "live", default_value = "10m", value_parser = read_duration)]
    period: Duration,
    /// With --live: explain one of so many
    #[arg(long, value_name = "N", requires = "live", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
    /// With --live: print each as it came, a JSON object a line
    #[arg(long, requires = "live")]
    json: bool,
    /// With --live: show also the values of credentials
    #[arg(long, requires = "live")]
    show_secrets: bool,
    /// With --live: the admin API of the process: unix:/path or http://host:port [default: the usual place]
    #[arg(long, value_name = "ADDRESS", requires = "live")]
    admin: Option<String>,
    /// With --live: a file with the token of the admin API
    #[arg(long, value_name = "FILE", requires = "live")]
    token: Option<std::path::PathBuf>,
}

/// A line of the stream.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Explained(Box<Explanation>),
    Lost(u64),
}

/// Prints what is heard until it is over.
pub(super) fn listen(when: &str, listening: &Listening) -> ExitCode {
    // A mistake is found here, with its place, before anything is asked.
    if let Err(problems) = narrows_config::read_condition(when) {
        return fail(&format!("--live: {when}\n  {}", problems.join("\n  ")));
    }
    let path = path(when, listening);
    let lines = match Lines::ask(listening.admin.as_deref(), listening.token.as_deref(), &path) {
        Ok(lines) => lines,
        Err(message) => return fail(&message),
    };
    for line in lines {
        let line = match line {
            Ok(line) => line,
            Err(message) => return fail(&message),
        };
        if listening.json {
            crate::print(&format!("{line}\n"));
            continue;
        }
        match serde_json::from_str(&line) {
            Ok(Line::Explained(explanation)) => drop(crate::print(&show::text(&explanation))),
            Ok(Line::Lost(count)) => {
                say(&format!("narrows: {count} more were left out: this reader is too slow"))
            }
            Err(error) => return fail(&format!("the process said what cannot be read: {error}")),
        }
    }
    ExitCode::SUCCESS
}

fn path(when: &str, listening: &Listening) -> String {
    let Listening { limit, period, every, show_secrets, .. } = listening;
    let mut path = format!("/v1/explain?for={}&when={}", period.as_secs(), encoded(when));
    for (name, number) in [("limit", limit), ("every", every)] {
        if let Some(number) = number {
            let _ = write!(path, "&{name}={number}");
        }
    }
    if *show_secrets {
        path.push_str("&secrets=true");
    }
    path
}

/// Percent-encodes a value of a query.
fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' => text.push(char::from(byte)),
            other => drop(write!(text, "%{other:02X}")),
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_is_written_so_that_it_is_read_as_it_was() {
        assert_eq!(encoded("a == \"b c&d\""), "a%20%3D%3D%20%22b%20c%26d%22");
    }

    #[test]
    fn the_lines_of_the_stream_are_read() {
        assert!(matches!(serde_json::from_str("{\"lost\":3}"), Ok(Line::Lost(3))));
        let line = "{\"explained\":{\"protocol\":\"http\",\"status\":200}}";
        assert!(matches!(serde_json::from_str(line), Ok(Line::Explained(it)) if it.status == 200));
    }
}
