//! The meter of HTTP/2 frames: no panic, the same outcome however the bytes are cut.
//! The first byte chooses the pieces, the rest follows the preface.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narrows_wire::http2::{Flood, FrameMeter, PREFACE};

fuzz_target!(|bytes: &[u8]| {
    let [piece, frames @ ..] = bytes else { return };
    let wire = [PREFACE.as_slice(), frames].concat();
    assert_eq!(scan(&wire, usize::from(*piece) + 1), scan(&wire, wire.len()));
});

fn scan(wire: &[u8], piece: usize) -> Result<(), Flood> {
    let mut meter = FrameMeter::after_preface();
    wire.chunks(piece).try_for_each(|bytes| meter.scan(bytes, || 7))
}
