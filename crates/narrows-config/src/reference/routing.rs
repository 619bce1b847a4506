//! docs/routing.md: precedence, normalisation, templates and expressions.

use crate::expression::{FUNCTIONS, OPERATORS};
use narrows_plan::{Fact, Type};
use std::fmt::Write;

/// The page about routes, paths, templates and expressions, in Markdown.
pub fn routing() -> String {
    let mut text = String::from(
        "# Routing\n\n<!-- Made by `cargo xtask docs` from crates/narrows-config; do not edit. -->\n\n",
    );
    text.push_str("A listener has routes. `narrows explain FILE METHOD URL` shows which one takes a request, and why.\n\n");
    text.push_str("## Precedence\n\n");
    for line in include_str!("../precedence.rs").lines().map_while(|line| line.strip_prefix("//!")) {
        text.push_str(line.strip_prefix(' ').unwrap_or(line));
        text.push('\n');
    }
    text.push_str(PATHS);
    text.push_str(EXPRESSIONS);
    text.push_str("| name | type | meaning |\n| --- | --- | --- |\n");
    for fact in Fact::ALL {
        let _ = writeln!(text, "| `{}` | {} | {} |", fact.name(), kind(fact.value_type()), meaning(fact));
    }
    text.push_str(MAPS);
    let _ = write!(text, "### Operators\n\nFrom those that bind tightest: {OPERATORS}.\n\n### Functions\n\n");
    text.push_str("Functions with a text before the dot may also be written `name(text, ...)`.\n\n");
    text.push_str("| function | value |\n| --- | --- |\n");
    for function in FUNCTIONS {
        let _ = writeln!(text, "| `{}` | {} |", function.written, function.doc);
    }
    text.push_str(TEMPLATES);
    text
}

fn kind(value: Type) -> &'static str {
    match value {
        Type::Bool => "bool",
        Type::Int => "int",
        Type::Double => "double",
        Type::Text => "text",
        Type::TextList => "list of texts",
        Type::IntList => "list of ints",
    }
}

fn meaning(fact: Fact) -> &'static str {
    match fact {
        Fact::Method => "the method, `GET` for instance",
        Fact::Host => "the host, lower case, without port",
        Fact::Port => "the port of the request's authority, or the scheme's",
        Fact::Path => "the normalised path",
        Fact::RawPath => "the path as received",
        Fact::Target => "path and query as received",
        Fact::Query => "the query as received, without `?`",
        Fact::Scheme => "`http` or `https`",
        Fact::HttpVersion => "`HTTP/1.0`, `HTTP/1.1` or `HTTP/2`",
        Fact::Source => "the client's address, for http after `trusted_proxies`",
        Fact::SourcePort => "the port of the peer",
        Fact::Listener => "the name of the listener",
        Fact::LocalPort => "the port that the connection came to",
        Fact::ServerName => "the server name that the TLS client asked for, or an empty text",
        Fact::Alpn => {
            "the application protocols of the TLS client hello; where TLS ends here, the one that was agreed on"
        }
        Fact::TlsVersion => "with `tls`: `1.2` or `1.3`; an empty text without",
        Fact::TlsCipher => "with `tls`: the cipher suite",
        Fact::TlsAlpn => "with `tls`: the application protocol that was agreed on",
        Fact::TlsClientVerified => "whether the client showed a certificate, which then is valid",
        Fact::TlsClientSubject => "the subject of the client's certificate",
        Fact::TlsClientIssuer => "who signed it",
        Fact::TlsClientSerial => "its serial number, hexadecimal",
        Fact::TlsClientFingerprint => "its SHA-256, hexadecimal",
        Fact::TlsClientNames => "its DNS names and URIs",
        Fact::ProxyAuthority => "the host that the client asked for, as the PROXY protocol header says",
        Fact::ProxyAlpn => "the application protocol, as the PROXY protocol header says",
        Fact::ProxyUniqueId => "the connection's identity in the PROXY protocol header",
        Fact::Hour => "0 to 23, UTC",
        Fact::Minute => "0 to 59",
        Fact::DayOfWeek => "0 (Sunday) to 6",
        Fact::Day => "1 to 31",
        Fact::Month => "1 to 12",
        Fact::Year => "the year",
        Fact::Unix => "seconds since 1970",
        Fact::ResponseStatus => "the status; in `response_headers`, error pages and `access_log` only",
        Fact::RecordProtocol => "in `access_log` only: `http`, `tcp`, `udp` or `quic`",
        Fact::RecordRoute => "in `access_log` only: the route that took it",
        Fact::RecordUpstream => "in `access_log` only: the upstream that was asked",
        Fact::RecordEndpoint => "in `access_log` only: the last endpoint that was asked",
        Fact::RecordUpstreamStatus => "in `access_log` only: what it answered; 0 when it did not",
        Fact::RecordFault => {
            "in `access_log` only: what went wrong, as in the log (causes.md); an empty text when nothing did"
        }
        Fact::RecordAttempts => "in `access_log` only: how many attempts were made",
        Fact::RecordBytesReceived => "in `access_log` only: bytes from the client, without the head",
        Fact::RecordBytesSent => "in `access_log` only: bytes to the client, without the head",
        Fact::RecordDurationMs => "in `access_log` only: how long it took, milliseconds",
        Fact::RecordRequestId => "in `access_log` only: the request id",
        Fact::RecordTraceId => "in `access_log` only: the trace id",
    }
}

