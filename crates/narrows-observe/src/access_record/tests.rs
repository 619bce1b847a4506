use super::*;
use narrows_plan::NoFacts;

fn record<'a>(target: &'a [u8], user_agent: &'a [u8]) -> AccessRecord<'a> {
    AccessRecord {
        protocol: "http",
        target,
        version: "HTTP/1.1",
        host: "example.com",
        status: 200,
        bytes_sent: 12,
        duration: Duration::from_micros(345),
        user_agent,
        route: "web[0]",
        upstream: "app",
        endpoint: "127.0.0.1:80",
        attempts: 1,
        ..AccessRecord::blank(
            Duration::from_secs(784_111_777),
            [127, 0, 0, 1].into(),
            "web",
            b"GET",
            &NoFacts,
        )
    }
}

#[test]
fn a_text_record_is_a_combined_line_with_pairs() {
    let mut line = Vec::new();
    record(b"/x", b"curl").write(LogFormat::Text, &mut WrittenDate::default(), &mut line);
    assert_eq!(
        String::from_utf8(line).unwrap(),
        "127.0.0.1 - - [06/Nov/1994:08:49:37 +0000] \"GET /x HTTP/1.1\" 200 12 \"-\" \"curl\" listener=web \
         host=example.com route=web[0] upstream=app endpoint=127.0.0.1:80 attempts=1 received=0 duration_us=345 fault=-\n"
    );
}

#[test]
fn a_client_cannot_forge_a_line_or_a_field() {
    for format in [LogFormat::Text, LogFormat::Json] {
        let mut line = Vec::new();
        record(b"/\"\n\\", b"a\" fault=none\r\n\xff").write(format, &mut WrittenDate::default(), &mut line);
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1, "{format:?}");
        let text = String::from_utf8(line).unwrap();
        assert!(!text.contains("a\" fault"), "{text}");
    }
}

#[test]
fn a_session_of_datagrams_counts_them() {
    let datagrams = Some(Datagrams { received: 3, sent: 2, dropped: 1 });
    let record = AccessRecord { method: b"UDP", version: "", datagrams, ..record(b"", b"") };
    let (mut text, mut json) = (Vec::new(), Vec::new());
    record.write(LogFormat::Text, &mut WrittenDate::default(), &mut text);
    record.write(LogFormat::Json, &mut WrittenDate::default(), &mut json);
    let (text, json) = (String::from_utf8(text).unwrap(), String::from_utf8(json).unwrap());
    assert!(text.ends_with(" fault=- datagrams_received=3 datagrams_sent=2 datagrams_dropped=1\n"), "{text}");
    assert!(
        json.ends_with(",\"datagrams_received\":3,\"datagrams_sent\":2,\"datagrams_dropped\":1}\n"),
        "{json}"
    );
}
