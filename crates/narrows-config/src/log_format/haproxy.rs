//! HAProxy's `log-format`: text with `%aliases`, `%{flags}alias` and `%[fetches]`.

use super::{Family, Pieces};
use crate::code::Code;
use crate::expression::Problem;
use crate::nearest::nearest;
use narrows_plan::{Fact, LogEscape, LogField, LogPart, LogParts};

/// The aliases.
const ALIASES: &[(&str, LogField)] = &[
    ("B", LogField::BytesSent),
    ("CC", LogField::Nothing),
    ("CS", LogField::Nothing),
    ("H", LogField::Hostname),
    ("HM", LogField::Method),
    ("HP", LogField::RawPath),
    ("HPO", LogField::RawPath),
    ("HQ", LogField::QueryMarked),
    ("HU", LogField::Target),
    ("HV", LogField::Version),
    ("ID", LogField::RequestId),
    ("ST", LogField::StatusOrMinusOne),
    ("T", LogField::LocalDate),
    ("Ta", LogField::DurationMilliseconds),
    ("Tc", LogField::ConnectMilliseconds),
    ("Td", LogField::DataMilliseconds),
    ("Th", LogField::Zero),
    ("Ti", LogField::Zero),
    ("Tl", LogField::LocalDate),
    ("Tq", LogField::HeadMilliseconds),
    ("TR", LogField::HeadMilliseconds),
    ("Tr", LogField::AnswerMilliseconds),
    ("Ts", LogField::BeganSeconds),
    ("Tt", LogField::DurationMilliseconds),
    ("Tu", LogField::DurationMilliseconds),
    ("Tw", LogField::QueueMilliseconds),
    ("U", LogField::BytesReceived),
    ("ac", LogField::Zero),
    ("b", LogField::Backend),
    ("bc", LogField::Zero),
    ("bq", LogField::Zero),
    ("ci", LogField::Client),
    ("cp", LogField::PeerPort),
    ("f", LogField::Listener),
    ("fc", LogField::Zero),
    ("fp", LogField::LocalPort),
    ("ft", LogField::ListenerTls),
    ("ms", LogField::BeganMilliseconds),
    ("pid", LogField::ProcessId),
    ("r", LogField::RequestLineOrBad),
    ("rc", LogField::Retries),
    ("s", LogField::Server),
    ("sc", LogField::Zero),
    ("sq", LogField::Zero),
    ("sslc", LogField::TlsCipher),
    ("sslv", LogField::TlsProtocol),
    ("t", LogField::BeganDate),
    ("tr", LogField::BeganDate),
    ("trg", LogField::BeganLocalDate),
    ("trl", LogField::BeganLocalDate),
    ("ts", LogField::Termination),
    ("tsc", LogField::TerminationWithCookies),
];

/// Captured headers: nothing is captured, and HAProxy writes nothing then, not even the space.
const CAPTURES: [&str; 4] = ["hr", "hrl", "hs", "hsl"];

/// Sample fetches without arguments.
const FETCHES: &[(&str, LogField)] = &[
    ("dst_port", LogField::LocalPort),
    ("fc_err", LogField::Zero),
    ("method", LogField::Method),
    ("path", LogField::RawPath),
    ("query", LogField::Query),
    ("src", LogField::Client),
    ("src_port", LogField::PeerPort),
    ("ssl_c_ca_err", LogField::Zero),
    ("ssl_c_err", LogField::Zero),
    ("ssl_c_i_dn", LogField::Fact(Fact::TlsClientIssuer)),
    ("ssl_c_s_dn", LogField::Fact(Fact::TlsClientSubject)),
    ("ssl_c_serial", LogField::Fact(Fact::TlsClientSerial)),
    ("ssl_fc_alpn", LogField::TlsAlpn),
    ("ssl_fc_cipher", LogField::TlsCipher),
    ("ssl_fc_err", LogField::Zero),
    ("ssl_fc_is_resumed", LogField::TlsResumed),
    ("ssl_fc_protocol", LogField::TlsProtocol),
    ("ssl_fc_sni", LogField::TlsServerName),
    ("status", LogField::StatusOrMinusOne),
    ("unique-id", LogField::RequestId),
    ("url", LogField::Target),
];

/// Those that are asked for a name.
const NAMED_FETCHES: &[Family] = &[
    ("hdr", |name| LogField::Header(name.to_ascii_lowercase().into())),
    ("req.hdr", |name| LogField::Header(name.to_ascii_lowercase().into())),
    ("req.fhdr", |name| LogField::Header(name.to_ascii_lowercase().into())),
    ("req.cook", |name| LogField::Cookie(name.into())),
    ("res.hdr", |name| LogField::ResponseHeader(name.to_ascii_lowercase().into())),
    ("res.fhdr", |name| LogField::ResponseHeader(name.to_ascii_lowercase().into())),
    ("url_param", |name| LogField::Parameter(name.into())),
    ("urlp", |name| LogField::Parameter(name.into())),
];

/// What `%{...}` switches, for one alias or (with `%o`) from there on.
#[derive(Debug, Clone, Copy, Default)]
struct Flags {
    quote: bool,
    hexadecimal: bool,
}

