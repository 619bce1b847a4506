use super::*;

#[test]
fn content_types_of_browsers_are_known() {
    assert!(GrpcWeb::of(b"application/grpc").is_none());
    assert!(GrpcWeb::of(b"application/grpc-webby").is_none());
    assert!(!GrpcWeb::of(b"application/grpc-web").unwrap().is_text);
    let text = GrpcWeb::of(b"Application/grpc-web-text+proto; charset=utf-8").unwrap();
    assert!(text.is_text);
    assert_eq!(text.suffix, "+proto");
}

#[test]
fn heads_are_changed_on_both_ways() {
    let web = GrpcWeb::of(b"application/grpc-web-text+proto").unwrap();
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("12"));
    web.change_request(&mut headers);
    assert_eq!(headers[CONTENT_TYPE], "application/grpc+proto");
    assert_eq!(headers[TE], "trailers");
    assert!(!headers.contains_key(CONTENT_LENGTH));
    web.change_response(&mut headers);
    assert_eq!(headers[CONTENT_TYPE], "application/grpc-web-text+proto");
}

#[test]
fn trailers_become_a_frame() {
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    let frame = GrpcWeb::of(b"application/grpc-web").unwrap().trailers(Some(&trailers));
    assert_eq!(&frame[..], b"\x80\x00\x00\x00\x10grpc-status: 0\r\n");
    let none = GrpcWeb::of(b"application/grpc-web").unwrap().trailers(None);
    assert_eq!(&none[..], b"\x80\x00\x00\x00\x00");
}

#[test]
fn base64_is_taken_off_however_it_is_cut() {
    let text = [STANDARD.encode(b"hello"), STANDARD.encode(b"world!")].concat();
    for cut in 1..text.len() {
        let mut decoder = Decoder::default();
        let pieces = text.as_bytes().chunks(cut).map(|piece| decoder.decode(piece).unwrap());
        assert_eq!(pieces.collect::<Vec<_>>().concat(), b"helloworld!");
    }
    assert!(Decoder::default().decode(b"a$bc").is_err());
}
