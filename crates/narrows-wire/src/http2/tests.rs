use super::*;
use proptest::prelude::*;

fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
    let length = (payload as u32).to_be_bytes();
    let mut bytes = vec![length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
    bytes.resize(FRAME_HEADER + payload, 0);
    bytes
}

fn meter() -> FrameMeter {
    let mut meter = FrameMeter::after_preface();
    meter.scan(PREFACE, || 0).unwrap();
    meter
}

#[test]
fn messages_cost_nothing() {
    let mut meter = meter();
    for _ in 0..100_000 {
        meter.scan(&frame(1, 4, 20), || 0).unwrap();
        meter.scan(&frame(0, 1, 100), || 0).unwrap();
    }
}

#[test]
fn each_kind_of_flood_is_noticed() {
    for (kind, name) in [
        (0, "empty DATA"),
        (2, "PRIORITY"),
        (3, "RST_STREAM"),
        (4, "SETTINGS"),
        (6, "PING"),
        (8, "WINDOW_UPDATE"),
        (9, "CONTINUATION"),
        (200, "unknown"),
    ] {
        let mut meter = meter();
        let flooded = (0..=ALLOWANCE).find_map(|_| meter.scan(&frame(kind, 0, 0), || 0).err());
        assert_eq!(flooded, Some(Flood { kind: name }));
    }
}

#[test]
fn the_allowance_comes_back_with_time_and_with_answers() {
    let mut meter = meter();
    while meter.scan(&frame(6, 0, 8), || 0).is_ok() {}
    meter.scan(&frame(6, 0, 8), || 1).unwrap();
    while meter.scan(&frame(8, 0, 4), || 1).is_ok() {}
    meter.note_sent(&frame(0, 0, 100 * BYTES_PER_UNIT));
    for _ in 0..100 {
        meter.scan(&frame(8, 0, 4), || 1).unwrap();
    }
}

#[test]
fn each_small_answer_may_be_answered() {
    let mut meter = meter();
    for _ in 0..100_000 {
        meter.note_sent(&frame(0, 0, 1));
        for kind in [8, 8, 6] {
            meter.scan(&frame(kind, 0, 8), || 0).unwrap();
        }
    }
}

#[test]
fn answers_to_floods_give_nothing_back() {
    let mut meter = meter();
    let flooded = (0..=ALLOWANCE).find_map(|_| {
        meter.note_sent(&frame(6, 1, 8));
        meter.scan(&frame(6, 0, 8), || 0).err()
    });
    assert_eq!(flooded, Some(Flood { kind: "PING" }));
}

proptest! {
    #[test]
    fn cuts_make_no_difference(frames in proptest::collection::vec((0u8..12, 0u8..2, 0usize..40), 0..400), cut in 1usize..50) {
        let bytes: Vec<u8> = PREFACE.iter().copied().chain(frames.iter().flat_map(|(kind, flags, size)| frame(*kind, *flags, *size))).collect();
        let whole = FrameMeter::after_preface().scan(&bytes, || 0);
        let mut meter = FrameMeter::after_preface();
        let pieces = bytes.chunks(cut).try_for_each(|piece| meter.scan(piece, || 0));
        prop_assert_eq!(whole, pieces);
    }
}