/// Compiles a format; ranges of problems are bytes of `text`.
pub(crate) fn haproxy(text: &str) -> Result<LogParts, Vec<Problem>> {
    let mut pieces = Pieces::default();
    let mut standing = Flags::default();
    let mut at = 0;
    while let Some(percent) = text[at..].find('%').map(|found| at + found) {
        push_text(&mut pieces.text, &text[at..percent]);
        at = percent + 1;
        if text[at..].starts_with('%') {
            pieces.text.push('%');
            at += 1;
            continue;
        }
        let mut flags = standing;
        if let Some(inside) = text[at..].strip_prefix('{') {
            let Some(length) = inside.find('}') else {
                let message = "this `%{` has no closing brace";
                pieces.problems.push(Problem::new(Code::UnclosedTemplate, percent..at + 1, message));
                break;
            };
            let from = at + 1;
            if let Err(problem) = set(&mut flags, &inside[..length], from) {
                pieces.problems.push(problem);
            }
            at = from + length + 1;
        }
        if let Some(inside) = text[at..].strip_prefix('[') {
            let Some(length) = inside.find(']') else {
                let message = "this `%[` has no closing bracket";
                pieces.problems.push(Problem::new(Code::UnclosedTemplate, percent..at + 1, message));
                break;
            };
            let from = at + 1;
            match fetch(&inside[..length], from, flags) {
                Ok((field, flags)) => pieces.push(part(field, flags)),
                Err(problem) => pieces.problems.push(problem),
            }
            at = from + length + 1;
            continue;
        }
        let rest = &text[at..];
        let letters = rest.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(rest.len());
        let word = &rest[..letters];
        if word == "o" {
            standing = flags;
            at += 1;
            continue;
        }
        match ALIASES.iter().find(|(alias, _)| *alias == word) {
            Some((_, field)) => pieces.push(part(field.clone(), flags)),
            None if CAPTURES.contains(&word) => {}
            None => pieces.problems.push(unknown(word, percent, at + letters)),
        }
        at += letters;
    }
    push_text(&mut pieces.text, text.get(at..).unwrap_or_default());
    pieces.finish(LogEscape::Hash)
}

/// Appends text; spaces in a row are one, as HAProxy writes them.
fn push_text(out: &mut String, text: &str) {
    for letter in text.chars() {
        if letter != ' ' || !out.ends_with(' ') {
            out.push(letter);
        }
    }
}

fn part(field: LogField, flags: Flags) -> LogPart {
    match flags {
        Flags { quote: true, .. } => LogPart::Quoted(field),
        Flags { hexadecimal: true, .. } => LogPart::Hexadecimal(field),
        Flags { .. } => LogPart::Field(field),
    }
}

fn set(flags: &mut Flags, written: &str, from: usize) -> Result<(), Problem> {
    for flag in written.split(',') {
        let is_on = flag.starts_with('+');
        match flag.trim_start_matches(['+', '-']) {
            "Q" => flags.quote = is_on,
            "X" => flags.hexadecimal = is_on,
            // What they ask for holds in any case: nothing is `-`, and values are escaped.
            "M" | "E" => {}
            _ => {
                let range = from..from + written.len();
                let message = format!("there is no flag `{flag}`");
                let help = "flags are `+Q` (quotes), `+X` (hexadecimal), `+E` and `+M`";
                return Err(Problem::new(Code::UnknownFact, range, message).help(help));
            }
        }
    }
    Ok(())
}

/// `name`, `name(argument)`, each with `,hex` behind it.
fn fetch(written: &str, from: usize, mut flags: Flags) -> Result<(LogField, Flags), Problem> {
    let range = from..from + written.len();
    let end = written.find(')').map(|at| at + 1).or_else(|| written.find(',')).unwrap_or(written.len());
    let (expression, rest) = written.split_at(end);
    let converters = rest.trim_start_matches(',');
    match converters {
        "" => {}
        "hex" => flags.hexadecimal = true,
        other => {
            let message = format!("the converter `{other}` is not there for logs");
            return Err(Problem::new(Code::Unsupported, range, message).help("only `hex` is"));
        }
    }
    if let Some((_, field)) = FETCHES.iter().find(|(name, _)| *name == expression) {
        return Ok((field.clone(), flags));
    }
    let named = expression.strip_suffix(')').and_then(|call| call.split_once('('));
    if let Some((name, argument)) = named
        && let Some((_, make)) = NAMED_FETCHES.iter().find(|(known, _)| *known == name)
    {
        return Ok((make(argument.trim()), flags));
    }
    let known: Vec<&str> = FETCHES.iter().map(|(name, _)| *name).collect();
    let help = match nearest(expression, &known) {
        Some(near) => format!("did you mean `%[{near}]`?"),
        None => {
            "docs/logging.md lists the fetches; `req.hdr(NAME)` and `res.hdr(NAME)` ask for headers".into()
        }
    };
    Err(Problem::new(Code::UnknownFact, range, format!("there is no `%[{expression}]`")).help(help))
}

fn unknown(word: &str, start: usize, end: usize) -> Problem {
    if word.is_empty() {
        let message = "a percent sign begins an alias, `%ST` for instance";
        return Problem::new(Code::LoneDollar, start..end.max(start + 1), message)
            .help("write `%%` for a percent sign");
    }
    let names: Vec<&str> = ALIASES.iter().map(|(name, _)| *name).collect();
    let help = match nearest(word, &names) {
        Some(near) => format!("did you mean `%{near}`?"),
        None => "docs/logging.md lists the aliases".into(),
    };
    Problem::new(Code::UnknownFact, start..end, format!("there is no `%{word}`")).help(help)
}
