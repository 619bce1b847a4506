use super::*;
use crate::keys::Material;
use narrows_wire::quic::Version;

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        hex.bytes().filter_map(|digit| char::from(digit).to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[test]
fn the_keys_are_those_of_the_appendices() {
    let destination = bytes("8394c8f03e515708");
    let of = |version| {
        let Material { key, iv, header } = Material::of_client(version, &destination).unwrap();
        [key.to_vec(), iv.to_vec(), header.to_vec()]
    };
    // RFC 9001 appendix A.1, RFC 9369 appendix A.1
    let v1 =
        ["1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2"];
    let v2 =
        ["8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9"];
    assert_eq!(of(Version::V1), v1.map(bytes));
    assert_eq!(of(Version::V2), v2.map(bytes));
}

/// First flights that aioquic sent for `one.example.com` with the protocol `h3`, datagrams in hexadecimal, one a line.
const FLIGHTS: [&str; 3] =
    [include_str!("tests/v1.hex"), include_str!("tests/v2.hex"), include_str!("tests/long.hex")];

fn whole() -> Hello {
    Hello::Whole { server_name: Some("one.example.com".to_owned()), alpn: vec!["h3".to_owned()] }
}

#[test]
fn the_hello_of_a_real_client_is_read_in_any_order() {
    for (flight, datagrams) in FLIGHTS.iter().zip([1, 1, 3]) {
        let lines: Vec<Vec<u8>> = flight.lines().map(bytes).collect();
        assert_eq!(lines.len(), datagrams);
        for backwards in [false, true] {
            let mut order: Vec<&Vec<u8>> = lines.iter().collect();
            if backwards {
                order.reverse();
            }
            let mut reader = HelloReader::new(order[0]).unwrap();
            let (last, before) = order.split_last().unwrap();
            for datagram in before {
                assert_eq!(reader.read(datagram), Hello::Partial);
            }
            assert_eq!(reader.read(last), whole());
        }
    }
}

#[test]
fn a_packet_that_was_touched_stays_sealed() {
    let datagram = bytes(FLIGHTS[0]);
    for place in [0, 7, 40, 200] {
        let mut touched = datagram.clone();
        touched[place] ^= 0x04;
        let read = HelloReader::new(&touched).map(|mut reader| reader.read(&touched));
        assert!(matches!(read, None | Some(Hello::Sealed)), "{place}: {read:?}");
    }
}

#[test]
fn what_is_no_initial_packet_has_no_reader() {
    for datagram in [&b""[..], b"\x40 short", b"\xc0\0\0\0\x01", &[0xff; 1200], &[0; 1200]] {
        assert!(HelloReader::new(datagram).is_none());
    }
}
