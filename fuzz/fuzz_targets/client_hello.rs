//! TLS client hellos: no panic, and a prefix is partial or says what the whole says.
//! The first byte frames the rest as records of that size, so that the fuzzer need not find the record layer first;
//! 0 takes the bytes as they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narrows_wire::client_hello::{Peek, peek};

fuzz_target!(|bytes: &[u8]| {
    let [size, rest @ ..] = bytes else { return };
    let wire = if *size == 0 { rest.to_vec() } else { records(rest, usize::from(*size) * 16) };
    let whole = peek(&wire);
    for cut in (0..wire.len()).rev().step_by(1 + wire.len() / 64) {
        let outcome = peek(&wire[..cut]);
        assert!(outcome == Peek::Partial || outcome == whole, "{cut}: {outcome:?} against {whole:?}");
    }
    if let Peek::Hello { server_name: Some(name), alpn } = whole {
        assert!(!name.is_empty() && name.is_ascii() && name == name.to_ascii_lowercase());
        assert!(alpn.iter().all(|protocol| !protocol.is_empty()));
    }
});

fn records(hello: &[u8], size: usize) -> Vec<u8> {
    let length = (hello.len() as u32).to_be_bytes();
    let message = [&[1], &length[1..], hello].concat();
    message
        .chunks(size)
        .flat_map(|fragment| {
            let length = (fragment.len() as u16).to_be_bytes();
            [&[0x16, 3, 1], &length[..], fragment].concat()
        })
        .collect()
}
