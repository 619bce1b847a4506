//! QUIC datagrams from strangers: no panic, packets stay inside of their datagram, and how a client hello was cut into frames
//! changes nothing. The keys are not here: the mask and the frames are the fuzzer's, so that it need not break a cipher first.
//! The first byte chooses: bytes as a datagram, as frames, or as a hello that is cut.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narrows_wire::client_hello::peek_message;
use narrows_wire::quic::{ConnectionId, Header, HelloStream, initials};

fuzz_target!(|bytes: &[u8]| {
    let [kind, rest @ ..] = bytes else { return };
    match kind % 3 {
        0 => datagram(rest),
        1 => {
            let _ = HelloStream::default().add(rest);
        }
        _ => cut(rest),
    }
});

fn datagram(bytes: &[u8]) {
    let Some((mask, datagram)) = bytes.split_first_chunk::<5>() else { return };
    match Header::read(datagram) {
        Some(Header::Long(header)) => {
            let taken = header.destination.len() + header.source.len() + header.rest.len() + 7;
            assert_eq!(taken, datagram.len());
            let id = ConnectionId::new(header.destination);
            assert!(id.is_none_or(|id| id.as_bytes() == header.destination));
        }
        Some(Header::Short(header)) => {
            for length in 0..=21 {
                let id = header.destination(length);
                assert!(id.is_none_or(|id| id.as_bytes() == &datagram[1..1 + length]));
            }
        }
        None => {}
    }
    let mut memory = Vec::new();
    let mut packets = 0;
    for packet in initials(datagram) {
        packets += 1;
        let _ = packet.sample();
        if let Some(unmasked) = packet.unmask(*mask, &mut memory) {
            assert!(unmasked.header_bytes <= memory.len() && memory.len() <= datagram.len());
            let _ = HelloStream::default().add(&memory[unmasked.header_bytes..]);
        }
    }
    assert!(packets <= datagram.len());
}

/// The first bytes say how the others are cut into CRYPTO frames, which are given from the last to the first.
fn cut(bytes: &[u8]) {
    let Some((cuts, hello)) = bytes.split_first_chunk::<4>() else { return };
    let hello = &hello[..hello.len().min(16_000)];
    let mut frames = Vec::new();
    let (mut offset, mut number) = (0, 0);
    while offset < hello.len() {
        let end = (offset + 1 + usize::from(cuts[number % 4])).min(hello.len());
        let length = end - offset;
        let varint = |value: usize| (0x4000 | value as u16).to_be_bytes();
        frames.push([&[6][..], &varint(offset), &varint(length), &hello[offset..end]].concat());
        (offset, number) = (end, number + 1);
    }
    let mut stream = HelloStream::default();
    for frame in frames.iter().rev() {
        assert_eq!(stream.add(frame), Ok(()));
    }
    assert_eq!(stream.peek(), peek_message(hello));
}
