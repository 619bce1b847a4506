use proptest::prelude::*;

use super::{InvalidHello, Peek, peek, peek_message};

fn vector8(content: &[u8]) -> Vec<u8> {
    [&[content.len() as u8], content].concat()
}

fn vector16(content: &[u8]) -> Vec<u8> {
    [&(content.len() as u16).to_be_bytes()[..], content].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), vector16(content)].concat()
}

fn server_name(name: &[u8]) -> Vec<u8> {
    extension(0, &vector16(&[vec![0], vector16(name)].concat()))
}

fn alpn(protocols: &[&[u8]]) -> Vec<u8> {
    let list: Vec<u8> = protocols.iter().flat_map(|protocol| vector8(protocol)).collect();
    extension(16, &vector16(&list))
}

/// A client hello message with these extensions.
fn message(extensions: &[Vec<u8>]) -> Vec<u8> {
    let hello = [
        vec![3, 3],
        vec![7; 32],
        vector8(&[9; 32]),
        vector16(&[0x13, 1, 0x13, 2]),
        vector8(&[0]),
        vector16(&extensions.concat()),
    ]
    .concat();
    handshake(&hello)
}

fn handshake(hello: &[u8]) -> Vec<u8> {
    let length = (hello.len() as u32).to_be_bytes();
    [&[1], &length[1..], hello].concat()
}

/// The message in records of at most this many bytes.
fn records(message: &[u8], size: usize) -> Vec<u8> {
    message.chunks(size).flat_map(|fragment| [vec![0x16, 3, 1], vector16(fragment)].concat()).collect()
}

fn peek_at(extensions: &[Vec<u8>]) -> Peek {
    peek(&records(&message(extensions), 1 << 14))
}

#[test]
fn server_name_and_protocols_are_read() {
    let expected = Peek::Hello {
        server_name: Some("db.example.com".to_owned()),
        alpn: vec!["h2".to_owned(), "http/1.1".to_owned()],
    };
    let extensions = [
        extension(0x0a0a, &[]),
        server_name(b"DB.Example.com"),
        extension(43, b"x"),
        alpn(&[b"h2", b"http/1.1"]),
    ];
    assert_eq!(peek_at(&extensions), expected);
    let message = message(&extensions);
    for size in [4, 5, 7, 100] {
        assert_eq!(peek(&records(&message, size.max(message.len().div_ceil(32)))), expected, "{size}");
    }
    let mut with_early_data = records(&message, 1 << 14);
    with_early_data.extend([0x17, 3, 3, 0, 1, 0]);
    assert_eq!(peek(&with_early_data), expected);
}

#[test]
fn a_hello_may_lack_both_names_and_extensions() {
    let expected = Peek::Hello { server_name: None, alpn: vec![] };
    assert_eq!(peek_at(&[]), expected);
    let old = handshake(&[vec![3, 1], vec![7; 32], vec![0], vector16(&[0, 5]), vector8(&[0])].concat());
    assert_eq!(peek(&records(&old, 1000)), expected);
}

#[test]
fn other_protocols_are_not_tls() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n"[..],
        b"\x80\x2e\x01\x03\x01",
        b"\x00",
        b"\x16\x02",
        b"\x16\x03\x05",
        b"\x15\x03\x01",
    ] {
        assert_eq!(peek(bytes), Peek::NotTls, "{bytes:?}");
    }
    for bytes in [&b""[..], b"\x16", b"\x16\x03", b"\x16\x03\x01\x00"] {
        assert_eq!(peek(bytes), Peek::Partial, "{bytes:?}");
    }
}

