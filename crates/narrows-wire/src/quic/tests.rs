use super::*;
use crate::client_hello::Peek;
use proptest::prelude::*;

fn number(value: usize) -> Vec<u8> {
    (0x4000 | value as u16).to_be_bytes().to_vec()
}

fn crypto(offset: usize, bytes: &[u8]) -> Vec<u8> {
    [vec![6], number(offset), number(bytes.len()), bytes.to_vec()].concat()
}

/// A client hello with this server name.
fn hello(name: &str) -> Vec<u8> {
    let name = name.as_bytes();
    let length = |extra: usize| ((name.len() + extra) as u16).to_be_bytes();
    let list = [&length(3)[..], &[0], &length(0), name].concat();
    let extension = [&[0, 0][..], &length(5), &list].concat();
    let body = [&[3, 3][..], &[7; 32], &[0, 0, 2, 0x13, 1, 1, 0], &length(9), &extension].concat();
    [&[1, 0], &(body.len() as u16).to_be_bytes()[..], &body].concat()
}

fn named(name: &str) -> Peek {
    Peek::Hello { server_name: Some(name.to_owned()), alpn: Vec::new() }
}

fn long_packet(first: u8, version: u32, payload: usize) -> Vec<u8> {
    let ids = [&[8][..], &[0xd; 8], &[4], &[0x5; 4]].concat();
    let token: &[u8] = if first & 0x30 == 0 { &[0] } else { &[] };
    [&[first][..], &version.to_be_bytes(), &ids, token, &number(payload), &vec![0xee; payload]].concat()
}

#[test]
fn connection_ids_of_every_version_are_read() {
    let packet = [&[0x80][..], &[0xab; 4], &[2, 1, 2, 3, 4, 5, 6, 9, 9]].concat();
    let Some(Header::Long(header)) = Header::read(&packet) else { panic!("no long header") };
    assert_eq!(header.version, 0xabab_abab);
    assert_eq!((header.destination, header.source, header.rest), (&[1, 2][..], &[4, 5, 6][..], &[9, 9][..]));
    let Some(Header::Short(header)) = Header::read(&[0x40, 1, 2, 3]) else { panic!("no short header") };
    assert_eq!(header.destination(2), ConnectionId::new(&[1, 2]));
    assert_eq!(header.destination(4), None);
    assert_eq!(header.destination(0), None, "an empty id tells no connection from another");
}

#[test]
fn headers_that_are_cut_are_none() {
    let packet = [&[0xc0][..], &[0, 0, 0, 1], &[4, 1, 2, 3, 4], &[4, 5, 6, 7, 8]].concat();
    for cut in 0..packet.len() {
        assert_eq!(Header::read(&packet[..cut]), None, "{cut}");
    }
    assert!(Header::read(&packet).is_some());
}

#[test]
fn initial_packets_are_found_among_others_of_one_datagram() {
    let datagram = [long_packet(0xc0, 1, 50), long_packet(0xd0, 1, 20), long_packet(0xc3, 1, 30)].concat();
    let lengths: Vec<usize> = initials(&datagram).map(|packet| packet.sample().unwrap().len()).collect();
    assert_eq!(lengths, [SAMPLE_BYTES, SAMPLE_BYTES]);
    assert_eq!(initials(&datagram).next().unwrap().destination, [0xd; 8]);
    assert_eq!(initials(&long_packet(0xe0, 1, 50)).count(), 0, "a handshake packet");
    assert_eq!(initials(&long_packet(0xc0, 7, 50)).count(), 0, "a version that nobody knows");
    let v2 = long_packet(0xd0, 0x6b33_43cf, 50);
    assert_eq!(initials(&v2).count(), 0, "version 2 has a token in this type: the length is wrong");
    assert_eq!(initials(&long_packet(0xc0, 1, 50)[..60]).count(), 0, "longer than the datagram");
}

#[test]
fn the_mask_is_taken_off_the_first_byte_and_the_number() {
    let datagram = long_packet(0xc1, 1, 40);
    let packet = initials(&datagram).next().unwrap();
    let mut memory = Vec::new();
    let unmasked = packet.unmask([0xf2, 1, 2, 3, 4], &mut memory).unwrap();
    assert_eq!(memory[0], 0xc3, "only the lower bits of a long header are masked");
    assert_eq!(unmasked.number, 0xefec_edea);
    assert_eq!(unmasked.header_bytes, datagram.len() - 40 + 4);
    let short = long_packet(0xc0, 1, 2);
    let packet = initials(&short).next().unwrap();
    assert!(packet.sample().is_none() && packet.unmask([3, 0, 0, 0, 0], &mut memory).is_none());
}

#[test]
fn a_hello_in_frames_of_any_order_with_others_between_is_read() {
    let hello = hello("one.example.com");
    let mut stream = HelloStream::default();
    let ack = [2, 5, 0, 1, 0, 0, 0];
    stream.add(&[&[0, 0, 1][..], &crypto(20, &hello[20..])].concat()).unwrap();
    assert_eq!(stream.peek(), Peek::Partial);
    stream.add(&[&ack[..], &crypto(0, &hello[..25]), &[0; 100]].concat()).unwrap();
    assert_eq!(stream.peek(), named("one.example.com"));
}

#[test]
fn frames_that_no_server_accepts_are_errors() {
    let add = |frames: &[u8]| HelloStream::default().add(frames);
    for frames in [&[8][..], &[6, 0], &[6, 0, 5, 1], &[2, 1], &[0x1c, 0], &[0x1e], &[0x40, 0x06]] {
        assert_eq!(add(frames), Err(InvalidInitial::Frame), "{frames:?}");
    }
    assert_eq!(add(&[6, 0xbf, 0xff, 0xff, 0xff, 1, 0]), Err(InvalidInitial::TooLong));
    assert_eq!(add(&[6, 0xff, 255, 255, 255, 255, 255, 255, 255, 1, 0]), Err(InvalidInitial::TooLong));
    let contradiction = [crypto(0, b"abc"), crypto(1, b"xc")].concat();
    assert_eq!(add(&contradiction), Err(InvalidInitial::Contradiction));
    assert_eq!(add(&[crypto(0, b"abc"), crypto(1, b"bcd")].concat()), Ok(()));
}

proptest! {
    #[test]
    fn no_datagram_panics(bytes: Vec<u8>, mask: [u8; 5]) {
        let _ = Header::read(&bytes);
        for packet in initials(&bytes) {
            let _ = (packet.sample(), packet.unmask(mask, &mut Vec::new()));
        }
        let _ = HelloStream::default().add(&bytes);
    }

    #[test]
    fn how_the_stream_is_cut_changes_nothing(cuts in proptest::collection::vec(1_usize..40, 1..20)) {
        let hello = hello("cut.example.com");
        let mut pieces = Vec::new();
        let mut offset = 0;
        for cut in cuts.iter().cycle() {
            let end = (offset + cut).min(hello.len());
            pieces.push(crypto(offset, &hello[offset..end]));
            offset = end;
            if offset == hello.len() { break; }
        }
        pieces.reverse();
        let mut stream = HelloStream::default();
        for piece in &pieces {
            stream.add(piece).unwrap();
        }
        prop_assert_eq!(stream.peek(), named("cut.example.com"));
    }
}
