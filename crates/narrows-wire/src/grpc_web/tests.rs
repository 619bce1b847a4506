use super::*;
use proptest::prelude::*;

#[test]
fn content_types_of_browsers_are_known() {
    for other in ["application/grpc", "application/grpc-webby", "application/json", ""] {
        assert_eq!(GrpcWeb::of(other.as_bytes()), None, "{other}");
    }
    let plain = GrpcWeb::of(b"application/grpc-web").unwrap();
    assert_eq!(
        (plain.grpc_type().as_str(), plain.web_type().as_str()),
        ("application/grpc", "application/grpc-web")
    );
    let text = GrpcWeb::of(b"Application/grpc-web-text+proto; charset=utf-8").unwrap();
    assert_eq!(text.grpc_type(), "application/grpc+proto");
    assert_eq!(text.web_type(), "application/grpc-web-text+proto");
    assert!(text.decoder().is_some() && plain.decoder().is_none());
}

#[test]
fn trailers_become_a_frame() {
    let web = GrpcWeb::of(b"application/grpc-web").unwrap();
    let frame = web.trailer_frame([(&b"grpc-status"[..], &b"0"[..])].into_iter());
    assert_eq!(frame, b"\x80\x00\x00\x00\x10grpc-status: 0\r\n");
    assert_eq!(web.trailer_frame(std::iter::empty()), b"\x80\x00\x00\x00\x00");
    let text = GrpcWeb::of(b"application/grpc-web-text").unwrap();
    assert_eq!(text.trailer_frame(std::iter::empty()), b"gAAAAAA=");
}

#[test]
fn what_is_no_base64_is_refused() {
    assert_eq!(Decoder::default().decode(b"a$bc", &mut Vec::new()), Err(NotBase64));
    let mut half = Decoder::default();
    half.decode(b"YWI", &mut Vec::new()).unwrap();
    assert!(!half.is_whole());
}

proptest! {
    #[test]
    fn base64_is_taken_off_however_it_is_cut(messages: Vec<Vec<u8>>, cut in 1usize..20) {
        let web = GrpcWeb::of(b"application/grpc-web-text").unwrap();
        let text: Vec<u8> = messages.iter().flat_map(|message| web.encode(message)).collect();
        let mut decoder = web.decoder().unwrap();
        let mut decoded = Vec::new();
        for piece in text.chunks(cut) {
            decoder.decode(piece, &mut decoded).unwrap();
        }
        prop_assert!(decoder.is_whole());
        prop_assert_eq!(decoded, messages.concat());
    }
}
