//! Body framing: no panic, never more consumed than given, the same payload and outcome however the bytes are cut.
//! The first byte chooses the pieces, the second the framing, the rest is the wire.
#![no_main]

use libfuzzer_sys::fuzz_target;
use narrows_wire::http1::{BodyError, BodyFraming, BodyReader};

fuzz_target!(|bytes: &[u8]| {
    let [piece, framing, wire @ ..] = bytes else { return };
    let framing = match framing % 8 {
        0 => BodyFraming::Length(u64::from(*piece)),
        1 => BodyFraming::UntilClose,
        2 => BodyFraming::None,
        _ => BodyFraming::Chunked,
    };
    let whole = read(framing, wire, wire.len().max(1));
    assert_eq!(read(framing, wire, usize::from(*piece) + 1), whole);
    let mut reader = BodyReader::new(framing);
    let scanned = reader.scan(wire);
    assert_eq!(
        scanned,
        whole.as_ref().map(|(payload, consumed)| (*consumed, payload.len())).map_err(|error| *error)
    );
    if scanned.is_ok_and(|(consumed, _)| consumed < wire.len()) {
        assert!(reader.is_done());
        assert_eq!(reader.finish_at_close(), Ok(()));
    }
});

fn read(framing: BodyFraming, wire: &[u8], piece: usize) -> Result<(Vec<u8>, usize), BodyError> {
    let mut reader = BodyReader::new(framing);
    let (mut payload, mut position) = (Vec::new(), 0);
    while position < wire.len() && !reader.is_done() {
        let bytes = &wire[position..wire.len().min(position + piece)];
        let step = reader.advance(bytes)?;
        assert!(step.consumed > 0 && step.consumed <= bytes.len() && step.data.end <= step.consumed);
        payload.extend_from_slice(&bytes[step.data]);
        position += step.consumed;
    }
    Ok((payload, position))
}
