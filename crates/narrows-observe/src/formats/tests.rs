use crate::dates::Dates;
use crate::{AccessRecord, Datagrams, Ender, Stage, Termination, Timings, TlsRecord};
use narrows_plan::{Fact, Facts, LogEscape, LogField, LogFormat, LogPart, LogParts, NoFacts};
use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

fn record<'a>(target: &'a [u8], user_agent: &'a [u8]) -> AccessRecord<'a> {
    let ended = Duration::from_micros(784_111_777_123_456);
    AccessRecord {
        protocol: "http",
        peer_port: 4711,
        target,
        version: "HTTP/1.1",
        host: "example.com",
        status: 200,
        upstream_status: 200,
        head_received: 100,
        head_sent: 80,
        bytes_sent: 12,
        duration: Duration::from_micros(345_678),
        timings: Timings {
            queue: Some(Duration::from_millis(20)),
            connect: Some(Duration::from_millis(3)),
            answer: Some(Duration::from_millis(300)),
            ..Timings::default()
        },
        user_agent,
        route: "web[0]",
        upstream: "app",
        endpoint: "127.0.0.1:80",
        attempts: 1,
        ..AccessRecord::blank(ended, [127, 0, 0, 1].into(), "web", b"GET", &NoFacts)
    }
}

fn written(record: &AccessRecord<'_>, format: &LogFormat) -> String {
    let mut line = Vec::new();
    record.write(format, &mut Dates::default(), &mut line);
    String::from_utf8(line).unwrap()
}

fn parts(escape: LogEscape, fields: Vec<LogField>) -> LogFormat {
    let mut parts = Vec::new();
    for field in fields {
        if !parts.is_empty() {
            parts.push(LogPart::Text(" ".into()));
        }
        parts.push(LogPart::Field(field));
    }
    LogFormat::Parts(LogParts { parts: parts.into(), escape })
}

#[test]
fn a_text_record_is_a_combined_line_with_pairs() {
    assert_eq!(
        written(&record(b"/x", b"curl"), &LogFormat::Text),
        "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /x HTTP/1.1\" 200 12 \"-\" \"curl\" listener=web \
         host=example.com route=web[0] upstream=app endpoint=127.0.0.1:80 attempts=1 received=0 duration_us=345678 fault=-"
    );
}

#[test]
fn a_json_record_is_one_object_with_what_is_known() {
    let termination = Termination { by: Ender::Client, at: Stage::Body };
    let tls = Some(TlsRecord { version: "1.3", cipher: "TLS_AES_128_GCM_SHA256", ..TlsRecord::default() });
    assert_eq!(
        written(&AccessRecord { termination, tls, ..record(b"/x", b"\"\xff\n\x7f") }, &LogFormat::Json),
        "{\"time\":\"1994-11-06T08:49:37.123456Z\",\"client\":\"127.0.0.1\",\"port\":4711,\"protocol\":\"http\",\
         \"listener\":\"web\",\"method\":\"GET\",\"target\":\"/x\",\"version\":\"HTTP/1.1\",\"host\":\"example.com\",\
         \"user_agent\":\"\\\"\u{fffd}\\n\\u007f\",\"route\":\"web[0]\",\"upstream\":\"app\",\
         \"endpoint\":\"127.0.0.1:80\",\"tls_version\":\"1.3\",\"tls_cipher\":\"TLS_AES_128_GCM_SHA256\",\
         \"status\":200,\"upstream_status\":200,\"attempts\":1,\"bytes_received\":0,\"bytes_sent\":12,\
         \"duration_us\":345678,\"queue_us\":20000,\"connect_us\":3000,\"answer_us\":300000,\"termination\":\"CD\"}"
    );
}

#[test]
fn a_logfmt_record_has_quotes_only_where_they_are_needed() {
    let line = written(&record(b"/x?a=b", b"curl 8"), &LogFormat::Logfmt);
    assert!(
        line.starts_with("time=1994-11-06T08:49:37.123456Z client=127.0.0.1 port=4711 protocol=http"),
        "{line}"
    );
    assert!(
        line.contains(" target=\"/x?a=b\" ") && line.contains(" user_agent=\"curl 8\" route=web[0] "),
        "{line}"
    );
}

#[test]
fn a_client_cannot_forge_a_line_or_a_field() {
    let escapes =
        [LogEscape::Backslash, LogEscape::Json, LogEscape::Hash, LogEscape::Template, LogEscape::None];
    let fields = || vec![LogField::RequestLine, LogField::UserAgent];
    let formats = escapes.map(|escape| parts(escape, fields()));
    let all = [LogFormat::Text, LogFormat::Json, LogFormat::Logfmt].into_iter().chain(formats);
    for format in all {
        let line = written(&record(b"/\"\n\\", b"a\" fault=none\r\n\xc3\xa9"), &format);
        assert!(!line.contains(['\n', '\r']), "{format:?}: {line}");
        let is_bare = matches!(&format, LogFormat::Parts(parts) if parts.escape == LogEscape::None);
        assert_eq!(line.contains("a\" fault"), is_bare, "{format:?}: {line}");
    }
}

