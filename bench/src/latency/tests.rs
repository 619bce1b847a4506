use std::time::Duration;

use super::{Latency, index, upper_bound};

#[test]
fn every_duration_falls_in_a_step_at_most_1_6_percent_wide() {
    for nanoseconds in (0..4096).chain((12..38).flat_map(|bits| [1 << bits, (1 << bits) + 12345])) {
        let bound = upper_bound(index(nanoseconds));
        assert!(bound >= nanoseconds, "{nanoseconds} is above its step's bound {bound}");
        assert!(bound - nanoseconds <= nanoseconds / 64, "{nanoseconds} is far below {bound}");
    }
}

#[test]
fn quantiles_of_a_ramp_are_its_values() {
    let mut latency = Latency::new();
    assert_eq!(latency.quantile_us(0.5), 0.0);
    for microseconds in 1..=1000 {
        latency.record(Duration::from_micros(microseconds));
    }
    assert!((latency.quantile_us(0.5) - 500.0).abs() < 10.0);
    assert!((latency.quantile_us(0.99) - 990.0).abs() < 20.0);
    latency.clear();
    assert_eq!(latency.quantile_us(0.99), 0.0);
}
