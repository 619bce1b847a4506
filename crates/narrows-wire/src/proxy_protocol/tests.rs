use super::{
    Addresses, Header, InvalidHeader, LONGEST, Peek, Tlvs, Transport, USUAL, kind, peek, read_datagram,
    write_ssl, write_v1, write_v2,
};
use proptest::prelude::*;
use std::net::SocketAddr;

fn internet(transport: Transport, source: &str, destination: &str) -> Addresses<'static> {
    let address = |text: &str| text.parse::<SocketAddr>().unwrap();
    Addresses::Internet { transport, source: address(source), destination: address(destination) }
}

fn tcp(source: &str, destination: &str) -> Addresses<'static> {
    internet(Transport::Stream, source, destination)
}

#[track_caller]
fn header(bytes: &[u8]) -> Header<'_> {
    match peek(bytes) {
        Peek::Header(header) => header,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn addresses(line: &str) -> Addresses<'_> {
    header(line.as_bytes()).addresses
}

/// A version 2 header from its parts.
fn binary(command: u8, family: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, content].concat()
}

/// A version 2 header for TCP over IPv4 with these bytes behind the addresses.
fn with_tlvs(tlvs: &[u8]) -> Vec<u8> {
    binary(0x21, 0x11, &[&[192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 80], tlvs].concat())
}

#[test]
fn lines_of_version_1_are_read() {
    assert_eq!(
        addresses("PROXY TCP4 192.0.2.1 10.0.0.1 12345 80\r\n"),
        tcp("192.0.2.1:12345", "10.0.0.1:80")
    );
    assert_eq!(
        addresses("PROXY TCP6 2001:db8::1 ::ffff:10.0.0.1 0 65535\r\n"),
        tcp("[2001:db8::1]:0", "[::ffff:10.0.0.1]:65535")
    );
    for unknown in ["PROXY UNKNOWN\r\n", "PROXY UNKNOWN ffff::1 x 1 2 3\r\n"] {
        assert_eq!(addresses(unknown), Addresses::Unknown);
    }
    let whole = header(b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\nGET / HTTP/1.1\r\n");
    assert_eq!((whole.length, whole.tlvs), (32, Tlvs::default()));
    let late_end = [&b"PROXY UNKNOWN "[..], &[b'x'; 107 - 15], b"\rX"].concat();
    assert_eq!(peek(&late_end), Peek::Invalid(InvalidHeader::TooLong));
    assert_eq!(peek(&late_end[..107]), Peek::Invalid(InvalidHeader::TooLong));
    let longest = [&b"PROXY UNKNOWN "[..], &[b'x'; 107 - 16], b"\r\n"].concat();
    assert_eq!(header(&longest).length, 107);
}

#[test]
fn malformed_lines_are_invalid() {
    use InvalidHeader::{Address, Line, Port, TooLong};
    for (line, expected) in [
        ("PROXY \r\n", Line),
        ("PROXY TCP\r\n", Line),
        ("PROXY UNKNOWNS\r\n", Line),
        ("PROXY tcp4 1.2.3.4 5.6.7.8 1 2\r\n", Line),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n", Line),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 3\r\n", Line),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2 \r\n", Line),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\n", Line),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 2\rX", Line),
        ("PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n", Line),
        ("PROXY  TCP4 1.2.3.4 5.6.7.8 1 2\r\n", Line),
        ("PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n", Line),
        ("PROXY TCP4 1.2.3 5.6.7.8 1 2\r\n", Address),
        ("PROXY TCP4 01.2.3.4 5.6.7.8 1 2\r\n", Address),
        ("PROXY TCP4 ::1 5.6.7.8 1 2\r\n", Address),
        ("PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n", Address),
        ("PROXY TCP6 fe80::1%eth0 ::1 1 2\r\n", Address),
        ("PROXY TCP4 localhost 5.6.7.8 1 2\r\n", Address),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n", Port),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n", Port),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 65536\r\n", Port),
        ("PROXY TCP4 1.2.3.4 5.6.7.8 1 x\r\n", Port),
    ] {
        assert_eq!(peek(line.as_bytes()), Peek::Invalid(expected), "{line:?}");
    }
    for length in [107, 108, 500] {
        let mut long = b"PROXY UNKNOWN ".to_vec();
        long.resize(length, b'x');
        assert_eq!(peek(&long), Peek::Invalid(TooLong), "{length}");
        long.extend(b"\r\n");
        assert_eq!(peek(&long), Peek::Invalid(TooLong), "{length}");
    }
}

