//! Where access records go, and how they are written there.

use crate::{Expression, Fact};
use serde::Serialize;
use std::path::PathBuf;
use std::time::Duration;

/// One access log.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AccessLog {
    /// Where records go.
    pub to: LogTarget,
    /// How one is written.
    pub format: LogFormat,
    /// Which records are written; `None`: all.
    pub when: Option<Expression>,
    /// How many of those, of 10,000.
    pub sample: u32,
}

impl AccessLog {
    /// All of them, see [`sample`](Self::sample).
    pub const ALL: u32 = 10_000;

    /// A log of everything.
    pub fn of_everything(to: LogTarget, format: LogFormat) -> Self {
        AccessLog { to, format, when: None, sample: AccessLog::ALL }
    }
}

/// Where access records go.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogTarget {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// Appended to a file.
    File {
        /// The file.
        path: PathBuf,
        /// When another one is begun.
        rotation: Rotation,
    },
    /// A syslog server.
    Syslog(Syslog),
    /// The collector of `telemetry.otlp`.
    Otlp,
}

/// When a log file is put aside and another one begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Rotation {
    /// Before it has more bytes than this.
    pub size: Option<u64>,
    /// When this time of the calendar is over: an hour ends with the hour (UTC).
    pub every: Option<Duration>,
    /// How many files are kept beside the present one.
    pub keep: u32,
}

impl Rotation {
    /// Never.
    pub const NEVER: Rotation = Rotation { size: None, every: None, keep: 7 };
}

/// A syslog server (RFC 5424).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct Syslog {
    /// Where it is.
    pub to: SyslogAddress,
    /// Facility, 0 to 23.
    pub facility: u8,
    /// Severity, 0 (emergency) to 7 (debug).
    pub severity: u8,
    /// APP-NAME.
    pub app: Box<str>,
}

/// Where a syslog server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SyslogAddress {
    /// A datagram for each record (RFC 5426), to `host:port`.
    Udp(Box<str>),
    /// A connection with octet counting (RFC 6587), to `host:port`.
    Tcp(Box<str>),
    /// A Unix socket: datagrams, or a stream with a line for each record where it is one.
    Unix(PathBuf),
}

/// How an access record is written.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// The combined format followed by `key=value` pairs.
    Text,
    /// One JSON object a line.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// What a format of another proxy or a template was compiled to.
    Parts(LogParts),
}

/// A compiled format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogParts {
    /// The pieces, in order.
    pub parts: Box<[LogPart]>,
    /// How values are kept from being taken for something else.
    pub escape: LogEscape,
}

/// A piece of a format.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogPart {
    /// Text as written.
    Text(Box<str>),
    /// Something that the record knows.
    Field(LogField),
    /// The same in double quotes, with nothing between them where it is empty.
    Quoted(LogField),
    /// A number in hexadecimal digits.
    Hexadecimal(LogField),
}

/// How values are kept from being taken for something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogEscape {
    /// `\xHH` for quotes, backslashes, control characters and whatever is not ASCII; `-` for nothing.
    Backslash,
    /// As in JSON texts; nothing for nothing.
    Json,
    /// `#HH` for control characters, quotes, `#` and whatever is not ASCII; `-` for nothing.
    Hash,
    /// As `Backslash`, and nothing for nothing.
    Template,
    /// Not at all, but for line breaks: a record is a line whatever happens.
    None,
}

/// What a format can ask of a record.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs, reason = "the names say it; docs/logging.md has the tables of both formats")]
pub enum LogField {
    // Who and where.
    Client,
    Peer,
    PeerPort,
    LocalPort,
    Listener,
    /// The listener, with `~` behind it where its TLS ended.
    ListenerTls,
    Route,
    /// The upstream, else the listener.
    Backend,
    Upstream,
    /// The endpoint, else `<NOSRV>`.
    Server,
    Endpoint,
    Protocol,
    /// `TCP` or `UDP`.
    Transport,
    Scheme,
    Https,
    Hostname,
    ProcessId,
    RequestId,
    TraceId,
    SpanId,
    /// The user of basic authentication.
    BasicUser,
    // When.
    LocalDate,
    Iso8601,
    UnixSeconds,
    UnixMilliseconds,
    /// The beginning, with milliseconds: `06/Nov/1994:08:49:37.123`.
    BeganDate,
    /// The beginning, as the common log format writes it.
    BeganLocalDate,
    /// Milliseconds of the beginning, three digits.
    BeganMilliseconds,
    /// Seconds of the beginning.
    BeganSeconds,
    // What was asked.
    Method,
    Target,
    /// The target without its query.
    RawPath,
    Query,
    /// The query with its question mark.
    QueryMarked,
    /// `?` where there is a query.
    QueryMark,
    Version,
    RequestLine,
    /// The same, or `<BADREQ>`.
    RequestLineOrBad,
    /// Lower case, without its port.
    Host,
    Referer,
    UserAgent,
    // What came of it.
    Status,
    /// The same, -1 where there is none.
    StatusOrMinusOne,
    UpstreamStatus,
    Fault,
    /// Two letters of the termination state.
    Termination,
    /// Four of them.
    TerminationWithCookies,
    Attempts,
    Retries,
    BytesSent,
    BodyBytesSent,
    BytesReceived,
    BodyBytesReceived,
    // How long it took: seconds with three decimals, or milliseconds with -1 for what was not reached.
    DurationSeconds,
    ConnectSeconds,
    HeaderSeconds,
    ResponseSeconds,
    DurationMilliseconds,
    DurationMicroseconds,
    HeadMilliseconds,
    QueueMilliseconds,
    ConnectMilliseconds,
    AnswerMilliseconds,
    DataMilliseconds,
    // TLS.
    TlsVersion,
    /// `TLSv1.3`.
    TlsProtocol,
    TlsCipher,
    TlsServerName,
    TlsAlpn,
    /// `r` or `.`
    TlsReused,
    /// `1` or `0`
    TlsResumed,
    TlsVerified,
    // What only facts know.
    Header(Box<str>),
    ResponseHeader(Box<str>),
    Cookie(Box<str>),
    Parameter(Box<str>),
    Fact(Fact),
    Expression(Expression),
    /// Something that the other proxy knows and this one never has: captured headers, say.
    Nothing,
    /// A number that the other proxy counts and this one does not.
    Zero,
}

impl LogFormat {
    /// Whether it asks for the head of the endpoint's answer, which has to be kept for it.
    pub fn asks_for_response(&self) -> bool {
        let LogFormat::Parts(LogParts { parts, .. }) = self else { return false };
        parts.iter().any(|part| match part {
            LogPart::Text(_) => false,
            LogPart::Field(field) | LogPart::Quoted(field) | LogPart::Hexadecimal(field) => match field {
                LogField::ResponseHeader(_) => true,
                LogField::Expression(expression) => expression.asks_for_response(),
                _ => false,
            },
        })
    }
}

impl AccessLog {
    /// Whether it asks for the head of the endpoint's answer.
    pub fn asks_for_response(&self) -> bool {
        self.format.asks_for_response() || self.when.as_ref().is_some_and(Expression::asks_for_response)
    }
}

impl Expression {
    /// Whether its value depends on the head of the endpoint's answer, its status apart.
    pub fn asks_for_response(&self) -> bool {
        self.any(&|one| {
            matches!(
                one,
                Expression::ResponseHeader(_)
                    | Expression::HasResponseHeader(_)
                    | Expression::ResponseCookie(_)
                    | Expression::HasResponseCookie(_)
            )
        })
    }
}
