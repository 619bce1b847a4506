//! PROXY protocol headers: no panic, a prefix is partial or says what the whole says, and what was read and is
//! written again reads the same.
//! The first byte chooses what the rest is: 0 the bytes as they are, 1 a line behind its signature, any other a header
//! of version 2 of that family with the right length.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narrows_wire::proxy_protocol::{
    Addresses, LONGEST, Peek, Transport, kind, peek, read_datagram, write_v1, write_v2,
};

fuzz_target!(|bytes: &[u8]| {
    let [form, rest @ ..] = bytes else { return };
    let wire = match form {
        0 => rest.to_vec(),
        1 => [b"PROXY ", rest].concat(),
        family => {
            let length = (rest.len() as u16).to_be_bytes();
            [b"\r\n\r\n\0\r\nQUIT\n\x21", &[*family][..], &length, rest].concat()
        }
    };
    let whole = peek(&wire);
    for cut in (0..wire.len()).rev().step_by(1 + wire.len() / 64) {
        match peek(&wire[..cut]) {
            Peek::Partial { needed } => {
                assert!(needed > cut && needed <= LONGEST);
                assert!(!matches!(whole, Peek::Header(header) if header.length < needed));
            }
            outcome => assert!(outcome == whole, "{cut}: {outcome:?} against {whole:?}"),
        }
    }
    if let Ok(Some(header)) = read_datagram(&wire) {
        assert!(whole == Peek::Header(header), "{header:?} against {whole:?}");
    }
    let Peek::Header(header) = whole else { return };
    assert!(header.length <= wire.len());
    let tlvs: Vec<_> = header.tlvs.iter().filter(|(kind, _)| *kind != kind::CRC32C).collect();
    for number in 0..=255 {
        let _ = header.tlvs.get(number);
    }
    let mut again = Vec::new();
    write_v2(&header.addresses, &tlvs, &mut again);
    let Peek::Header(second) = peek(&again) else { panic!("what is written is a header") };
    assert_eq!(second.addresses, header.addresses);
    if header.addresses != Addresses::Unknown && header.length + 7 <= LONGEST {
        assert!(second.tlvs.iter().filter(|(kind, _)| *kind != kind::CRC32C).eq(tlvs));
    }
    again.clear();
    write_v1(&header.addresses, &mut again);
    let Peek::Header(line) = peek(&again) else { panic!("what is written is a line") };
    if matches!(header.addresses, Addresses::Internet { transport: Transport::Stream, .. }) {
        assert_eq!(line.addresses, header.addresses);
    }
});