#[test]
fn other_protocols_have_no_header() {
    for bytes in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"PROXX",
        b"PROXYTCP4",
        b"proxy TCP4",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\r\n\r\n\0\r\nQUIX",
        b"\r\n\r\nGET / HTTP/1.1",
        b"\x16\x03\x01",
        b"\n",
    ] {
        assert_eq!(peek(bytes), Peek::Absent, "{bytes:?}");
    }
    for (bytes, needed) in [
        (&b""[..], 1),
        (b"P", 2),
        (b"PROXY", 6),
        (b"PROXY ", 15),
        (b"\r\n\r\n", 5),
        (b"\r\n\r\n\0\r\nQUIT", 12),
        (b"\r\n\r\n\0\r\nQUIT\n\x21", 16),
        (b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x01\x02", 16 + 0x102),
    ] {
        assert_eq!(peek(bytes), Peek::Partial { needed }, "{bytes:?}");
    }
}

#[test]
fn headers_of_version_2_are_read() {
    let read = with_tlvs(&[]);
    assert_eq!(header(&read).addresses, tcp("192.0.2.1:12345", "10.0.0.1:80"));
    assert_eq!(header(&[&read[..], b"GET"].concat()).length, 28);
    let udp = binary(0x21, 0x12, &[192, 0, 2, 1, 10, 0, 0, 1, 0x30, 0x39, 0, 53]);
    assert_eq!(header(&udp).addresses, internet(Transport::Datagram, "192.0.2.1:12345", "10.0.0.1:53"));
    let six = [&[0; 15][..], &[1], &[0; 15], &[2], &[0, 1, 0, 2]].concat();
    assert_eq!(header(&binary(0x21, 0x21, &six)).addresses, tcp("[::1]:1", "[::2]:2"));
    assert_eq!(
        header(&binary(0x21, 0x22, &six)).addresses,
        internet(Transport::Datagram, "[::1]:1", "[::2]:2")
    );
    let mut unix = [0; 216];
    unix[..4].copy_from_slice(b"/a/b");
    unix[108..].fill(b'x');
    for (family, transport) in [(0x31, Transport::Stream), (0x32, Transport::Datagram)] {
        let bytes = binary(0x21, family, &unix);
        assert_eq!(bytes.len(), USUAL);
        let expected = Addresses::Unix { transport, source: b"/a/b", destination: &[b'x'; 108] };
        assert_eq!(header(&bytes).addresses, expected);
    }
}

#[test]
fn a_local_header_discards_what_it_holds() {
    for (command, family, content) in [
        (0x20, 0x00, &[][..]),
        (0x20, 0x11, &[1, 2, 3]),
        (0x20, 0xFF, &[0xFF; 30]),
        (0x21, 0x00, &[1, 2, 3, 4, 5]),
    ] {
        let bytes = binary(command, family, content);
        let read = header(&bytes);
        assert_eq!((read.addresses, read.tlvs), (Addresses::Unknown, Tlvs::default()));
        assert_eq!(read.length, 16 + content.len());
    }
}

#[test]
fn malformed_headers_are_invalid() {
    use InvalidHeader::{Checksum, Command, Family, Tlv, TooLong, TooShort, Version};
    let mut too_long = with_tlvs(&[]);
    too_long[14..16].copy_from_slice(&((LONGEST - 15) as u16).to_be_bytes());
    let identity = [&[kind::UNIQUE_ID, 0, 129][..], &[7; 129]].concat();
    for (bytes, expected) in [
        (binary(0x11, 0x11, &[0; 12]), Version),
        (binary(0x31, 0x11, &[0; 12])[..13].to_vec(), Version),
        (binary(0x22, 0x11, &[0; 12]), Command),
        (binary(0x21, 0x13, &[0; 12]), Family),
        (binary(0x21, 0x10, &[0; 12]), Family),
        (binary(0x21, 0x01, &[0; 12]), Family),
        (binary(0x21, 0x41, &[0; 250]), Family),
        (binary(0x21, 0x11, &[0; 11]), TooShort),
        (binary(0x21, 0x21, &[0; 35]), TooShort),
        (binary(0x21, 0x31, &[0; 215]), TooShort),
        (too_long, TooLong),
        (with_tlvs(&[1]), Tlv),
        (with_tlvs(&[1, 0]), Tlv),
        (with_tlvs(&[1, 0, 2, b'h']), Tlv),
        (with_tlvs(&[4, 0, 0, 1, 0xFF, 0xFF, 0]), Tlv),
        (with_tlvs(&[kind::CRC32C, 0, 3, 1, 2, 3]), Tlv),
        (with_tlvs(&identity), Tlv),
        (with_tlvs(&[kind::SSL, 0, 4, 1, 0, 0, 0]), Tlv),
        (with_tlvs(&[kind::SSL, 0, 7, 1, 0, 0, 0, 0, 0x21, 0]), Tlv),
        (with_tlvs(&[kind::CRC32C, 0, 4, 1, 2, 3, 4]), Checksum),
    ] {
        assert_eq!(peek(&bytes), Peek::Invalid(expected), "{bytes:?}");
    }
}

