use super::*;
use crate::messages::{Any, Delay, PartialSuccess};
use http::HeaderValue;

fn headers(fields: &[(&'static str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| ((*name).parse().unwrap(), HeaderValue::from_str(value).unwrap()))
        .collect()
}

fn is_again(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Again { .. })
}

#[test]
fn only_four_statuses_of_http_are_worth_another_try() {
    for status in [429, 502, 503, 504] {
        assert!(
            is_again(&of_http(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), b"")),
            "{status}"
        );
    }
    for status in [301, 400, 401, 404, 413, 500, 501] {
        let verdict = of_http(StatusCode::from_u16(status).unwrap(), &HeaderMap::new(), b"");
        assert!(matches!(verdict, Verdict::Lost { .. }), "{status}");
    }
}

#[test]
fn a_collector_says_when_over_http() {
    let after = |text: &str| match of_http(
        StatusCode::SERVICE_UNAVAILABLE,
        &headers(&[("retry-after", text)]),
        b"",
    ) {
        Verdict::Again { after, .. } => after,
        other => panic!("{other:?}"),
    };
    assert_eq!(after("7"), Some(Duration::from_secs(7)));
    assert_eq!(after("99999999999"), Some(LONGEST_PAUSE));
    assert_eq!(after("Fri, 31 Dec 1999 23:59:59 GMT"), None);
}

#[test]
fn the_statuses_of_grpc_are_told_apart_as_otlp_says() {
    for code in [1, 4, 10, 11, 14, 15] {
        let trailers = headers(&[("grpc-status", &code.to_string())]);
        assert!(is_again(&of_grpc(StatusCode::OK, &trailers, b"")), "{code}");
    }
    for code in [2, 3, 5, 6, 7, 8, 9, 12, 13, 16] {
        let trailers = headers(&[("grpc-status", &code.to_string())]);
        assert!(matches!(of_grpc(StatusCode::OK, &trailers, b""), Verdict::Lost { .. }), "{code}");
    }
    assert!(is_again(&of_grpc(StatusCode::BAD_GATEWAY, &HeaderMap::new(), b"")));
}

#[test]
fn an_exhausted_collector_is_asked_again_when_it_says_when() {
    let delay = Delay { seconds: 2, nanos: 500_000_000 };
    let info = RetryInfo { retry_delay: Some(delay) }.encode_to_vec();
    let detail = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".into(), value: info };
    let status = RpcStatus { code: 8, message: "full".into(), details: vec![detail] };
    let details = BASE64.encode(status.encode_to_vec());
    let trailers =
        headers(&[("grpc-status", "8"), ("grpc-status-details-bin", details.trim_end_matches('='))]);
    let verdict = of_grpc(StatusCode::OK, &trailers, b"");
    assert!(
        matches!(verdict, Verdict::Again { after: Some(pause), .. } if pause == Duration::from_millis(2500))
    );
}

#[test]
fn what_a_collector_has_no_use_for_is_counted() {
    let partial = PartialSuccess { rejected: 3, error_message: "too old".into() };
    let body = ExportServiceResponse { partial_success: Some(partial) }.encode_to_vec();
    let taken = Verdict::Taken { rejected: 3, why: "too old".into() };
    assert_eq!(of_http(StatusCode::OK, &HeaderMap::new(), &body), taken);
    let framed = [&[0, 0, 0, 0, body.len() as u8][..], &body].concat();
    assert_eq!(of_grpc(StatusCode::OK, &headers(&[("grpc-status", "0")]), &framed), taken);
    assert_eq!(
        of_grpc(StatusCode::OK, &headers(&[("grpc-status", "0")]), &framed[..7]),
        Verdict::Taken { rejected: 0, why: String::new() }
    );
}

#[test]
fn a_strangers_words_stay_on_one_short_line() {
    let body =
        RpcStatus { code: 3, message: format!("a\nb{}", "c".repeat(1000)), details: vec![] }.encode_to_vec();
    let Verdict::Lost { why } = of_http(StatusCode::BAD_REQUEST, &HeaderMap::new(), &body) else { panic!() };
    assert!(why.contains("a bccc") && why.len() < 260, "{why}");
}