#[test]
fn a_session_of_datagrams_counts_them() {
    let datagrams = Some(Datagrams { received: 3, sent: 2, dropped: 1 });
    let record = AccessRecord { method: b"UDP", version: "", datagrams, ..record(b"", b"") };
    let text = written(&record, &LogFormat::Text);
    let json = written(&record, &LogFormat::Json);
    assert!(text.ends_with(" fault=- datagrams_received=3 datagrams_sent=2 datagrams_dropped=1"), "{text}");
    assert!(
        json.contains(",\"datagrams_received\":3,\"datagrams_sent\":2,\"datagrams_dropped\":1,"),
        "{json}"
    );
}

#[test]
fn the_times_of_haproxy_are_milliseconds_and_minus_one_where_nothing_was_reached() {
    let times = parts(
        LogEscape::Hash,
        vec![
            LogField::HeadMilliseconds,
            LogField::QueueMilliseconds,
            LogField::ConnectMilliseconds,
            LogField::AnswerMilliseconds,
            LogField::DurationMilliseconds,
            LogField::DataMilliseconds,
        ],
    );
    assert_eq!(written(&record(b"/", b""), &times), "0 20 3 300 345 22");
    let refused = AccessRecord { timings: Timings::default(), attempts: 0, ..record(b"/", b"") };
    assert_eq!(written(&refused, &times), "0 -1 -1 -1 345 -1");
    let at = Termination { by: Ender::Server, at: Stage::Connect };
    let unconnected = AccessRecord { termination: at, timings: Timings::default(), ..record(b"/", b"") };
    assert_eq!(written(&unconnected, &times), "0 0 -1 -1 345 -1");
    let unread = AccessRecord { version: "", attempts: 0, timings: Timings::default(), ..record(b"", b"") };
    assert_eq!(written(&unread, &times), "-1 -1 -1 -1 345 -1");
}

#[test]
fn the_beginning_is_the_end_without_the_duration() {
    let dates = parts(
        LogEscape::Hash,
        vec![
            LogField::BeganDate,
            LogField::BeganMilliseconds,
            LogField::BeganSeconds,
            LogField::UnixMilliseconds,
        ],
    );
    let line = written(&record(b"/", b""), &dates);
    assert_eq!(line, "06/Nov/1994:08:49:36.777 777 784111776 784111777.123");
}

#[test]
fn nothing_is_a_dash_where_the_format_says_so() {
    let fields = || vec![LogField::UserAgent, LogField::Nothing];
    assert_eq!(written(&record(b"/", b""), &parts(LogEscape::Backslash, fields())), "- -");
    assert_eq!(written(&record(b"/", b""), &parts(LogEscape::Hash, fields())), "- -");
    assert_eq!(written(&record(b"/", b""), &parts(LogEscape::Json, fields())), " ");
    let quoted = LogParts { parts: [LogPart::Quoted(LogField::UserAgent)].into(), escape: LogEscape::Hash };
    assert_eq!(written(&record(b"/", b""), &LogFormat::Parts(quoted)), "\"\"");
}

/// Facts with one request header.
struct Authorization(&'static str);

impl Facts for Authorization {
    fn text(&self, fact: Fact) -> Cow<'_, str> {
        NoFacts.text(fact).into_owned().into()
    }
    fn number(&self, fact: Fact) -> i64 {
        NoFacts.number(fact)
    }
    fn source(&self) -> IpAddr {
        NoFacts.source()
    }
    fn header(&self, name: &str) -> Option<Cow<'_, str>> {
        (name == "authorization").then_some(Cow::Borrowed(self.0))
    }
    fn cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn parameter(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn response_header(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn response_cookie(&self, _: &str) -> Option<Cow<'_, str>> {
        None
    }
    fn capture(&self, _: usize) -> Option<&str> {
        None
    }
    fn texts(&self, _: Fact) -> &[String] {
        &[]
    }
    fn flag(&self, _: Fact) -> bool {
        false
    }
    fn proxy_tlv(&self, _: u8) -> Option<Cow<'_, str>> {
        None
    }
}

#[test]
fn the_user_of_basic_authentication_is_told_and_never_the_password() {
    let user = parts(LogEscape::Backslash, vec![LogField::BasicUser]);
    // "Aladdin:open sesame" and "x\n", which has no colon.
    for (value, expected) in [
        ("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==", "Aladdin"),
        ("basic eAo=", "x\\x0A"),
        ("Bearer abc", "-"),
        ("Basic ***", "-"),
        ("", "-"),
    ] {
        let facts = Authorization(value);
        assert_eq!(written(&AccessRecord { facts: &facts, ..record(b"/", b"") }, &user), expected, "{value}");
    }
}
