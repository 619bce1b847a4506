//! `narrows causes`: what each cause in a log means, and what to do. `docs/causes.md` is the same as a page.

use crate::{fail, print};
use narrows_proxy::{Cause, Side};
use std::fmt::Write;
use std::process::ExitCode;

pub(crate) const HELP: &str = "Examples:
  narrows causes                    every code with its sentence
  narrows causes connect-refused    what one means, and what to do

A code stands in the access log (`fault`), in Proxy-Status (`details`) and in answers to failed requests.

Exit status: 0 success, 1 there is no such code.";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// A code, as it stands in the access log
    code: Option<String>,
}

pub(crate) fn causes(arguments: &Arguments) -> ExitCode {
    let Some(code) = &arguments.code else { return print(&list()) };
    let text: Vec<_> = Cause::all().iter().filter(|cause| cause.meaning.code == code).map(one).collect();
    match &text[..] {
        [] => fail(&format!("no cause is called `{code}`; `narrows causes` lists them")),
        found => print(&found.join("\n")),
    }
}

fn list() -> String {
    let causes = Cause::all();
    let width = causes.iter().map(|cause| cause.meaning.code.len()).max().unwrap_or(0);
    causes.iter().fold(String::new(), |mut text, cause| {
        let _ = writeln!(text, "{:width$}  {}", cause.meaning.code, what(cause));
        text
    })
}

fn one(cause: &Cause) -> String {
    let meaning = &cause.meaning;
    format!(
        "{}: {}\n  side          {}\n  status        {}\n  Proxy-Status  {}\n  usually       {}\n  what to do    {}\n",
        meaning.code,
        what(cause),
        side(meaning.side),
        meaning.status,
        meaning.proxy_status,
        cause.advice.usually,
        cause.advice.remedy
    )
}

/// `docs/causes.md`.
pub(crate) fn page() -> String {
    let mut page = String::from(PREFACE);
    for (side, title) in [
        (Side::Downstream, "The client's side"),
        (Side::Upstream, "The side of the servers behind"),
        (Side::Proxy, "Narrows and its configuration"),
    ] {
        let _ = write!(page, "\n## {title}\n\n{COLUMNS}");
        for cause in Cause::all().iter().filter(|cause| cause.meaning.side == side) {
            let meaning = &cause.meaning;
            let _ = writeln!(
                page,
                "| `{}` | {} | `{}` | {} | {} | {} |",
                meaning.code,
                meaning.status,
                meaning.proxy_status,
                what(cause),
                cause.advice.usually,
                cause.advice.remedy
            );
        }
    }
    page
}

const PREFACE: &str = "# Causes

<!-- Made by `cargo xtask docs` from the table of faults; do not edit. -->

Everything that can go wrong with a request, a connection, a flow or a session has one code. The same code stands in the
access log (`fault`), in the `Proxy-Status` header (`details`) and in the answer. `narrows causes CODE` prints one of them.

*Status* is that of the answer, where one can still be given; flows of TCP and sessions of UDP get none. *Proxy-Status*
is the type of the error (RFC 9209).
";

const COLUMNS: &str = "| code | status | Proxy-Status | what happened | usually | what to do |
| --- | --- | --- | --- | --- | --- |
";

/// `The request is not valid HTTP: the Host field is missing.`
fn what(cause: &Cause) -> String {
    match &cause.detail {
        Some(detail) => format!("{}: {detail}.", cause.meaning.sentence.trim_end_matches('.')),
        None => cause.meaning.sentence.to_owned(),
    }
}

fn side(side: Side) -> &'static str {
    match side {
        Side::Downstream => "client",
        Side::Upstream => "upstream",
        Side::Proxy => "proxy",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_in_the_docs_is_the_one_that_the_table_makes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/causes.md");
        assert!(std::fs::read_to_string(path).unwrap() == page(), "run `cargo xtask docs`");
    }

    #[test]
    fn a_code_is_explained_with_its_status_and_what_to_do() {
        let refused = Cause::all().into_iter().find(|cause| cause.meaning.code == "connect-refused").unwrap();
        let text = one(&refused);
        assert!(text.contains("status        502") && text.contains("Start the server"), "{text}");
    }
}
