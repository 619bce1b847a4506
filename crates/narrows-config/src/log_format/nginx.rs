//! nginx's `log_format`: text with `$variables`.

use super::{Family, Pieces};
use crate::code::Code;
use crate::expression::Problem;
use crate::nearest::nearest;
use narrows_plan::{Fact, LogEscape, LogField, LogPart, LogParts};

/// The variables, of http and of stream.
const VARIABLES: &[(&str, LogField)] = &[
    ("args", LogField::Query),
    ("body_bytes_sent", LogField::BodyBytesSent),
    ("bytes_received", LogField::BytesReceived),
    ("bytes_sent", LogField::BytesSent),
    ("document_uri", LogField::Fact(Fact::Path)),
    ("host", LogField::Host),
    ("hostname", LogField::Hostname),
    ("http_referer", LogField::Referer),
    ("http_user_agent", LogField::UserAgent),
    ("https", LogField::Https),
    ("is_args", LogField::QueryMark),
    ("msec", LogField::UnixMilliseconds),
    ("pid", LogField::ProcessId),
    ("protocol", LogField::Transport),
    ("proxy_host", LogField::Upstream),
    ("proxy_protocol_addr", LogField::Peer),
    ("proxy_protocol_port", LogField::PeerPort),
    ("query_string", LogField::Query),
    ("realip_remote_addr", LogField::Peer),
    ("realip_remote_port", LogField::PeerPort),
    ("remote_addr", LogField::Client),
    ("remote_port", LogField::PeerPort),
    ("remote_user", LogField::BasicUser),
    ("request", LogField::RequestLine),
    ("request_id", LogField::RequestId),
    ("request_length", LogField::BytesReceived),
    ("request_method", LogField::Method),
    ("request_time", LogField::DurationSeconds),
    ("request_uri", LogField::Target),
    ("scheme", LogField::Scheme),
    ("server_name", LogField::Listener),
    ("server_port", LogField::LocalPort),
    ("server_protocol", LogField::Version),
    ("session_time", LogField::DurationSeconds),
    ("ssl_alpn_protocol", LogField::TlsAlpn),
    ("ssl_cipher", LogField::TlsCipher),
    ("ssl_client_fingerprint", LogField::Fact(Fact::TlsClientFingerprint)),
    ("ssl_client_i_dn", LogField::Fact(Fact::TlsClientIssuer)),
    ("ssl_client_s_dn", LogField::Fact(Fact::TlsClientSubject)),
    ("ssl_client_serial", LogField::Fact(Fact::TlsClientSerial)),
    ("ssl_client_verify", LogField::TlsVerified),
    ("ssl_preread_server_name", LogField::Host),
    ("ssl_protocol", LogField::TlsProtocol),
    ("ssl_server_name", LogField::TlsServerName),
    ("ssl_session_reused", LogField::TlsReused),
    ("status", LogField::Status),
    ("time_iso8601", LogField::Iso8601),
    ("time_local", LogField::LocalDate),
    ("upstream_addr", LogField::Endpoint),
    ("upstream_connect_time", LogField::ConnectSeconds),
    ("upstream_header_time", LogField::HeaderSeconds),
    ("upstream_response_time", LogField::ResponseSeconds),
    ("upstream_status", LogField::UpstreamStatus),
    ("uri", LogField::Fact(Fact::Path)),
];

/// Variables that begin like this hold what their rest names.
const FAMILIES: &[Family] = &[
    ("http_", |name| LogField::Header(header(name))),
    ("sent_http_", |name| LogField::ResponseHeader(header(name))),
    ("upstream_http_", |name| LogField::ResponseHeader(header(name))),
    ("cookie_", |name| LogField::Cookie(name.into())),
    ("arg_", |name| LogField::Parameter(name.into())),
];

fn header(name: &str) -> Box<str> {
    name.replace('_', "-").to_ascii_lowercase().into()
}

/// Compiles a format; ranges of problems are bytes of `text`.
pub(crate) fn nginx(text: &str, escape: LogEscape) -> Result<LogParts, Vec<Problem>> {
    let mut pieces = Pieces::default();
    let mut at = 0;
    while let Some(dollar) = text[at..].find('$').map(|found| at + found) {
        pieces.text.push_str(&text[at..dollar]);
        let in_braces = text[dollar + 1..].starts_with('{');
        let start = dollar + 1 + usize::from(in_braces);
        let is_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let end = text[start..].find(|letter| !is_name(letter)).map_or(text.len(), |length| start + length);
        let name = &text[start..end];
        at = end;
        if in_braces {
            match text[end..].starts_with('}') {
                true => at += 1,
                false => {
                    let message = "this `${` has no closing brace";
                    pieces.problems.push(Problem::new(Code::UnclosedTemplate, dollar..end, message));
                    continue;
                }
            }
        }
        match variable(name) {
            Some(field) => pieces.push(LogPart::Field(field)),
            None => pieces.problems.push(unknown(name, dollar, at)),
        }
    }
    pieces.text.push_str(&text[at..]);
    pieces.finish(escape)
}

fn variable(name: &str) -> Option<LogField> {
    let known = VARIABLES.iter().find(|(known, _)| *known == name);
    if let Some((_, field)) = known {
        return Some(field.clone());
    }
    let family =
        |(prefix, make): &Family| name.strip_prefix(prefix).filter(|rest| !rest.is_empty()).map(make);
    FAMILIES.iter().find_map(family)
}

fn unknown(name: &str, start: usize, end: usize) -> Problem {
    if name.is_empty() {
        let message = "a dollar sign begins a variable, `$status` for instance";
        return Problem::new(Code::LoneDollar, start..end.max(start + 1), message);
    }
    let names: Vec<&str> = VARIABLES.iter().map(|(name, _)| *name).collect();
    let help = match nearest(name, &names) {
        Some(near) => format!("did you mean `${near}`?"),
        None => "docs/logging.md lists the variables; `$http_NAME`, `$sent_http_NAME`, `$cookie_NAME` and `$arg_NAME` are there for any name"
            .into(),
    };
    Problem::new(Code::UnknownFact, start..end, format!("there is no `${name}`")).help(help)
}
