use proptest::prelude::*;

use super::{BodyError, BodyReader, chunk_header};
use crate::http1::BodyFraming;

/// The payload of a chunked body, the wire bytes that it took, and whether it is complete.
fn read(wire: &[u8]) -> Result<(Vec<u8>, usize, bool), BodyError> {
    read_in(wire, wire.len().max(1))
}

/// As `read`, with the bytes coming in pieces of this size.
fn read_in(wire: &[u8], piece: usize) -> Result<(Vec<u8>, usize, bool), BodyError> {
    let mut reader = BodyReader::new(BodyFraming::Chunked);
    let (mut payload, mut position) = (Vec::new(), 0);
    while position < wire.len() && !reader.is_done() {
        let bytes = &wire[position..wire.len().min(position + piece)];
        let step = reader.advance(bytes)?;
        payload.extend_from_slice(&bytes[step.data.clone()]);
        position += step.consumed;
        assert_eq!(step.done, reader.is_done());
    }
    Ok((payload, position, reader.is_done()))
}

#[test]
fn a_length_body_takes_what_belongs_to_it() {
    let mut reader = BodyReader::new(BodyFraming::Length(5));
    assert_eq!(reader.scan(b"abc"), Ok((3, 3)));
    assert_eq!((reader.remaining_length(), reader.is_done()), (Some(2), false));
    assert_eq!(reader.finish_at_close(), Err(BodyError::Incomplete));
    assert_eq!(reader.scan(b"deGET"), Ok((2, 2)));
    assert_eq!((reader.remaining_length(), reader.is_done()), (Some(0), true));
    assert_eq!(reader.scan(b"GET"), Ok((0, 0)));
    assert_eq!(reader.finish_at_close(), Ok(()));
}

#[test]
fn no_body_is_done_at_once() {
    for framing in [BodyFraming::None, BodyFraming::Length(0)] {
        let mut reader = BodyReader::new(framing);
        assert!(reader.is_done());
        assert_eq!(reader.scan(b"x"), Ok((0, 0)));
    }
}

#[test]
fn a_body_until_close_takes_everything() {
    let mut reader = BodyReader::new(BodyFraming::UntilClose);
    assert_eq!(reader.scan(b"abc"), Ok((3, 3)));
    assert_eq!((reader.is_done(), reader.remaining_length()), (false, None));
    assert_eq!(reader.finish_at_close(), Ok(()));
}

#[test]
fn chunks_extensions_and_trailers_are_read() {
    for (wire, payload) in [
        ("0\r\n\r\n", ""),
        ("5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", "01234567890123456789"),
        ("0000000000000001\r\nx\r\n0\r\n\r\n", "x"),
        ("1;a\r\nx\r\n0;b=c\r\n\r\n", "x"),
        ("1;a;b=c ; d = \"e \\\" \r\nx\r\n0\r\n\r\n", ""),
        ("1 ; a=\"q\\\"\t\u{e9};\" \t; b\r\nx\r\n0\r\n\r\n", "x"),
        ("1\r\nx\r\n0\r\nX-Sum: 1\r\nEmpty:\r\nE: \u{e9}\t \r\n\r\n", "x"),
    ] {
        let expected = if wire.contains("\\\" \r\n") {
            Err(BodyError::InvalidChunkExtension)
        } else {
            Ok((payload.as_bytes().to_vec(), wire.len(), true))
        };
        assert_eq!(read(wire.as_bytes()), expected, "{wire:?}");
        assert_eq!(read_in(wire.as_bytes(), 1), expected, "{wire:?}");
    }
}

#[test]
fn what_follows_the_body_is_left_alone() {
    let wire = b"1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n";
    assert_eq!(BodyReader::new(BodyFraming::Chunked).scan(wire), Ok((11, 1)));
}

#[test]
fn chunked_framing_with_two_readings_is_rejected() {
    use BodyError::*;
    for (wire, expected) in [
        ("\r\n", InvalidChunkSize),
        (";a\r\n", InvalidChunkSize),
        ("g\r\n", InvalidChunkSize),
        ("0x1\r\n", InvalidChunkSize),
        ("+1\r\n", InvalidChunkSize),
        ("-1\r\n", InvalidChunkSize),
        (" 1\r\n", InvalidChunkSize),
        ("1_0\r\n", InvalidChunkSize),
        ("1\0\r\n", InvalidChunkSize),
        ("1 \r\n", InvalidChunkExtension),
        ("1 2\r\n", InvalidChunkExtension),
        ("00000000000000001\r\n", ChunkSizeOverflow),
        ("10000000000000000\r\n", ChunkSizeOverflow),
        ("1\n", BareLineFeed),
        ("1\rx", BareCarriageReturn),
        ("1\r\nxx", MissingChunkEnd),
        ("1\r\nx\n", MissingChunkEnd),
        ("1\r\nx\rx", MissingChunkEnd),
        ("1\r\nx0\r\n", MissingChunkEnd),
        ("1;a\n", BareLineFeed),
        ("1;a=\"\n\"\r\n", BareLineFeed),
        ("1;a\rb", BareCarriageReturn),
        ("1;\r\n", InvalidChunkExtension),
        ("1;a=\r\n", InvalidChunkExtension),
        ("1;a \r\n", InvalidChunkExtension),
        ("1;a b\r\n", InvalidChunkExtension),
        ("1;a=\"b\r\n", InvalidChunkExtension),
        ("1;a=\"b\"c\r\n", InvalidChunkExtension),
        ("1;a\0\r\n", InvalidChunkExtension),
        ("1;a=\"\u{7f}\"\r\n", InvalidChunkExtension),
        ("0\r\n\n", BareLineFeed),
        ("0\r\n\rx", BareCarriageReturn),
        ("0\r\nA: b\n", BareLineFeed),
        ("0\r\nA: b\rc", BareCarriageReturn),
        ("0\r\nA : b\r\n", InvalidTrailer),
        ("0\r\n A: b\r\n", InvalidTrailer),
        ("0\r\n: b\r\n", InvalidTrailer),
        ("0\r\nA\r\n", InvalidTrailer),
        ("0\r\nA: \0\r\n", InvalidTrailer),
        ("0\r\nGET / HTTP/1.1\r\n", InvalidTrailer),
    ] {
        assert_eq!(read(wire.as_bytes()), Err(expected), "{wire:?}");
        assert_eq!(read_in(wire.as_bytes(), 1), Err(expected), "{wire:?}");
    }
}

