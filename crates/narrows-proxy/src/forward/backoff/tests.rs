//! How long pauses are.

use super::pause;
use std::time::Duration;

const FIRST: Duration = Duration::from_millis(100);

#[test]
fn pauses_double_up_to_ten_times_the_first() {
    let factors: Vec<u128> = (0..6).map(|number| pause(FIRST, number, 0).as_millis() / 100).collect();
    assert_eq!(factors, [1, 2, 4, 8, 10, 10]);
    assert_eq!(pause(FIRST, 1000, 0), FIRST * 10);
}

#[test]
fn chance_takes_up_to_half_of_a_pause() {
    assert_eq!(pause(FIRST, 0, u32::MAX), FIRST / 2);
    let middle = pause(FIRST, 1, u32::MAX / 2);
    assert!(middle > FIRST && middle < FIRST * 2, "{middle:?}");
}