#[test]
fn malformed_names_are_invalid() {
    let name = |content: &[u8]| extension(0, content);
    for extension in [
        server_name(b""),
        server_name(b"a..b"),
        server_name(b"a.example."),
        server_name(b".a"),
        server_name(b"a\0.example"),
        server_name(b"a b"),
        server_name(b"[::1]"),
        server_name(&[b'a'; 64]),
        server_name("\u{e9}.example".as_bytes()),
        server_name(["a."; 127].concat().trim_end_matches('.').repeat(2).as_bytes()),
        name(b""),
        name(&[0, 0]),
        name(&[0, 4, 0, 0, 1, b'a', 0]),
        name(&[0, 9, 0, 0, 1, b'a']),
        name(&[0, 4, 1, 0, 1, b'a']),
        name(&[0, 8, 0, 0, 1, b'a', 0, 0, 1, b'b']),
    ] {
        assert_eq!(
            peek_at(std::slice::from_ref(&extension)),
            Peek::Invalid(InvalidHello::ServerName),
            "{extension:?}"
        );
    }
    assert_eq!(peek_at(&[server_name(b"a"), server_name(b"a")]), Peek::Invalid(InvalidHello::ServerName));
}

#[test]
fn malformed_protocol_lists_are_invalid() {
    for extensions in [
        vec![alpn(&[])],
        vec![alpn(&[b""])],
        vec![alpn(&[b"h2"]), alpn(&[b"h2"])],
        vec![extension(16, &[0, 3, 2, b'h'])],
        vec![extension(16, &[0, 2, 2, b'h'])],
        vec![extension(16, b"")],
    ] {
        assert_eq!(peek_at(&extensions), Peek::Invalid(InvalidHello::Alpn), "{extensions:?}");
    }
}

#[test]
fn lengths_that_do_not_add_up_are_invalid() {
    let whole = message(&[server_name(b"a.example")]);
    for cut in 4..whole.len() {
        let outcome = peek(&records(&handshake(&whole[4..cut]), 1 << 14));
        let no_extensions = cut == 4 + 2 + 32 + 33 + 6 + 2;
        assert_eq!(matches!(outcome, Peek::Invalid(_)), !no_extensions, "{cut}");
    }
    let longer = [&whole[4..], &[0]].concat();
    assert_eq!(peek(&records(&handshake(&longer), 1 << 14)), Peek::Invalid(InvalidHello::Malformed));
}

#[test]
fn records_and_messages_have_limits() {
    for (bytes, expected) in [
        (vec![0x16, 3, 1, 0, 0], InvalidHello::Record),
        (vec![0x16, 3, 1, 0x40, 1], InvalidHello::Record),
        (vec![0x16, 3, 1, 0, 1, 2], InvalidHello::UnexpectedMessage),
        (vec![0x16, 3, 1, 0, 4, 1, 0, 0x40, 1], InvalidHello::TooLong),
        (vec![0x16, 3, 1, 0, 1, 1, 0x17], InvalidHello::Record),
        (records(&message(&[]), 1), InvalidHello::TooLong),
    ] {
        assert_eq!(peek(&bytes), Peek::Invalid(expected), "{bytes:?}");
    }
}

proptest! {
    #[test]
    fn a_prefix_is_partial_or_says_what_the_whole_says(
        name in "[a-z]{1,10}(\\.[a-z]{1,10}){0,3}\\.?",
        size in 10usize..2000,
        padding in 0usize..300,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let extensions = [server_name(name.as_bytes()), alpn(&[b"h2"]), extension(21, &vec![0; padding])];
        let mut wire = records(&message(&extensions), size);
        for (index, byte) in flips {
            let position = index.index(wire.len());
            wire[position] = byte;
        }
        let whole = peek(&wire);
        for cut in 0..wire.len() {
            let outcome = peek(&wire[..cut]);
            prop_assert!(outcome == Peek::Partial || outcome == whole, "{}: {:?}", cut, outcome);
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = peek(&bytes);
        let _ = peek(&records(&handshake(&bytes), 50));
    }
}

#[test]
fn a_message_without_records_says_the_same_at_every_cut() {
    let message = message(&[server_name(b"Quic.example.com"), alpn(&[b"h3"])]);
    let whole = peek(&records(&message, 1 << 14));
    assert_eq!(peek_message(&message), whole);
    for cut in 0..message.len() {
        assert_eq!(peek_message(&message[..cut]), Peek::Partial, "{cut}");
    }
    assert_eq!(peek_message(&[2, 0, 0, 0]), Peek::Invalid(InvalidHello::UnexpectedMessage));
    assert_eq!(peek_message(&[1, 1, 0, 0]), Peek::Invalid(InvalidHello::TooLong));
}
