use super::*;

fn some_span() -> Span {
    Span {
        trace: [1; 16],
        id: [2; 8],
        parent: Some([3; 8]),
        state: "a=1".into(),
        is_sampled: true,
        has_remote_parent: true,
        kind: SpanKind::Server,
        name: "GET".into(),
        began: Duration::from_nanos(1_000),
        ended: Duration::from_nanos(2_000),
        attributes: vec![("http.response.status_code", SpanValue::Number(503))],
        failure: Some("no-endpoint".into()),
    }
}

fn logged(json: &str) -> messages::LogRecord {
    log_record(&LogRecord { json: json.as_bytes().into(), time: Duration::from_secs(5) })
}

#[test]
fn a_span_says_whose_child_it_is_and_how_it_ended() {
    let bytes = spans(&Resource { attributes: vec![] }, vec![some_span()]);
    let request = ExportTraceServiceRequest::decode(&*bytes).unwrap();
    let span = &request.resource_spans[0].scope_spans[0].spans[0];
    assert_eq!((span.trace_id.len(), span.span_id.len(), span.parent_span_id.len()), (16, 8, 8));
    assert_eq!((span.kind, span.flags), (2, 0x301));
    assert_eq!(span.status, Some(Status { message: "no-endpoint".into(), code: 2 }));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1_000, 2_000));
}

#[test]
fn a_span_never_ends_before_it_began() {
    let span = span(Span { ended: Duration::ZERO, ..some_span() });
    assert_eq!(span.end_time_unix_nano, span.start_time_unix_nano);
}

#[test]
fn a_record_knows_its_trace_and_whether_it_failed() {
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let json = format!(
        r#"{{"method":"GET","target":"/","status":502,"fault":"refused","trace_id":"{trace}","span_id":"00f067aa0ba902b7","tls":{{"version":"1.3"}}}}"#
    );
    let record = logged(&json);
    assert_eq!((record.severity_number, record.trace_id.len(), record.span_id.len()), (17, 16, 8));
    assert_eq!(record.body, Some(AnyValue { value: Some(Value::Text("GET / 502 refused".into())) }));
    assert!(record.attributes.iter().any(|attribute| attribute.key == "tls"));
    assert_eq!(record.time_unix_nano, 5_000_000_000);
}

#[test]
fn what_is_no_json_and_no_id_is_told_without() {
    assert_eq!(logged("not JSON").attributes, vec![]);
    assert_eq!(logged(r#"{"trace_id":"xyz","span_id":"é0f067aa0ba902b"}"#).trace_id, Vec::<u8>::new());
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(100), "]".repeat(100));
    assert_eq!(logged(&deep).attributes.len(), 1);
}
