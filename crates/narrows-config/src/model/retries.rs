//! Retries as they are written.

use super::{size, time};
use crate::code::Code;
use crate::diagnostic::{Finding, Reporter};
use crate::nearest::nearest;
use crate::shape::{
    Duration, Flag, Number, OneOrMany, OrOff, Percent, Shape, Size, StatusRange, inline_name, otherwise,
    table, wrong_kind,
};
use crate::tree::Node;
use narrows_plan::defaults;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use std::borrow::Cow;

table! {
    /// When a request is sent again, to another server where there is one. A failed connect is repeated for any request; what a
    /// server may have seen only for requests that may be repeated (idempotent methods), unless `unsafe_methods` says otherwise.
    Retries {
        /// Further attempts after the first failed.
        limit: Number<0, 100> = defaults::RETRIES.to_string(),
        /// What is worth another attempt: `connect-failure`, `refused-stream` (HTTP/2), `reset` (the connection broke before the
        /// answer), `timeout`, statuses (`503`, `502-504`, `5xx`), gRPC statuses (`grpc-14`).
        on: OneOrMany<RetryReason> = otherwise("`[connect-failure, refused-stream, reset]`, with `try_timeout` also `timeout`"),
        /// A try whose answer does not begin within this time has failed.
        try_timeout: OrOff<Duration> = otherwise("`timeouts.response_head`"),
        /// Before the second attempt, doubled for each one after it up to ten times as long, less up to half of it by chance.
        backoff: Duration = time(std::time::Duration::ZERO),
        /// How many requests may be repeated, of the requests to the upstream: each adds this part of itself to a reserve, and each
        /// retry or hedge takes one from it, so that an upstream that fails for long is asked 1.2 times as much (with 20%). The
        /// reserve holds 100, or as many as requests run where those are more. Three may always run; what no server has looked
        /// at takes nothing.
        budget: OrOff<Percent<0, 100>> = format!("{}%", defaults::RETRY_BUDGET),
        /// Bytes of a request body that are kept to be sent again; a larger one is sent once. At most 16 MiB.
        replay: Size = size(defaults::REPLAY_BYTES as u64),
        /// Whether requests with side effects (POST, PATCH, ...) may be repeated after a server has seen them.
        unsafe_methods: Flag = "false",
        /// A second attempt beside the first, to another server, when the answer takes longer than this. For requests that may
        /// be repeated; the first answer wins, and `limit` does not count it.
        hedge: OrOff<Duration> = "off",
    }
}

/// What is worth another attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RetryReason {
    ConnectFailure,
    RefusedStream,
    Reset,
    Timeout,
    Statuses(StatusRange),
    Grpc(u8),
}

/// The reasons that are words.
const WORDS: [(&str, RetryReason); 4] = [
    ("connect-failure", RetryReason::ConnectFailure),
    ("refused-stream", RetryReason::RefusedStream),
    ("reset", RetryReason::Reset),
    ("timeout", RetryReason::Timeout),
];

/// What other proxies call it.
const ELSEWHERE: [(&str, &str); 8] = [
    ("gateway-error", "502-504"),
    ("non_idempotent", "unsafe_methods: true"),
    ("http_502", "502"),
    ("http_503", "503"),
    ("http_504", "504"),
    ("unavailable", "grpc-14"),
    ("conn-failure", "connect-failure"),
    ("error", "connect-failure"),
];

impl RetryReason {
    fn read(text: &str) -> Option<RetryReason> {
        if let Some((_, reason)) = WORDS.iter().find(|(word, _)| *word == text) {
            return Some(*reason);
        }
        if let Some(number) = text.strip_prefix("grpc-") {
            let digits = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
            let number = number.parse::<u8>().ok().filter(|number| digits && (1..=16).contains(number));
            return number.map(RetryReason::Grpc);
        }
        StatusRange::read(text).map(RetryReason::Statuses)
    }
}

impl Shape for RetryReason {
    fn decode(node: &Node, reporter: &mut Reporter) -> Option<Self> {
        let Some(text) = node.as_text() else {
            wrong_kind(node, "a reason to try again", reporter);
            return None;
        };
        let reason = RetryReason::read(&text.text);
        if reason.is_none() {
            let words = WORDS.map(|(word, _)| word);
            let other = ELSEWHERE.iter().find(|(word, _)| *word == text.text).map(|(_, known)| *known);
            let help = match other.or_else(|| nearest(&text.text, &words)) {
                Some(near) => format!("did you mean `{near}`?"),
                None if text.text.starts_with("grpc-") => {
                    "gRPC statuses of failures are `grpc-1` to `grpc-16`".into()
                }
                None => format!("write one of {}, statuses like `502-504`, or `grpc-14`", words.join(", ")),
            };
            let message = format!("`{}` is not a reason to try again", text.text);
            reporter.report(Finding::error(Code::UnknownValue, node.place, message).help(help));
        }
        reason
    }

    fn written() -> String {
        "reason".into()
    }
}

impl JsonSchema for RetryReason {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        inline_name("RetryReason")
    }
    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "enum": WORDS.map(|(word, _)| word) },
            { "type": "integer", "minimum": 100, "maximum": 599 },
            { "type": "string", "pattern": (StatusRange::PATTERN) },
            { "type": "string", "pattern": "^grpc-([1-9]|1[0-6])$" },
        ] })
    }
}
