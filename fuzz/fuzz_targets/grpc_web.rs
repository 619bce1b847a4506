//! gRPC-Web: no panic on any content type or body, and the same bytes however a body in base64 is cut.
//! The first byte chooses the pieces, then a line is the content type, the rest the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narrows_wire::grpc_web::{Decoder, GrpcWeb, NotBase64};

fuzz_target!(|bytes: &[u8]| {
    let [piece, rest @ ..] = bytes else { return };
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
    let (content_type, body) = (&rest[..end], rest.get(end + 1..).unwrap_or_default());
    if let Some(web) = GrpcWeb::of(content_type) {
        assert_eq!(GrpcWeb::of(web.web_type().as_bytes()).as_ref(), Some(&web));
        let sent = web.encode(body);
        match web.decoder() {
            Some(_) => assert_eq!(decode(&sent, usize::from(*piece) + 1).as_deref(), Ok(body)),
            None => assert_eq!(sent, body),
        }
        let frame = web.trailer_frame([(content_type, body)].into_iter());
        assert!(frame.len() >= 5 + content_type.len() + body.len());
    }
    assert_eq!(decode(body, usize::from(*piece) + 1), decode(body, body.len().max(1)));
});

fn decode(body: &[u8], piece: usize) -> Result<Vec<u8>, NotBase64> {
    let mut decoder = Decoder::default();
    let mut decoded = Vec::new();
    for bytes in body.chunks(piece) {
        decoder.decode(bytes, &mut decoded)?;
    }
    Ok(decoded)
}