const PATHS: &str = "
## Paths

| pattern | matches |
| --- | --- |
| `/a` | this path only |
| `/a/*` | `/a`, `/a/`, `/a/b`, not `/ab` |
| `/*` | every path |
| `/a/*/c`, `/img/**.png`, `/v?` | a glob: `*` any characters of one segment, `?` one of them, `**` any characters of any number of segments |
| `{ exact: }`, `{ prefix: }`, `{ glob: }` | the same, said outright; in `exact` and `prefix` no character is special |
| `{ regex: \"^/users/([0-9]+)$\" }` | a regular expression, found anywhere unless it has `^` and `$`; linear time, without look-around and back references |

Patterns are compared with the **normalised** path, so that `/admin`, `/./admin`, `/%61dmin` and `//admin` are one path for
every rule. Normalisation goes in this order; the first two depend on `path_matching`:

1. `decode`: percent-encoded bytes are decoded once, except `/` `\\` `?` `#` `%` `;`, controls and what is not UTF-8. These stay
   encoded, with upper-case digits. `%00` and a `%` without two digits are answered with 400.
2. `merge_slashes`: a run of `/` is one `/`.
3. A `.` segment is removed, a `..` segment with the one before it, also when the dots are encoded. A `..` above the root is
   answered with 400.

A pattern that is not in normal form can never match, which `narrows check` warns of. What goes upstream is the path as
received, unless `forward_path: normalized` or a `rewrite` says otherwise. A `rewrite: { prefix: /x }` replaces the matched
prefix; `rewrite: { path: ... }` the whole path. The query stays.

## Hosts

`api.example.com` is exact; `*.example.com` stands for every name below, at any depth, not for `example.com` itself. Case
and port of the request do not matter. International names are written in their ASCII form (`xn--...`).
";

const EXPRESSIONS: &str = "
## Expressions

`when:` and the `${ }` of templates hold [CEL](https://cel.dev) expressions. They are parsed and typed when the
configuration is loaded; names and types that do not fit are errors with their position. An expression may be 8 KiB long
and 96 levels deep. Macros (`all`, `exists`, `map`, `filter`) do not exist. An expression that has no value, because a number
overflows or a text is no number, counts as false in `when` and as an empty text in a template.

### Names

";

const MAPS: &str = "
| map | entries |
| --- | --- |
| `request.headers[\"name\"]` | all values of a header, joined by `, `; names do not differ by case |
| `request.cookies[\"name\"]` | a cookie |
| `request.params[\"name\"]` | a parameter of the query, decoded; the first of that name |
| `response.headers[\"name\"]` | as above; in `response_headers` and error pages only |
| `response.cookies[\"name\"]` | a cookie that the response sets; where `response.headers` are |
| `captures[1]`, `captures[\"name\"]` | a group of the route's path, where that is one `regex`; not in `when` |
| `proxy_protocol.tlv[\"0xE1\"]` | a TLV of the PROXY protocol header by its type; hexadecimal digits where it is no text |

An entry that is absent reads as an empty text; `\"name\" in request.headers` and `has(request.headers.name)` ask whether it is
there. Keys are written out, not computed. Tcp and udp listeners know
`connection.*`, `proxy_protocol.*` and `time.*` only.

";

const TEMPLATES: &str = "
## Templates

Bodies, header values, redirects and rewrites are templates: text with `${ expression }` inside, of any type. `$$` writes a
dollar sign. Braces and quotes inside an expression are fine: `${ request.headers[\"x-{y}\"] }`. Files of error pages are sent as
they are, without templates. A value that would break a header (a line break for instance) never reaches it.
";