#[test]
fn trailers_cannot_frame_route_or_authenticate() {
    for name in [
        "Content-Length",
        "Transfer-Encoding",
        "HOST",
        "connection",
        "Upgrade",
        "Trailer",
        "TE",
        "Keep-Alive",
        "Authorization",
        "Set-Cookie",
        "X-Forwarded-For",
        "Proxy-Authentication-Info",
    ] {
        let wire = format!("0\r\nX: y\r\n{name}: 1\r\n\r\n");
        assert_eq!(read(wire.as_bytes()), Err(BodyError::ForbiddenTrailer), "{name}");
    }
    let long = format!("0\r\nContent-Length{}: 1\r\n\r\n", "x".repeat(300));
    assert!(read(long.as_bytes()).unwrap().2);
}

#[test]
fn what_a_stranger_can_make_grow_is_limited() {
    let extension = |length: usize| format!("1;{}\r\nx\r\n0\r\n\r\n", "a".repeat(length));
    assert!(read(extension(4096).as_bytes()).is_ok());
    assert_eq!(read(extension(4097).as_bytes()), Err(BodyError::ChunkExtensionsTooLong));
    let tiny = format!("1;{}\r\nx\r\n", "a".repeat(4000)).repeat(5);
    assert_eq!(read(tiny.as_bytes()), Err(BodyError::ChunkExtensionsTooLong));
    let paid = format!("fa0;{}\r\n{}\r\n", "a".repeat(4000), "x".repeat(4000)).repeat(50);
    assert!(read(paid.as_bytes()).is_ok());
    let fields = |count: usize| format!("0\r\n{}\r\n", "A: b\r\n".repeat(count));
    assert!(read(fields(100).as_bytes()).unwrap().2);
    assert_eq!(read(fields(101).as_bytes()), Err(BodyError::TrailersTooLarge));
    let long = |length: usize| format!("0\r\nA:{}\r\n\r\n", "b".repeat(length));
    assert!(read(long(16 * 1024 - 6).as_bytes()).unwrap().2);
    for piece in [1, 1000, 1 << 20] {
        assert_eq!(read_in(long(16 * 1024 - 5).as_bytes(), piece), Err(BodyError::TrailersTooLarge));
    }
}

#[test]
fn an_error_is_final_and_a_cut_body_is_incomplete() {
    let mut reader = BodyReader::new(BodyFraming::Chunked);
    assert_eq!(reader.scan(b"1\r\nx\r\n0\r\n"), Ok((9, 1)));
    assert!(reader.is_in_trailers());
    assert_eq!(reader.finish_at_close(), Err(BodyError::Incomplete));
    assert_eq!(reader.scan(b"\0"), Err(BodyError::InvalidTrailer));
    assert_eq!(reader.scan(b"\r\n"), Err(BodyError::InvalidTrailer));
    assert_eq!(reader.finish_at_close(), Err(BodyError::InvalidTrailer));
}

#[test]
fn chunk_headers_are_hexadecimal_lines() {
    for length in [0, 1, 9, 10, 15, 16, 255, 256, 4096, 65535, 1 << 20, usize::MAX] {
        let mut out = [0; 18];
        let filled = chunk_header(length, &mut out);
        assert_eq!(std::str::from_utf8(&out[..filled]).unwrap(), format!("{length:x}\r\n"));
    }
}

fn wires() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::collection::vec(any::<u8>(), 1..40).prop_map(|payload| {
            let mut wire = format!("{:x}\r\n", payload.len()).into_bytes();
            wire.extend(payload);
            wire.extend(b"\r\n");
            wire
        }),
        1 => Just(b"3;a=\"b;\" ; c\r\nabc\r\n".to_vec()),
        1 => Just(b"0\r\nX-A: b\r\n\r\n".to_vec()),
        1 => Just(b"0\r\n\r\n".to_vec()),
        1 => "[0-9a-g;=\"\r\n -]{0,6}".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn how_the_bytes_are_cut_does_not_matter(wire in wires(), piece in 1usize..20) {
        let whole = read(&wire);
        prop_assert_eq!(&read_in(&wire, piece), &whole);
        prop_assert_eq!(&read_in(&wire, 1), &whole);
        let scanned = BodyReader::new(BodyFraming::Chunked).scan(&wire);
        prop_assert_eq!(scanned, whole.map(|(payload, consumed, _)| (consumed, payload.len())));
    }

    #[test]
    fn what_is_written_in_chunks_is_read_back(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..10),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            let mut header = [0; 18];
            let length = chunk_header(chunk.len(), &mut header);
            wire.extend_from_slice(&header[..length]);
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        prop_assert_eq!(read(&wire), Ok((chunks.concat(), wire.len(), true)));
    }
}