#[test]
fn the_checksum_covers_every_byte() {
    let mut good = Vec::new();
    write_v2(&tcp("192.0.2.1:1", "10.0.0.1:2"), &[(kind::ALPN, b"h2"), (0xE1, b"x")], &mut good);
    assert_eq!(header(&good).length, good.len());
    let repeated = [&good[..], &good[good.len() - 7..]].concat();
    let mut repeated = repeated;
    repeated[15] += 7;
    assert_eq!(peek(&repeated), Peek::Invalid(InvalidHeader::Checksum));
    for at in 12..good.len() {
        let mut flipped = good.clone();
        flipped[at] ^= 1;
        // Without its TLV type, or as a LOCAL header, it has no checksum any more.
        let is_told = at != 12 && at != good.len() - 7;
        assert!(!is_told || !matches!(peek(&flipped), Peek::Header(_)), "{at}");
    }
}

#[test]
fn tlvs_are_found_by_type() {
    let mut ssl = Vec::new();
    write_ssl(
        5,
        0,
        &[(kind::SSL_VERSION, b"TLSv1.3"), (kind::SSL_COMMON_NAME, b"client"), (kind::SSL_CIPHER, b"AES")],
        &mut ssl,
    );
    let mut bytes = Vec::new();
    let tlvs: [(u8, &[u8]); 8] = [
        (kind::ALPN, b"h2"),
        (kind::AUTHORITY, b"db.example.com"),
        (kind::UNIQUE_ID, &[0xFF; 128]),
        (kind::SSL, &ssl),
        (kind::NETNS, b"blue"),
        (kind::NOOP, b""),
        (0xE1, b"first"),
        (0xE1, b"second"),
    ];
    write_v2(&tcp("192.0.2.1:1", "10.0.0.1:2"), &tlvs, &mut bytes);
    let read = header(&bytes).tlvs;
    let wanted = tlvs.map(|(kind, value)| (kind, value.to_vec()));
    let found: Vec<_> = read.iter().map(|(kind, value)| (kind, value.to_vec())).collect();
    assert_eq!(found[..8], wanted);
    assert_eq!((found[8].0, found.len()), (kind::CRC32C, 9));
    assert_eq!(read.get(kind::AUTHORITY), Some(&b"db.example.com"[..]));
    assert_eq!(read.get(0xE1), Some(&b"first"[..]));
    assert_eq!(read.get(0xE2), None);
    assert_eq!(read.get(kind::SSL_COMMON_NAME), Some(&b"client"[..]));
    assert_eq!(read.get(kind::SSL_KEY_ALGORITHM), None);
    let ssl = read.ssl().unwrap();
    assert_eq!((ssl.client, ssl.verify), (5, 0));
    assert_eq!(ssl.tlvs.iter().count(), 3);
    assert_eq!(Tlvs::default().ssl(), None);
}

#[test]
fn what_version_1_cannot_say_is_unknown() {
    let written = |addresses: &Addresses<'_>| {
        let mut line = Vec::new();
        write_v1(addresses, &mut line);
        String::from_utf8(line).unwrap()
    };
    assert_eq!(written(&tcp("192.0.2.1:1", "10.0.0.1:80")), "PROXY TCP4 192.0.2.1 10.0.0.1 1 80\r\n");
    assert_eq!(
        written(&tcp("192.0.2.1:1", "[2001:db8::1]:80")),
        "PROXY TCP6 ::ffff:192.0.2.1 2001:db8::1 1 80\r\n"
    );
    let unix = Addresses::Unix { transport: Transport::Stream, source: b"/a", destination: b"/b" };
    let udp = internet(Transport::Datagram, "192.0.2.1:1", "10.0.0.1:80");
    for addresses in [Addresses::Unknown, unix, udp] {
        assert_eq!(written(&addresses), "PROXY UNKNOWN\r\n");
    }
}

#[test]
fn what_does_not_fit_is_left_out() {
    let (large, small) = (vec![b'x'; LONGEST - 100], vec![b'y'; 60]);
    let mut bytes = b"before".to_vec();
    let tlvs = [(0xE0, &vec![0; 70_000][..]), (0xE1, &large[..]), (0xE2, &small[..]), (0xE3, b"z")];
    write_v2(&tcp("192.0.2.1:1", "10.0.0.1:2"), &tlvs, &mut bytes);
    let read = header(&bytes[6..]);
    assert_eq!(read.length, bytes.len() - 6);
    let kinds: Vec<u8> = read.tlvs.iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, [0xE1, 0xE3, kind::CRC32C]);
    bytes.clear();
    write_v2(&Addresses::Unknown, &tlvs, &mut bytes);
    assert_eq!(bytes, binary(0x20, 0, &[]));
}

#[test]
fn a_datagram_begins_with_a_whole_header_of_version_2_for_datagrams() {
    let told = internet(Transport::Datagram, "192.0.2.1:53", "10.0.0.1:53");
    let mut datagram = Vec::new();
    write_v2(&told, &[(kind::AUTHORITY, b"a")], &mut datagram);
    let length = datagram.len();
    datagram.extend_from_slice(b"question");
    let read = read_datagram(&datagram).unwrap().unwrap();
    assert_eq!((read.addresses, read.length), (told, length));
    assert_eq!(read.tlvs.get(kind::AUTHORITY), Some(&b"a"[..]));
    for cut in 0..length {
        let expected = if cut < 12 { Ok(None) } else { Err(InvalidHeader::TooShort) };
        assert_eq!(read_datagram(&datagram[..cut]), expected, "{cut} bytes");
    }
    let local = binary(0x20, 0, b"");
    assert_eq!(read_datagram(&local).unwrap().unwrap().addresses, Addresses::Unknown);
    assert_eq!(read_datagram(&with_tlvs(b"")), Err(InvalidHeader::Family));
    assert_eq!(read_datagram(b"PROXY UNKNOWN\r\n"), Err(InvalidHeader::Version));
    for payload in [&b""[..], b"PROXY", b"\r\n\r\n", b"question"] {
        assert_eq!(read_datagram(payload), Ok(None));
    }
}

fn some_addresses() -> impl Strategy<Value = Addresses<'static>> {
    let transport = prop_oneof![Just(Transport::Stream), Just(Transport::Datagram)];
    let port = any::<(u16, u16)>();
    let four = any::<([u8; 4], [u8; 4])>().prop_map(|(one, two)| (one.into(), two.into()));
    let six = any::<([u8; 16], [u8; 16])>().prop_map(|(one, two)| (one.into(), two.into()));
    let ends = prop_oneof![four, six];
    let internet = (transport, ends, port).prop_map(|(transport, ends, ports)| {
        let ends: (std::net::IpAddr, std::net::IpAddr) = ends;
        let source = SocketAddr::new(ends.0, ports.0);
        Addresses::Internet { transport, source, destination: SocketAddr::new(ends.1, ports.1) }
    });
    let unix = Addresses::Unix { transport: Transport::Stream, source: b"/run/a", destination: b"" };
    prop_oneof![8 => internet, 1 => Just(Addresses::Unknown), 1 => Just(unix)]
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        addresses in some_addresses(),
        tlvs in prop::collection::vec((0xE0u8..=0xEF, prop::collection::vec(any::<u8>(), 0..50)), 0..5),
        rest in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let tlvs: Vec<(u8, &[u8])> = tlvs.iter().map(|(kind, value)| (*kind, &value[..])).collect();
        let mut bytes = Vec::new();
        write_v2(&addresses, &tlvs, &mut bytes);
        let length = bytes.len();
        bytes.extend(&rest);
        let read = header(&bytes);
        prop_assert_eq!((read.length, read.addresses), (length, addresses));
        if addresses != Addresses::Unknown {
            let found: Vec<_> = read.tlvs.iter().filter(|(kind, _)| *kind != kind::CRC32C).collect();
            prop_assert_eq!(found, tlvs);
        }
        let mut line = Vec::new();
        write_v1(&addresses, &mut line);
        let length = line.len();
        line.extend(&rest);
        let read = header(&line);
        let told = matches!(addresses, Addresses::Internet { transport: Transport::Stream, .. });
        prop_assert_eq!(read.length, length);
        prop_assert_eq!(read.addresses, if told { addresses } else { Addresses::Unknown });
    }

    #[test]
    fn a_prefix_is_partial_or_says_what_the_whole_says(
        addresses in some_addresses(),
        text in any::<bool>(),
        value in prop::collection::vec(any::<u8>(), 0..40),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let mut bytes = Vec::new();
        match text {
            true => write_v1(&addresses, &mut bytes),
            false => write_v2(&addresses, &[(kind::AUTHORITY, &value)], &mut bytes),
        }
        bytes.extend(&value);
        for (index, byte) in flips {
            let position = index.index(bytes.len());
            bytes[position] = byte;
        }
        let whole = peek(&bytes);
        for cut in 0..bytes.len() {
            match peek(&bytes[..cut]) {
                Peek::Partial { needed } => {
                    prop_assert!(needed > cut && needed <= LONGEST);
                    if let Peek::Header(header) = whole {
                        prop_assert!(needed <= header.length, "{} of {}", needed, header.length);
                    }
                }
                outcome => prop_assert_eq!(outcome, whole, "{}", cut),
            }
        }
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), family in any::<u8>()) {
        let _ = peek(&bytes);
        let _ = peek(&binary(0x21, family, &bytes));
        let _ = read_datagram(&bytes);
        let _ = read_datagram(&binary(0x21, family, &bytes));
        let _ = peek(&[b"PROXY ", &bytes[..]].concat());
    }
}
